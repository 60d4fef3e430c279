//! What the services write down about their work: which entry it is about, and the errors that it ends in.

use super::App;
use crate::error::{Error, ErrorKind};
use crate::ids::{ConversationId, Seq};
use crate::message::Entry;
use crate::metrics::{Count, Timing};

impl App {
    /// Names what the work under way is about, to the metrics and on the current span, which may declare the fields
    /// `conversation` and `seq` for it.
    pub(super) fn about(&self, conversation: &ConversationId, seq: Option<Seq>) {
        self.metrics.about(conversation, seq);
        let span = tracing::Span::current();
        span.record("conversation", tracing::field::display(conversation));
        if let Some(seq) = seq {
            span.record("seq", seq.get());
        }
    }

    /// Adds the time since an entry was sent.
    pub(super) fn time_since(&self, entry: &Entry, what: Timing) {
        self.metrics.time(what, self.world.now_ms().saturating_sub(entry.sent_at));
    }

    /// Takes note of an error that a client is answered with. Whoever carries the answer calls this, once.
    pub fn refused(&self, error: &Error) {
        let busy = error.kind == ErrorKind::Busy;
        self.metrics.count(if busy { Count::Busy } else { Count::Refused }, 1);
        // A refusal is the client's business; a failure is ours.
        if error.source.is_some() {
            self.failed(error);
        }
    }

    /// Takes note of an error that the operator must look at: it goes into the log with its causes. Whoever handles it
    /// calls this, once.
    pub fn failed(&self, error: &Error) {
        self.metrics.count(Count::Failures, 1);
        tracing::error!(error = error.with_causes(), "failed");
    }
}
