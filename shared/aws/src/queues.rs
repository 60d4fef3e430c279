//! The queues: jobs as JSON in SQS, in batches.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::AsyncSleep;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use futures::future::try_join_all;
use petrel_core::error::{Error, Result};
use petrel_core::ports::{Job, Jobs};
use tokio::time::Instant;

use crate::settings::{FANOUT_QUEUE_URL, PUSH_QUEUE_URL, SettingsError, WEBHOOK_QUEUE_URL};

/// How many messages one SendMessageBatch takes.
const BATCH: usize = 10;
/// How many bytes of messages go in one SendMessageBatch. AWS takes 1 MiB since August 2025; 256 KiB is what emulators
/// and older limits take, and ten jobs of ordinary messages stay far below it.
const BATCH_BYTES: usize = 256 * 1024;
/// How often a batch is sent, each time with what failed before.
const ATTEMPTS: u32 = 3;
/// For so long after SQS did not answer, jobs fail at once: a frame of ten messages, or a group in chunks, waits for an
/// outage once and not with each.
const REST: Duration = Duration::from_secs(5);
/// The pause after the first attempt; it doubles with each.
const PAUSE: Duration = Duration::from_millis(50);

/// The URLs of the queues; a function that does not use one need not know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// Takes [`Job::FanOut`] and [`Job::Presence`].
    pub fan_out: Option<String>,
    /// Takes [`Job::Push`].
    pub push: Option<String>,
    /// Takes [`Job::Webhook`].
    pub webhook: Option<String>,
}

/// The queues in SQS.
#[derive(Clone, Debug)]
pub struct Sqs {
    client: Client,
    queues: Queues,
    /// Until when nothing is asked of it.
    rests: Arc<Mutex<Option<Instant>>>,
}

impl Sqs {
    /// The port over these queues.
    pub fn new(client: Client, queues: Queues) -> Self {
        Self { client, queues, rests: Arc::default() }
    }

    fn rests(&self) -> MutexGuard<'_, Option<Instant>> {
        self.rests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one batch until all of it is queued.
    async fn send(&self, queue: &str, mut bodies: Vec<String>, delay_s: i32) -> Result<()> {
        if self.rests().is_some_and(|until| Instant::now() < until) {
            return Err(Error::port("SQS did not answer a moment ago"));
        }
        let mut reason = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0
                && let Some(sleep) = self.client.config().sleep_impl()
            {
                sleep.sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
            }
            let mut batch = self.client.send_message_batch().queue_url(queue);
            for (id, body) in bodies.iter().enumerate() {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(id.to_string())
                    .message_body(body)
                    .delay_seconds(delay_s)
                    .build()
                    .map_err(Error::port)?;
                batch = batch.entries(entry);
            }
            let sent = batch.send().await;
            if let Err(SdkError::TimeoutError(_) | SdkError::DispatchFailure(_)) = &sent {
                *self.rests() = Some(Instant::now() + REST);
            }
            let failed = sent.map_err(Error::port)?.failed;
            let Some(first) = failed.first() else { return Ok(()) };
            reason = format!("{}: {}", first.code, first.message.as_deref().unwrap_or_default());
            // What is our fault fails every time.
            if failed.iter().any(|f| f.sender_fault) {
                break;
            }
            let failed: Vec<usize> = failed.iter().filter_map(|f| f.id.parse().ok()).collect();
            let mut id = 0..;
            bodies.retain(|_| id.next().is_some_and(|id| failed.contains(&id)));
        }
        Err(Error::port(format!("{} jobs are not queued: {reason}", bodies.len())))
    }
}

#[async_trait]
impl Jobs for Sqs {
    async fn enqueue(&self, jobs: Vec<Job>, delay_s: u32) -> Result<()> {
        let delay_s = i32::try_from(delay_s).map_err(Error::port)?;
        let (mut fan_out, mut push, mut webhook) = (vec![], vec![], vec![]);
        for job in &jobs {
            match job {
                Job::FanOut { .. } | Job::Presence { .. } => fan_out.push(body(job)?),
                Job::Push { .. } => push.push(body(job)?),
                Job::Webhook { .. } => webhook.push(body(job)?),
            }
        }
        let queues = [
            (fan_out, &self.queues.fan_out, FANOUT_QUEUE_URL),
            (push, &self.queues.push, PUSH_QUEUE_URL),
            (webhook, &self.queues.webhook, WEBHOOK_QUEUE_URL),
        ];
        let mut sends = vec![];
        for (bodies, queue, variable) in queues {
            if bodies.is_empty() {
                continue;
            }
            let queue =
                queue.as_deref().ok_or_else(|| Error::port(SettingsError::Missing(variable)))?;
            for batch in batches(bodies) {
                sends.push(self.send(queue, batch, delay_s));
            }
        }
        try_join_all(sends).await.map(drop)
    }
}

/// The job as SQS takes it. SQS refuses a whole batch for one character that XML 1.0 does not have; JSON escapes all of
/// these but two, which can stand in strings only.
fn body(job: &Job) -> Result<String> {
    let json = serde_json::to_string(job).map_err(Error::port)?;
    Ok(json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff"))
}

/// Splits the bodies, in order, so that each batch keeps to both limits.
fn batches(bodies: Vec<String>) -> Vec<Vec<String>> {
    let mut batches: Vec<Vec<String>> = vec![];
    let mut bytes = 0;
    for body in bodies {
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH && bytes + body.len() <= BATCH_BYTES => {
                bytes += body.len();
                batch.push(body);
            }
            _ => {
                bytes = body.len();
                batches.push(vec![body]);
            }
        }
    }
    batches
}
