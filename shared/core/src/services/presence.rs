//! Who is online, and who hears when that changes. What watchers were told last stands beside the user's sockets (`away`);
//! whoever finds that it is not so any more tells them and writes that down. So coming back soon after leaving tells nobody.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream::{self, StreamExt, TryStreamExt};

use super::connect::MAX_AGE_MS;
use super::deliver::CHUNK;
use super::{App, Caller};
use crate::error::{Error, Result};
use crate::ids::{ConnectionId, DeviceId, UserId};
use crate::limits::Use;
use crate::mutants::mutant;
use crate::people::Audience;
use crate::ports::{Job, Posted, Regard, Sockets};
use crate::wire::ServerFrame;

/// How long who asked hears of changes, ms.
pub const WATCH_MS: u64 = 10 * 60_000;
/// Most watchers of one user.
pub const MAX_WATCHERS: usize = 200;
/// How long after someone's last socket has ended the others are told, s: who is back by then has not been away.
pub const AWAY_AFTER_S: u32 = 10;
/// How far ahead a user is marked as watched, ms: so that not every renewal writes it.
const MARK_MS: u64 = 2 * WATCH_MS;
/// Users that are looked after at once.
const CONCURRENT: usize = 16;
/// Users who are looked at for one request.
const LOOKED_AT: usize = 10;
/// How often it is looked again whether what was told is so.
const MAX_TRIES: usize = 4;

/// What someone may see of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Of whom.
    pub user: UserId,
    /// Whether one of his devices holds a socket open.
    pub online: bool,
    /// When the last one ended, ms since 1970; `None` if he is online, and where that is not known.
    pub last_seen: Option<u64>,
}

impl Presence {
    /// What is told of who hides it, of who was never there and of who does not exist.
    fn nothing(user: UserId) -> Self {
        Self { user, online: false, last_seen: None }
    }

    fn of(user: UserId, sockets: &Sockets, now: u64) -> Self {
        let online = is_online(sockets, now);
        // A socket whose end nobody noticed was there when it began.
        let began = sockets.connections.iter().map(|c| c.connected_at).max();
        let last_seen = if online { None } else { began.max(sockets.last_seen) };
        Self { user, online, last_seen }
    }
}

/// Whether one of the sockets can still be open.
fn is_online(sockets: &Sockets, now: u64) -> bool {
    sockets.connections.iter().any(|c| c.connected_at.saturating_add(MAX_AGE_MS) > now)
}

/// Whether the one who looks may see the presence of the other.
fn visible(regard: &Regard) -> bool {
    let listed = match regard.presence {
        Audience::Everyone => true,
        Audience::Contacts => regard.contact,
        Audience::Nobody => false,
    };
    (listed || mutant!(PresenceToAll)) && (!regard.blocked || mutant!(PresenceToBlocked))
}

impl App {
    /// What the caller may see of these users, in the order of their ids. With `watch` he hears of changes too, for
    /// [`WATCH_MS`]: of those whom he may see, and who have less than [`MAX_WATCHERS`] others.
    ///
    /// # Errors
    /// `bad_request` unless 1 to 100 users are named; `rate_limited`: with `watch` each of them is a request; `busy`.
    pub async fn presence(
        &self,
        caller: &Caller,
        users: &[UserId],
        watch: bool,
    ) -> Result<Vec<Presence>> {
        if users.is_empty() || users.len() > CHUNK {
            return Err(Error::bad_request(format!("name 1 to {CHUNK} users")));
        }
        let users: BTreeSet<UserId> = users.iter().cloned().collect();
        // Watching costs calls for each of them, looking only units.
        let asked = if watch { users.len() } else { users.len().div_ceil(LOOKED_AT) };
        self.spend(&caller.user, Use::Requests, asked)?;
        let pairs: Vec<_> = users.iter().map(|user| (caller.user.clone(), user.clone())).collect();
        let regards = self.people.regards(&pairs).await?;
        let own = |user: &UserId| *user == caller.user;
        let seen = pairs.iter().zip(&regards).filter(|((_, user), r)| own(user) || visible(r));
        let seen: Vec<UserId> = seen.map(|((_, user), _)| user.clone()).collect();
        if watch {
            // Before the look at the sockets: a change after that finds the watcher.
            let watches =
                seen.iter().filter(|user| !own(user)).map(|user| self.watch(caller, user));
            let watches: Vec<_> = watches.collect();
            stream::iter(watches).buffer_unordered(CONCURRENT).try_collect::<()>().await?;
        }
        let mut sockets: BTreeMap<UserId, Sockets> =
            if seen.is_empty() { BTreeMap::new() } else { self.sockets_of(&seen).await? };
        if watch {
            let marks = sockets.into_iter().map(|(user, sockets)| self.mark(caller, user, sockets));
            let marks: Vec<_> = marks.collect();
            sockets = stream::iter(marks).buffer_unordered(CONCURRENT).try_collect().await?;
        }
        let now = self.world.now_ms();
        let shown = |user: UserId| match sockets.get(&user) {
            Some(sockets) => Presence::of(user, sockets, now),
            None => Presence::nothing(user),
        };
        Ok(users.into_iter().map(shown).collect())
    }

    async fn sockets_of(&self, users: &[UserId]) -> Result<BTreeMap<UserId, Sockets>> {
        let mut all: BTreeMap<UserId, Sockets> =
            users.iter().map(|user| (user.clone(), Sockets::default())).collect();
        all.extend(self.connections.sockets(users).await?);
        Ok(all)
    }

    /// Notes the caller as a watcher, if there are not too many.
    async fn watch(&self, caller: &Caller, user: &UserId) -> Result<()> {
        let now = self.world.now_ms();
        let watchers = self.people.watchers(user, now, MAX_WATCHERS + 1).await?;
        if watchers.iter().filter(|w| **w != caller.user).count() >= MAX_WATCHERS {
            return Ok(());
        }
        self.people.watch(user, &caller.user, now + WATCH_MS).await
    }

    /// Sees to it that what happens to a user's sockets from now on is told, and that what was told before is so.
    async fn mark(
        &self,
        caller: &Caller,
        user: UserId,
        mut sockets: Sockets,
    ) -> Result<(UserId, Sockets)> {
        let now = self.world.now_ms();
        if user == caller.user {
            return Ok((user, sockets));
        }
        // Whom nobody watched nobody was told of.
        let others = sockets.watched_until > now;
        if sockets.watched_until < now + WATCH_MS {
            sockets = self.connections.watched(&user, now + MARK_MS).await?;
        }
        let sockets = self.settle(&user, sockets, others).await?;
        Ok((user, sockets))
    }

    /// Tells the watchers what is so, if they were told something else; with `tell` off only notes it. What changes while it
    /// is noted is told in any case: whoever has asked meanwhile was told what was so before.
    async fn settle(&self, user: &UserId, mut sockets: Sockets, tell: bool) -> Result<Sockets> {
        for round in 0..MAX_TRIES {
            let now = self.world.now_ms();
            let online = is_online(&sockets, now);
            if online != sockets.away || sockets.watched_until <= now {
                break;
            }
            // Told first: who dies between the two tells it again.
            if tell || round > 0 {
                self.tell_watchers(Presence::of(user.clone(), &sockets, now)).await?;
            }
            // The answer is what stands once the note does: a change before it is seen here, one after it sees the note.
            sockets = self.connections.set_away(user, !online).await?;
        }
        Ok(sockets)
    }

    /// Posts to every watcher who may see it still.
    async fn tell_watchers(&self, presence: Presence) -> Result<()> {
        let now = self.world.now_ms();
        let watchers = self.people.watchers(&presence.user, now, MAX_WATCHERS).await?;
        let pairs: Vec<_> =
            watchers.into_iter().map(|watcher| (watcher, presence.user.clone())).collect();
        if pairs.is_empty() {
            return Ok(());
        }
        let regards = self.people.regards(&pairs).await?;
        let may = pairs
            .into_iter()
            .zip(&regards)
            .filter(|(_, r)| visible(r) || mutant!(WatcherUnchecked));
        let watchers: Vec<UserId> = may.map(|((watcher, _), _)| watcher).collect();
        let frame = ServerFrame::presence(&[presence]).to_json();
        for chunk in watchers.chunks(CHUNK) {
            // A courtesy: who is not reached asks again within ten minutes.
            let connections = self.connections.of(chunk).await?.connections;
            futures::future::join_all(connections.iter().map(|c| async {
                let _: Posted = self.gateway.post(&c.id, &frame).await;
            }))
            .await;
        }
        Ok(())
    }

    /// Looks again whether a user is where his watchers think. This is what the fan-out function runs for each job.
    ///
    /// # Errors
    /// `busy`.
    pub async fn settle_presence(&self, user: &UserId) -> Result<()> {
        let sockets = self.sockets_of(std::slice::from_ref(user)).await?.remove(user);
        let sockets = self.settle(user, sockets.unwrap_or_default(), true).await?;
        // Someone who came and went all the while: the last of it is told too.
        self.changed(user, &sockets).await;
        Ok(())
    }

    /// After a write to a user's sockets: lets it be looked at, if someone watches and was told otherwise. A courtesy: if it
    /// cannot be queued, whoever asks again finds out.
    pub(super) async fn changed(&self, user: &UserId, sockets: &Sockets) {
        let now = self.world.now_ms();
        let online = is_online(sockets, now);
        if sockets.watched_until <= now || online != sockets.away {
            return;
        }
        let delay_s = if online { 0 } else { AWAY_AFTER_S };
        let job = Job::Presence { user: user.clone() };
        if let Err(error) = self.jobs.enqueue(vec![job], delay_s).await {
            tracing::warn!(error = error.with_causes(), "watchers are not told");
        }
    }

    /// Removes exactly this socket, and lets watchers hear of it if it was the user's last.
    pub(super) async fn forget(
        &self,
        user: &UserId,
        device: &DeviceId,
        id: &ConnectionId,
    ) -> Result<()> {
        let now = self.world.now_ms();
        if let Some(left) = self.connections.remove(user, device, id, now).await? {
            self.changed(user, &left).await;
        }
        Ok(())
    }
}
