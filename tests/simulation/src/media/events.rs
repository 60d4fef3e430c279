//! What happens to files by itself: clients that store bytes, the bucket and a scanner that tell of it, rows whose time
//! is over. Events come late, twice, in any order, and again if the function fails.

use petrel_core::App;
use petrel_core::error::Result;
use petrel_core::ids::{MediaId, UserId};
use petrel_core::services::Verdict;

use crate::core::{Core, Event};
use crate::faults::{Fault, Path};
use crate::invocation::Task;

/// How often an event comes again when the function has failed; then it is the operator's.
const RETRIES: u32 = 2;

/// What the media function is told.
#[derive(Clone, Debug)]
pub enum FileEvent {
    /// By the bucket: the bytes are there.
    Stored(UserId, MediaId),
    /// By a scanner.
    Judged(UserId, MediaId, Verdict),
    /// By the stream: the table has removed a row whose time was over.
    Expired(UserId, MediaId),
}

impl FileEvent {
    /// Lets the product hear of it, as the media function does.
    pub async fn run(self, app: &App) -> Result<()> {
        match self {
            Self::Stored(owner, id) => app.uploaded(&owner, &id).await,
            Self::Judged(owner, id, verdict) => app.judge(&owner, &id, verdict).await,
            Self::Expired(owner, id) => app.upload_expired(&owner, &id).await,
        }
    }
}

/// A `PUT` of a client's that is on its way.
#[derive(Clone, Debug)]
pub struct Put {
    /// Who stores.
    pub owner: UserId,
    /// What.
    pub id: MediaId,
    /// From when on the bucket refuses it, ms since 1970.
    pub until: u64,
    /// How often yet the client tries.
    pub left: u32,
}

impl Core {
    /// The `PUT` reaches the bucket. Whether the client knows that the bytes are there; otherwise it tries again.
    pub fn file_put(&mut self, mut put: Put) -> bool {
        // In the end nobody begins anything.
        if !self.faults.on || self.now >= put.until {
            return false;
        }
        let out = self.faults.is_out(Fault::FilesOut);
        if !out {
            self.moment += 1;
            let place = (put.owner.clone(), put.id.clone());
            if self.truth.media.bytes.insert(place) {
                self.note(|| format!("stored: {} of {}", put.id, put.owner));
                self.passed(Path::FileStored);
                self.truth.media.arrived.insert(put.id.clone(), self.moment);
                self.tell_of(FileEvent::Stored(put.owner.clone(), put.id.clone()));
                self.scan(&put);
            }
            if !self.strikes(Fault::PutAnswerLost) {
                return true;
            }
        }
        if put.left > 0 {
            put.left -= 1;
            let ms = self.dice.magnitude(500, 3_000_000);
            self.after(ms, Event::FilePut(put));
        }
        false
    }

    /// A scanner looks at it, in its own time; and may find out later that it was wrong. Without one, someone may block a
    /// file all the same.
    fn scan(&mut self, put: &Put) {
        let verdicts: &[Verdict] = match (self.scan, self.dice.below(20)) {
            (true, 0) => &[],
            (true, 1 | 2) | (false, 0) => &[Verdict::Blocked],
            (true, 3) => &[Verdict::Clean, Verdict::Blocked],
            (true, _) => &[Verdict::Clean],
            (false, _) => &[],
        };
        for verdict in verdicts {
            if *verdict == Verdict::Clean {
                self.truth.media.scanned.insert(put.id.clone());
            }
            self.tell_of(FileEvent::Judged(put.owner.clone(), put.id.clone(), *verdict));
        }
    }

    /// Tells the media function of something, at least once.
    fn tell_of(&mut self, event: FileEvent) {
        let times = if self.strikes(Fault::FileEventDoubled) { 2 } else { 1 };
        for _ in 0..times {
            let late = self.strikes(Fault::FileEventLate);
            let ms = if late { self.dice.magnitude(1_000, 3_600_000) } else { self.latency() };
            self.invoke(ms, Task::File(event.clone(), RETRIES));
        }
    }

    /// The function has failed or died: it is told again, for a while.
    pub fn file_again(&mut self, event: FileEvent, left: u32) {
        let ms = self.dice.magnitude(100, 120_000);
        if left > 0 {
            self.invoke(ms, Task::File(event, left - 1));
        } else {
            self.passed(Path::FileEventFailed);
            self.failed_files.push(event);
        }
    }

    /// In the end an operator sends again what has failed.
    pub fn redrive_files(&mut self) {
        for event in std::mem::take(&mut self.failed_files) {
            let ms = self.latency();
            self.invoke(ms, Task::File(event, RETRIES));
        }
    }

    /// The row has an end: the table removes it some time after that.
    pub fn file_ends(&mut self, id: &MediaId) {
        let end = self.truth.media.uploads.get(id).and_then(|upload| upload.expires_at_s);
        let Some(ms) = end.map(|end| end.saturating_mul(1_000).saturating_sub(self.now)) else {
            return;
        };
        // Beyond what any run lasts.
        if ms > 400 * crate::retention::DAY_MS {
            return;
        }
        let late = if self.strikes(Fault::ExpiryLate) {
            self.dice.magnitude(1_000, 2 * crate::retention::DAY_MS)
        } else {
            1_000
        };
        self.after(ms + late, Event::FileEnds(id.clone()));
    }

    /// The table looks at the row, and removes it if its time is over still.
    pub fn file_has_ended(&mut self, id: &MediaId) {
        let Some(upload) = self.truth.media.uploads.get(id) else { return };
        if upload.expires_at_s.is_none_or(|end| end > self.now / 1_000) {
            return;
        }
        self.moment += 1;
        let owner = upload.owner.clone();
        self.note(|| format!("the time of {id} of {owner} is over"));
        let held = self.file_may_go(id);
        self.must(held);
        self.truth.media.uploads.remove(id);
        self.passed(Path::UploadEnded);
        self.tell_of(FileEvent::Expired(owner, id.clone()));
    }
}
