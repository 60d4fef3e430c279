//! The queues, as SQS would run them: batches, a visibility timeout, redelivery, and a list of dead letters. In memory:
//! what a job would deliver lies in the log, and a device that connects again syncs.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_lambda_events::sqs::SqsEvent;
use petrel_core::ports::{Job, Jobs};
use petrel_core::{App, Error, Result};
use petrel_functions::queue;
use serde::Serialize;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::events;

/// Messages in one batch.
const BATCH: usize = 10;
/// Batches of one queue that run at the same time.
const AT_ONCE: usize = 8;
/// A message that was received so often and not deleted is dead.
const MAX_RECEIVES: u32 = 5;
/// How long a received message stays hidden.
const VISIBILITY: Duration = Duration::from_secs(360);
/// Most time for a batch, as the fan-out function's time-out on AWS.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Dead letters kept to be looked at.
const MAX_DEAD: usize = 1_000;

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
    dead: VecDeque<String>,
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
    fn receive(&mut self, now: Instant) -> Vec<(String, String, u32)> {
        let mut batch = vec![];
        while batch.len() < BATCH
            && let Some(&(visible_at, id)) = self.by_time.first()
            && visible_at <= now
            && let Some(mut message) = self.remove(id)
        {
            if message.receives >= MAX_RECEIVES {
                tracing::error!(job = message.body, "job is dead");
                self.dead.truncate(MAX_DEAD - 1);
                self.dead.push_front(message.body);
                continue;
            }
            message.receives += 1;
            message.visible_at = now + VISIBILITY;
            batch.push((id.to_string(), message.body.clone(), message.receives));
            self.by_time.insert((message.visible_at, id));
            self.messages.insert(id, message);
        }
        batch
    }
}

/// What a queue looks like from outside.
#[derive(Debug, Serialize)]
pub struct Depth {
    /// Messages that wait, are under way or come again.
    messages: usize,
    /// The newest dead letters.
    dead: Vec<String>,
}

/// One queue.
#[derive(Debug)]
struct Queue {
    name: &'static str,
    state: Mutex<State>,
    changed: Notify,
}

impl Queue {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, state: Mutex::default(), changed: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands batches to the function behind the queue until the server stops.
    async fn run(self: Arc<Self>, app: App, stop: CancellationToken) {
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        while !stop.is_cancelled() {
            let Ok(permit) = at_once.clone().acquire_owned().await else { return };
            let batch = self.state().receive(Instant::now());
            if batch.is_empty() {
                drop(permit);
                let next = self.state().by_time.first().map(|(at, _)| *at);
                let next = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
                tokio::select! {
                    () = self.changed.notified() => {}
                    () = sleep_until(next) => {}
                    () = stop.cancelled() => {}
                }
                continue;
            }
            let (queue, app) = (self.clone(), app.clone());
            tokio::spawn(async move {
                queue.run_batch(&app, batch).await;
                drop(permit);
            });
        }
    }

    async fn run_batch(&self, app: &App, batch: Vec<(String, String, u32)>) {
        let event = events::batch(self.name, &batch);
        let event = match serde_json::from_value::<SqsEvent>(event) {
            Ok(event) => event,
            Err(error) => return tracing::error!(%error, "an event that no handler can read"),
        };
        let Ok(response) = tokio::time::timeout(TIMEOUT, queue::handle(app, event)).await else {
            return tracing::error!(queue = self.name, "batch timed out");
        };
        let failed: BTreeSet<&str> =
            response.batch_item_failures.iter().map(|f| f.item_identifier.as_str()).collect();
        let mut state = self.state();
        for (id, ..) in batch.iter().filter(|(id, ..)| !failed.contains(id.as_str())) {
            if let Ok(id) = id.parse() {
                state.remove(id);
            }
        }
    }
}

/// Both queues.
#[derive(Debug)]
pub struct Queues {
    fanout: Arc<Queue>,
    push: Arc<Queue>,
}

impl Queues {
    /// Empty ones.
    pub fn new() -> Self {
        Self { fanout: Queue::new("fanout"), push: Queue::new("push") }
    }

    /// Runs the functions behind the queues until `stop`.
    pub fn start(&self, app: &App, stop: &CancellationToken) {
        for queue in [&self.fanout, &self.push] {
            tokio::spawn(queue.clone().run(app.clone(), stop.clone()));
        }
    }

    /// How full they are.
    pub fn depths(&self) -> BTreeMap<&'static str, Depth> {
        let depth = |queue: &Queue| {
            let state = queue.state();
            Depth { messages: state.messages.len(), dead: state.dead.iter().cloned().collect() }
        };
        [&self.fanout, &self.push].into_iter().map(|q| (q.name, depth(q))).collect()
    }
}

#[async_trait]
impl Jobs for Queues {
    async fn enqueue(&self, jobs: Vec<Job>, delay_s: u32) -> Result<()> {
        let visible_at = Instant::now() + Duration::from_secs(delay_s.into());
        for job in jobs {
            let queue = match job {
                Job::FanOut { .. } => &self.fanout,
                Job::Push { .. } => &self.push,
            };
            let body = serde_json::to_string(&job).map_err(Error::port)?;
            queue.state().add(body, visible_at);
            queue.changed.notify_one();
        }
        Ok(())
    }
}
