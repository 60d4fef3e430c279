//! Profiles, blocks and watchers, in each user's partition of the conversations table.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConversationId, MediaId, UserId};
use petrel_core::people::{Audience, DisplayName, Profile, ProfileChange};
use petrel_core::ports::{People, Regard, UserConversation};

use crate::Dynamo;
use crate::calls::{LONG_LIMIT, read_all, within};
use crate::item::{Item, at, flag, item, malformed, n, s, text};
use crate::keys;
use crate::rows::{read_row, row_key};

fn profile_key(user: &UserId) -> Item {
    item([(keys::PK, s(keys::user(user))), (keys::SK, s(keys::PROFILE))])
}

/// Each once: DynamoDB refuses a batch that names a key twice.
fn profile_keys(users: &[UserId]) -> Vec<Item> {
    let users: BTreeSet<&UserId> = users.iter().collect();
    users.into_iter().map(profile_key).collect()
}

pub(crate) fn block_key(owner: &UserId, other: &UserId) -> Item {
    item([(keys::PK, s(keys::user(owner))), (keys::SK, s(keys::block(other)))])
}

/// The key of an item, as something to compare.
fn name(item: &Item) -> Result<(String, String)> {
    Ok((text(item, keys::PK)?.to_owned(), text(item, keys::SK)?.to_owned()))
}

const fn audience_name(audience: Audience) -> &'static str {
    match audience {
        Audience::Everyone => "everyone",
        Audience::Contacts => "contacts",
        Audience::Nobody => "nobody",
    }
}

/// Whose partition the item lies in.
fn owner(item: &Item) -> Result<UserId> {
    let user = text(item, keys::PK)?.strip_prefix(keys::USER);
    UserId::parse(user.ok_or_else(|| malformed(keys::PK))?).map_err(Error::port)
}

fn read_profile(item: &Item) -> Result<Profile> {
    read_profile_fields(item).map_err(|error| at(item, &[keys::PK, keys::SK], &error))
}

fn read_owned_profile(item: &Item) -> Result<(UserId, Profile)> {
    Ok((owner(item)?, read_profile(item)?))
}

/// What is absent was never set.
fn read_profile_fields(item: &Item) -> Result<Profile> {
    let set = |name: &'static str| item.contains_key(name).then(|| text(item, name)).transpose();
    // One that a later rule would refuse is not shown.
    let name = set(keys::NAME)?.and_then(|name| DisplayName::parse(name).ok());
    let avatar = set(keys::AVATAR)?.map(MediaId::parse).transpose().map_err(Error::port)?;
    let hide_read_receipts = flag(item, keys::HIDE_READ_RECEIPTS)?;
    let hide_previews = flag(item, keys::HIDE_PREVIEWS)?;
    let presence = match set(keys::PRESENCE)? {
        None => Audience::default(),
        Some("everyone") => Audience::Everyone,
        Some("contacts") => Audience::Contacts,
        Some("nobody") => Audience::Nobody,
        Some(_) => return Err(malformed(keys::PRESENCE)),
    };
    Ok(Profile { name, avatar, hide_read_receipts, presence, hide_previews })
}

/// The attributes that a change sets, and those that it takes away.
fn changes(change: &ProfileChange) -> Vec<(&'static str, Option<AttributeValue>)> {
    let mut all = vec![];
    if let Some(name) = &change.name {
        all.push((keys::NAME, name.as_ref().map(|name| s(name.as_str()))));
    }
    if let Some(avatar) = &change.avatar {
        all.push((keys::AVATAR, avatar.as_ref().map(|avatar| s(avatar.as_str()))));
    }
    if let Some(hide) = change.hide_read_receipts {
        all.push((keys::HIDE_READ_RECEIPTS, Some(AttributeValue::Bool(hide))));
    }
    if let Some(hide) = change.hide_previews {
        all.push((keys::HIDE_PREVIEWS, Some(AttributeValue::Bool(hide))));
    }
    if let Some(presence) = change.presence {
        all.push((keys::PRESENCE, Some(s(audience_name(presence)))));
    }
    all
}

impl Dynamo {
    async fn erase_own(&self, user: &UserId, limit: usize) -> Result<bool> {
        // All but the rows of groups, of which each goes with the member's.
        let [below, above] = ["#sk < :groups", "#sk >= :groups"].map(|side| {
            self.client
                .query()
                .table_name(&self.tables.conversations)
                .key_condition_expression(format!("#pk = :pk AND {side}"))
                .expression_attribute_names("#pk", keys::PK)
                .expression_attribute_names("#sk", keys::SK)
                .expression_attribute_values(":pk", s(keys::user(user)))
        });
        let below = below.expression_attribute_values(":groups", s(keys::GROUP_ROWS));
        let mut items = read_all(below, limit).await?;
        let above = above.expression_attribute_values(":groups", s(keys::BEHIND_GROUP_ROWS));
        items.extend(read_all(above, limit - items.len()).await?);
        let full = items.len() == limit;
        let key = |found: &Item| {
            let (pk, sk) = name(found)?;
            Ok(item([(keys::PK, s(pk)), (keys::SK, s(sk))]))
        };
        let these = items.iter().map(key).collect::<Result<Vec<_>>>()?;
        self.delete_all(&self.tables.conversations, these).await?;
        if full {
            return Ok(true);
        }
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.connections)
            .key(keys::USER_ID, s(user.as_str()))
            .update_expression("REMOVE #seen, #watched, #away")
            .expression_attribute_names("#seen", keys::LAST_SEEN)
            .expression_attribute_names("#watched", keys::WATCHED_UNTIL)
            .expression_attribute_names("#away", keys::AWAY);
        update.send().await.map(|_| false).map_err(Error::port)
    }
}

#[async_trait]
impl People for Dynamo {
    async fn profiles(&self, users: &[UserId]) -> Result<Vec<(UserId, Profile)>> {
        let items = self.batch_get(&self.tables.conversations, profile_keys(users)).await?;
        items.iter().map(read_owned_profile).collect()
    }

    async fn recent_profiles(&self, users: &[UserId]) -> Result<Vec<(UserId, Profile)>> {
        let keys = profile_keys(users);
        let items = self.batch_get_recent(&self.tables.conversations, keys).await?;
        items.iter().map(read_owned_profile).collect()
    }

    async fn set_profile(&self, user: &UserId, change: &ProfileChange) -> Result<Profile> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.tables.conversations)
            .set_key(Some(profile_key(user)))
            .return_values(ReturnValue::AllNew);
        let (mut set, mut remove) = (vec![], vec![]);
        for (i, (name, value)) in changes(change).into_iter().enumerate() {
            update = update.expression_attribute_names(format!("#a{i}"), name);
            if let Some(value) = value {
                update = update.expression_attribute_values(format!(":a{i}"), value);
                set.push(format!("#a{i} = :a{i}"));
            } else {
                remove.push(format!("#a{i}"));
            }
        }
        let sets = !set.is_empty();
        let parts = [("SET", set), ("REMOVE", remove)].into_iter().filter(|(_, p)| !p.is_empty());
        let expression: Vec<_> =
            parts.map(|(verb, parts)| format!("{verb} {}", parts.join(", "))).collect();
        if !expression.is_empty() {
            update = update.update_expression(expression.join(" "));
        }
        let done = update.send().await.map_err(Error::port)?;
        match done.attributes {
            // What only takes away, where nothing stands, leaves nothing, and no attributes come back.
            None if !sets => Ok(Profile::default()),
            attributes => read_profile(&attributes.ok_or_else(|| malformed("Attributes"))?),
        }
    }

    async fn row_and_profile(
        &self,
        user: &UserId,
        of: &ConversationId,
    ) -> Result<(Option<UserConversation>, Profile)> {
        let keys = vec![row_key(user, of), profile_key(user)];
        let (mut row, mut profile) = (None, Profile::default());
        for item in self.batch_get(&self.tables.conversations, keys).await? {
            if text(&item, keys::SK)? == keys::PROFILE {
                profile = read_profile(&item)?;
            } else {
                row = Some(read_row(&item)?);
            }
        }
        Ok((row, profile))
    }

    async fn block(&self, owner: &UserId, other: &UserId) -> Result<()> {
        let put = self.client.put_item().table_name(&self.tables.conversations);
        put.set_item(Some(block_key(owner, other))).send().await.map(drop).map_err(Error::port)
    }

    async fn unblock(&self, owner: &UserId, other: &UserId) -> Result<()> {
        let delete = self.client.delete_item().table_name(&self.tables.conversations);
        delete.set_key(Some(block_key(owner, other))).send().await.map(drop).map_err(Error::port)
    }

    async fn blocked(
        &self,
        owner: &UserId,
        page: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>> {
        let page = page.map(|last| block_key(owner, last));
        let items = self.partition(&keys::user(owner), keys::BLOCK, page, limit).await?;
        let blocked = |item: &Item| {
            let user = text(item, keys::SK)?.strip_prefix(keys::BLOCK);
            UserId::parse(user.ok_or_else(|| malformed(keys::SK))?).map_err(Error::port)
        };
        items.iter().map(|i| blocked(i).map_err(|e| at(i, &[keys::PK, keys::SK], &e))).collect()
    }

    async fn regards(&self, pairs: &[(UserId, UserId)]) -> Result<Vec<Regard>> {
        let row = |who: &UserId, user: &UserId| row_key(user, &ConversationId::direct(who, user));
        let mut keys: BTreeMap<(String, String), Item> = BTreeMap::new();
        for (who, user) in pairs {
            let of_pair =
                [profile_key(user), row(who, user), block_key(who, user), block_key(user, who)];
            for key in of_pair {
                keys.insert(name(&key)?, key);
            }
        }
        let mut found = BTreeMap::new();
        for item in self.batch_get(&self.tables.conversations, keys.into_values().collect()).await?
        {
            found.insert(name(&item)?, item);
        }
        let is = |key: Item| Ok::<_, Error>(found.contains_key(&name(&key)?));
        let regard = |(who, user): &(UserId, UserId)| {
            let profile = found.get(&name(&profile_key(user))?).map(read_profile).transpose()?;
            Ok(Regard {
                presence: profile.unwrap_or_default().presence,
                contact: is(row(who, user))?,
                blocked: is(block_key(who, user))? || is(block_key(user, who))?,
            })
        };
        pairs.iter().map(regard).collect()
    }

    async fn watch(&self, user: &UserId, watcher: &UserId, until: u64) -> Result<()> {
        let watch = item([
            (keys::PK, s(keys::user(user))),
            (keys::SK, s(keys::watcher(watcher))),
            (keys::UNTIL, n(until)),
            (keys::TTL, n(until / 1000 + 1)),
        ]);
        let put = self.client.put_item().table_name(&self.tables.conversations);
        put.set_item(Some(watch)).send().await.map(drop).map_err(Error::port)
    }

    async fn watchers(&self, user: &UserId, now: u64, limit: usize) -> Result<Vec<UserId>> {
        // What has expired stays until DynamoDB comes to delete it, which may take days.
        let query = self
            .client
            .query()
            .table_name(&self.tables.conversations)
            .key_condition_expression("#pk = :pk AND begins_with(#sk, :prefix)")
            .filter_expression("#until > :now")
            .expression_attribute_names("#pk", keys::PK)
            .expression_attribute_names("#sk", keys::SK)
            .expression_attribute_names("#until", keys::UNTIL)
            .expression_attribute_values(":pk", s(keys::user(user)))
            .expression_attribute_values(":prefix", s(keys::WATCHER))
            .expression_attribute_values(":now", n(now));
        let items = read_all(query, limit).await?;
        let watcher = |item: &Item| {
            let user = text(item, keys::SK)?.strip_prefix(keys::WATCHER);
            UserId::parse(user.ok_or_else(|| malformed(keys::SK))?).map_err(Error::port)
        };
        items.iter().map(|i| watcher(i).map_err(|e| at(i, &[keys::PK, keys::SK], &e))).collect()
    }

    async fn erase(&self, user: &UserId, limit: usize) -> Result<bool> {
        within(LONG_LIMIT, self.erase_own(user, limit)).await
    }

    async fn blockers(&self, users: &[UserId], other: &UserId) -> Result<BTreeSet<UserId>> {
        let users: BTreeSet<&UserId> = users.iter().collect();
        let keys = users.into_iter().map(|user| block_key(user, other)).collect();
        let items = self.batch_get(&self.tables.conversations, keys).await?;
        items.iter().map(owner).collect()
    }
}
