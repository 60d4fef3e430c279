//! Handing a stored entry to everyone who may read it: at once to few, through the queue to many. Runs after the put,
//! so that a device which connects meanwhile is in the read of the connections or finds the entry in its sync.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};

use super::App;
use crate::error::Result;
use crate::ids::{ConnectionId, UserId};
use crate::message::Entry;
use crate::metrics::{Count, Timing};
use crate::mutants::mutant;
use crate::ports::{Connection, Devices, Job, Posted};
use crate::wire::ServerFrame;

/// Up to this many recipients are posted to from the sending function.
pub(super) const MAX_INLINE: usize = 32;
/// Members in one fan-out job, and users in one read of the connections.
pub(super) const CHUNK: usize = 100;
/// Posts under way at once.
const CONCURRENT_POSTS: usize = 64;
/// Chunks delivered at once when the queue is out.
const CONCURRENT_CHUNKS: usize = 4;
/// How often a job is put back because a service is overloaded.
pub(super) const MAX_ATTEMPTS: u8 = 5;
/// A socket younger than this may answer 410 because its `$connect` has not returned, ms.
const YOUNG_MS: u64 = 60_000;

impl App {
    /// Delivers the entry or queues its delivery, for every one of `to`. The sender's other devices are among them;
    /// `except` is the connection that sent it; `again`: an earlier call has stored it, and may have delivered it.
    ///
    /// # Errors
    /// `busy` when it is unknown who is connected. A socket that the gateway would not take a frame for, while the
    /// queue is out, is no error: it hears of the entry at its next sync. What has been kept long enough by now is not
    /// delivered again.
    pub(super) async fn deliver(
        &self,
        entry: &Entry,
        to: Vec<UserId>,
        except: Option<ConnectionId>,
        again: bool,
    ) -> Result<()> {
        if again && self.is_expired(entry).await? && !mutant!(ExpiredAgain) {
            return Ok(());
        }
        let delivered = self.deliver_to_all(entry, to, except, again);
        futures::join!(delivered, self.announce(entry, again)).0
    }

    async fn deliver_to_all(
        &self,
        entry: &Entry,
        to: Vec<UserId>,
        except: Option<ConnectionId>,
        again: bool,
    ) -> Result<()> {
        if to.len() <= MAX_INLINE {
            return self.post_chunk(entry, to, except, 0, !again).await;
        }
        let jobs = to
            .chunks(CHUNK)
            .map(|chunk| Job::FanOut {
                entry: entry.clone(),
                to: chunk.to_vec(),
                except: except.clone(),
                attempt: 0,
            })
            .collect();
        let Err(error) = self.jobs.enqueue(jobs, 0).await else { return Ok(()) };
        if mutant!(QueueOutStopsSending) {
            return Err(error);
        }
        // An outage of the queue slows and stops no one: deliver from here.
        tracing::warn!(error = error.with_causes(), "the queue refused; delivering from here");
        self.metrics.count(Count::FanOutInline, 1);
        // A chunk that fails does not keep the others from theirs.
        let chunks: Vec<_> = to
            .chunks(CHUNK)
            .map(|chunk| self.post_chunk(entry, chunk.to_vec(), except.clone(), 0, !again))
            .collect();
        let delivered = stream::iter(chunks).buffer_unordered(CONCURRENT_CHUNKS);
        delivered.fold(Ok(()), async |all, one| all.and(one)).await
    }

    /// Posts to every connection of at most 100 users; queues what could not be posted, and a push for who is
    /// offline. This is what the fan-out function runs for each job.
    ///
    /// # Errors
    /// `busy` when the connections cannot be read.
    pub async fn deliver_chunk(
        &self,
        entry: &Entry,
        to: Vec<UserId>,
        except: Option<ConnectionId>,
        attempt: u8,
    ) -> Result<()> {
        self.about(&entry.conversation_id, Some(entry.seq));
        if attempt == 0 {
            self.time_since(entry, Timing::FanOutAge);
        }
        self.post_chunk(entry, to, except, attempt, true).await
    }

    /// As [`Self::deliver_chunk`], from wherever. `timed`: how long it took says something about this delivery.
    async fn post_chunk(
        &self,
        entry: &Entry,
        to: Vec<UserId>,
        except: Option<ConnectionId>,
        attempt: u8,
        timed: bool,
    ) -> Result<()> {
        let Devices { connections, endpoints } = self.connections.of(&to).await?;
        let frame = ServerFrame::message(entry).to_json();
        let posted: Vec<(Connection, Posted)> = stream::iter(connections)
            .map(|connection| async {
                let outcome = if except.as_ref() == Some(&connection.id) {
                    Posted::Accepted
                } else {
                    self.gateway.post(&connection.id, &frame).await
                };
                (connection, outcome)
            })
            .buffer_unordered(CONCURRENT_POSTS)
            .collect()
            .await;

        let now = self.world.now_ms();
        let to_others = || posted.iter().filter(|(c, _)| except.as_ref() != Some(&c.id));
        let of = |outcome: Posted| to_others().filter(|(_, p)| *p == outcome).count() as u64;
        self.metrics.count(Count::Deliveries, of(Posted::Accepted));
        self.metrics.count(Count::Gone, of(Posted::Gone));
        if timed && of(Posted::Accepted) > 0 {
            self.metrics.time(Timing::DeliveryLatency, now.saturating_sub(entry.sent_at));
        }
        let young = |c: &Connection| now.saturating_sub(c.connected_at) < YOUNG_MS;
        let dead = posted
            .iter()
            .filter(|(c, p)| *p == Posted::Gone && (!young(c) || mutant!(RemoveYoung)));
        // Left for the next delivery if it fails: the row only costs a post.
        let removals = dead.map(|(c, _)| self.forget(&c.user, &c.device, &c.id));
        futures::future::join_all(removals).await;
        let has = |user: &UserId, outcome: Posted| {
            posted.iter().any(|(c, p)| c.user == *user && *p == outcome)
        };
        let mut later: Vec<UserId> = to.iter().filter(|u| has(u, Posted::Later)).cloned().collect();
        if mutant!(PutBackDropped) {
            later.clear();
        }
        // Put back a bounded number of times; after that, or when the queue is out, the user counts as offline.
        let put_back = !later.is_empty() && attempt < MAX_ATTEMPTS && {
            let job = Job::FanOut {
                entry: entry.clone(),
                to: later.clone(),
                except: except.clone(),
                attempt: if mutant!(PutBackForever) { 1 } else { attempt + 1 },
            };
            self.jobs.enqueue(vec![job], put_back_delay_s(attempt)).await.is_ok()
        };
        if put_back {
            self.metrics.count(Count::PutBack, of(Posted::Later));
        }
        if !entry.content.counts() || mutant!(NoPush) {
            return Ok(());
        }
        let phones: BTreeSet<&UserId> = endpoints.iter().map(|e| &e.user).collect();
        let (mut online, offline): (Vec<UserId>, Vec<UserId>) = to
            .iter()
            .filter(|u| **u != entry.sender_id && phones.contains(u))
            .filter(|u| !put_back || !later.contains(u))
            .cloned()
            .partition(|u| {
                has(u, Posted::Accepted) || mutant!(GoneIsDelivered) && has(u, Posted::Gone)
            });
        if mutant!(AcceptedIsDelivered) {
            online.clear();
        }
        let delay_s = self.settings.push_delay_s;
        futures::join!(self.queue_push(entry, offline, 0), self.queue_push(entry, online, delay_s));
        Ok(())
    }

    /// The log is the queue: a push that cannot be queued does not withhold `sent`.
    async fn queue_push(&self, entry: &Entry, to: Vec<UserId>, delay_s: u32) {
        if to.is_empty() {
            return;
        }
        let conversation = entry.conversation_id.clone();
        let job = Job::Push { to, conversation, seq: entry.seq, attempt: 0 };
        let queued = self.jobs.enqueue(vec![job], delay_s).await;
        self.metrics.count(if queued.is_ok() { Count::PushJobs } else { Count::PushJobsLost }, 1);
        if let Err(error) = queued {
            tracing::error!(error = error.with_causes(), "pushes could not be queued");
        }
    }
}

/// How long a job waits that was put back, longer with each attempt.
pub(super) fn put_back_delay_s(attempt: u8) -> u32 {
    1 << attempt.min(9)
}
