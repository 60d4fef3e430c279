//! The items of the conversations table: groups, members, conversation lists and invites.

use petrel_core::error::{Error, Result};
use petrel_core::group::{Allowed, GroupInfo, Invite, Member, Role};
use petrel_core::ids::{ConversationId, InviteId, MediaId, Seq, UserId};
use petrel_core::ports::{OwnState, UserConversation, Watermarks};

use crate::item::{Item, at, count, flag, item, malformed, n, number, s, text};
use crate::keys;

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Member => "member",
    }
}

fn read_role(item: &Item) -> Result<Role> {
    match text(item, keys::ROLE)? {
        "owner" => Ok(Role::Owner),
        "admin" => Ok(Role::Admin),
        "member" => Ok(Role::Member),
        _ => Err(malformed(keys::ROLE)),
    }
}

pub(crate) fn member_key(group: &ConversationId, user: &UserId) -> Item {
    item([(keys::PK, s(group.as_str())), (keys::SK, s(keys::member(user)))])
}

pub(crate) fn row_key(user: &UserId, of: &ConversationId) -> Item {
    item([(keys::PK, s(keys::user(user))), (keys::SK, s(keys::row(of)))])
}

pub(crate) fn new_member(group: &ConversationId, user: &UserId, role: Role, joined: Seq) -> Item {
    let mut new = member_key(group, user);
    new.extend(item([(keys::ROLE, s(role_name(role))), (keys::JOINED, n(joined.get()))]));
    new
}

/// A row with this much read, on which nothing is chosen, by this version.
pub(crate) fn new_row(
    user: &UserId,
    of: &ConversationId,
    joined: Seq,
    ordinal: u64,
    version: u64,
) -> Item {
    let mut new = row_key(user, of);
    new.extend(item([
        (keys::JOINED, n(joined.get())),
        (keys::DELIVERED, n(0)),
        (keys::READ, n(0)),
        (keys::READ_ORDINAL, n(ordinal)),
    ]));
    if version > 0 {
        new.insert(keys::OWN_VERSION.to_owned(), n(version));
    }
    new
}

pub(crate) fn read_member(item: &Item) -> Result<Member> {
    read_member_fields(item).map_err(|error| at(item, &[keys::PK, keys::SK], &error))
}

fn read_member_fields(item: &Item) -> Result<Member> {
    let user = text(item, keys::SK)?.strip_prefix(keys::MEMBER);
    let user = user.ok_or_else(|| malformed(keys::SK))?;
    Ok(Member {
        user: UserId::parse(user).map_err(Error::port)?,
        role: read_role(item)?,
        joined: Seq::new(number(item, keys::JOINED)?),
    })
}

pub(crate) fn read_row(item: &Item) -> Result<UserConversation> {
    read_row_fields(item).map_err(|error| at(item, &[keys::PK, keys::SK], &error))
}

fn read_row_fields(item: &Item) -> Result<UserConversation> {
    let conversation = text(item, keys::SK)?.strip_prefix(keys::ROW);
    let conversation = conversation.ok_or_else(|| malformed(keys::SK))?;
    Ok(UserConversation {
        conversation: ConversationId::parse(conversation).map_err(Error::port)?,
        joined: Seq::new(number(item, keys::JOINED)?),
        marks: Watermarks {
            delivered: Seq::new(number(item, keys::DELIVERED)?),
            read: Seq::new(number(item, keys::READ)?),
            read_ordinal: number(item, keys::READ_ORDINAL)?,
        },
        own: OwnState {
            version: count(item, keys::OWN_VERSION)?,
            muted_until: count(item, keys::MUTED_UNTIL)?,
            pinned: flag(item, keys::PINNED)?,
            archived: flag(item, keys::ARCHIVED)?,
            marked_unread: flag(item, keys::MARKED_UNREAD)?,
        },
    })
}

const fn allowed_name(allowed: Allowed) -> &'static str {
    match allowed {
        Allowed::All => "all",
        Allowed::Admins => "admins",
    }
}

fn read_allowed(item: &Item, name: &'static str) -> Result<Allowed> {
    match text(item, name)? {
        "all" => Ok(Allowed::All),
        "admins" => Ok(Allowed::Admins),
        _ => Err(malformed(name)),
    }
}

pub(crate) fn new_info(group: &ConversationId, info: &GroupInfo) -> Item {
    let mut new = item([
        (keys::PK, s(group.as_str())),
        (keys::SK, s(keys::INFO)),
        (keys::NAME, s(&info.name)),
        (keys::POST, s(allowed_name(info.post))),
        (keys::ADD, s(allowed_name(info.add))),
    ]);
    let days = info.retention_days.map(|days| (keys::RETENTION_DAYS.to_owned(), n(days.into())));
    new.extend(days);
    if let Some(avatar) = &info.avatar {
        new.insert(keys::AVATAR.to_owned(), s(avatar.as_str()));
    }
    new
}

pub(crate) fn read_info(item: &Item) -> Result<GroupInfo> {
    read_info_fields(item).map_err(|error| at(item, &[keys::PK, keys::SK], &error))
}

fn read_info_fields(item: &Item) -> Result<GroupInfo> {
    Ok(GroupInfo {
        name: text(item, keys::NAME)?.to_owned(),
        post: read_allowed(item, keys::POST)?,
        add: read_allowed(item, keys::ADD)?,
        retention_days: match item.get(keys::RETENTION_DAYS) {
            Some(_) => Some(
                number(item, keys::RETENTION_DAYS)?
                    .try_into()
                    .map_err(|_| malformed(keys::RETENTION_DAYS))?,
            ),
            None => None,
        },
        avatar: match item.get(keys::AVATAR) {
            Some(_) => Some(MediaId::parse(text(item, keys::AVATAR)?).map_err(Error::port)?),
            None => None,
        },
    })
}

pub(crate) fn invite_key(group: &ConversationId, id: &InviteId) -> Item {
    item([(keys::PK, s(group.as_str())), (keys::SK, s(keys::invite(id)))])
}

/// The whole of a note that a user has left a group.
pub(crate) fn left_key(user: &UserId, group: &ConversationId) -> Item {
    item([(keys::PK, s(keys::left(user))), (keys::SK, s(group.as_str()))])
}

pub(crate) fn new_invite(invite: &Invite) -> Item {
    let mut new = invite_key(&invite.group, &invite.id);
    new.extend(item([
        (keys::CREATED_BY, s(invite.created_by.as_str())),
        (keys::CREATED_AT, n(invite.created_at)),
        (keys::EXPIRES_AT, n(invite.expires_at)),
    ]));
    new
}

pub(crate) fn read_invite(group: &ConversationId, item: &Item) -> Result<Invite> {
    // The sort key is the secret: it is not named.
    read_invite_fields(group, item).map_err(|error| at(item, &[keys::PK], &error))
}

fn read_invite_fields(group: &ConversationId, item: &Item) -> Result<Invite> {
    let id = text(item, keys::SK)?.strip_prefix(keys::INVITE);
    let id = id.ok_or_else(|| malformed(keys::SK))?;
    Ok(Invite {
        id: InviteId::parse(id).map_err(Error::port)?,
        group: group.clone(),
        created_by: UserId::parse(text(item, keys::CREATED_BY)?).map_err(Error::port)?,
        created_at: number(item, keys::CREATED_AT)?,
        expires_at: number(item, keys::EXPIRES_AT)?,
    })
}
