//! Groups: how they come into being and how their membership changes. A change is an entry of the log, so it has a
//! place among the messages, and the rows change in the same transaction.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{ConversationId, Seq, UserId};
use crate::message::{Content, Entry, MembershipChange};
use crate::metrics::Count;
use crate::mutants::mutant;
use crate::ports::{Member, Membership, Put, Role, mint};

/// Most members of a group.
pub const MAX_MEMBERS: usize = 1000;
/// Most members that one request may add or remove: one transaction holds 100 writes, two a member and the entry.
const MAX_CHANGED: usize = 49;
/// Longest name of a group, bytes.
const MAX_NAME_BYTES: usize = 256;
/// How far back a change is looked for that stands already.
const RECENT: usize = 100;
/// Tries for a change before `busy`.
const MAX_TRIES: usize = 12;
/// Tries that may fail, not lose, before `busy`.
const MAX_FAILURES: usize = 2;
/// The namespace of group ids that derive from a request.
const NAMESPACE: Uuid = Uuid::from_u128(0x7065_7472_656c_4000_8000_6772_6f75_7073);

/// A request for a group.
#[derive(Clone, Debug)]
pub struct NewGroup {
    /// Shown to its members, 1 to 256 bytes.
    pub name: String,
    /// Who belongs to it, besides the creator.
    pub members: Vec<UserId>,
    /// Makes the request repeatable: the same creator, key, name and members give the same group.
    pub request_id: Option<String>,
}

/// What a member may know of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name; `None` for a direct conversation.
    pub name: Option<String>,
    /// Who wrote the first entry.
    pub created_by: UserId,
    /// When that was, ms since 1970.
    pub created_at: u64,
    /// Everyone who belongs to it, by user id.
    pub members: Vec<Member>,
}

impl App {
    /// The name and the members of a conversation that the caller belongs to.
    ///
    /// # Errors
    /// `not_a_member`, `busy`.
    pub async fn group(&self, caller: &Caller, id: &ConversationId) -> Result<Group> {
        self.readable(&caller.user, id).await?;
        let first = self.first_entry(id).await?.ok_or_else(Error::not_a_member)?;
        let name = match first.content {
            Content::System { change: MembershipChange::Created { name, .. } } => Some(name),
            _ => None,
        };
        let members = self.read_members(id).await?;
        // Whoever was removed meanwhile does not learn who is there now.
        if members.get(&caller.user).is_none() {
            return Err(Error::not_a_member());
        }
        let members = members.into_list();
        Ok(Group { name, created_by: first.sender_id, created_at: first.sent_at, members })
    }

    /// Creates a group and returns its first entry. The rows come first and the entry last: until it stands, the
    /// group does not exist.
    ///
    /// # Errors
    /// `bad_request` for a bad name or fewer than two members, `too_many_members`, `busy`.
    pub async fn create_group(&self, caller: &Caller, group: NewGroup) -> Result<Entry> {
        if group.name.is_empty() || group.name.len() > MAX_NAME_BYTES {
            return Err(Error::bad_request(format!("name is 1 to {MAX_NAME_BYTES} bytes")));
        }
        let mut members: BTreeSet<UserId> = group.members.into_iter().collect();
        members.insert(caller.user.clone());
        if members.len() < 2 {
            return Err(Error::bad_request("a group has at least two members"));
        }
        if members.len() > MAX_MEMBERS {
            return Err(too_many());
        }
        let members: Vec<UserId> = members.into_iter().collect();
        let id = match &group.request_id {
            Some(key) => {
                let names: Vec<&str> = members.iter().map(UserId::as_str).collect();
                let request = (caller.user.as_str(), key, &group.name, names);
                let request = serde_json::to_vec(&request).map_err(Error::port)?;
                Uuid::new_v5(&NAMESPACE, &request)
            }
            None => self.world.new_id(),
        };
        let conversation_id = ConversationId::group(id);

        let rows: Vec<(UserId, Role)> = members
            .iter()
            .map(|user| {
                let role = if *user == caller.user { Role::Admin } else { Role::Member };
                (user.clone(), role)
            })
            .collect();
        self.about(&conversation_id, None);
        let content =
            Content::System { change: MembershipChange::Created { name: group.name, members } };
        let (entry, founded) = self.found(caller, &conversation_id, &rows, content).await?;
        self.about(&conversation_id, Some(entry.seq));
        // Again for a repeated request: the first call may have ended before it delivered.
        let members = self.read_members(&conversation_id).await?;
        let to = members.who_read(entry.seq);
        self.deliver(&entry, to, caller.connection(), !founded).await?;
        Ok(entry)
    }

    /// Writes the rows and then the first entry, or finds the one that stands: the same request, twice at once, may
    /// have lost a race to itself. Tells whether it was this call that stored it.
    async fn found(
        &self,
        caller: &Caller,
        group: &ConversationId,
        rows: &[(UserId, Role)],
        content: Content,
    ) -> Result<(Entry, bool)> {
        for attempt in 0..MAX_TRIES {
            if attempt > 0 {
                self.pause(attempt).await;
            }
            if let Some(first) = self.first_entry(group).await? {
                return Ok((first, false));
            }
            // `Taken` by a call that is still under way: the place may be free yet.
            if !mutant!(EntryBeforeRows)
                && self.conversations.found(group, rows).await? == Put::Taken
            {
                continue;
            }
            let entry = Entry {
                conversation_id: group.clone(),
                seq: Seq::FIRST,
                ordinal: 0,
                message_id: mint(&*self.world),
                sender_id: caller.user.clone(),
                sent_at: self.world.now_ms(),
                content: content.clone(),
            };
            if self.log.put(&entry).await? == Put::Stored {
                self.metrics.count(Count::Messages, 1);
                return Ok((entry, true));
            }
        }
        Err(Error::new(ErrorKind::Busy, "the same request is under way; send it again"))
    }

    async fn first_entry(&self, of: &ConversationId) -> Result<Option<Entry>> {
        let first = self.log.newest(of, Seq::FIRST, Some(Seq::FIRST.next()), 1).await?;
        Ok(first.into_iter().next())
    }

    /// Adds members; those who belong already stay as they are. Returns the entry, that of an earlier call if this one
    /// repeats it, or `None` if there was nothing to change.
    ///
    /// # Errors
    /// `not_a_member`, `forbidden` unless the caller is an admin, `too_many_members`, `busy`.
    pub async fn add_members(
        &self,
        caller: &Caller,
        group: &ConversationId,
        users: &[UserId],
    ) -> Result<Option<Entry>> {
        self.change(caller, group, users, true).await
    }

    /// Removes members; a member who removes himself leaves, and may repeat that. Returns the entry as for adding.
    ///
    /// # Errors
    /// `not_a_member`, `forbidden` unless the caller is an admin or leaves, `busy`.
    pub async fn remove_members(
        &self,
        caller: &Caller,
        group: &ConversationId,
        users: &[UserId],
    ) -> Result<Option<Entry>> {
        self.change(caller, group, users, false).await
    }

    /// The change stands already. If the caller made it a while ago, an earlier call may have ended before it
    /// delivered: deliver it again, to those who are told of it. An own change that no longer holds is another one.
    async fn deliver_change_again(
        &self,
        caller: &Caller,
        group: &ConversationId,
        users: &BTreeSet<UserId>,
        add: bool,
    ) -> Result<Option<Entry>> {
        let recent = self.log.newest(group, Seq::FIRST, None, RECENT).await?;
        // After the entries: who is in it and joined at or before one of them belonged when that was stored.
        let members = self.read_members(group).await?;
        let made = recent.into_iter().find(|entry| {
            if entry.sender_id != caller.user {
                return false;
            }
            match &entry.content {
                Content::System { change: MembershipChange::Added { members: named } } if add => {
                    let since = |u| members.get(u).is_some_and(|m| m.joined == entry.seq);
                    named.iter().all(|u| users.contains(u) && since(u))
                }
                Content::System { change: MembershipChange::Removed { members: named } } => {
                    !add && named.iter().all(|u| users.contains(u))
                }
                _ => false,
            }
        });
        if let Some(entry) = &made {
            self.about(group, Some(entry.seq));
            let mut to = members.who_read(entry.seq);
            if let Content::System { change: MembershipChange::Removed { members: named } } =
                &entry.content
            {
                to.extend(named.iter().cloned());
            }
            self.deliver(entry, to, caller.connection(), true).await?;
        }
        Ok(made)
    }

    async fn change(
        &self,
        caller: &Caller,
        group: &ConversationId,
        users: &[UserId],
        add: bool,
    ) -> Result<Option<Entry>> {
        if group.pair().is_some() {
            return Err(Error::bad_request("a direct conversation has no membership to change"));
        }
        if users.is_empty() || users.len() > MAX_CHANGED {
            return Err(Error::bad_request(format!("name 1 to {MAX_CHANGED} users")));
        }
        self.about(group, None);
        let users: BTreeSet<UserId> = users.iter().cloned().collect();
        let leaves = !add && users.len() == 1 && users.contains(&caller.user);
        let mut failures = 0;
        for attempt in 0..MAX_TRIES {
            if attempt > 0 {
                self.pause(attempt).await;
            }
            // The head before the members: a change in between takes head + 1, and the transaction fails.
            let head = self.log.newest(group, Seq::FIRST, None, 1).await?.into_iter().next();
            let members = self.read_members(group).await?;
            let (head, me) = match (head, members.get(&caller.user)) {
                (Some(head), Some(me)) => (head, me),
                // Also of a group that is not there, so that a stranger waits as long for both.
                (_, None) if leaves => {
                    // Perhaps he left a while ago; a stranger finds no such entry.
                    let left = self.deliver_change_again(caller, group, &users, add);
                    return left.await?.map(Some).ok_or_else(Error::not_a_member);
                }
                _ => return Err(Error::not_a_member()),
            };
            if me.role != Role::Admin && !leaves {
                return Err(Error::new(ErrorKind::Forbidden, "only an admin may do this"));
            }
            let changed: Vec<UserId> =
                users.iter().filter(|u| members.get(u).is_some() != add).cloned().collect();
            if changed.is_empty() {
                return self.deliver_change_again(caller, group, &users, add).await;
            }
            if add && members.len() + changed.len() > MAX_MEMBERS {
                return Err(too_many());
            }
            let change = if add {
                MembershipChange::Added { members: changed.clone() }
            } else {
                MembershipChange::Removed { members: changed.clone() }
            };
            let entry = Entry {
                conversation_id: group.clone(),
                seq: head.seq.next(),
                ordinal: head.ordinal,
                message_id: mint(&*self.world),
                sender_id: caller.user.clone(),
                sent_at: self.world.now_ms().max(head.sent_at + 1),
                content: Content::System { change },
            };
            let membership = Membership {
                entry: entry.clone(),
                added: if add {
                    changed.iter().map(|u| (u.clone(), Role::Member)).collect()
                } else {
                    vec![]
                },
                removed: if add { vec![] } else { changed.clone() },
            };
            // Unsure or taken: read again. If it happened after all, it is found there.
            match self.conversations.change(&membership).await {
                Ok(Put::Taken) => self.metrics.count(Count::Conflicts, 1),
                Ok(Put::Stored) => {
                    self.about(group, Some(entry.seq));
                    self.metrics.count(Count::Messages, 1);
                    let mut to = members.who_read(entry.seq);
                    if add {
                        to.extend(changed);
                    }
                    self.deliver(&entry, to, caller.connection(), false).await?;
                    return Ok(Some(entry));
                }
                Err(error) => {
                    failures += 1;
                    if failures == MAX_FAILURES {
                        return Err(error);
                    }
                }
            }
        }
        Err(Error::new(ErrorKind::Busy, "too many changes at once; send the same again"))
    }
}

fn too_many() -> Error {
    Error::new(ErrorKind::TooManyMembers, format!("a group has at most {MAX_MEMBERS} members"))
}
