//! Telling the operator's receiver. An event is queued beside the delivery of its entry, and told until it is taken, for
//! about a day. What is lost on the way shows as a hole in the seqs, which are without holes: the log is the queue.

use super::App;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::message::Entry;
use crate::metrics::{Count, Timing};
use crate::mutants::mutant;
use crate::ports::{Delivery, Hooked, Job};
use crate::wire::webhook::EventFrame;

/// How often an event is put back, until it goes to the dead letters: a bit less than a day.
const MAX_ATTEMPTS: u8 = 100;
/// The first pause, s; it doubles with each attempt.
const PAUSE_S: u32 = 5;
/// The longest pause, s: what SQS delays.
const LONGEST_PAUSE_S: u32 = 900;

impl App {
    /// Queues the event of an entry that stands. That it cannot be queued withholds nothing: no receiver of an operator's
    /// stops people from writing.
    pub(super) async fn announce(&self, entry: &Entry, again: bool) {
        if !self.settings.webhook
            || mutant!(NotAnnounced) && !again
            || mutant!(AnnouncedOnce) && again
        {
            return;
        }
        let job = Job::Webhook { event: Event::Stored(entry.clone()), attempt: 0 };
        if let Err(error) = self.jobs.enqueue(vec![job], 0).await {
            self.metrics.count(Count::WebhookJobsLost, 1);
            tracing::error!(error = error.with_causes(), "an event could not be queued");
        }
    }

    /// Tells the receiver of an event, and puts it back if it is not taken. This is what the webhook function runs for each
    /// job.
    ///
    /// # Errors
    /// `busy` when it cannot be put back, or was put back too often: then it belongs to the dead letters.
    pub async fn tell(&self, event: Event, attempt: u8) -> Result<()> {
        let about = event.about();
        self.about(&about.conversation_id, Some(about.seq));
        let now = self.world.now_ms();
        if attempt == 0 {
            self.metrics.time(Timing::WebhookAge, now.saturating_sub(event.at()));
        }
        let delivery = Delivery {
            id: event.id(),
            timestamp_s: now / 1_000,
            body: EventFrame::from(&event).to_json(),
        };
        let Hooked::Refused { retry_after_s } = self.webhook.deliver(&delivery).await else {
            self.metrics.count(Count::Webhooks, 1);
            return Ok(());
        };
        self.metrics.count(Count::WebhookFailures, 1);
        if mutant!(ToldOnce) {
            return Ok(());
        }
        if attempt >= MAX_ATTEMPTS {
            return Err(Error::port("the receiver of webhooks does not take an event"));
        }
        let pause_s = PAUSE_S << attempt.min(8);
        let pause_s =
            pause_s + u32::try_from(self.world.jitter(u64::from(pause_s) / 4)).unwrap_or(0);
        let delay_s = pause_s.max(retry_after_s.unwrap_or(0)).min(LONGEST_PAUSE_S);
        self.jobs.enqueue(vec![Job::Webhook { event, attempt: attempt + 1 }], delay_s).await
    }
}
