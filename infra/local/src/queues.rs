//! The queues of a server that has none to use: in memory, with a visibility timeout, redelivery and a list of dead
//! letters, as SQS would run them. What a job would deliver lies in the log, and a device that connects again syncs.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use petrel_aws::server::{Depth, Received};
use petrel_core::ports::{Job, Jobs};
use petrel_core::{Error, Result};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::consumer;

/// Messages in one batch.
const BATCH: usize = 10;
/// A message that was received so often and not deleted is dead.
const MAX_RECEIVES: u32 = 5;
/// How long a received message stays hidden.
const VISIBILITY: Duration = Duration::from_secs(360);

#[derive(Debug)]
struct Message {
    body: String,
    visible_at: Instant,
    receives: u32,
}

#[derive(Debug, Default)]
struct State {
    messages: HashMap<u64, Message>,
    by_time: BTreeSet<(Instant, u64)>,
    next: u64,
    dead: usize,
}

impl State {
    fn add(&mut self, body: String, visible_at: Instant) {
        let id = self.next;
        self.next += 1;
        self.by_time.insert((visible_at, id));
        self.messages.insert(id, Message { body, visible_at, receives: 0 });
    }

    fn remove(&mut self, id: u64) -> Option<Message> {
        let message = self.messages.remove(&id)?;
        self.by_time.remove(&(message.visible_at, id));
        Some(message)
    }

    /// Receives up to a batch of what is visible, and hides it.
    fn receive(&mut self, now: Instant) -> Vec<Received> {
        let mut batch = vec![];
        while batch.len() < BATCH
            && let Some(&(visible_at, id)) = self.by_time.first()
            && visible_at <= now
            && let Some(mut message) = self.remove(id)
        {
            if message.receives >= MAX_RECEIVES {
                // Not the body: it holds what somebody wrote.
                tracing::error!(job = id, "job is dead");
                self.dead += 1;
                continue;
            }
            message.receives += 1;
            message.visible_at = now + VISIBILITY;
            batch.push(Received {
                id: id.to_string(),
                handle: id.to_string(),
                body: message.body.clone(),
                receives: message.receives,
            });
            self.by_time.insert((message.visible_at, id));
            self.messages.insert(id, message);
        }
        batch
    }
}

/// One queue.
#[derive(Debug)]
pub struct Queue {
    arn: &'static str,
    state: Mutex<State>,
    changed: Notify,
}

impl Queue {
    fn new(arn: &'static str) -> Arc<Self> {
        Arc::new(Self { arn, state: Mutex::default(), changed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl consumer::Queue for Queue {
    fn arn(&self) -> &str {
        self.arn
    }

    async fn receive(&self, stop: &CancellationToken) -> Result<Vec<Received>> {
        loop {
            let batch = self.state().receive(Instant::now());
            if !batch.is_empty() {
                return Ok(batch);
            }
            let next = self.state().by_time.first().map(|(at, _)| *at);
            let next = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(next) => {}
                () = stop.cancelled() => return Ok(vec![]),
            }
        }
    }

    async fn delete(&self, messages: &[&Received]) -> Result<()> {
        let mut state = self.state();
        for message in messages {
            if let Ok(id) = message.handle.parse() {
                state.remove(id);
            }
        }
        Ok(())
    }

    async fn depth(&self) -> Result<Depth> {
        let state = self.state();
        Ok(Depth { messages: state.messages.len(), dead: state.dead })
    }
}

/// All queues.
#[derive(Debug)]
pub struct Queues {
    /// Takes fan-out jobs.
    pub fan_out: Arc<Queue>,
    /// Takes push jobs.
    pub push: Arc<Queue>,
    /// Takes events.
    pub webhook: Arc<Queue>,
}

impl Queues {
    /// Empty ones.
    pub fn new() -> Self {
        Self {
            fan_out: Queue::new("arn:aws:sqs:local:0:fanout"),
            push: Queue::new("arn:aws:sqs:local:0:push"),
            webhook: Queue::new("arn:aws:sqs:local:0:webhook"),
        }
    }
}

#[async_trait]
impl Jobs for Queues {
    async fn enqueue(&self, jobs: Vec<Job>, delay_s: u32) -> Result<()> {
        let visible_at = Instant::now() + Duration::from_secs(delay_s.into());
        for job in jobs {
            let queue = match job {
                Job::FanOut { .. } | Job::Presence { .. } => &self.fan_out,
                Job::Push { .. } => &self.push,
                Job::Webhook { .. } => &self.webhook,
            };
            let body = serde_json::to_string(&job).map_err(Error::port)?;
            queue.state().add(body, visible_at);
            queue.changed.notify_one();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

    use std::io::Write;

    use super::*;

    /// What is logged, kept.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_job_that_is_dead_is_named_and_not_quoted() {
        let kept = Kept::default();
        let writer = kept.clone();
        let log = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
        let mut now = Instant::now();
        let mut state = State::default();
        state.add("what somebody wrote".to_owned(), now);
        tracing::subscriber::with_default(log.finish(), || {
            for _ in 0..MAX_RECEIVES {
                assert_eq!(state.receive(now).len(), 1);
                now += VISIBILITY;
            }
            assert!(state.receive(now).is_empty());
        });
        let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(state.dead, 1);
        assert!(log.contains("job is dead job=0"), "{log}");
        assert!(!log.contains("wrote"), "{log}");
    }
}
