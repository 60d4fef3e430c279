//! What a privacy law asks: everything that is kept of a user goes. Whoever calls this has made sure that an operator asks.
//! Nothing is written down of how far it got: each step leaves less, so that all of it can come again, and the answer
//! says where to go on.

use std::fmt;

use uuid::Uuid;

use super::cold::Kept;
use super::rules::Intent;
use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{ConversationId, Seq, UserId};
use crate::message::{Content, Entry};
use crate::mutants::mutant;
use crate::ports::Endpoint;

/// How long a call of the user's may be alive after he was disabled, ms: what it stores has to be there when it is looked for.
const SETTLED_MS: u64 = 30_000;
/// The time after which a call leaves the rest to the next, ms.
const MAX_MS: u64 = 5_000;
/// Entries that are looked at together.
const PAGE: usize = 100;
/// Entries that one transaction empties.
const TOGETHER: usize = 40;
/// How often a transaction is tried that others get ahead of, before `busy`.
const MAX_TRIES: usize = 6;
/// Items of the user's own that go at once.
const ITEMS: usize = 100;

/// Where an erasure goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasurePage {
    /// Since when the user was disabled, ms since 1970: who was enabled meanwhile may have written behind it.
    pub since: u64,
    /// With what.
    pub place: Place,
}

/// A place in what is to be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this conversation, those before it being done, behind this entry.
    In(ConversationId, Seq),
    /// Behind this conversation.
    Behind(ConversationId),
    /// In a group that the user has left, behind this entry.
    Left(ConversationId, Seq),
    /// With what lies outside of conversations.
    Rest,
}

impl ErasurePage {
    /// Reads what its `Display` writes.
    ///
    /// # Errors
    /// `bad_request`.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = || Error::bad_request("page is not one that was answered");
        let number = |text: &str| -> Result<u64> {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            text.parse().ok().filter(|_| digits).ok_or_else(bad)
        };
        let conversation = |text: &str| ConversationId::parse(text).map_err(|_| bad());
        let (since, place) = text.split_once('~').ok_or_else(bad)?;
        let since = number(since)?;
        let place = match place.split_once('~') {
            None if place == "rest" => Place::Rest,
            None => return Err(bad()),
            Some(("behind", of)) => Place::Behind(conversation(of)?),
            Some(("left", place)) => {
                let (after, of) = place.split_once('~').ok_or_else(bad)?;
                Place::Left(conversation(of)?, Seq::new(number(after)?))
            }
            Some((after, of)) => Place::In(conversation(of)?, Seq::new(number(after)?)),
        };
        Ok(Self { since, place })
    }
}

impl fmt::Display for ErasurePage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::In(conversation, after) => write!(f, "{}~{after}~{conversation}", self.since),
            Place::Behind(conversation) => write!(f, "{}~behind~{conversation}", self.since),
            Place::Left(group, after) => write!(f, "{}~left~{after}~{group}", self.since),
            Place::Rest => write!(f, "{}~rest", self.since),
        }
    }
}

/// How far an erasure got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erased {
    /// Entries that this call emptied.
    pub entries: u64,
    /// Where to go on; `None`: nothing is left.
    pub page: Option<ErasurePage>,
}

impl App {
    /// Erases a user, some at a time: disables him and closes his sockets; empties everything that he wrote in the
    /// conversations that he belongs or ever belonged to, in the table and in the archive; takes him out of his groups and his
    /// invites back; removes what he uploaded, his profile, his list, his blocks, and where his phones take pushes. What stays: that he is
    /// disabled, the entries that tell who joined and left, and his row of a group whose founding has come to no end.
    ///
    /// # Errors
    /// `busy`: the same again, after `retry_after_ms`. At first always: what he sent before he was disabled may be on its way.
    pub async fn erase(&self, user: &UserId, page: Option<ErasurePage>) -> Result<Erased> {
        let began = self.world.now_ms();
        let (since, quiet, phones) = self.silence(user).await?;
        let settled = quiet.saturating_add(SETTLED_MS);
        if began < settled && !mutant!(ErasureUnsettled) {
            let words = "the user is disabled; what he sent before may be on its way: go on later";
            return Err(Error {
                retry_after_ms: Some(settled - began),
                ..Error::new(ErrorKind::Busy, words)
            });
        }
        // After the wait: a second call does not find the sockets that this one has closed.
        phones?;
        // Who was enabled meanwhile is looked at from the beginning.
        let mut place = page.filter(|page| page.since == since).map(|page| page.place);
        let mut entries = 0;
        loop {
            let mut late = None;
            if !matches!(place, Some(Place::Left(..) | Place::Rest)) {
                late = self.erase_conversations(user, place, began, &mut entries).await?;
                place = None;
            }
            if late.is_none() && place != Some(Place::Rest) {
                late = self.erase_left(user, place, began, &mut entries).await?;
            }
            if let Some(place) = late {
                return Ok(Erased { entries, page: Some(ErasurePage { since, place }) });
            }
            while self.erase_uploads(user).await? || self.erase_own(user).await? {
                if self.is_late(began) {
                    let page = ErasurePage { since, place: Place::Rest };
                    return Ok(Erased { entries, page: Some(page) });
                }
            }
            // Somebody may have added him since, or taken him out again: that is noted before he is out.
            let anew = self.is_in_a_group(user).await?
                || !self.conversations.left(user, 1).await?.is_empty();
            if !anew {
                return Ok(Erased { entries, page: None });
            }
            place = Some(Place::Behind(before_groups()));
        }
    }

    /// Empties what someone wrote in one conversation, whether he belongs to it or not, some at a time.
    ///
    /// # Errors
    /// `not_found` if it is not there; `bad_request` for the page of another one; `busy`: the same again.
    pub async fn erase_in(
        &self,
        user: &UserId,
        of: &ConversationId,
        page: Option<ErasurePage>,
    ) -> Result<Erased> {
        let after = match page.map(|page| page.place) {
            None => Seq::ZERO,
            Some(Place::In(conversation, after)) if conversation == *of => after,
            Some(_) => return Err(Error::bad_request("page is that of another conversation")),
        };
        if self.log.newest(of, Seq::FIRST, None, 1).await?.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "no such conversation"));
        }
        let (mut entries, began) = (0, self.world.now_ms());
        let place = self.erase_from(user, of, after, began, &mut entries).await?;
        Ok(Erased { entries, page: place.map(|place| ErasurePage { since: 0, place }) })
    }

    /// Removes what he has by himself, some at a time; whether there is more.
    async fn erase_own(&self, user: &UserId) -> Result<bool> {
        if mutant!(OwnStays) { Ok(false) } else { self.people.erase(user, ITEMS).await }
    }

    /// Whether the user belongs to a group. One whose founding has come to no end is none, and nobody can leave it: the row
    /// stays, should it come to be.
    async fn is_in_a_group(&self, user: &UserId) -> Result<bool> {
        let mut last = before_groups();
        loop {
            let rows = self.conversations.rows(user, Some(&last), PAGE).await?;
            let full = rows.len() == PAGE;
            for row in rows {
                if !self.log.newest(&row.conversation, Seq::FIRST, None, 1).await?.is_empty() {
                    return Ok(true);
                }
                last = row.conversation;
            }
            if !full {
                return Ok(false);
            }
        }
    }

    fn is_late(&self, began: u64) -> bool {
        self.world.now_ms().saturating_sub(began) > MAX_MS
    }

    /// Empties what the user wrote in all of his conversations, and takes him out of the groups.
    async fn erase_conversations(
        &self,
        user: &UserId,
        mut place: Option<Place>,
        began: u64,
        entries: &mut u64,
    ) -> Result<Option<Place>> {
        let mut last = match &place {
            Some(Place::Behind(done)) => Some(done.clone()),
            _ => None,
        };
        loop {
            let rows = self.conversations.rows(user, last.as_ref(), PAGE).await?;
            let full = rows.len() == PAGE;
            for row in rows {
                last = Some(row.conversation.clone());
                // Not from where he reads: he may have been there before.
                let mut after = Seq::ZERO;
                if let Some(Place::In(at, from)) = &place {
                    // The rows come in this order too.
                    if row.conversation < *at {
                        continue;
                    }
                    if row.conversation == *at {
                        after = *from;
                    }
                }
                place = None;
                let of = &row.conversation;
                if let Some(place) = self.erase_from(user, of, after, began, entries).await? {
                    return Ok(Some(place));
                }
                if of.pair().is_none() && !mutant!(ErasedStaysMember) {
                    self.remove_invites_of(std::slice::from_ref(user), of).await?;
                    self.leave(user, of).await?;
                    self.conversations.forget_left(user, of).await?;
                }
                if self.is_late(began) {
                    if mutant!(ErasureEndsEarly) {
                        return Ok(None);
                    }
                    return Ok(Some(Place::Behind(row.conversation)));
                }
            }
            if !full {
                return Ok(None);
            }
        }
    }

    /// Empties what the user wrote in the groups that he has left.
    async fn erase_left(
        &self,
        user: &UserId,
        place: Option<Place>,
        began: u64,
        entries: &mut u64,
    ) -> Result<Option<Place>> {
        loop {
            let groups = self.conversations.left(user, PAGE).await?;
            let full = groups.len() == PAGE;
            for of in groups {
                let after = match &place {
                    Some(Place::Left(at, after)) if *at == of => *after,
                    _ => Seq::ZERO,
                };
                let late = self.erase_from(user, &of, after, began, entries).await?;
                if let Some(Place::In(of, after)) = late {
                    return Ok(Some(Place::Left(of, after)));
                }
                self.remove_invites_of(std::slice::from_ref(user), &of).await?;
                self.conversations.forget_left(user, &of).await?;
                if self.is_late(began) {
                    // Its note is gone: the next call begins with the one behind it.
                    return Ok(Some(Place::Left(of, Seq::ZERO)));
                }
            }
            if !full {
                return Ok(None);
            }
        }
    }

    /// Empties what the user wrote in a conversation behind this entry; where to go on if it takes too long.
    async fn erase_from(
        &self,
        user: &UserId,
        of: &ConversationId,
        mut after: Seq,
        began: u64,
        entries: &mut u64,
    ) -> Result<Option<Place>> {
        let mut kept = Kept::default();
        let mut noted = false;
        let place = loop {
            let stretch = self.read_up(of, after, PAGE, &mut kept).await?;
            let archived = stretch.floor.as_ref().map_or(Seq::ZERO, |floor| floor.archived);
            let his = |e: &&Entry| {
                (e.sender_id == *user || mutant!(ErasesOthers))
                    && !(e.seq <= archived && mutant!(ArchivedNotErased))
            };
            let own = || stretch.entries.iter().filter(his);
            // What is empty already an earlier call may have emptied, and died before it set the timer. Also where nothing has
            // left the table yet: an archiver that died as well may have left a copy.
            if let Some(emptied) = own().find(|e| e.content.is_emptied()) {
                let floor = match stretch.floor.clone() {
                    Some(floor) => floor,
                    None => self.cold.floor(of).await?,
                };
                noted |= emptied.seq <= floor.closing;
            }
            let full: Vec<Entry> = own().filter(|e| holds(&e.content)).cloned().collect();
            for together in full.chunks(TOGETHER) {
                noted |= self.empty_all(of, together).await?;
                *entries += together.len() as u64;
            }
            match stretch.entries.last() {
                Some(last) if !stretch.ends => after = last.seq,
                _ => break None,
            }
            if self.is_late(began) {
                break Some(Place::In(of.clone(), after));
            }
        };
        if noted {
            // The notes hold from now on; the words lie in the objects until the archiver has been there.
            self.cold.set_timer(of, self.world.now_ms()).await?;
        }
        Ok(place)
    }

    /// Disables the user, closes his sockets and takes his phones off; since when he is disabled, since when nothing of his is
    /// begun any more (what came over a socket that was open until then is on its way still, whoever closed it), and whether
    /// his phones are off.
    async fn silence(&self, user: &UserId) -> Result<(u64, u64, Result<()>)> {
        let now = self.world.now_ms();
        let account = self.connections.set_disabled(user, Some(now)).await?;
        let closed = self.close_all(&account.devices.connections).await?;
        let phones = self.take_phones_off(&account.devices.endpoints).await;
        let since = account.disabled_at.unwrap_or(now);
        let seen = account.last_seen.unwrap_or(since);
        Ok((since, if closed > 0 { now } else { since.max(seen) }, phones))
    }

    /// From the push service first: an erasure that leaves something there is not done, and while the row stands it can be
    /// asked again. Nothing is pushed meanwhile to who is disabled.
    async fn take_phones_off(&self, endpoints: &[Endpoint]) -> Result<()> {
        for endpoint in endpoints {
            let removed = self.notifier.remove(&endpoint.id).await;
            if !mutant!(ErasedPhoneStays) {
                removed?;
            }
            self.connections.remove_endpoint(endpoint).await?;
        }
        Ok(())
    }

    /// Empties these entries, wherever they lie; whether some are noted, because the archive may have them.
    async fn empty_all(&self, of: &ConversationId, entries: &[Entry]) -> Result<bool> {
        for attempt in 0..MAX_TRIES {
            if attempt > 0 {
                self.pause(attempt).await;
            }
            let floor = self.cold.floor(of).await?;
            if self.cold.erase(of, entries, &floor).await? {
                return Ok(entries.iter().any(|e| e.seq <= floor.closing));
            }
        }
        Err(Error::new(ErrorKind::Busy, "the conversation is being changed; ask again"))
    }

    async fn leave(&self, user: &UserId, group: &ConversationId) -> Result<()> {
        let alone = [user.clone()].into();
        // Not by his own measure of changes: it is not he who asks.
        match self.bring_about(&Caller::http(user.clone()), group, &Intent::Remove(alone)).await {
            // An earlier call had got so far, or somebody else has; or the group never came into being.
            Err(error) if error.kind == ErrorKind::NotAMember => Ok(()),
            done => done.map(drop),
        }
    }
}

/// Sorts behind every direct conversation, and before every group.
fn before_groups() -> ConversationId {
    ConversationId::group(Uuid::nil())
}

/// Whether it holds what its author made. Who joined and left, and what was taken back, is the conversation's.
const fn holds(content: &Content) -> bool {
    let anothers =
        matches!(content, Content::System { .. } | Content::Notice { .. } | Content::Delete { .. });
    !anothers && !content.is_emptied()
}
