//! What Lambda's event source does on AWS: takes batches off a queue, hands them to the function behind it, and deletes
//! what did not fail. It knows neither what queue it is nor what is in a job.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lambda_events::sqs::SqsEvent;
use petrel_aws::server::{Depth, Received};
use petrel_core::{App, Result};
use petrel_functions::queue;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::events;

/// Batches of one queue that run at the same time.
const AT_ONCE: usize = 8;
/// Most time for a batch, as the fan-out function's time-out on AWS.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The pause after a queue did not answer; it doubles each time, to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(250);
/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// A queue with a visibility timeout, redelivery and dead letters.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Its ARN, for the event.
    fn arn(&self) -> &str;

    /// Up to ten messages, which are hidden from then on. Waits for the first, a while or until `stop`; what it has
    /// taken it must return.
    async fn receive(&self, stop: &CancellationToken) -> Result<Vec<Received>>;

    /// Deletes messages that were received. One that cannot be deleted may come again.
    async fn delete(&self, messages: &[&Received]) -> Result<()>;

    /// How full it is.
    async fn depth(&self) -> Result<Depth>;
}

/// Hands batches to the function behind the queue until `stop`. What was received by then is handled to its end, in tasks
/// of `jobs`.
pub async fn run(queue: Arc<dyn Queue>, app: App, stop: CancellationToken, jobs: TaskTracker) {
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let mut pause = PAUSE;
    while !stop.is_cancelled() {
        let Ok(permit) = at_once.clone().acquire_owned().await else { return };
        if stop.is_cancelled() {
            return;
        }
        let batch = match queue.receive(&stop).await {
            Ok(batch) => batch,
            Err(error) => {
                // Said once, and not every time that it is still so.
                if pause == PAUSE {
                    tracing::error!(error = error.with_causes(), queue = queue.arn(), "no answer");
                }
                let _ = tokio::time::timeout(pause, stop.cancelled()).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                continue;
            }
        };
        if pause != PAUSE {
            tracing::info!(queue = queue.arn(), "the queue answers again");
            pause = PAUSE;
        }
        if batch.is_empty() {
            continue;
        }
        let (queue, app) = (queue.clone(), app.clone());
        jobs.spawn(async move {
            run_batch(queue.as_ref(), &app, &batch).await;
            drop(permit);
        });
    }
}

async fn run_batch(queue: &dyn Queue, app: &App, batch: &[Received]) {
    let event = match serde_json::from_value::<SqsEvent>(events::batch(queue.arn(), batch)) {
        Ok(event) => event,
        Err(error) => return tracing::error!(%error, "an event that no handler can read"),
    };
    let Ok(response) = tokio::time::timeout(TIMEOUT, queue::handle(app, event)).await else {
        return tracing::error!(queue = queue.arn(), "batch timed out");
    };
    let failed: BTreeSet<&str> =
        response.batch_item_failures.iter().map(|f| f.item_identifier.as_str()).collect();
    let done: Vec<_> = batch.iter().filter(|m| !failed.contains(m.id.as_str())).collect();
    if let Err(error) = queue.delete(&done).await {
        // A job that is run again does no harm.
        tracing::warn!(error = error.with_causes(), queue = queue.arn(), "jobs will come again");
    }
}
