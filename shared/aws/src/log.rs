//! The log: one item per entry, and a place that only one put can take.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConversationId, MessageId, Seq, UserId};
use petrel_core::message::Entry;
use petrel_core::ports::{Log, Put};
use uuid::Uuid;

use crate::Dynamo;
use crate::calls::{CHECK_FAILED, CONFLICT, read_all, unless};
use crate::item::{Item, at, item, malformed, n, number, s, text};
use crate::keys;

/// Holds where no entry stands yet; `#seq` is [`keys::SEQ`].
pub(crate) const FREE: &str = "attribute_not_exists(#seq)";

/// The item of an entry.
pub(crate) fn write(entry: &Entry) -> Result<Item> {
    let content = serde_json::to_string(&entry.content).map_err(Error::port)?;
    let mut new = item([
        (keys::CONVERSATION_ID, s(entry.conversation_id.as_str())),
        (keys::SEQ, n(entry.seq.get())),
        (keys::MESSAGE_ID, s(entry.message_id.to_string())),
        (keys::SENDER, s(entry.sender_id.as_str())),
        (keys::SENT_AT, n(entry.sent_at)),
        (keys::ORDINAL, n(entry.ordinal)),
        (keys::CONTENT, s(content)),
    ]);
    if entry.level > 0 {
        new.insert(keys::LEVEL.to_owned(), n(entry.level));
    }
    Ok(new)
}

fn read(item: &Item) -> Result<Entry> {
    read_fields(item).map_err(|error| at(item, &[keys::CONVERSATION_ID, keys::SEQ], &error))
}

fn read_fields(item: &Item) -> Result<Entry> {
    Ok(Entry {
        conversation_id: ConversationId::parse(text(item, keys::CONVERSATION_ID)?)
            .map_err(Error::port)?,
        seq: Seq::new(number(item, keys::SEQ)?),
        ordinal: number(item, keys::ORDINAL)?,
        // Its version was checked when it came in.
        message_id: MessageId::minted(
            Uuid::try_parse(text(item, keys::MESSAGE_ID)?).map_err(Error::port)?,
        ),
        sender_id: UserId::parse(text(item, keys::SENDER)?).map_err(Error::port)?,
        sent_at: number(item, keys::SENT_AT)?,
        // Its own words could quote the message.
        content: serde_json::from_str(text(item, keys::CONTENT)?)
            .map_err(|_| malformed(keys::CONTENT))?,
        level: if item.contains_key(keys::LEVEL) { number(item, keys::LEVEL)? } else { 0 },
    })
}

impl Dynamo {
    fn entries(&self, conversation: &ConversationId) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.tables.messages)
            .expression_attribute_names("#c", keys::CONVERSATION_ID)
            .expression_attribute_names("#seq", keys::SEQ)
            .expression_attribute_values(":c", s(conversation.as_str()))
    }
}

#[async_trait]
impl Log for Dynamo {
    async fn newest(
        &self,
        conversation: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let query = self
            .entries(conversation)
            .expression_attribute_values(":from", n(from.get()))
            .scan_index_forward(false);
        let query = match before {
            // DynamoDB refuses a BETWEEN that is upside down.
            Some(before) if before <= from => return Ok(vec![]),
            Some(before) => query
                .key_condition_expression("#c = :c AND #seq BETWEEN :from AND :last")
                .expression_attribute_values(":last", n(before.prev().get())),
            None => query.key_condition_expression("#c = :c AND #seq >= :from"),
        };
        read_all(query, limit).await?.iter().map(read).collect()
    }

    async fn after(
        &self,
        conversation: &ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let query = self
            .entries(conversation)
            .key_condition_expression("#c = :c AND #seq > :after")
            .expression_attribute_values(":after", n(after.get()));
        read_all(query, limit).await?.iter().map(read).collect()
    }

    async fn put(&self, entry: &Entry) -> Result<Put> {
        let put = self
            .client
            .put_item()
            .table_name(&self.tables.messages)
            .set_item(Some(write(entry)?))
            .condition_expression(FREE)
            .expression_attribute_names("#seq", keys::SEQ)
            .send()
            .await;
        let stored = unless(put, &[CHECK_FAILED, CONFLICT])?;
        Ok(if stored.is_some() { Put::Stored } else { Put::Taken })
    }
}
