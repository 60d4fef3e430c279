//! What must hold of files: who reads them, who sends them, how long they stay, and that nothing is left of what nobody
//! has sent.

use petrel_core::error::{Error, ErrorKind};
use petrel_core::ids::{ConversationId, MediaId, Seq, UserId};
use petrel_core::media::UploadState;
use petrel_core::message::{Content, Entry};
use petrel_core::services::Download;

use super::{FileAnswer, FileCall};
use crate::core::{Core, Invocation};
use crate::faults::Path;
use crate::frames::Held;
use crate::http::Request;
use crate::invocation::Task;
use crate::retention::{maybe_over, surely_over};

/// What clocks of functions differ by, s.
const SKEW_S: u64 = 3;
/// Between the look at an upload and the put of what carries it, at most, ms: a function that lives longer than AWS lets it
/// promises nothing.
const SENDS_MS: u64 = 800_000;

impl Core {
    /// Whether the upload's owner is erased, or being erased: then it goes from everywhere.
    fn is_taken_back(&self, id: &MediaId) -> bool {
        self.truth.media.owners.get(id).is_some_and(|owner| self.erasures.contains_key(owner))
    }

    /// What needs the file: a message that can be read, or a picture.
    fn needed_by(&self, id: &MediaId) -> Option<String> {
        if self.is_taken_back(id) {
            return None;
        }
        let carried = self.truth.media.carried.get(id).into_iter().flatten();
        let mut live = carried
            .filter(|((of, seq), until)| **until > self.now && !self.truth.is_gone(of, *seq));
        if let Some(((of, seq), until)) = live.next() {
            let days = until.saturating_sub(self.now) / crate::retention::DAY_MS;
            return Some(format!("{of} {seq} carries it for {days} days yet"));
        }
        let mut shown = self.truth.profiles.iter().filter(|(_, p)| p.avatar.as_ref() == Some(id));
        if let Some((user, _)) = shown.next() {
            return Some(format!("{user} shows it"));
        }
        let mut shown = self.truth.info.iter().filter(|(_, i)| i.avatar.as_ref() == Some(id));
        shown.next().map(|(group, _)| format!("{group} shows it"))
    }

    /// What is known of an upload goes: nobody needs it.
    pub(super) fn file_may_go(&self, id: &MediaId) -> Held {
        match self.needed_by(id) {
            Some(why) => Err(format!("the upload {id} is forgotten, and {why}")),
            None => Ok(()),
        }
    }

    /// Bytes go: nobody needs them, and nothing says any more that they are there.
    pub(super) fn bytes_may_go(&self, owner: &UserId, id: &MediaId) -> Held {
        if let Some(why) = self.needed_by(id).filter(|_| self.truth.media.lies(id)) {
            return Err(format!("the bytes of {id} go, and {why}"));
        }
        let known = self.truth.media.uploads.get(id).filter(|upload| upload.owner == *owner);
        let over = |end: u64| end <= self.now / 1_000 + SKEW_S;
        if known.is_some_and(|upload| !upload.expires_at_s.is_some_and(over)) {
            return Err(format!("the bytes of {id} go, and it is known still"));
        }
        Ok(())
    }

    /// An upload goes from one state to the next: blocked is for ever, and nothing is complete without its bytes, nor
    /// clean without a scanner's word where there is one.
    pub(super) fn may_be_so(&self, id: &MediaId, was: UploadState, to: UploadState) -> Held {
        let media = &self.truth.media;
        if was == UploadState::Blocked && to != UploadState::Blocked {
            return Err(format!("{id} was blocked, and is {to:?}"));
        }
        if !media.arrived.contains_key(id) {
            return Err(format!("{id} is {to:?}, and its bytes never came"));
        }
        if to == UploadState::Clean && self.scan && !media.scanned.contains(id) {
            return Err(format!("{id} is clean, and no scanner has said so"));
        }
        Ok(())
    }

    /// An entry that carries a file: it is its sender's, or lent to them; its bytes are there, and stay for as long as it.
    pub fn may_carry(&mut self, entry: &Entry, by: Option<Invocation>) -> Held {
        let Some(id) = entry.content.media_id().cloned() else { return Ok(()) };
        let media = &self.truth.media;
        let owner = media.owners.get(&id).ok_or_else(|| format!("nobody announced {id}"))?;
        let lent = media.loans.get(&(id.clone(), entry.sender_id.clone()));
        // Of a put that comes late it is unknown when its function looked.
        let notes = by.and_then(|by| self.notes.get(&by));
        let began_at = notes.map_or(self.now.saturating_sub(SENDS_MS), |n| n.began_at);
        let began = notes.map(|n| n.began);
        let mine = *owner == entry.sender_id;
        if !mine && lent.is_none_or(|until| *until + SKEW_S <= began_at / 1_000) {
            return Err(format!("{} sent {id}, which is {owner}'s", entry.sender_id));
        }
        if !media.complete.contains_key(&id) {
            return Err(format!("{id} was sent before its bytes were there"));
        }
        if media.blocked.get(&id).zip(began).is_some_and(|(at, began)| *at < began) {
            return Err(format!("{id} is blocked, and was sent"));
        }
        let in_time = notes.is_some_and(|n| self.now <= n.began_at + SENDS_MS);
        let rules = self.truth.kept(&entry.conversation_id, began_at);
        let kept = rules.iter().map(|(_, kept)| *kept).min().unwrap_or(0);
        let until = if in_time { entry.sent_at.saturating_add(kept) } else { 0 };
        let taken_back = self.is_taken_back(&id);
        let row = self.truth.media.uploads.get(&id);
        let held = match row {
            _ if taken_back || !in_time => Ok(()),
            None => Err(format!("{id} was sent, and nothing is known of it")),
            Some(row) if row.expires_at_s.is_some_and(|end| end < until / 1_000) => {
                Err(format!("{id} was sent, and runs out before its message"))
            }
            Some(_) => Ok(()),
        };
        self.passed(if mine { Path::FileSent } else { Path::FileForwarded });
        let place = (entry.conversation_id.clone(), entry.seq);
        self.truth.media.carried.entry(id).or_default().insert(place, until);
        held
    }

    /// Whether the user belonged to a conversation at some moment since `began`.
    pub fn belonged(&self, user: &UserId, of: &ConversationId, began: u64) -> bool {
        if let Some((a, b)) = of.pair() {
            return a == *user || b == *user;
        }
        let Some(log) = self.truth.log(of) else { return false };
        for stored in log.history.iter().rev() {
            if stored.members.contains_key(user) {
                return true;
            }
            if stored.moment < began {
                return false;
            }
        }
        false
    }

    /// An answer about files.
    pub fn must_answer_of_files(&mut self, by: Invocation, user: &UserId, answer: &FileAnswer) {
        let Some(Task::Http(_, Request::Files(_, call))) = self.notes.get(&by).map(|n| &n.task)
        else {
            return;
        };
        let call = call.clone();
        let held = match (answer, &call) {
            (FileAnswer::Download(download), FileCall::Read(of, seq)) => {
                self.passed(Path::FileRead);
                let held = self.may_have(user, of, *seq, &download.id, by);
                held.and_then(|()| self.can_be_had(download, by))
            }
            (FileAnswer::Lent(id), FileCall::Borrow(of, seq)) => {
                self.passed(Path::FileLent);
                self.may_have(user, of, *seq, id, by)
            }
            (FileAnswer::Download(download), FileCall::Look(id)) => {
                self.passed(Path::PictureSeen);
                let shown = self.truth.media.uploads.get(id).is_none_or(|upload| upload.avatar);
                if !shown || download.id != *id {
                    Err(format!("{id} is no picture that anyone shows"))
                } else {
                    self.can_be_had(download, by)
                }
            }
            (FileAnswer::Done, FileCall::Show(_) | FileCall::Picture(..)) => {
                self.passed(Path::PictureShown);
                Ok(())
            }
            _ => Ok(()),
        };
        self.must(held.map_err(|e| format!("{user} was answered {call:?}: {e}")));
    }

    /// Who is told of the file of an entry may read that entry, and it carries this file.
    fn may_have(
        &self,
        user: &UserId,
        of: &ConversationId,
        seq: Seq,
        id: &MediaId,
        by: Invocation,
    ) -> Held {
        let (began, began_at) = self.notes.get(&by).map_or((0, 0), |n| (n.began, n.began_at));
        let log = self.truth.log(of).ok_or("there is no log")?;
        let stored = log.at(seq).ok_or("it is not stored")?;
        if stored.entry.content.media_id() != Some(id) {
            return Err("another file is in it".into());
        }
        if !stored.members.contains_key(user) || !self.belonged(user, of, began) {
            return Err("they do not belong".into());
        }
        if log.deleted.get(&seq).is_some_and(|at| *at < began) {
            return Err("it was deleted".into());
        }
        if surely_over(&self.truth.kept(of, began_at), &stored.entry, began_at) {
            return Err("its time was over".into());
        }
        match self.truth.media.blocked.get(id) {
            Some(at) if *at < began => Err(format!("{id} is blocked")),
            _ => Ok(()),
        }
    }

    /// What is handed out is there, and was looked at.
    fn can_be_had(&self, download: &Download, by: Invocation) -> Held {
        let (id, media) = (&download.id, &self.truth.media);
        let began = self.notes.get(&by).map_or(0, |n| n.began);
        if media.blocked.get(id).is_some_and(|at| *at < began) {
            return Err(format!("{id} is blocked"));
        }
        if self.scan && !media.scanned.contains(id) {
            return Err(format!("no scanner has called {id} clean"));
        }
        let gone = !media.lies(id) && !self.is_taken_back(id);
        match self.needed_by(id).filter(|_| gone) {
            Some(why) => Err(format!("the bytes of {id} are gone, and {why}")),
            None => Ok(()),
        }
    }

    /// A refusal about files has its reason.
    pub fn must_be_refused_of_files(&mut self, by: Invocation, user: &UserId, error: &Error) {
        let Some(notes) = self.notes.get(&by) else { return };
        let Task::Http(_, request) = notes.task.clone() else { return };
        if error.kind == ErrorKind::NotReady {
            self.passed(Path::FileNotReady);
        }
        let wrong = match &request {
            Request::Files(_, FileCall::Read(of, seq) | FileCall::Borrow(of, seq)) => {
                self.refused_to_read(by, user, of, *seq, error)
            }
            Request::Files(_, FileCall::Look(id)) => self.refused_to_look(by, id, error),
            Request::Files(_, FileCall::Complete(id) | FileCall::Show(Some(id)))
            | Request::Say(_, _, _, Content::Media { media_id: id, .. }) => {
                self.refused_own(by, user, id, error)
            }
            _ => None,
        };
        if let Some(why) = wrong {
            self.broke(format!("{user} was refused {request:?} ({error}): {why}"));
        }
    }

    fn refused_to_read(
        &self,
        by: Invocation,
        user: &UserId,
        of: &ConversationId,
        seq: Seq,
        error: &Error,
    ) -> Option<String> {
        let notes = self.notes.get(&by)?;
        let (joined, _) = notes.tenures.get(of)?;
        let stays = self.truth.row(user, of).is_some_and(|row| row.joined == *joined);
        let log = self.truth.log(of)?;
        let stored = log.at(seq).filter(|s| s.moment < notes.began)?;
        let id = stored.entry.content.media_id()?;
        let rules = self.truth.kept(of, notes.began_at);
        let over = maybe_over(&rules, &stored.entry, self.now);
        let until = self.truth.media.carried.get(id)?.get(&(of.clone(), seq))?;
        if !stays || seq < *joined || over || self.truth.is_gone(of, seq) || *until <= self.now {
            return None;
        }
        self.unfounded(id, notes.began, error)
    }

    fn refused_to_look(&self, by: Invocation, id: &MediaId, error: &Error) -> Option<String> {
        let began = self.notes.get(&by)?.began;
        // Whoever sees it in a profile can look at it.
        let shown = self.truth.profiles.values().any(|p| p.avatar.as_ref() == Some(id));
        let since = self.truth.media.shown.get(id).is_some_and(|at| *at < began);
        if shown && since { self.unfounded(id, began, error) } else { None }
    }

    /// Whoever uploads knows how far it is.
    fn refused_own(
        &self,
        by: Invocation,
        user: &UserId,
        id: &MediaId,
        error: &Error,
    ) -> Option<String> {
        let began = self.notes.get(&by)?.began;
        let upload = self.truth.media.uploads.get(id).filter(|upload| upload.owner == *user)?;
        let end = upload.expires_at_s.unwrap_or(u64::MAX);
        if end <= self.now / 1_000 + SKEW_S {
            return None;
        }
        self.unfounded(id, began, error)
    }

    /// What a refusal says of a file that should be there is so.
    fn unfounded(&self, id: &MediaId, began: u64, error: &Error) -> Option<String> {
        let media = &self.truth.media;
        let before = |at: Option<&u64>| at.is_some_and(|at| *at < began);
        let why = match error.kind {
            ErrorKind::NotFound if !self.is_taken_back(id) && !media.blocked.contains_key(id) => {
                "it is there"
            }
            ErrorKind::Forbidden
                if error.message.contains("blocked") && !media.blocked.contains_key(id) =>
            {
                "it is not blocked"
            }
            ErrorKind::NotReady if before(media.clean.get(id)) => "it can be read",
            ErrorKind::NotReady if !self.scan && before(media.complete.get(id)) => {
                "it is complete, and nobody scans"
            }
            _ => return None,
        };
        Some(why.to_owned())
    }

    /// Nothing of an erased user's is left that was there when he was disabled.
    pub fn files_are_erased(&self, user: &UserId) -> Held {
        let media = &self.truth.media;
        let closed = media.closed.get(user).copied().unwrap_or(0);
        let early = |id: &MediaId| media.arrived.get(id).is_some_and(|at| *at < closed);
        let rows = media.uploads.values().filter(|upload| upload.owner == *user).map(|u| &u.id);
        let bytes = media.bytes.iter().filter(|(owner, _)| owner == user).map(|(_, id)| id);
        match rows.chain(bytes).find(|id| early(id)) {
            Some(id) => Err(format!("{user} has the upload {id}")),
            None => Ok(()),
        }
    }

    /// At rest all bytes are known, all that is known has an end or is shown, and what is needed is there.
    pub fn files_are_kept(&self) -> Held {
        let media = &self.truth.media;
        if let Some((owner, id)) =
            media.bytes.iter().find(|(_, id)| !media.uploads.contains_key(id))
        {
            return Err(format!(
                "the bytes of {id} of {owner} lie there, and nobody knows of them"
            ));
        }
        for (id, upload) in &media.uploads {
            if upload.expires_at_s.is_none() && !upload.avatar {
                return Err(format!("{id} has no end"));
            }
            if upload.state == UploadState::Waiting && media.lies(id) {
                return Err(format!("the bytes of {id} are there, and nobody was told"));
            }
            if media.blocked.contains_key(id) && upload.state != UploadState::Blocked {
                return Err(format!("{id} was blocked, and is {:?}", upload.state));
            }
        }
        let needed = media.owners.keys().filter(|id| self.needed_by(id).is_some());
        let mut lost = needed.filter(|id| !media.uploads.contains_key(*id) || !media.lies(id));
        match lost.next() {
            Some(id) => Err(format!("{id} is gone, and {:?}", self.needed_by(id))),
            None => Ok(()),
        }
    }
}
