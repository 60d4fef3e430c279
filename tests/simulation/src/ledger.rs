//! What was done to deliver each entry, and the rules of delivering: what is acknowledged was posted or queued for
//! everyone, what a gateway refused comes again, and no phone is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use petrel_core::events::Event as Told;
use petrel_core::ids::{ConnectionId, ConversationId, Seq, UserId};
use petrel_core::ports::{Connection, Job, Posted, Pushed};
use serde_json::Value;

use crate::core::{Core, Event, Invocation};
use crate::faults::Path;
use crate::queue::MAX_PUT_BACK;

/// A device syncs every 5 to 8 minutes; by then, and what the answer takes, it has heard of everything, ms.
const HEARS_MS: u64 = 10 * 60_000;

/// What was done for one entry, over all invocations.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// Connections that it was posted to, whatever they answered.
    pub attempted: BTreeSet<ConnectionId>,
    /// Users whose chunk was queued.
    pub queued: BTreeSet<UserId>,
    /// Users for whom a push was queued.
    pub pushes: BTreeSet<UserId>,
    /// Users whose push could not be queued.
    pub lost: BTreeSet<UserId>,
    /// Whether it was acknowledged.
    pub acknowledged: bool,
    /// Whether its event was queued.
    pub announced: bool,
    /// Whether its event could not be queued, as far as an invocation knows.
    pub event_lost: bool,
    /// Whether the receiver has taken its event.
    pub told: bool,
}

/// An entry that a gateway would not take for a device, and no queue either.
#[derive(Clone, Debug)]
pub struct Owed {
    /// Which device.
    pub device: usize,
    /// Its socket.
    pub socket: u64,
    /// Which entry.
    pub place: (ConversationId, Seq),
    /// Since when, ms since 1970.
    pub since: u64,
}

/// By entry.
pub type Ledger = BTreeMap<(ConversationId, Seq), Delivery>;

impl Core {
    /// A frame was posted, or refused.
    pub fn attempted(&mut self, by: Invocation, to: &Connection, frame: &Value, posted: Posted) {
        if frame["type"] != "message" {
            if let Some(notes) = self.notes.get_mut(&by) {
                notes.refused |= posted == Posted::Later;
            }
            return;
        }
        let Some((of, seq)) = place(frame) else { return };
        if let Some(notes) = self.notes.get_mut(&by) {
            notes.posts.push((of.clone(), seq, to.user.clone(), posted));
        }
        self.truth_ledger((of, seq)).attempted.insert(to.id.clone());
    }

    fn truth_ledger(&mut self, key: (ConversationId, Seq)) -> &mut Delivery {
        self.ledger.entry(key).or_default()
    }

    /// An invocation asks to queue jobs.
    pub fn wanted(&mut self, by: Invocation, jobs: &[Job], delay_s: u32) {
        for job in jobs {
            match job {
                Job::FanOut { entry, to, attempt, .. } if *attempt > 0 => {
                    self.passed(Path::PutBack);
                    if let Some(notes) = self.notes.get_mut(&by) {
                        let place = (entry.conversation_id.clone(), entry.seq);
                        notes.put_back.extend(to.iter().map(|u| (place.clone(), u.clone())));
                    }
                }
                Job::FanOut { .. } => self.passed(Path::FanOut),
                Job::Push { to, conversation, seq, attempt: 0 } if delay_s > 0 => {
                    // Waiting is for those who may have it by then.
                    let posts = self.notes.get(&by).map(|n| n.posts.clone()).unwrap_or_default();
                    let took = |user: &UserId| {
                        posts.iter().any(|(of, s, u, posted)| {
                            of == conversation
                                && s == seq
                                && u == user
                                && *posted == Posted::Accepted
                        })
                    };
                    if let Some(user) = to.iter().find(|u| !took(u)) {
                        self.broke(format!(
                            "{user}'s push of {conversation} {seq} waits, and no socket took the message"
                        ));
                    }
                }
                Job::Push { to, attempt: 1.., .. } => {
                    if let Some(notes) = self.notes.get_mut(&by) {
                        notes.pushed_later.extend(to.iter().cloned());
                    }
                }
                Job::Presence { .. } => self.passed(Path::PresenceJob),
                Job::Push { .. } | Job::Webhook { .. } => {}
            }
        }
    }

    /// A job stands in its queue.
    pub fn queued(&mut self, _by: Invocation, job: &Job, _delay_s: u32) {
        match job {
            Job::Presence { .. } => {}
            Job::FanOut { entry, to, .. } => {
                let place = (entry.conversation_id.clone(), entry.seq);
                self.truth_ledger(place).queued.extend(to.iter().cloned());
            }
            Job::Push { to, conversation, seq, .. } => {
                let place = (conversation.clone(), *seq);
                self.truth_ledger(place).pushes.extend(to.iter().cloned());
            }
            Job::Webhook { event: Told::Reported(_), .. } => {}
            Job::Webhook { event: Told::Stored(entry), .. } => {
                let place = (entry.conversation_id.clone(), entry.seq);
                self.truth_ledger(place).announced = true;
            }
        }
    }

    /// Jobs could not be queued, as far as their invocation knows.
    pub fn not_queued(&mut self, _by: Invocation, jobs: &[Job]) {
        for job in jobs {
            match job {
                Job::Push { to, conversation, seq, .. } => {
                    self.passed(Path::PushLost);
                    let place = (conversation.clone(), *seq);
                    self.truth_ledger(place).lost.extend(to.iter().cloned());
                }
                Job::Webhook { event: Told::Stored(entry), attempt: 0 } => {
                    let place = (entry.conversation_id.clone(), entry.seq);
                    self.truth_ledger(place).event_lost = true;
                }
                Job::Webhook { .. } => {}
                Job::FanOut { attempt: 0, .. } => self.passed(Path::Inline),
                Job::FanOut { entry, to, .. } => {
                    let place = (entry.conversation_id.clone(), entry.seq);
                    to.iter().for_each(|user| self.leave_to_sync(&place, user));
                }
                Job::Presence { .. } => {}
            }
        }
    }

    /// Nobody tells the user's devices of an entry any more: by their next sync, which is never further away than the
    /// longest time between two of them, they have it.
    fn leave_to_sync(&mut self, place: &(ConversationId, Seq), user: &UserId) {
        self.passed(Path::LeftToSync);
        let rows = self.truth.connections.get(user).into_iter().flatten();
        let ids: Vec<ConnectionId> = rows.map(|(_, r)| r.connection.id.clone()).collect();
        for id in ids {
            let Some((socket, found)) = self.gateway.find(&id) else { continue };
            let (device, place, since) = (found.device, place.clone(), self.now);
            self.after(HEARS_MS, Event::Owed(Owed { device, socket, place, since }));
        }
    }

    /// An entry is acknowledged as stored and delivered: every member's device that was registered since it was
    /// stored has been posted to, or the member's chunk is queued; and every phone is thought of.
    pub fn must_be_under_way(
        &mut self,
        of: &ConversationId,
        seq: Seq,
        except: Option<&Connection>,
    ) {
        if self.may_be_over(of, seq) {
            // Nobody is owed it any more.
            return;
        }
        let held = self.under_way(of, seq, None, except);
        self.must(held.map_err(|e| format!("{of} {seq} was acknowledged, and {e}")));
        if self.webhook {
            let delivery = self.truth_ledger((of.clone(), seq));
            delivery.acknowledged = true;
            if !delivery.announced && !delivery.event_lost {
                self.broke(format!("{of} {seq} was acknowledged, and no event of it is queued"));
            }
        }
    }

    /// The receiver took an event: it says what stands there.
    pub fn must_be_told(&mut self, id: &str, told: &Value) {
        let data = &told["data"];
        if let Some(reporter) = self.reported.get(id) {
            if data["reporter_id"] != reporter.as_str() {
                self.broke(format!("{id} was reported by {reporter}: {told}"));
            }
            return;
        }
        let Some(place) = place(data) else { return self.broke(format!("{id} tells of nothing")) };
        let stored = self.truth.log(&place.0).and_then(|log| log.at(place.1)).map(|s| &s.entry);
        let stands = stored.is_some_and(|entry| {
            Told::Stored(entry.clone()).id() == id
                && data["message_id"] == entry.message_id.to_string()
                && data["sender_id"] == entry.sender_id.as_str()
        });
        if stands {
            self.truth_ledger(place).told = true;
        } else {
            self.broke(format!("{id} tells of what is not there: {told}"));
        }
    }

    /// When all is at rest: every entry that was acknowledged has been told, unless its event could not be queued. What
    /// was given up after five receives is with the dead letters.
    pub fn all_is_told(&mut self) {
        if !self.webhook || self.faults.counts.paths[Path::DeadLetter as usize] > 0 {
            return;
        }
        let owed = |d: &Delivery| d.acknowledged && !d.told && !d.event_lost;
        let missing = self.ledger.iter().find(|(_, d)| owed(d)).map(|(place, _)| place.clone());
        if let Some((of, seq)) = missing {
            self.broke(format!("{of} {seq} was acknowledged and never told"));
        }
    }

    /// The fan-out function says that a job is done.
    pub fn must_be_delivered(&mut self, by: Invocation, job: &Job) {
        let Job::FanOut { entry, to, except, .. } = job else { return };
        let sender = except.as_ref().and_then(|id| self.gateway.find(id));
        let sender = sender.map(|(_, socket)| socket.connection.clone());
        let (of, seq) = (&entry.conversation_id, entry.seq);
        let held = self.under_way(of, seq, Some((by, to)), sender.as_ref());
        self.must(held.map_err(|e| format!("the fan-out of {of} {seq} is done, and {e}")));
    }

    fn under_way(
        &self,
        of: &ConversationId,
        seq: Seq,
        chunk: Option<(Invocation, &[UserId])>,
        except: Option<&Connection>,
    ) -> Result<(), String> {
        let Some(stored) = self.truth.log(of).and_then(|log| log.at(seq)) else {
            return Err("it is not stored".into());
        };
        let empty = Delivery::default();
        let delivery = self.ledger.get(&(of.clone(), seq)).unwrap_or(&empty);
        // For a chunk: since it began; for the whole: since it was stored.
        let notes = chunk.and_then(|(by, _)| self.notes.get(&by));
        let since = notes.map_or(stored.moment, |n| n.began);
        let later = |user: &UserId| match notes {
            Some(n) => n.put_back.iter().any(|((c, s), u)| c == of && *s == seq && u == user),
            None => delivery.queued.contains(user),
        };
        // Who left meanwhile is owed nothing any more.
        let now = self.truth.tenures(of);
        let concerned = |user: &&UserId| {
            now.get(*user).is_some_and(|joined| *joined <= seq)
                && chunk.is_none_or(|(_, to)| to.contains(user))
        };
        for user in stored.members.keys().filter(concerned) {
            // Who is disabled, or was since, is owed nothing.
            let until = self.truth.disabled_until.get(user);
            if self.truth.disabled.contains_key(user) || until.is_some_and(|until| *until > since) {
                continue;
            }
            if later(user) {
                continue;
            }
            for row in self.truth.connections.get(user).into_iter().flatten().map(|(_, r)| r) {
                let own =
                    except.is_some_and(|e| e.user == *user && e.device == row.connection.device);
                if !own && row.since < since && !delivery.attempted.contains(&row.connection.id) {
                    return Err(format!("{} was never posted to", row.connection.id));
                }
            }
            let phones = self.truth.endpoints.get(user).into_iter().flatten();
            let phone = phones.map(|(_, (_, at))| *at).any(|at| at < since);
            let thought_of = delivery.pushes.contains(user) || delivery.lost.contains(user);
            // What was deleted before it was delivered is announced to nobody.
            let wanted = stored.entry.content.counts()
                && *user != stored.entry.sender_id
                && !self.truth.is_gone(of, seq);
            if phone && wanted && !thought_of {
                return Err(format!("{user}'s phone was forgotten"));
            }
        }
        Ok(())
    }

    /// An invocation that delivered is over: what the gateway refused was put back, as often as may be.
    pub fn must_have_put_back(&mut self, by: Invocation) {
        let Some(notes) = self.notes.get(&by) else { return };
        if notes.generation >= MAX_PUT_BACK {
            let left = notes.posts.iter().filter(|(.., posted)| *posted == Posted::Later);
            let left: Vec<_> =
                left.map(|(of, seq, u, _)| ((of.clone(), *seq), u.clone())).collect();
            left.iter().for_each(|(place, user)| self.leave_to_sync(place, user));
            return;
        }
        let missing = notes.posts.iter().find(|(of, seq, user, posted)| {
            let back = || notes.put_back.iter().any(|((c, s), u)| c == of && s == seq && u == user);
            *posted == Posted::Later && !back()
        });
        if let Some((of, seq, user, _)) = missing {
            let rule = format!("{of} {seq} was refused for {user}, and not put back");
            self.broke(rule);
        }
    }

    /// The push function says that a job is done: whoever did not have the entry all the while was pushed to.
    pub fn must_be_pushed(&mut self, by: Invocation, job: &Job) {
        let Job::Push { to, conversation, seq, .. } = job else { return };
        let Some(notes) = self.notes.get(&by) else { return };
        let mut skipped = 0;
        let mut muted = 0;
        let mut forgotten = None;
        for user in to {
            let until = self.truth.disabled_until.get(user);
            if self.truth.disabled.contains_key(user)
                || until.is_some_and(|until| *until > notes.began)
            {
                continue;
            }
            // Watermarks only grow: who waits now has waited all the while.
            let row = self.truth.row(user, conversation);
            let waits = row.is_some_and(|r| r.joined <= *seq && r.marks.delivered < *seq);
            let entry = self.truth.log(conversation).and_then(|log| log.at(*seq)).map(|s| &s.entry);
            let mentioned = entry.is_some_and(|e| e.mentions(user));
            let quiet = self.is_quiet_since(user, conversation, notes.began);
            // Nobody is woken by what has left the table by then.
            let cold = self.truth.cold.get(conversation);
            let gone = self.truth.is_gone(conversation, *seq)
                || cold.is_some_and(|cold| *seq <= cold.floor.base());
            if waits && quiet == Some(true) && !mentioned {
                muted += 1;
            }
            let waits = waits && !gone && (quiet == Some(false) || mentioned);
            for (endpoint, at) in
                self.truth.endpoints.get(user).into_iter().flatten().map(|(_, e)| e)
            {
                let tried = notes.pushes.iter().find(|(e, _)| e == endpoint);
                match tried {
                    None if waits && *at < notes.began => forgotten = Some(endpoint.id.clone()),
                    None => skipped += 1,
                    Some((_, Pushed::Later)) if !notes.pushed_later.contains(user) => {
                        forgotten = Some(endpoint.id.clone());
                    }
                    Some(_) => {}
                }
            }
        }
        for _ in 0..skipped {
            self.passed(Path::PushSkipped);
        }
        for _ in 0..muted {
            self.passed(Path::Muted);
        }
        if let Some(endpoint) = forgotten {
            self.broke(format!("the push of {conversation} {seq} is done without {endpoint}"));
        }
    }
}

/// Which entry a `message` frame holds.
pub fn place(frame: &Value) -> Option<(ConversationId, Seq)> {
    let of = ConversationId::parse(frame["conversation_id"].as_str()?).ok()?;
    Some((of, Seq::new(frame["seq"].as_u64()?)))
}
