//! Members, conversation lists and blocks in one table; a change of membership is one transaction with the log.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put as PutAction, TransactWriteItem};
use futures::{StreamExt, TryStreamExt, stream};
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConversationId, Seq, UserId};
use petrel_core::ports::{
    Conversations, Member, Membership, Put, Role, UserConversation, Watermarks,
};

use crate::Dynamo;
use crate::calls::{CHECK_FAILED, CONFLICT, read_all, unless};
use crate::item::{Item, at, item, malformed, n, number, s, text};
use crate::keys;
use crate::log;

/// How many rows are opened at once.
const CONCURRENT: usize = 16;
/// Members founded in one transaction: it holds at most 100 actions, two a member and the check.
const FOUNDERS: usize = 49;
/// The cancellation reason of a condition that does not hold.
const REASON_CHECK: &str = "ConditionalCheckFailed";
/// The cancellation reason of an item that another write was changing.
const REASON_CONFLICT: &str = "TransactionConflict";

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Member => "member",
    }
}

fn read_role(item: &Item) -> Result<Role> {
    match text(item, keys::ROLE)? {
        "admin" => Ok(Role::Admin),
        "member" => Ok(Role::Member),
        _ => Err(malformed(keys::ROLE)),
    }
}

fn member_key(group: &ConversationId, user: &UserId) -> Item {
    item([(keys::PK, s(group.as_str())), (keys::SK, s(keys::member(user)))])
}

fn row_key(user: &UserId, of: &ConversationId) -> Item {
    item([(keys::PK, s(keys::user(user))), (keys::SK, s(keys::row(of)))])
}

fn new_member(group: &ConversationId, user: &UserId, role: Role, joined: Seq) -> Item {
    let mut new = member_key(group, user);
    new.extend(item([(keys::ROLE, s(role_name(role))), (keys::JOINED, n(joined.get()))]));
    new
}

fn new_row(user: &UserId, of: &ConversationId, joined: Seq) -> Item {
    let mut new = row_key(user, of);
    new.extend(item([
        (keys::JOINED, n(joined.get())),
        (keys::DELIVERED, n(0)),
        (keys::READ, n(0)),
        (keys::READ_ORDINAL, n(0)),
    ]));
    new
}

fn read_member(item: &Item) -> Result<Member> {
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

fn read_row(item: &Item) -> Result<UserConversation> {
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
    })
}

impl Dynamo {
    /// Writes an item of the conversations table unless one stands there.
    async fn write_absent(&self, new: Item) -> Result<()> {
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
    async fn partition(
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
    async fn found_chunk(&self, group: &ConversationId, chunk: &[(UserId, Role)]) -> Result<Put> {
        let check = ConditionCheck::builder()
            .table_name(&self.tables.messages)
            .key(keys::CONVERSATION_ID, s(group.as_str()))
            .key(keys::SEQ, n(Seq::FIRST.get()))
            .condition_expression(log::FREE)
            .expression_attribute_names("#seq", keys::SEQ)
            .build()
            .map_err(Error::port)?;
        let mut actions = vec![TransactWriteItem::builder().condition_check(check).build()];
        for (user, role) in chunk {
            actions.push(self.writing(new_member(group, user, *role, Seq::FIRST))?);
            actions.push(self.writing(new_row(user, group, Seq::FIRST))?);
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

    fn transaction(&self, membership: &Membership) -> Result<Vec<TransactWriteItem>> {
        let entry = &membership.entry;
        let group = &entry.conversation_id;
        let put = PutAction::builder()
            .table_name(&self.tables.messages)
            .set_item(Some(log::write(entry)?))
            .condition_expression(log::FREE)
            .expression_attribute_names("#seq", keys::SEQ)
            .build()
            .map_err(Error::port)?;
        let mut actions = vec![TransactWriteItem::builder().put(put).build()];
        for (user, role) in &membership.added {
            actions.push(self.writing(new_member(group, user, *role, entry.seq))?);
            actions.push(self.writing(new_row(user, group, entry.seq))?);
        }
        for user in &membership.removed {
            actions.push(self.deleting(member_key(group, user))?);
            actions.push(self.deleting(row_key(user, group))?);
        }
        Ok(actions)
    }
}

/// Whether the transaction was cancelled for one of these reasons.
fn cancelled_for(error: &TransactWriteItemsError, codes: &[&str]) -> bool {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
        return false;
    };
    let reasons = cancelled.cancellation_reasons();
    reasons.iter().any(|r| r.code().is_some_and(|code| codes.contains(&code)))
}

/// Whether another call was first: the place is taken, or a write of the same items was under way.
fn lost(error: &TransactWriteItemsError) -> bool {
    cancelled_for(error, &[REASON_CHECK, REASON_CONFLICT])
}

#[async_trait]
impl Conversations for Dynamo {
    async fn members(&self, group: &ConversationId, limit: usize) -> Result<Vec<Member>> {
        // The sort keys are in the order of the user ids.
        let items = self.partition(group.as_str(), keys::MEMBER, None, limit).await?;
        let mut members = items.iter().map(read_member).collect::<Result<Vec<_>>>()?;
        members.sort_by(|a, b| a.user.cmp(&b.user));
        Ok(members)
    }

    async fn open(&self, direct: &ConversationId, users: &[UserId]) -> Result<()> {
        let rows = users.iter().map(|user| new_row(user, direct, Seq::FIRST));
        let writes: Vec<_> = rows.map(|row| self.write_absent(row)).collect();
        stream::iter(writes).buffer_unordered(CONCURRENT).try_collect().await
    }

    async fn found(&self, group: &ConversationId, members: &[(UserId, Role)]) -> Result<Put> {
        // One after another: transactions that check the same item at once would cancel each other.
        for chunk in members.chunks(FOUNDERS) {
            if self.found_chunk(group, chunk).await? == Put::Taken {
                return Ok(Put::Taken);
            }
        }
        Ok(Put::Stored)
    }

    async fn change(&self, membership: &Membership) -> Result<Put> {
        let written = self
            .client
            .transact_write_items()
            .set_transact_items(Some(self.transaction(membership)?))
            .send()
            .await;
        match written {
            Ok(_) => Ok(Put::Stored),
            Err(error) if error.as_service_error().is_some_and(lost) => Ok(Put::Taken),
            Err(error) => Err(Error::port(error)),
        }
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

    async fn rows_of(
        &self,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, UserConversation)>> {
        let users: BTreeSet<&UserId> = users.iter().collect();
        let keys = users.into_iter().map(|u| row_key(u, conversation)).collect();
        let items = self.batch_get(&self.tables.conversations, keys).await?;
        let row = |item: &Item| {
            let user = text(item, keys::PK)?.strip_prefix(keys::USER);
            let user = user.ok_or_else(|| malformed(keys::PK))?;
            Ok((UserId::parse(user).map_err(Error::port)?, read_row(item)?))
        };
        items.iter().map(row).collect()
    }

    async fn blocks(&self, owner: &UserId, other: &UserId) -> Result<bool> {
        let key = item([(keys::PK, s(keys::user(owner))), (keys::SK, s(keys::block(other)))]);
        Ok(self.get(&self.tables.conversations, key).await?.is_some())
    }
}
