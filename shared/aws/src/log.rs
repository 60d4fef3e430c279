//! The log: one item per entry, and a place that only one put can take.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Put as PutAction, TransactWriteItem, Update};
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConversationId, MessageId, Seq, UserId};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::{Floor, Log, MAX_EDITS, Put};
use uuid::Uuid;

use crate::Dynamo;
use crate::calls::{CHECK_FAILED, CONFLICT, LIMIT, lost, read_all, unless, within};
use crate::item::{Item, at, item, malformed, n, number, s, text};
use crate::keys;

/// Holds where no entry stands yet; `#seq` is [`keys::SEQ`].
pub(crate) const FREE: &str = "attribute_not_exists(#seq)";

/// Begins a content that is gone, as it is stored.
const GONE: &str = r#"{"type":"gone""#;
/// Holds where an entry stands that is not gone; `#c` is [`keys::CONTENT`], `:gone` [`GONE`].
const STANDS: &str = "attribute_exists(#c) AND NOT begins_with(#c, :gone)";

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
        edits: match item.get(keys::EDITS) {
            None => vec![],
            Some(AttributeValue::Ns(edits)) => {
                let edits = edits.iter().map(|seq| seq.parse().map(Seq::new));
                let mut edits: Vec<Seq> = edits
                    .collect::<std::result::Result<_, _>>()
                    .map_err(|_| malformed(keys::EDITS))?;
                edits.sort_unstable();
                edits
            }
            Some(_) => return Err(malformed(keys::EDITS)),
        },
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
                (":most", n(MAX_EDITS as u64)),
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
        let Some(target) = self.entry(&entry.conversation_id, target).await? else {
            return Ok(None);
        };
        let mut actions = vec![self.putting(entry)?, self.emptying(&target)?];
        for seq in &target.edits {
            actions.push(self.emptying_edit(&target, *seq)?);
        }
        Ok(Some(actions))
    }

    /// One row, if it is there.
    async fn entry(&self, conversation: &ConversationId, seq: Seq) -> Result<Option<Entry>> {
        let query = self
            .entries(conversation)
            .key_condition_expression("#c = :c AND #seq = :target")
            .expression_attribute_values(":target", n(seq.get()));
        read_all(query, 1).await?.pop().map(|item| read(&item)).transpose()
    }

    /// What a delete leaves of its target, if that stands with these edits.
    fn emptying(&self, target: &Entry) -> Result<TransactWriteItem> {
        let json = |content: &Content| serde_json::to_string(content).map(s).map_err(Error::port);
        // Every edit adds a place, so that as many are the same ones.
        let (unedited, mut values) = match target.edits.len() {
            0 => ("attribute_not_exists(#ed)", vec![]),
            edits => ("size(#ed) = :edits", vec![(":edits", n(edits as u64))]),
        };
        values.push((":left", json(&target.content.deleted())?));
        values.push((":gone", s(GONE)));
        let change = Changing {
            conversation: &target.conversation_id,
            seq: target.seq,
            expression: "SET #c = :left REMOVE #ed",
            condition: format!("{STANDS} AND {unedited}"),
        };
        self.changing(change, &[("#c", keys::CONTENT), ("#ed", keys::EDITS)], values)
    }

    /// What an erasure leaves of an entry, which is there.
    pub(crate) fn erasing(&self, entry: &Entry) -> Result<TransactWriteItem> {
        let left = serde_json::to_string(&entry.content.deleted()).map_err(Error::port)?;
        let change = Changing {
            conversation: &entry.conversation_id,
            seq: entry.seq,
            expression: "SET #c = :left REMOVE #ed",
            condition: "attribute_exists(#c)".to_owned(),
        };
        let names = [("#c", keys::CONTENT), ("#ed", keys::EDITS)];
        self.changing(change, &names, vec![(":left", s(left))])
    }

    /// What a delete leaves of an edit of its target, if that is there.
    fn emptying_edit(&self, target: &Entry, seq: Seq) -> Result<TransactWriteItem> {
        let left = Content::Edit { target: target.seq, text: String::new() };
        let left = serde_json::to_string(&left).map_err(Error::port)?;
        let change = Changing {
            conversation: &target.conversation_id,
            seq,
            expression: "SET #c = :left",
            condition: "attribute_exists(#c)".to_owned(),
        };
        self.changing(change, &[("#c", keys::CONTENT)], vec![(":left", s(left))])
    }

    /// What a delete does to the rows of its target, if that is as it was read, and of the edits: those that are in the table.
    /// `None` if one is not that must be, or the target is gone or edited meanwhile.
    pub(crate) async fn emptying_rows(
        &self,
        target: &Entry,
        floor: &Floor,
    ) -> Result<Option<Vec<TransactWriteItem>>> {
        let of = &target.conversation_id;
        let mut actions = vec![];
        for seq in std::iter::once(&target.seq).chain(&target.edits) {
            match self.entry(of, *seq).await? {
                None if *seq > floor.archived => return Ok(None),
                // It was moved. A row that is not there does not come again.
                None => {}
                Some(row) if row.seq == target.seq => {
                    if matches!(row.content, Content::Gone { .. }) || row.edits != target.edits {
                        return Ok(None);
                    }
                    actions.push(self.emptying(target)?);
                }
                Some(_) => actions.push(self.emptying_edit(target, *seq)?),
            }
        }
        Ok(Some(actions))
    }

    /// Writes all of it, or finds that another call was first.
    pub(crate) async fn write_all(&self, actions: Vec<TransactWriteItem>) -> Result<Put> {
        let written =
            self.client.transact_write_items().set_transact_items(Some(actions)).send().await;
        match written {
            Ok(_) => Ok(Put::Stored),
            Err(error) if error.as_service_error().is_some_and(lost) => Ok(Put::Taken),
            Err(error) => Err(Error::port(error)),
        }
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
        within(LIMIT, async {
            let actions = match &entry.content {
                Content::Edit { target, .. } => self.editing(entry, *target)?,
                Content::Delete { target } => match self.deleting_entry(entry, *target).await? {
                    Some(actions) => actions,
                    None => return Ok(Put::Taken),
                },
                _ => return self.put(entry).await,
            };
            self.write_all(actions).await
        })
        .await
    }
}
