//! What is counted and timed, so that an operator sees how the service does. A service notes a fact where it happens;
//! whether and where it is published, it does not know.

use crate::ids::{ConversationId, Seq};

/// An enum whose variants are published under their own names.
macro_rules! measures {
    ($(#[$doc:meta])* $kind:ident { $($(#[$what:meta])* $name:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind { $($(#[$what])* $name,)+ }

        impl $kind {
            /// All of them, in the order of their discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name that it is published under.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

measures! {
    /// What is counted. The unit of each is a count.
    Count {
        /// Entries newly stored: messages, and changes of membership.
        Messages,
        /// Messages that an earlier call had stored.
        Duplicates,
        /// Puts that lost the race for their place.
        Conflicts,
        /// Posts of entries that the gateway accepted.
        Deliveries,
        /// Posts of entries to a socket that is no more (410).
        Gone,
        /// Posts of entries that went back to the queue, because the gateway was overloaded or failed (429, 5xx).
        PutBack,
        /// Entries that were delivered by the sending function because the queue refused them.
        FanOutInline,
        /// Push jobs queued, each for up to 100 users.
        PushJobs,
        /// Push jobs that the queue refused: those phones are not woken for that entry.
        PushJobsLost,
        /// Pushes that the push service accepted.
        Pushes,
        /// Pushes that it refused for now; they are tried again a bounded number of times.
        PushFailures,
        /// Pushes that were not needed: the entry had been delivered meanwhile.
        PushesSkipped,
        /// Events that the receiver of webhooks took.
        Webhooks,
        /// Attempts to tell it that failed.
        WebhookFailures,
        /// Events that could not be queued, and are not told.
        WebhookJobsLost,
        /// Messages that members reported.
        Reports,
        /// Sockets that opened.
        Opened,
        /// Sockets that closed and said so. Of some that are lost nothing is heard.
        Closed,
        /// Syncs that were answered.
        Syncs,
        /// Acks that were taken, also those that changed nothing.
        Acks,
        /// Requests answered with `busy`.
        Busy,
        /// Requests answered with any other error.
        Refused,
        /// Internal errors: the operator must look. Each is in the log once, as an error.
        Failures,
    }
}

measures! {
    /// What is timed. The unit of each is a millisecond.
    Timing {
        /// From an entry's `sent_at` until the last post of one delivery was accepted. One value for each delivery: that
        /// of a sender to up to 32, or that of one fan-out job.
        DeliveryLatency,
        /// From an entry's `sent_at` until the fan-out function takes its job for the first time.
        FanOutAge,
        /// From an entry's `sent_at` until the push function takes its job for the first time; the delay that the job
        /// was queued with is part of it.
        PushAge,
        /// From an event until the webhook function takes its job for the first time.
        WebhookAge,
    }
}

/// Takes note of what happens. Every method must return at once, must not fail and must not do I/O: it is called while
/// a message is on its way.
pub trait Metrics: Send + Sync {
    /// Adds `n` to a count. `n` may be 0, which changes nothing.
    fn count(&self, what: Count, n: u64);

    /// Adds one value, ms. Clocks differ, so that a time may come out as 0 that was none.
    fn time(&self, what: Timing, ms: u64);

    /// Which conversation, and which entry of it, the work is about that is under way; the same may be named again.
    fn about(&self, conversation: &ConversationId, seq: Option<Seq>);
}

/// Forgets everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoMetrics;

impl Metrics for NoMetrics {
    fn count(&self, _: Count, _: u64) {}

    fn time(&self, _: Timing, _: u64) {}

    fn about(&self, _: &ConversationId, _: Option<Seq>) {}
}
