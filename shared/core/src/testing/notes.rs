//! What was counted and timed, in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::ids::{ConversationId, Seq};
use crate::metrics::{Count, Metrics, Timing};

#[derive(Default)]
struct State {
    counts: BTreeMap<Count, u64>,
    times: BTreeMap<Timing, Vec<u64>>,
    subjects: Vec<(ConversationId, Option<Seq>)>,
}

/// Keeps what is noted until it is taken.
#[derive(Default)]
pub struct Notes(Mutex<State>);

impl Notes {
    /// The counts since the last time, without those that are 0.
    pub fn take_counts(&self) -> BTreeMap<Count, u64> {
        std::mem::take(&mut self.0.lock().unwrap().counts)
    }

    /// The times since the last time, ms.
    pub fn take_times(&self) -> BTreeMap<Timing, Vec<u64>> {
        std::mem::take(&mut self.0.lock().unwrap().times)
    }

    /// What the work since the last time was about, in order.
    pub fn take_subjects(&self) -> Vec<(ConversationId, Option<Seq>)> {
        std::mem::take(&mut self.0.lock().unwrap().subjects)
    }
}

impl Metrics for Notes {
    fn count(&self, what: Count, n: u64) {
        if n > 0 {
            *self.0.lock().unwrap().counts.entry(what).or_default() += n;
        }
    }

    fn time(&self, what: Timing, ms: u64) {
        self.0.lock().unwrap().times.entry(what).or_default().push(ms);
    }

    fn about(&self, conversation: &ConversationId, seq: Option<Seq>) {
        self.0.lock().unwrap().subjects.push((conversation.clone(), seq));
    }
}
