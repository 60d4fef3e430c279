//! What is asked of files over HTTP.

use petrel_core::error::Result;
use petrel_core::ids::{ConversationId, MediaId, Seq};
use petrel_core::people::ProfileChange;
use petrel_core::services::{Download, Intent, NewUpload, Ticket};
use petrel_core::{App, Caller, Error};

use super::a_file;

/// What is asked.
#[derive(Clone, Debug)]
pub enum FileCall {
    /// `POST /api/media`.
    Upload,
    /// `POST /api/media/{id}/complete`.
    Complete(MediaId),
    /// `GET …/messages/{seq}/media`.
    Read(ConversationId, Seq),
    /// `POST …/messages/{seq}/media`: to send it elsewhere.
    Borrow(ConversationId, Seq),
    /// `GET /api/avatars/{id}`.
    Look(MediaId),
    /// `PATCH /api/profile`: a picture, or none.
    Show(Option<MediaId>),
    /// `PATCH /api/conversations/{id}`: the same of a group.
    Picture(ConversationId, Option<MediaId>),
}

/// What was answered.
#[derive(Debug)]
pub enum FileAnswer {
    /// Where to store the bytes.
    Ticket(Ticket),
    /// An upload is complete.
    Complete,
    /// How to read a file.
    Download(Download),
    /// What may be sent now.
    Lent(MediaId),
    /// It is done.
    Done,
}

impl FileCall {
    /// Which conversation it is about.
    pub fn about(&self) -> Option<ConversationId> {
        match self {
            Self::Read(of, _) | Self::Borrow(of, _) | Self::Picture(of, _) => Some(of.clone()),
            Self::Upload | Self::Complete(_) | Self::Look(_) | Self::Show(_) => None,
        }
    }

    /// Asks the product, as `functions` does for the HTTP API.
    pub async fn run(self, app: &App, caller: &Caller) -> Result<FileAnswer> {
        match self {
            Self::Upload => {
                let file = a_file().ok_or_else(|| Error::bad_request("no file"))?;
                let new = NewUpload {
                    content_type: file.content_type,
                    size: file.size,
                    sha256: file.sha256,
                };
                app.new_upload(caller, new).await.map(FileAnswer::Ticket)
            }
            Self::Complete(id) => {
                app.complete_upload(caller, &id).await.map(|_| FileAnswer::Complete)
            }
            Self::Read(of, seq) => app.media(caller, &of, seq).await.map(FileAnswer::Download),
            Self::Borrow(of, seq) => app.borrow_media(caller, &of, seq).await.map(FileAnswer::Lent),
            Self::Look(id) => app.avatar(caller, &id).await.map(FileAnswer::Download),
            Self::Show(id) => {
                let change = ProfileChange { avatar: Some(id), ..Default::default() };
                app.set_profile(caller, &change).await.map(|_| FileAnswer::Done)
            }
            Self::Picture(of, id) => {
                let intent = Intent::Update {
                    name: None,
                    post: None,
                    add: None,
                    avatar: Some(id),
                    retention_days: None,
                };
                app.change(caller, &of, &intent).await.map(|_| FileAnswer::Done)
            }
        }
    }
}
