//! The in-memory ports with a scheduling point before and after every call's effect, and with calls that fail before
//! or after it. A future that is dropped at such a point is a crashed function; one that is not polled is a frozen one.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_trait::async_trait;
use petrel_core::group::{GroupInfo, Invite, Role, Roster};
use petrel_core::ids::{ConnectionId, ConversationId, DeviceId, InviteId, Seq, UserId};
use petrel_core::message::Entry;
use petrel_core::ports::{
    Account, Change, Connection, Connections, Conversations, Devices, Endpoint, Job, Jobs, Log,
    OwnState, Put, Registered, Sockets, UserConversation, Watermarks,
};
use petrel_core::testing::Memory;
use petrel_core::{App, Error, Result};

/// A small seeded generator (SplitMix64): the whole run follows from its seed.
pub struct Dice(Mutex<u64>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    pub fn below(&self, n: usize) -> usize {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).unwrap()
    }

    pub fn percent(&self, p: usize) -> bool {
        self.below(100) < p
    }
}

/// A broken variant of the system, which the invariants must catch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    None,
    /// The put has no condition.
    UnconditionalPut,
    /// The read after a conflict jumps to the newest entry.
    JumpToTail,
    /// The user rows are written only after the first message.
    RowsLate,
    /// A group's rows are written without looking whether its first entry stands.
    FoundsLate,
    /// A client resends with what it holds now instead of the first `seen`.
    ForgetsSeen,
}

pub struct Faulty {
    pub memory: Arc<Memory>,
    pub dice: Arc<Dice>,
    pub mutant: Mutant,
    /// Whether calls may fail still; off in the end, so that every run comes to rest.
    pub faults: Mutex<bool>,
}

/// One scheduling point.
async fn pause() {
    let mut polled = false;
    poll_fn(|_| {
        if polled {
            Poll::Ready(())
        } else {
            polled = true;
            Poll::Pending
        }
    })
    .await;
}

impl Faulty {
    /// Wraps an effect: a pause, perhaps a failure, the effect, a pause, perhaps a failure.
    async fn call<T>(&self, effect: impl Future<Output = Result<T>>) -> Result<T> {
        pause().await;
        self.fail()?;
        let done = effect.await;
        pause().await;
        self.fail()?;
        done
    }

    fn fail(&self) -> Result<()> {
        if *self.faults.lock().unwrap() && self.dice.percent(3) {
            return Err(Error::port("injected"));
        }
        Ok(())
    }

    pub fn app(self: &Arc<Self>) -> App {
        App {
            log: self.clone(),
            conversations: self.clone(),
            connections: self.clone(),
            jobs: self.clone(),
            ..self.memory.app()
        }
    }
}

#[async_trait]
impl Log for Faulty {
    async fn newest(
        &self,
        c: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.call(self.memory.newest(c, from, before, limit)).await
    }

    async fn after(&self, c: &ConversationId, after: Seq, limit: usize) -> Result<Vec<Entry>> {
        let mut found = self.call(self.memory.after(c, after, limit)).await?;
        if self.mutant == Mutant::JumpToTail && found.len() > 1 {
            // Told as if it were the next one, for the rule would refuse the hole.
            let mut last = found.pop().unwrap();
            last.seq = found[0].seq;
            last.message_id = found[0].message_id;
            found = (0..=found.len() as u64)
                .map(|i| Entry {
                    seq: Seq::new(after.get() + 1 + i),
                    message_id: petrel_core::ports::mint(&*self.memory),
                    ..last.clone()
                })
                .collect();
        }
        Ok(found)
    }

    async fn put_changing(&self, entry: &Entry) -> Result<Put> {
        self.call(self.memory.put_changing(entry)).await
    }

    async fn put(&self, entry: &Entry) -> Result<Put> {
        if self.mutant == Mutant::UnconditionalPut {
            self.call(async {
                self.memory.overwrite(entry);
                Ok(Put::Stored)
            })
            .await
        } else {
            let done = self.call(self.memory.put(entry)).await?;
            if self.mutant == Mutant::RowsLate && entry.seq == Seq::FIRST {
                let (a, b) = entry.conversation_id.pair().unwrap();
                self.call(self.memory.open(&entry.conversation_id, &[a, b])).await?;
            }
            Ok(done)
        }
    }
}

#[async_trait]
impl Conversations for Faulty {
    async fn roster(&self, group: &ConversationId, limit: usize) -> Result<Roster> {
        self.call(self.memory.roster(group, limit)).await
    }

    async fn open(&self, direct: &ConversationId, users: &[UserId]) -> Result<()> {
        if self.mutant == Mutant::RowsLate {
            return Ok(());
        }
        // One row at a time: on AWS too the rows do not appear together.
        for user in users {
            self.call(self.memory.open(direct, std::slice::from_ref(user))).await?;
        }
        Ok(())
    }

    async fn found(
        &self,
        group: &ConversationId,
        info: &GroupInfo,
        members: &[(UserId, Role)],
    ) -> Result<Put> {
        for member in members {
            let one = std::slice::from_ref(member);
            if self.mutant == Mutant::FoundsLate {
                self.call(async {
                    self.memory.found_late(group, &member.0, member.1);
                    Ok(())
                })
                .await?;
            } else if self.call(self.memory.found(group, info, one)).await? == Put::Taken {
                return Ok(Put::Taken);
            }
        }
        Ok(Put::Stored)
    }

    async fn change(&self, change: &Change) -> Result<Put> {
        self.call(self.memory.change(change)).await
    }

    async fn set_invite(&self, invite: &Invite) -> Result<()> {
        self.call(self.memory.set_invite(invite)).await
    }

    async fn invite(&self, group: &ConversationId, id: &InviteId) -> Result<Option<Invite>> {
        self.call(self.memory.invite(group, id)).await
    }

    async fn invites(&self, group: &ConversationId, limit: usize) -> Result<Vec<Invite>> {
        self.call(self.memory.invites(group, limit)).await
    }

    async fn remove_invite(&self, group: &ConversationId, id: &InviteId) -> Result<()> {
        self.call(self.memory.remove_invite(group, id)).await
    }

    async fn row(&self, user: &UserId, of: &ConversationId) -> Result<Option<UserConversation>> {
        self.call(self.memory.row(user, of)).await
    }

    async fn rows(
        &self,
        user: &UserId,
        page: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<UserConversation>> {
        self.call(self.memory.rows(user, page, limit)).await
    }

    async fn advance(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: Watermarks,
        new: Watermarks,
    ) -> Result<bool> {
        self.call(self.memory.advance(user, of, old, new)).await
    }

    async fn set_own(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: u64,
        new: OwnState,
    ) -> Result<bool> {
        self.call(self.memory.set_own(user, of, old, new)).await
    }

    async fn rows_of(
        &self,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, UserConversation)>> {
        self.call(self.memory.rows_of(conversation, users)).await
    }

    async fn blocks(&self, owner: &UserId, other: &UserId) -> Result<bool> {
        self.call(self.memory.blocks(owner, other)).await
    }

    async fn note_left(&self, group: &ConversationId, users: &[UserId]) -> Result<()> {
        self.call(self.memory.note_left(group, users)).await
    }

    async fn left(&self, user: &UserId, limit: usize) -> Result<Vec<ConversationId>> {
        self.call(self.memory.left(user, limit)).await
    }

    async fn forget_left(&self, user: &UserId, group: &ConversationId) -> Result<()> {
        self.call(self.memory.forget_left(user, group)).await
    }
}

#[async_trait]
impl Connections for Faulty {
    async fn register(&self, connection: &Connection) -> Result<Option<Registered>> {
        self.call(self.memory.register(connection)).await
    }

    async fn remove(
        &self,
        user: &UserId,
        device: &DeviceId,
        id: &ConnectionId,
        now: u64,
    ) -> Result<Option<Sockets>> {
        self.call(self.memory.remove(user, device, id, now)).await
    }

    async fn sockets(&self, users: &[UserId]) -> Result<Vec<(UserId, Sockets)>> {
        self.call(self.memory.sockets(users)).await
    }

    async fn watched(&self, user: &UserId, until: u64) -> Result<Sockets> {
        self.call(self.memory.watched(user, until)).await
    }

    async fn set_away(&self, user: &UserId, away: bool) -> Result<Sockets> {
        self.call(self.memory.set_away(user, away)).await
    }

    async fn of(&self, users: &[UserId]) -> Result<Devices> {
        self.call(self.memory.of(users)).await
    }

    async fn set_endpoint(&self, endpoint: &Endpoint) -> Result<Option<Endpoint>> {
        self.call(self.memory.set_endpoint(endpoint)).await
    }

    async fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        self.call(self.memory.remove_endpoint(endpoint)).await
    }

    async fn set_disabled(&self, user: &UserId, since: Option<u64>) -> Result<Account> {
        self.call(self.memory.set_disabled(user, since)).await
    }

    async fn account(&self, user: &UserId) -> Result<Account> {
        self.call(self.memory.account(user)).await
    }

    async fn is_disabled(&self, user: &UserId) -> Result<bool> {
        self.call(self.memory.is_disabled(user)).await
    }
}

#[async_trait]
impl Jobs for Faulty {
    async fn enqueue(&self, jobs: Vec<Job>, delay_s: u32) -> Result<()> {
        self.call(self.memory.enqueue(jobs, delay_s)).await
    }
}
