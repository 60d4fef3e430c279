//! Files: how they come in, who may send them on, and who may read them. The bytes go between clients and the store; a
//! service only signs for them.
//!
//! Nothing says who may read an upload but the entries that carry it: a reader names the entry, and reading the entry is
//! the proof. So there is no list to keep in step with the log.

use super::cold::Kept;
use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::group::GroupInfo;
use crate::ids::{ConversationId, MediaId, Seq, UserId};
use crate::limits::Use;
use crate::media::{ContentType, File, Keep, Sha256, Upload, UploadState};
use crate::message::Content;
use crate::mutants::mutant;
use crate::ports::SignedRequest;

/// How long a client has to store the bytes, s.
const PUT_LIFE_S: u64 = 3_600;
/// How long a client has to begin reading, s.
const GET_LIFE_S: u64 = 300;
/// How long an upload waits to be sent or shown, and a loan to be used, s. Then it is gone.
const UNUSED_LIFE_S: u64 = 7 * 86_400;
/// Between the look at an upload and the time of the entry that carries it, at most, s.
const SEND_LIFE_S: u64 = 900;
/// So much longer than needed an upload is kept, s.
const SPARE_LIFE_S: u64 = 30 * 86_400;
/// Largest avatar, bytes: it is loaded by everyone, and often.
const MAX_AVATAR_BYTES: u64 = 5_000_000;
/// What may be an avatar: what every browser and phone shows, and none of it a document that runs scripts.
const AVATARS: [&str; 3] = ["image/jpeg", "image/png", "image/webp"];
/// Uploads that are erased at a time.
const ERASED_AT_ONCE: usize = 100;

/// A request to upload.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// What the bytes are.
    pub content_type: ContentType,
    /// How many, at least 1.
    pub size: u64,
    /// Their hash.
    pub sha256: Sha256,
}

/// What a client needs to store the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The upload.
    pub id: MediaId,
    /// How to store the bytes.
    pub put: SignedRequest,
    /// From when on the request is void, ms since 1970.
    pub put_until: u64,
    /// From when on the upload is gone unless it was sent or shown by then, ms since 1970.
    pub expires_at: u64,
}

/// What a client needs to read the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The upload.
    pub id: MediaId,
    /// What the bytes are.
    pub file: File,
    /// How to read them.
    pub get: SignedRequest,
    /// From when on the request is void, ms since 1970.
    pub get_until: u64,
}

/// What a scanner says of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It can be read.
    Clean,
    /// Nobody may read it, for ever.
    Blocked,
}

/// Words that say nothing of whether there is such an upload.
fn no_upload() -> Error {
    Error::new(ErrorKind::NotFound, "there is no such upload of yours")
}

fn no_media() -> Error {
    Error::new(ErrorKind::NotFound, "no media can be read there")
}

/// What keeps an upload from being sent or read.
fn fit(state: UploadState) -> Result<()> {
    match state {
        UploadState::Waiting => {
            Err(Error::new(ErrorKind::NotReady, "the upload is not complete; send the same again"))
        }
        UploadState::Blocked => Err(Error::new(ErrorKind::Forbidden, "this media is blocked")),
        UploadState::Pending | UploadState::Clean => Ok(()),
    }
}

impl App {
    /// Announces an upload.
    ///
    /// # Errors
    /// `bad_request` for an empty file; `too_large`, see [`Settings`](super::Settings).
    pub async fn new_upload(&self, caller: &Caller, new: NewUpload) -> Result<Ticket> {
        self.spend(&caller.user, Use::Requests, 1)?;
        let NewUpload { content_type, size, sha256 } = new;
        let most = if content_type.is_image() {
            self.settings.max_photo_bytes
        } else {
            self.settings.max_file_bytes
        };
        if size == 0 {
            return Err(Error::bad_request("an upload holds at least 1 byte"));
        }
        if size > most {
            let words = format!("an upload of this type holds at most {most} bytes");
            return Err(Error::new(ErrorKind::TooLarge, words));
        }
        let now = self.world.now_ms();
        let expires_at_s = now / 1000 + UNUSED_LIFE_S;
        let upload = Upload {
            id: MediaId::new(self.world.secret()),
            owner: caller.user.clone(),
            file: File { content_type, size, sha256 },
            state: UploadState::Waiting,
            avatar: false,
            expires_at_s: Some(expires_at_s),
        };
        // Before the request exists that stores the bytes: what is stored is always known.
        self.uploads.announce(&upload).await?;
        let put = self.files.to_put(&upload, PUT_LIFE_S).await?;
        let (put_until, expires_at) = (now + PUT_LIFE_S * 1000, expires_at_s * 1000);
        Ok(Ticket { id: upload.id, put, put_until, expires_at })
    }

    /// Takes note of what its owner says is complete, and returns how far it is then.
    ///
    /// # Errors
    /// `not_found` unless it is the caller's; `not_ready` while the bytes are not there.
    pub async fn complete_upload(&self, caller: &Caller, id: &MediaId) -> Result<UploadState> {
        self.spend(&caller.user, Use::Requests, 1)?;
        let upload = self.own(caller, id).await?;
        if upload.state != UploadState::Waiting {
            return Ok(upload.state);
        }
        if !self.files.stored(&upload.owner, id).await? {
            return Err(Error::new(ErrorKind::NotReady, "the bytes are not there yet"));
        }
        self.uploaded(&upload.owner, id).await?;
        Ok(self.own(caller, id).await?.state)
    }

    /// The bytes of an upload are there. May be told more than once, and late. Of what nothing is known any more the bytes
    /// go again.
    ///
    /// # Errors
    /// If a port fails.
    pub async fn uploaded(&self, owner: &UserId, id: &MediaId) -> Result<()> {
        let to = if self.settings.scan { UploadState::Pending } else { UploadState::Clean };
        use UploadState::{Blocked, Waiting};
        let from: &[_] = if mutant!(EventReopens) { &[Waiting, Blocked] } else { &[Waiting] };
        if self.uploads.set_state(owner, id, from, to).await? {
            return Ok(());
        }
        match self.uploads.upload(id).await? {
            Some(upload) if upload.owner == *owner => Ok(()),
            _ if mutant!(OrphanStays) => Ok(()),
            _ => self.files.remove(owner, id).await,
        }
    }

    /// A scanner has spoken. May be told more than once, late, and before [`uploaded`](Self::uploaded). Blocked is for
    /// ever: an older verdict that comes late does not undo it.
    ///
    /// # Errors
    /// If a port fails.
    pub async fn judge(&self, owner: &UserId, id: &MediaId, verdict: Verdict) -> Result<()> {
        use UploadState::{Blocked, Clean, Pending, Waiting};
        match verdict {
            Verdict::Clean if mutant!(VerdictUndone) => {
                self.uploads.set_state(owner, id, &[Waiting, Pending, Blocked], Clean).await?
            }
            Verdict::Clean => self.uploads.set_state(owner, id, &[Waiting, Pending], Clean).await?,
            Verdict::Blocked => {
                self.uploads.set_state(owner, id, &[Waiting, Pending, Clean], Blocked).await?
            }
        };
        Ok(())
    }

    /// Nobody sent it in time, or its row ran out: the bytes go.
    ///
    /// # Errors
    /// If a port fails.
    pub async fn upload_expired(&self, owner: &UserId, id: &MediaId) -> Result<()> {
        match self.uploads.upload(id).await? {
            // Its end was put off, or taken away: whoever says that it ran out is mistaken.
            Some(upload) if !self.is_over(&upload) => Ok(()),
            _ if mutant!(BytesStay) => Ok(()),
            _ => {
                self.files.remove(owner, id).await?;
                self.uploads.forget(owner, id).await
            }
        }
    }

    /// Removes everything that a user has uploaded, wherever it was sent to, some at a time; returns whether there is more.
    ///
    /// # Errors
    /// If a port fails; then the same again.
    pub async fn erase_uploads(&self, user: &UserId) -> Result<bool> {
        let ids = self.files.of(user, None, ERASED_AT_ONCE).await?;
        for id in &ids {
            if mutant!(BytesFirst) {
                self.files.remove(user, id).await?;
            }
            // The bytes last: they are what it is found by again, should this call end here.
            self.uploads.forget(user, id).await?;
            self.files.remove(user, id).await?;
        }
        Ok(ids.len() == ERASED_AT_ONCE)
    }

    /// Shows an upload of the caller's as a picture of himself or of a group, to everyone, from now on.
    ///
    /// # Errors
    /// `not_found` unless it is the caller's; `bad_request` unless it is a JPEG, PNG or WebP of at most 5 MB; `not_ready`
    /// until it can be read; `forbidden` if it is blocked.
    pub async fn use_as_avatar(&self, caller: &Caller, id: &MediaId) -> Result<()> {
        let upload = self.own(caller, id).await?;
        let file = &upload.file;
        if !AVATARS.contains(&file.content_type.as_str()) || file.size > MAX_AVATAR_BYTES {
            let words =
                format!("an avatar is a JPEG, PNG or WebP of at most {MAX_AVATAR_BYTES} bytes");
            return Err(Error::bad_request(words));
        }
        fit(upload.state)?;
        self.checked(&upload)?;
        let now_s = self.world.now_ms() / 1000;
        let shown = if mutant!(PictureNotKept) { Keep::Until(now_s) } else { Keep::Shown };
        if self.uploads.keep(&upload.owner, id, now_s, shown).await? {
            Ok(())
        } else {
            Err(no_upload())
        }
    }

    /// How to read an avatar. Whoever knows its id has been shown it.
    ///
    /// # Errors
    /// `not_found` for anything that is no avatar; `forbidden` if it is blocked.
    pub async fn avatar(&self, caller: &Caller, id: &MediaId) -> Result<Download> {
        self.spend_request(caller)?;
        let upload =
            self.uploads.upload(id).await?.filter(|upload| upload.avatar || mutant!(AnyPicture));
        self.download(upload.ok_or_else(no_media)?).await
    }

    /// How to read the media of an entry.
    ///
    /// # Errors
    /// `not_a_member`; `not_found` for an entry before the point of joining, without media, or deleted; `not_ready` while
    /// a scanner has not spoken; `forbidden` if it is blocked.
    pub async fn media(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
        seq: Seq,
    ) -> Result<Download> {
        self.spend(&caller.user, Use::Requests, 1)?;
        let id = self.carried(caller, conversation, seq).await?;
        let upload = self.uploads.upload(&id).await?.ok_or_else(no_media)?;
        self.download(upload).await
    }

    /// Lets the caller send the media of an entry that he can read, for a week, and returns its id.
    ///
    /// # Errors
    /// As [`media`](Self::media).
    pub async fn borrow_media(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
        seq: Seq,
    ) -> Result<MediaId> {
        self.spend(&caller.user, Use::Requests, 1)?;
        let id = self.carried(caller, conversation, seq).await?;
        let upload = self.uploads.upload(&id).await?.ok_or_else(no_media)?;
        fit(upload.state)?;
        if upload.owner != caller.user {
            let until = self.world.now_ms() / 1000 + UNUSED_LIFE_S;
            self.uploads.lend(&id, &caller.user, until).await?;
        }
        Ok(id)
    }

    /// The content as it is to be stored: with what the bytes are. They stay as long as an entry of now is kept where this
    /// holds.
    pub(super) async fn attach(
        &self,
        caller: &Caller,
        of: &ConversationId,
        content: Content,
        info: Option<&GroupInfo>,
    ) -> Result<Content> {
        let Content::Media { media_id, caption, preview, mentions, .. } = content else {
            return Ok(content);
        };
        let kept_ms = match of.pair() {
            // What holds for a direct conversation is read for nothing else of a send.
            Some(_) => self.kept_ms(self.conversations.roster(of, 0).await?.info.as_ref()),
            None => self.kept_ms(info),
        };
        let upload = self.uploads.upload(&media_id).await?.ok_or_else(no_upload)?;
        let now_s = self.world.now_ms() / 1000;
        if upload.owner != caller.user && !mutant!(AnyonesUpload) {
            let until = self.uploads.lent(&media_id, &caller.user).await?;
            until.filter(|until| *until > now_s || mutant!(LentForever)).ok_or_else(no_upload)?;
        }
        if !mutant!(UnfinishedSent) {
            fit(upload.state)?;
        }
        // Before the entry is stored: an entry whose media runs out would be a promise that is broken. Should this call
        // end here, it is kept for nobody; that harms nobody but the bill. A little longer, so that it is not written
        // anew with each entry that carries it.
        let needed = now_s.saturating_add(kept_ms / 1000).saturating_add(SEND_LIFE_S);
        let end = needed.saturating_add(SPARE_LIFE_S);
        let longer = Keep::Until(if mutant!(KeptShort) { now_s + UNUSED_LIFE_S } else { end });
        let gone = self.is_over(&upload)
            || (upload.expires_at_s.is_some_and(|end| end < needed)
                && !mutant!(NotKept)
                && !self.uploads.keep(&upload.owner, &media_id, now_s, longer).await?);
        if gone {
            return Err(no_upload());
        }
        Ok(Content::Media { media_id, caption, file: Some(upload.file), preview, mentions })
    }

    /// The upload that an entry carries which the caller may read.
    async fn carried(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
        seq: Seq,
    ) -> Result<MediaId> {
        self.about(conversation, Some(seq));
        let row = self.readable(&caller.user, conversation).await?;
        if seq < row.joined && !mutant!(MediaBeforeJoining) {
            return Err(no_media());
        }
        let mut kept = Kept::default();
        let found = self.readable_down(conversation, seq, Some(seq.next()), 1, &mut kept).await?;
        let id = found.entries.first().and_then(|entry| entry.content.media_id()).cloned();
        self.still_readable(&caller.user, &row).await?;
        id.ok_or_else(no_media)
    }

    async fn download(&self, upload: Upload) -> Result<Download> {
        if !mutant!(BlockedIsRead) {
            fit(upload.state)?;
            self.checked(&upload)?;
        }
        let get = self.files.to_get(&upload, GET_LIFE_S).await?;
        let get_until = self.world.now_ms() + GET_LIFE_S * 1000;
        Ok(Download { id: upload.id, file: upload.file, get, get_until })
    }

    /// Refuses what a scanner has not spoken of. Where none is asked any more, what it left is as good as all else.
    fn checked(&self, upload: &Upload) -> Result<()> {
        if upload.state == UploadState::Pending && self.settings.scan && !mutant!(PendingIsRead) {
            return Err(Error::new(ErrorKind::NotReady, "the media is being checked"));
        }
        Ok(())
    }

    /// An upload of the caller's, while its time is not over.
    async fn own(&self, caller: &Caller, id: &MediaId) -> Result<Upload> {
        let upload = self.uploads.upload(id).await?;
        let upload = upload.filter(|u| u.owner == caller.user && !self.is_over(u));
        upload.ok_or_else(no_upload)
    }

    fn is_over(&self, upload: &Upload) -> bool {
        upload.expires_at_s.is_some_and(|end| end <= self.world.now_ms() / 1000)
    }
}
