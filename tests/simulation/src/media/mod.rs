//! Files: what the table and the bucket hold of them, the effects of what is written there, and who tells of it: the
//! bucket, a scanner, and the table when the time of a row is over.

mod calls;
mod events;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use petrel_core::ids::{ConversationId, MediaId, Seq, UserId};
use petrel_core::media::{ContentType, File, Keep, Sha256, Upload, UploadState};

pub use self::calls::{FileAnswer, FileCall};
pub use self::events::{FileEvent, Put};
use crate::core::Core;
use crate::dice::Dice;
use crate::faults::Path;
use crate::truth::{Write, Wrote};

/// What is known of files.
#[derive(Clone, Debug, Default)]
pub struct Media {
    /// The rows.
    pub uploads: BTreeMap<MediaId, Upload>,
    /// Until when someone may send what another has uploaded, s since 1970.
    pub loans: BTreeMap<(MediaId, UserId), u64>,
    /// The bytes that lie in the bucket.
    pub bytes: BTreeSet<(UserId, MediaId)>,
    /// When bytes came last, in moments.
    pub arrived: BTreeMap<MediaId, u64>,
    /// When an upload was complete, in moments.
    pub complete: BTreeMap<MediaId, u64>,
    /// When it could be read, in moments.
    pub clean: BTreeMap<MediaId, u64>,
    /// When it was blocked, in moments.
    pub blocked: BTreeMap<MediaId, u64>,
    /// What a scanner has called clean.
    pub scanned: BTreeSet<MediaId>,
    /// Everything that was ever announced, and by whom.
    pub owners: BTreeMap<MediaId, UserId>,
    /// Until when each entry that carries a file must have it, ms since 1970, by the rules that held when it was sent.
    pub carried: BTreeMap<MediaId, BTreeMap<(ConversationId, Seq), u64>>,
    /// When it was shown first, in moments.
    pub shown: BTreeMap<MediaId, u64>,
    /// When a user was disabled first, in moments: what he stores later is looked after by its end.
    pub closed: BTreeMap<UserId, u64>,
}

/// What may be a picture of someone, and everything else here.
pub fn a_file() -> Option<File> {
    Some(File {
        content_type: ContentType::parse("image/png").ok()?,
        size: 9,
        sha256: Sha256::parse("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").ok()?,
    })
}

/// Whether people send files in a run, and whether someone scans them. By dice of its own.
pub fn choose(core: &mut Core, seed: u64) {
    let mut dice = Dice::new(seed ^ 0x0066_696c_6573);
    core.files = dice.percent(60);
    core.scan = core.files && dice.percent(50);
}

impl Media {
    /// An upload from before the run, complete and sent by nobody.
    pub fn stand(&mut self, owner: &UserId, id: MediaId, end_s: u64) {
        let Some(file) = a_file() else { return };
        self.owners.insert(id.clone(), owner.clone());
        self.bytes.insert((owner.clone(), id.clone()));
        for seen in [&mut self.arrived, &mut self.complete, &mut self.clean] {
            seen.insert(id.clone(), 0);
        }
        self.scanned.insert(id.clone());
        let upload = Upload {
            id: id.clone(),
            owner: owner.clone(),
            file,
            state: UploadState::Clean,
            avatar: false,
            expires_at_s: Some(end_s),
        };
        self.uploads.insert(id, upload);
    }

    /// Whether the bytes lie there.
    pub fn lies(&self, id: &MediaId) -> bool {
        let owner = self.owners.get(id);
        owner.is_some_and(|owner| self.bytes.contains(&(owner.clone(), id.clone())))
    }

    fn own(&mut self, owner: &UserId, id: &MediaId) -> Option<&mut Upload> {
        self.uploads.get_mut(id).filter(|upload| upload.owner == *owner)
    }
}

impl Core {
    /// The effect of a write of what is known of files, or of their bytes.
    pub fn put_file(&mut self, write: &Write) -> Wrote {
        match write {
            Write::Announce(upload) => {
                let (owner, id) = (upload.owner.clone(), upload.id.clone());
                self.truth.media.owners.insert(id.clone(), owner);
                self.truth.media.uploads.insert(id.clone(), (**upload).clone());
                self.file_ends(&id);
                Wrote::Yes
            }
            Write::SetUploadState(owner, id, from, to) => self.set_upload(owner, id, from, *to),
            Write::KeepUpload(owner, id, now_s, keep) => self.keep_upload(owner, id, *now_s, *keep),
            Write::Lend(id, user, until_s) => {
                self.truth.media.loans.insert((id.clone(), user.clone()), *until_s);
                Wrote::Yes
            }
            Write::RemoveFile(owner, id) => {
                let held = self.bytes_may_go(owner, id);
                self.must(held);
                if self.truth.media.bytes.remove(&(owner.clone(), id.clone()))
                    && !self.truth.media.uploads.contains_key(id)
                {
                    self.passed(Path::BytesRemoved);
                }
                Wrote::Yes
            }
            Write::ForgetUpload(owner, id) => {
                if self.truth.media.own(owner, id).is_some() {
                    let held = self.file_may_go(id);
                    self.must(held);
                    self.truth.media.uploads.remove(id);
                }
                Wrote::Yes
            }
            _ => Wrote::No,
        }
    }

    fn set_upload(
        &mut self,
        owner: &UserId,
        id: &MediaId,
        from: &[UploadState],
        to: UploadState,
    ) -> Wrote {
        let moment = self.moment;
        let media = &mut self.truth.media;
        let upload = media.own(owner, id).filter(|upload| from.contains(&upload.state));
        let Some(upload) = upload else { return Wrote::No };
        let was = std::mem::replace(&mut upload.state, to);
        let seen = match to {
            UploadState::Blocked => Some(&mut media.blocked),
            UploadState::Clean => Some(&mut media.clean),
            UploadState::Waiting | UploadState::Pending => None,
        };
        if let Some(seen) = seen {
            seen.entry(id.clone()).or_insert(moment);
        }
        media.complete.entry(id.clone()).or_insert(moment);
        let held = self.may_be_so(id, was, to);
        self.must(held);
        self.passed(match to {
            UploadState::Blocked => Path::FileBlocked,
            _ => Path::FileComplete,
        });
        Wrote::Yes
    }

    fn keep_upload(&mut self, owner: &UserId, id: &MediaId, now_s: u64, keep: Keep) -> Wrote {
        let moment = self.moment;
        let Some(upload) = self.truth.media.own(owner, id) else { return Wrote::No };
        let over = upload.expires_at_s.is_some_and(|end| end <= now_s);
        if over || upload.state == UploadState::Blocked {
            return Wrote::No;
        }
        match keep {
            Keep::Until(end) => upload.expires_at_s = upload.expires_at_s.map(|e| e.max(end)),
            Keep::Shown => {
                (upload.expires_at_s, upload.avatar) = (None, true);
                self.truth.media.shown.entry(id.clone()).or_insert(moment);
            }
        }
        self.file_ends(id);
        Wrote::Yes
    }
}
