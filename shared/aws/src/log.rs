//! The log: one item per entry, and a place that only one put can take.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Put as PutAction, TransactWriteItem, Update};
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConversationId, MessageId, Seq, UserId};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::{Log, Put};
use uuid::Uuid;

use crate::Dynamo;
use crate::calls::{CHECK_FAILED, CONFLICT, lost, read_all, unless};
use crate::item::{Item, at, item, malformed, n, number, s, text};
use crate::keys;

/// Holds where no entry stands yet; `#seq` is [`keys::SEQ`].
pub(crate) const FREE: &str = "attribute_not_exists(#seq)";

/// Begins a content that is gone, as it is stored.
const GONE: &str = r#"{"type":"gone""#;
/// Holds where an entry stands that is not gone; `#c` is [`keys::CONTENT`], `:gone` [`GONE`].
const STANDS: &str = "attribute_exists(#c) AND NOT begins_with(#c, :gone)";
/// Edits of one entry: a delete empties them all in one transaction of at most 100 actions.
const MAX_EDITS: u64 = 90;

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

/// What another entry's place is in a transaction that changes it: how its content changes, and under which condition.
struct Changing<'a> {
    conversation: &'a ConversationId,
    seq: Seq,
    expression: &'static str,
    condition: String,
}

impl Dynamo {
    /// The entry, if its place is free.
    pub(crate) fn putting(&self, entry: &Entry) -> Result<TransactWriteItem> {
        let put = PutAction::builder()
            .table_name(&self.tables.messages)
            .set_item(Some(write(entry)?))
            .condition_expression(FREE)
            .expression_attribute_names("#seq", keys::SEQ)
            .build()
            .map_err(Error::port)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn changing(
        &self,
        change: Changing<'_>,
        names: &[(&str, &str)],
        values: Vec<(&str, AttributeValue)>,
    ) -> Result<TransactWriteItem> {
        let mut update = Update::builder()
            .table_name(&self.tables.messages)
            .key(keys::CONVERSATION_ID, s(change.conversation.as_str()))
            .key(keys::SEQ, n(change.seq.get()))
            .update_expression(change.expression)
            .condition_expression(change.condition);
        for (name, attribute) in names {
            update = update.expression_attribute_names(*name, *attribute);
        }
        for (name, value) in values {
            update = update.expression_attribute_values(name, value);
        }
        let update = update.build().map_err(Error::port)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// The edit, and the note of it at its target.
    fn editing(&self, entry: &Entry, target: Seq) -> Result<Vec<TransactWriteItem>> {
        let change = Changing {
            conversation: &entry.conversation_id,
            seq: target,
            expression: "ADD #ed :place",
            condition: format!("{STANDS} AND (attribute_not_exists(#ed) OR size(#ed) < :most)"),
        };
        let noted = self.changing(
            change,
            &[("#c", keys::CONTENT), ("#ed", keys::EDITS)],
            vec![
                (":place", AttributeValue::Ns(vec![entry.seq.get().to_string()])),
                (":most", n(MAX_EDITS)),
                (":gone", s(GONE)),
            ],
        )?;
        Ok(vec![self.putting(entry)?, noted])
    }

    /// The delete, and what is left of its target and of the edits of that; `None` if the target is not there.
    async fn deleting_entry(
        &self,
        entry: &Entry,
        target: Seq,
    ) -> Result<Option<Vec<TransactWriteItem>>> {
        let conversation = &entry.conversation_id;
        let query = self
            .entries(conversation)
            .key_condition_expression("#c = :c AND #seq = :target")
            .expression_attribute_values(":target", n(target.get()));
        let Some(item) = read_all(query, 1).await?.pop() else { return Ok(None) };
        let edits: Vec<Seq> = match item.get(keys::EDITS) {
            None => vec![],
            Some(AttributeValue::Ns(edits)) => edits
                .iter()
                .map(|seq| seq.parse().map(Seq::new).map_err(|_| malformed(keys::EDITS)))
                .collect::<Result<_>>()?,
            Some(_) => return Err(malformed(keys::EDITS)),
        };
        let json = |content: &Content| serde_json::to_string(content).map(s).map_err(Error::port);
        // Every edit adds a place, so that as many are the same ones.
        let (unedited, mut values) = match edits.len() {
            0 => ("attribute_not_exists(#ed)", vec![]),
            edits => ("size(#ed) = :edits", vec![(":edits", n(edits as u64))]),
        };
        values.push((":left", json(&read(&item)?.content.deleted())?));
        values.push((":gone", s(GONE)));
        let names = [("#c", keys::CONTENT), ("#ed", keys::EDITS)];
        let change =
            |seq, expression, condition| Changing { conversation, seq, expression, condition };
        let condition = format!("{STANDS} AND {unedited}");
        let mut actions = vec![
            self.putting(entry)?,
            self.changing(change(target, "SET #c = :left REMOVE #ed", condition), &names, values)?,
        ];
        let emptied = json(&Content::Edit { target, text: String::new() }.deleted())?;
        for seq in edits {
            let change = change(seq, "SET #c = :left", "attribute_exists(#c)".to_owned());
            actions.push(self.changing(change, &names[..1], vec![(":left", emptied.clone())])?);
        }
        Ok(Some(actions))
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

    async fn put_changing(&self, entry: &Entry) -> Result<Put> {
        let actions = match &entry.content {
            Content::Edit { target, .. } => self.editing(entry, *target)?,
            Content::Delete { target } => match self.deleting_entry(entry, *target).await? {
                Some(actions) => actions,
                None => return Ok(Put::Taken),
            },
            _ => return self.put(entry).await,
        };
        let written =
            self.client.transact_write_items().set_transact_items(Some(actions)).send().await;
        match written {
            Ok(_) => Ok(Put::Stored),
            Err(error) if error.as_service_error().is_some_and(lost) => Ok(Put::Taken),
            Err(error) => Err(Error::port(error)),
        }
    }
}
