//! Storing a message exactly once, at the next place of its conversation, with one conditional put.
//!
//! The whole proof: the put at n succeeds only after every seq in (seen, n) was read and holds another message, and
//! the message cannot stand at or below `seen`, because its device held `seen` before it minted the id.

use super::members::Members;
use super::tail::Tail;
use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::group::{Member, Role};
use crate::ids::{ConversationId, MessageId, Seq};
use crate::message::{Content, Entry};
use crate::metrics::Count;
use crate::mutants::mutant;
use crate::ports::Put;

/// Most messages in one `send`.
pub const MAX_BATCH: usize = 10;
/// Most time before the first retry, ms; it doubles with each.
const RETRY_MS: u64 = 2;
/// Puts that may fail, not lose, before `busy`: each has had its attempts and its time already.
const MAX_FAILURES: usize = 2;
/// Entries after which a conversation's timer is looked after.
const TIMER_EVERY: u64 = 256;
/// Puts tried for one message before `busy`.
const MAX_TRIES: usize = 12;

/// One message to store.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// The sender's idempotency key.
    pub message_id: MessageId,
    /// What it holds.
    pub content: Content,
}

/// A `send` frame.
#[derive(Clone, Debug)]
pub struct SendRequest {
    /// Where to.
    pub conversation: ConversationId,
    /// The highest seq of it that the device held when it composed the first message; `None` for stateless callers.
    pub seen: Option<Seq>,
    /// 1 to [`MAX_BATCH`], stored in this order up to the first failure.
    pub messages: Vec<Outgoing>,
}

/// Where a message stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Which message.
    pub message_id: MessageId,
    /// Its place.
    pub seq: Seq,
    /// When it was stored, ms since 1970.
    pub sent_at: u64,
    /// Whether an earlier call had stored it.
    pub duplicate: bool,
}

/// What became of one message.
pub type SendResult = std::result::Result<Sent, (MessageId, Error)>;

/// What became of a `send`: one result a message that was tried; after a failure the rest was not.
pub type Outcome = Vec<SendResult>;

impl App {
    /// Stores and delivers the messages, in order, up to the first failure.
    ///
    /// # Errors
    /// An error here means that no message was tried. `sync_required` when `seen` cannot be proved, `not_a_member`,
    /// `bad_request`, `too_large`, `rate_limited`, `busy`.
    pub async fn send(&self, caller: &Caller, send: SendRequest) -> Result<Outcome> {
        // Who asks too much is refused before anything is read. What he has sent before stands.
        self.check_requests(caller)?;
        let done = self.send_all(caller, send).await;
        if done.as_ref().is_err_and(|error| error.kind != ErrorKind::Busy) {
            // It stored nothing, and was read for all the same.
            self.spend_request(caller)?;
        }
        done
    }

    async fn send_all(&self, caller: &Caller, send: SendRequest) -> Result<Outcome> {
        if send.messages.is_empty() || send.messages.len() > MAX_BATCH {
            return Err(Error::bad_request(format!("a send holds 1 to {MAX_BATCH} messages")));
        }
        self.about(&send.conversation, None);
        // Before anything is read: who talks to whom must not show in how long a stranger waits.
        if send.conversation.excludes(&caller.user) && !caller.is_server() {
            return Err(Error::not_a_member());
        }
        if mutant!(SendNeedsArchive) {
            self.archive.list(&send.conversation, Seq::FIRST, 1).await?;
        }
        let (not_blocked, newest, members) = futures::join!(
            self.check_blocks(caller, &send.conversation),
            self.newest_page(&send.conversation, send.seen),
            self.read_members(&send.conversation)
        );
        not_blocked?;
        // Membership first: a stranger learns nothing of the log, not even that `seen` is wrong or how long it is.
        let mut members = members?;
        // What was read last of him counts: who was removed since learns no more than a stranger.
        let told = |e: &Entry| e.content.adds(&caller.user) || e.content.removes(&caller.user);
        let last = || newest.iter().flatten().find(|e| told(e));
        let announced = || last().is_some_and(|e| e.content.adds(&caller.user));
        let passes = |members: &Members| caller.is_server() || members.get(&caller.user).is_some();
        if !passes(&members) && !announced() {
            return Err(Error::not_a_member());
        }
        let mut tail = self.read_tail(&send.conversation, send.seen, newest?).await?;
        for entry in &tail.entries {
            members.apply(entry);
        }
        // The rows of a group stand before its first entry; without that it does not exist.
        let exists = send.conversation.pair().is_some() || tail.head() > Seq::ZERO;
        if !exists || !passes(&members) {
            return Err(Error::not_a_member());
        }

        let mut results = Vec::with_capacity(send.messages.len());
        for message in send.messages {
            let id = message.message_id;
            let sent = self
                .send_one(caller, &send.conversation, message, &mut tail, &mut members)
                .await
                .map_err(|error| (id, error));
            let failed = sent.is_err();
            results.push(sent);
            if failed && !mutant!(BatchGoesOn) {
                break;
            }
        }
        Ok(results)
    }

    async fn send_one(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
        message: Outgoing,
        tail: &mut Tail,
        members: &mut Members,
    ) -> Result<Sent> {
        if caller.is_server() {
            message.content.check_from_server()?;
        } else if let Err(refused) = message.content.check_from_client() {
            self.spend_request(caller)?;
            return Err(refused);
        }
        let (entry, duplicate) = self.store(caller, conversation, message, tail, members).await?;
        self.about(conversation, Some(entry.seq));
        self.metrics.count(if duplicate { Count::Duplicates } else { Count::Messages }, 1);
        let to = members.who_read(entry.seq);
        if !(mutant!(AnswerFirst) || duplicate && mutant!(DuplicateNotDelivered)) {
            self.deliver(&entry, to, caller.connection(), duplicate).await.map_err(|error| {
                Error {
                    message: "the message is stored and not yet delivered; send the same again"
                        .to_owned(),
                    ..error
                }
            })?;
        }
        Ok(Sent { message_id: entry.message_id, seq: entry.seq, sent_at: entry.sent_at, duplicate })
    }

    /// Finds the message among what was read, or puts it at the next place; a lost race is resolved by reading on.
    async fn store(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
        mut message: Outgoing,
        tail: &mut Tail,
        members: &mut Members,
    ) -> Result<(Entry, bool)> {
        let mut unsure = None;
        let mut attached = false;
        let mut failures = 0;
        let mut admitted = false;
        for attempt in 0..MAX_TRIES {
            if attempt > 0 {
                // Before the read, so that what is read is fresh when the next put is tried.
                self.pause(attempt).await;
                let read = self.read_on(conversation, tail, members).await;
                read.map_err(|error| if unsure.is_some() { may_be_stored(error) } else { error })?;
            }
            if mutant!(LimitFirst) {
                let now = self.world.now_ms();
                self.admit(caller, tail.entries.last(), now, unsure.is_some(), &mut admitted)?;
            }
            if let Some(stored) = tail.find(&caller.user, message.message_id) {
                // It is delivered again, to everyone.
                if attempt == 0 {
                    self.spend_request(caller)?;
                }
                // This very call may have stored it, in a put whose answer was lost.
                return Ok((stored.clone(), unsure.is_none()));
            }
            let member = match members.get(&caller.user) {
                Some(member) => member.clone(),
                None if caller.is_server() || mutant!(SenderNotChecked) => {
                    Member { user: caller.user.clone(), role: Role::Member, joined: Seq::FIRST }
                }
                None => return Err(Error::not_a_member()),
            };
            let previous = tail.entries.last();
            let now = self.world.now_ms();
            // Never before it was looked for: what stands is answered, however much was sent since. Before all else, for a
            // refusal has to be cheap.
            let level = self.admit(caller, previous, now, unsure.is_some(), &mut admitted)?;
            // What is written before a rule came to hold stands; whoever lost the race reads the rule and is refused.
            let quiet =
                matches!(message.content, Content::Reaction { .. } | Content::Delete { .. });
            let may = Members::may(&member, members.info().map(|i| i.post));
            if !(quiet || may || caller.is_server() || mutant!(PostIgnored)) {
                return Err(Error::new(ErrorKind::Forbidden, "only admins write here"));
            }
            if !attached {
                message.content =
                    self.attach(caller, conversation, message.content, members.info()).await?;
                attached = true;
            }
            let head = tail.head();
            let target =
                self.check_target(caller, conversation, &message.content, &member, head).await?;
            // After the target: what it says of the fence is not older than what was read there.
            let fence = match &target {
                Some(target) => self.fence(&message.content, target).await?,
                None => None,
            };
            if let (Seq::ZERO, Some((a, b))) = (head, conversation.pair())
                && !mutant!(RowsLate)
            {
                let users = if a == b { vec![a] } else { vec![a, b] };
                let opened = self.conversations.open(conversation, &users);
                let (opened, kept) = futures::join!(opened, self.keep_timer(conversation));
                opened.and(kept)?;
            }
            let entry = Entry {
                conversation_id: conversation.clone(),
                seq: head.next(),
                ordinal: previous
                    .map_or(0, |e| e.ordinal)
                    .saturating_add(u64::from(message.content.counts())),
                message_id: message.message_id,
                sender_id: caller.user.clone(),
                sent_at: now.max(match previous {
                    Some(previous) if !mutant!(ClockOnly) => previous.sent_at.saturating_add(1),
                    _ => 0,
                }),
                content: message.content.clone(),
                level,
                edits: vec![],
            };
            let put = match entry.content {
                // What changes another entry does so in the same step: no crash leaves a deleted text behind.
                Content::Delete { .. } if let (Some(target), Some(floor)) = (&target, &fence) => {
                    self.cold.put_delete(&entry, target, floor).await
                }
                Content::Edit { .. } | Content::Delete { .. } if !mutant!(DeletedStays) => {
                    self.log.put_changing(&entry).await
                }
                _ => self.log.put(&entry).await,
            };
            match put {
                Ok(Put::Stored) => {
                    tail.entries.push(entry.clone());
                    if entry.seq.get().is_multiple_of(TIMER_EVERY) {
                        // Should it have been lost; the next such entry repeats it.
                        drop(self.keep_timer(conversation).await);
                    }
                    return Ok((entry, false));
                }
                // After a put that may have happened, the place is read before it is tried again: if the put comes
                // true later, this very message stands there and the next try finds it.
                Ok(Put::Taken) => self.metrics.count(Count::Conflicts, 1),
                Err(error) => {
                    failures += 1;
                    unsure = Some(error);
                    if failures == MAX_FAILURES {
                        break;
                    }
                }
            }
        }
        // A lost race may be the last put's own first attempt, which the client of the log repeated.
        if unsure.is_none() {
            self.read_on(conversation, tail, members).await?;
            if let Some(stored) = tail.find(&caller.user, message.message_id) {
                return Ok((stored.clone(), false));
            }
        }
        let words = if unsure.is_some() {
            "the message may be stored; send the same again"
        } else {
            "too many senders at once; the message is not stored; send the same again"
        };
        Err(Error {
            retry_after_ms: Some(500 + self.world.jitter(1_000)),
            source: unsure.map(Into::into),
            ..Error::new(ErrorKind::Busy, words)
        })
    }

    /// Waits a random while before a lost race is tried again, longer with each.
    pub(super) async fn pause(&self, attempt: usize) {
        let most = (1 << attempt.min(7)) * RETRY_MS;
        self.world.pause(self.world.jitter(most)).await;
    }

    /// Nobody writes to someone who blocks them, and the refusal looks as if the conversation were not there.
    pub(super) async fn check_blocks(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
    ) -> Result<()> {
        if caller.is_server() {
            return Ok(());
        }
        if conversation.excludes(&caller.user) {
            return Err(Error::not_a_member());
        }
        let Some((a, b)) = conversation.pair() else { return Ok(()) };
        let peer = if a == caller.user { b } else { a };
        if peer != caller.user
            && self.conversations.blocks(&peer, &caller.user).await?
            && !mutant!(BlocksIgnored)
        {
            return Err(Error::not_a_member());
        }
        Ok(())
    }
}

/// What is said when a read fails after a put that may have happened.
fn may_be_stored(error: Error) -> Error {
    let words = "the message may be stored; send the same again";
    Error { source: Some(error.into()), ..Error::new(ErrorKind::Busy, words) }
}
