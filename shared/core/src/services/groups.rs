//! Groups: how they come into being, and what a member may know of one. How they change is in `changes`.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::group::{GroupInfo, Member, Role};
use crate::ids::{ConversationId, Seq, UserId};
use crate::limits::Use;
use crate::message::{Content, Entry, GroupChange};
use crate::metrics::Count;
use crate::mutants::mutant;
use crate::people::{Profile, check_shown};
use crate::ports::{Put, mint};

/// Most members of a group.
pub const MAX_MEMBERS: usize = 1000;
/// Longest name of a group, bytes.
const MAX_NAME_BYTES: usize = 256;
/// Tries for a change before `busy`.
const MAX_TRIES: usize = 12;
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
    /// Its name and its rules; `None` for a direct conversation.
    pub info: Option<GroupInfo>,
    /// Days that it keeps messages, if it has a rule of its own.
    pub retention_days: Option<u32>,
    /// Who wrote the first entry.
    pub created_by: UserId,
    /// When that was, ms since 1970.
    pub created_at: u64,
    /// Everyone who belongs to it, by user id.
    pub members: Vec<Member>,
    /// What they show of themselves.
    pub profiles: BTreeMap<UserId, Profile>,
}

impl App {
    /// The name and the members of a conversation that the caller belongs to.
    ///
    /// # Errors
    /// `not_a_member`, `busy`.
    pub async fn group(&self, caller: &Caller, id: &ConversationId) -> Result<Group> {
        self.spend(&caller.user, Use::Requests, 1)?;
        self.readable(&caller.user, id).await?;
        let first = self.first_entry(id).await?.ok_or_else(Error::not_a_member)?;
        let members = self.read_members(id).await?;
        // Whoever was removed meanwhile does not learn who is there now.
        if members.get(&caller.user).is_none() {
            return Err(Error::not_a_member());
        }
        let info = members.info().cloned();
        let chosen = match id.pair() {
            Some(_) => self.conversations.roster(id, 0).await?.info,
            None => info.clone(),
        };
        let most = self.settings.max_retention_days;
        let retention_days = chosen.and_then(|i| i.retention_days).map(|days| days.min(most));
        let members = members.into_list();
        let users: Vec<UserId> = members.iter().map(|m| m.user.clone()).collect();
        let profiles = self.recent_profiles_of(&users).await?;
        Ok(Group {
            created_by: first.sender_id,
            created_at: first.sent_at,
            info,
            retention_days,
            members,
            profiles,
        })
    }

    /// Creates a group and returns its first entry. The rows come first and the entry last: until it stands, the
    /// group does not exist.
    ///
    /// # Errors
    /// `bad_request` for a bad name or fewer than two members, `too_many_members`; `forbidden` if one of them blocks the
    /// caller; `busy`.
    pub async fn create_group(&self, caller: &Caller, group: NewGroup) -> Result<Entry> {
        self.create(caller, group, true).await
    }

    /// As [`Self::create_group`]; whoever is not `limited` may as often as he likes.
    pub(super) async fn create(
        &self,
        caller: &Caller,
        group: NewGroup,
        limited: bool,
    ) -> Result<Entry> {
        check_name(&group.name)?;
        let mut members: BTreeSet<UserId> = group.members.into_iter().collect();
        members.insert(caller.user.clone());
        members.iter().try_for_each(UserId::check_person)?;
        if members.len() < 2 {
            return Err(Error::bad_request("a group has at least two members"));
        }
        if members.len() > MAX_MEMBERS {
            return Err(too_many());
        }
        if limited {
            self.spend(&caller.user, Use::Members, members.len())?;
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
                let role = if *user == caller.user { Role::Owner } else { Role::Member };
                (user.clone(), role)
            })
            .collect();
        self.about(&conversation_id, None);
        let info = GroupInfo::founded(group.name.clone());
        let content =
            Content::System { change: GroupChange::Created { name: group.name, members } };
        let (entry, founded) = self.found(caller, &conversation_id, &info, &rows, content).await?;
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
        info: &GroupInfo,
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
            if attempt == 0 {
                let users: Vec<UserId> = rows.iter().map(|(user, _)| user.clone()).collect();
                self.check_addable(caller, &users).await?;
            }
            // `Taken` by a call that is still under way: the place may be free yet.
            if !mutant!(EntryBeforeRows)
                && self.conversations.found(group, info, rows).await? == Put::Taken
            {
                continue;
            }
            self.keep_timer(group).await?;
            let entry = Entry {
                conversation_id: group.clone(),
                seq: Seq::FIRST,
                ordinal: 0,
                message_id: mint(&*self.world),
                sender_id: caller.user.clone(),
                sent_at: self.world.now_ms(),
                content: content.clone(),
                level: 0,
                edits: vec![],
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
}

pub(super) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(Error::bad_request(format!("name is 1 to {MAX_NAME_BYTES} bytes")));
    }
    check_shown(name)
}

pub(super) fn too_many() -> Error {
    Error::new(ErrorKind::TooManyMembers, format!("a group has at most {MAX_MEMBERS} members"))
}
