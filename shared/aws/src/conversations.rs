//! Groups, members, conversation lists and blocks in one table; a change of a group is one transaction with the log.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put as PutAction, PutRequest, TransactWriteItem,
    WriteRequest,
};
use futures::{StreamExt, TryStreamExt, stream};
use petrel_core::error::{Error, Result};
use petrel_core::group::{GroupInfo, Invite, Role, Roster};
use petrel_core::ids::{ConversationId, InviteId, Seq, UserId};
use petrel_core::ports::{Change, Conversations, OwnState, Put, UserConversation, Watermarks};

use crate::Dynamo;
use crate::calls::{
    CHECK_FAILED, CONFLICT, LONG_LIMIT, REASON_CHECK, cancelled_for, lost, read_all, unless, within,
};
use crate::item::{Item, malformed, n, s, text};
use crate::keys;
use crate::log;
use crate::people::block_key;
use crate::rows::{
    invite_key, left_key, member_key, new_info, new_invite, new_member, new_row, read_info,
    read_invite, read_member, read_row, row_key,
};

/// How many rows are opened at once.
const CONCURRENT: usize = 16;
/// Members founded in one transaction: it holds at most 100 actions, two a member, the info and the check.
const FOUNDERS: usize = 49;

/// The keys of users' rows of one conversation, each once: DynamoDB refuses a batch that names a key twice.
fn row_keys(conversation: &ConversationId, users: &[UserId]) -> Vec<Item> {
    let users: BTreeSet<&UserId> = users.iter().collect();
    users.into_iter().map(|user| row_key(user, conversation)).collect()
}

fn read_owned_row(item: &Item) -> Result<(UserId, UserConversation)> {
    let user = text(item, keys::PK)?.strip_prefix(keys::USER);
    let user = user.ok_or_else(|| malformed(keys::PK))?;
    Ok((UserId::parse(user).map_err(Error::port)?, read_row(item)?))
}

impl Dynamo {
    /// Writes an item of the conversations table unless one stands there.
    pub(crate) async fn write_absent(&self, new: Item) -> Result<()> {
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.conversations)
            .set_item(Some(new))
            .condition_expression("attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", keys::PK)
            .send()
            .await;
        unless(put, &[CHECK_FAILED]).map(drop)
    }

    /// The items of a partition of the conversations table whose sort key begins so, after `page`.
    pub(crate) async fn partition(
        &self,
        pk: &str,
        prefix: &str,
        page: Option<Item>,
        limit: usize,
    ) -> Result<Vec<Item>> {
        let query = self
            .client
            .query()
            .table_name(&self.tables.conversations)
            .key_condition_expression("#pk = :pk AND begins_with(#sk, :prefix)")
            .expression_attribute_names("#pk", keys::PK)
            .expression_attribute_names("#sk", keys::SK)
            .expression_attribute_values(":pk", s(pk))
            .expression_attribute_values(":prefix", s(prefix))
            .set_exclusive_start_key(page);
        read_all(query, limit).await
    }

    fn writing(&self, new: Item) -> Result<TransactWriteItem> {
        let put = PutAction::builder()
            .table_name(&self.tables.conversations)
            .set_item(Some(new))
            .build()
            .map_err(Error::port)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn deleting(&self, key: Item) -> Result<TransactWriteItem> {
        let delete = Delete::builder()
            .table_name(&self.tables.conversations)
            .set_key(Some(key))
            .build()
            .map_err(Error::port)?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// Founds up to [`FOUNDERS`] members while the group has no first entry. Until then a repeat writes the same rows
    /// again, and nobody can have moved a watermark.
    async fn found_chunk(
        &self,
        group: &ConversationId,
        info: Option<&GroupInfo>,
        chunk: &[(UserId, Role)],
    ) -> Result<Put> {
        let check = ConditionCheck::builder()
            .table_name(&self.tables.messages)
            .key(keys::CONVERSATION_ID, s(group.as_str()))
            .key(keys::SEQ, n(Seq::FIRST.get()))
            .condition_expression(log::FREE)
            .expression_attribute_names("#seq", keys::SEQ)
            .build()
            .map_err(Error::port)?;
        let mut actions = vec![TransactWriteItem::builder().condition_check(check).build()];
        if let Some(info) = info {
            actions.push(self.writing(new_info(group, info))?);
        }
        for (user, role) in chunk {
            actions.push(self.writing(new_member(group, user, *role, Seq::FIRST))?);
            actions.push(self.writing(new_row(user, group, Seq::FIRST, 0, 0))?);
        }
        let written =
            self.client.transact_write_items().set_transact_items(Some(actions)).send().await;
        match written {
            Ok(_) => Ok(Put::Stored),
            Err(error)
                if error.as_service_error().is_some_and(|e| cancelled_for(e, &[REASON_CHECK])) =>
            {
                Ok(Put::Taken)
            }
            Err(error) => Err(Error::port(error)),
        }
    }

    fn transaction(&self, change: &Change) -> Result<Vec<TransactWriteItem>> {
        let entry = &change.entry;
        let group = &entry.conversation_id;
        let mut actions = vec![self.putting(entry)?];
        for user in &change.added {
            actions.push(self.writing(new_member(group, user, Role::Member, entry.seq))?);
            let own = OwnState::anew(entry.sent_at);
            actions.push(self.writing(new_row(
                user,
                group,
                entry.seq,
                entry.ordinal,
                own.version,
            ))?);
        }
        for member in &change.roles {
            let new = new_member(group, &member.user, member.role, member.joined);
            actions.push(self.writing(new)?);
        }
        if let Some(info) = &change.info {
            actions.push(self.writing(new_info(group, info))?);
        }
        if let Some(invite) = &change.invite {
            let check = ConditionCheck::builder()
                .table_name(&self.tables.conversations)
                .set_key(Some(invite_key(group, invite)))
                .condition_expression("attribute_exists(#pk)")
                .expression_attribute_names("#pk", keys::PK)
                .build()
                .map_err(Error::port)?;
            actions.push(TransactWriteItem::builder().condition_check(check).build());
        }
        for user in &change.removed {
            actions.push(self.deleting(member_key(group, user))?);
            actions.push(self.deleting(row_key(user, group))?);
        }
        Ok(actions)
    }
}

#[async_trait]
impl Conversations for Dynamo {
    async fn roster(&self, group: &ConversationId, limit: usize) -> Result<Roster> {
        // The info sorts before every member, and the members by their user ids.
        let limit = limit.saturating_add(1);
        let mut items = self.partition(group.as_str(), keys::INFO, None, limit).await?;
        let info = match items.first() {
            Some(first) if text(first, keys::SK)? == keys::INFO => {
                Some(read_info(&items.remove(0))?)
            }
            _ => None,
        };
        items.truncate(limit - 1);
        let mut members = items.iter().map(read_member).collect::<Result<Vec<_>>>()?;
        members.sort_by(|a, b| a.user.cmp(&b.user));
        Ok(Roster { info, members })
    }

    async fn open(&self, direct: &ConversationId, users: &[UserId]) -> Result<()> {
        let rows = users.iter().map(|user| new_row(user, direct, Seq::FIRST, 0, 0));
        let writes: Vec<_> = rows.map(|row| self.write_absent(row)).collect();
        stream::iter(writes).buffer_unordered(CONCURRENT).try_collect().await
    }

    async fn found(
        &self,
        group: &ConversationId,
        info: &GroupInfo,
        members: &[(UserId, Role)],
    ) -> Result<Put> {
        // One after another: transactions that check the same item at once would cancel each other.
        within(LONG_LIMIT, async {
            for (i, chunk) in members.chunks(FOUNDERS).enumerate() {
                let info = (i == 0).then_some(info);
                if self.found_chunk(group, info, chunk).await? == Put::Taken {
                    return Ok(Put::Taken);
                }
            }
            Ok(Put::Stored)
        })
        .await
    }

    async fn change(&self, change: &Change) -> Result<Put> {
        let written = self
            .client
            .transact_write_items()
            .set_transact_items(Some(self.transaction(change)?))
            .send()
            .await;
        match written {
            Ok(_) => Ok(Put::Stored),
            Err(error) if error.as_service_error().is_some_and(lost) => Ok(Put::Taken),
            Err(error) => Err(Error::port(error)),
        }
    }

    async fn set_invite(&self, invite: &Invite) -> Result<()> {
        let put = self.client.put_item().table_name(&self.tables.conversations);
        put.set_item(Some(new_invite(invite))).send().await.map_err(Error::port)?;
        Ok(())
    }

    async fn invite(&self, group: &ConversationId, id: &InviteId) -> Result<Option<Invite>> {
        let found = self.get(&self.tables.conversations, invite_key(group, id)).await?;
        found.map(|item| read_invite(group, &item)).transpose()
    }

    async fn invites(&self, group: &ConversationId, limit: usize) -> Result<Vec<Invite>> {
        let items = self.partition(group.as_str(), keys::INVITE, None, limit).await?;
        items.iter().map(|item| read_invite(group, item)).collect()
    }

    async fn remove_invite(&self, group: &ConversationId, id: &InviteId) -> Result<()> {
        let delete = self.client.delete_item().table_name(&self.tables.conversations);
        delete.set_key(Some(invite_key(group, id))).send().await.map_err(Error::port)?;
        Ok(())
    }

    async fn row(&self, user: &UserId, of: &ConversationId) -> Result<Option<UserConversation>> {
        self.get(&self.tables.conversations, row_key(user, of))
            .await?
            .as_ref()
            .map(read_row)
            .transpose()
    }

    async fn rows(
        &self,
        user: &UserId,
        page: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<UserConversation>> {
        let page = page.map(|last| row_key(user, last));
        let items = self.partition(&keys::user(user), keys::ROW, page, limit).await?;
        items.iter().map(read_row).collect()
    }

    async fn advance(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: Watermarks,
        new: Watermarks,
    ) -> Result<bool> {
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.conversations)
            .set_key(Some(row_key(user, of)))
            .update_expression("SET #d = :new_d, #r = :new_r, #o = :new_o")
            .condition_expression("#d = :old_d AND #r = :old_r AND #o = :old_o")
            .expression_attribute_names("#d", keys::DELIVERED)
            .expression_attribute_names("#r", keys::READ)
            .expression_attribute_names("#o", keys::READ_ORDINAL)
            .expression_attribute_values(":old_d", n(old.delivered.get()))
            .expression_attribute_values(":old_r", n(old.read.get()))
            .expression_attribute_values(":old_o", n(old.read_ordinal))
            .expression_attribute_values(":new_d", n(new.delivered.get()))
            .expression_attribute_values(":new_r", n(new.read.get()))
            .expression_attribute_values(":new_o", n(new.read_ordinal))
            .send()
            .await;
        // A change of membership that writes the row at the same time: read it again.
        Ok(unless(update, &[CHECK_FAILED, CONFLICT])?.is_some())
    }

    async fn set_own(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: u64,
        new: OwnState,
    ) -> Result<bool> {
        let stands = if old == 0 {
            "attribute_exists(#pk) AND attribute_not_exists(#v)"
        } else {
            "#v = :old"
        };
        let mut update = self
            .client
            .update_item()
            .table_name(&self.tables.conversations)
            .set_key(Some(row_key(user, of)))
            .update_expression("SET #v = :v, #m = :m, #p = :p, #a = :a, #u = :u")
            .condition_expression(stands)
            .expression_attribute_names("#v", keys::OWN_VERSION)
            .expression_attribute_names("#m", keys::MUTED_UNTIL)
            .expression_attribute_names("#p", keys::PINNED)
            .expression_attribute_names("#a", keys::ARCHIVED)
            .expression_attribute_names("#u", keys::MARKED_UNREAD)
            .expression_attribute_values(":v", n(new.version))
            .expression_attribute_values(":m", n(new.muted_until))
            .expression_attribute_values(":p", AttributeValue::Bool(new.pinned))
            .expression_attribute_values(":a", AttributeValue::Bool(new.archived))
            .expression_attribute_values(":u", AttributeValue::Bool(new.marked_unread));
        update = if old == 0 {
            update.expression_attribute_names("#pk", keys::PK)
        } else {
            update.expression_attribute_values(":old", n(old))
        };
        // A change of membership that writes the row at the same time: read it again.
        Ok(unless(update.send().await, &[CHECK_FAILED, CONFLICT])?.is_some())
    }

    async fn rows_of(
        &self,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, UserConversation)>> {
        let keys = row_keys(conversation, users);
        let items = self.batch_get(&self.tables.conversations, keys).await?;
        items.iter().map(read_owned_row).collect()
    }

    async fn recent_rows_of(
        &self,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, UserConversation)>> {
        let keys = row_keys(conversation, users);
        let items = self.batch_get_recent(&self.tables.conversations, keys).await?;
        items.iter().map(read_owned_row).collect()
    }

    async fn blocks(&self, owner: &UserId, other: &UserId) -> Result<bool> {
        Ok(self.get(&self.tables.conversations, block_key(owner, other)).await?.is_some())
    }

    async fn note_left(&self, group: &ConversationId, users: &[UserId]) -> Result<()> {
        // Each once: DynamoDB refuses a batch that names a key twice.
        let users: BTreeSet<&UserId> = users.iter().collect();
        let note = |user| {
            let put = PutRequest::builder().set_item(Some(left_key(user, group))).build();
            Ok(WriteRequest::builder().put_request(put.map_err(Error::port)?).build())
        };
        let notes = users.into_iter().map(note).collect::<Result<Vec<_>>>()?;
        self.write_each(&self.tables.conversations, &notes).await
    }

    async fn left(&self, user: &UserId, limit: usize) -> Result<Vec<ConversationId>> {
        let notes = self.partition(&keys::left(user), keys::GROUP, None, limit).await?;
        let group = |note: &Item| ConversationId::parse(text(note, keys::SK)?).map_err(Error::port);
        notes.iter().map(group).collect()
    }

    async fn forget_left(&self, user: &UserId, group: &ConversationId) -> Result<()> {
        let delete = self.client.delete_item().table_name(&self.tables.conversations);
        delete.set_key(Some(left_key(user, group))).send().await.map_err(Error::port)?;
        Ok(())
    }
}
