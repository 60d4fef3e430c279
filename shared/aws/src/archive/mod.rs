//! Cold history: what stands beside a log in DynamoDB, and the objects with its old end, in S3 or in a folder.

#[cfg(feature = "embedded")]
mod folder;
pub mod object;
mod s3;
#[cfg(feature = "server")]
mod timers;

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{
    ConditionCheck, DeleteRequest, Put as PutAction, TransactWriteItem, WriteRequest,
};
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConversationId, Seq};
use petrel_core::message::{Content, Entry, Why};
use petrel_core::ports::{Cold, Floor, Log, Put};

use crate::Dynamo;
use crate::calls::{CHECK_FAILED, LIMIT, LONG_LIMIT, read_all, unless, within};
use crate::item::{Item, at, count, item, malformed, n, number, s, text};
use crate::keys;

#[cfg(feature = "embedded")]
pub use folder::Folder;
pub use s3::S3;

/// How many requests one BatchWriteItem takes.
const BATCH: usize = 25;
/// How often what DynamoDB has not done of a batch is asked for again.
const ATTEMPTS: u32 = 6;

fn floor_key(of: &ConversationId) -> Item {
    item([(keys::PK, s(of.as_str())), (keys::SK, s(keys::FLOOR))])
}

fn timer(of: &ConversationId, at: u64) -> Item {
    item([
        (keys::PK, s(keys::timer(of))),
        (keys::SK, s(keys::TIMER)),
        // DynamoDB's TTL counts in seconds. Rather late than early.
        (keys::TTL, n(at.div_ceil(1_000))),
    ])
}

fn read_floor(item: &Item) -> Result<Floor> {
    Ok(Floor {
        archived: Seq::new(number(item, keys::ARCHIVED_THROUGH)?),
        closing: Seq::new(number(item, keys::CLOSING)?),
        until: number(item, keys::LEASE)?,
        gone: Seq::new(number(item, keys::GONE)?),
        gone_ordinal: number(item, keys::GONE_ORDINAL)?,
        oldest_at: count(item, keys::OLDEST_AT)?,
        version: number(item, keys::VERSION)?,
    })
}

/// Holds while a floor is the one that was read.
struct Unmoved {
    condition: &'static str,
    names: HashMap<String, String>,
    values: Option<Item>,
}

fn unmoved(floor: &Floor) -> Unmoved {
    let names = |name: &str, attribute: &str| [(name.to_owned(), attribute.to_owned())].into();
    if floor.version == 0 {
        let condition = "attribute_not_exists(#pk)";
        return Unmoved { condition, names: names("#pk", keys::PK), values: None };
    }
    let values = Some(item([(":v", n(floor.version))]));
    Unmoved { condition: "#v = :v", names: names("#v", keys::VERSION), values }
}

#[async_trait]
impl Cold for Dynamo {
    async fn floor(&self, of: &ConversationId) -> Result<Floor> {
        let Some(item) = self.get(&self.tables.conversations, floor_key(of)).await? else {
            return Ok(Floor::default());
        };
        read_floor(&item).map_err(|error| at(&item, &[keys::PK, keys::SK], &error))
    }

    async fn move_floor(&self, of: &ConversationId, old: &Floor, new: &Floor) -> Result<bool> {
        let mut new_item = floor_key(of);
        new_item.extend(item([
            (keys::ARCHIVED_THROUGH, n(new.archived.get())),
            (keys::CLOSING, n(new.closing.get())),
            (keys::LEASE, n(new.until)),
            (keys::GONE, n(new.gone.get())),
            (keys::GONE_ORDINAL, n(new.gone_ordinal)),
            (keys::OLDEST_AT, n(new.oldest_at)),
            (keys::VERSION, n(old.version + 1)),
        ]));
        let put = self.client.put_item().table_name(&self.tables.conversations);
        let put = put.set_item(Some(new_item));
        let Unmoved { condition, names, values } = unmoved(old);
        let put = put
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(values);
        Ok(unless(put.send().await, &[CHECK_FAILED])?.is_some())
    }

    async fn put_delete(&self, delete: &Entry, target: &Entry, floor: &Floor) -> Result<Put> {
        within(LIMIT, self.put_delete_at(delete, target, floor)).await
    }

    async fn erase(&self, of: &ConversationId, entries: &[Entry], floor: &Floor) -> Result<bool> {
        within(LIMIT, self.erase_at(of, entries, floor)).await
    }

    async fn redactions(
        &self,
        of: &ConversationId,
        from: Seq,
        through: Seq,
        limit: usize,
    ) -> Result<Vec<Seq>> {
        if from > through {
            return Ok(vec![]);
        }
        let query = self
            .client
            .query()
            .table_name(&self.tables.conversations)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :through")
            .expression_attribute_names("#pk", keys::PK)
            .expression_attribute_names("#sk", keys::SK)
            .expression_attribute_values(":pk", s(of.as_str()))
            .expression_attribute_values(":from", s(keys::redaction(from)))
            .expression_attribute_values(":through", s(keys::redaction(through)));
        let notes = read_all(query, limit).await?;
        let seq = |note: &Item| {
            keys::read_redaction(text(note, keys::SK)?).ok_or_else(|| malformed(keys::SK))
        };
        notes.iter().map(seq).collect()
    }

    async fn remove_redactions(&self, of: &ConversationId, seqs: &[Seq]) -> Result<()> {
        let keys = seqs
            .iter()
            .map(|seq| item([(keys::PK, s(of.as_str())), (keys::SK, s(keys::redaction(*seq)))]));
        self.delete_all(&self.tables.conversations, keys.collect()).await
    }

    async fn set_timer(&self, of: &ConversationId, at: u64) -> Result<()> {
        let put = self.client.put_item().table_name(&self.tables.conversations);
        put.set_item(Some(timer(of, at))).send().await.map_err(Error::port)?;
        Ok(())
    }

    async fn keep_timer(&self, of: &ConversationId, at: u64) -> Result<()> {
        self.write_absent(timer(of, at)).await
    }

    async fn remove(&self, of: &ConversationId, from: Seq, through: Seq) -> Result<()> {
        let keys = (from.get()..=through.get())
            .map(|seq| item([(keys::CONVERSATION_ID, s(of.as_str())), (keys::SEQ, n(seq))]));
        self.delete_all(&self.tables.messages, keys.collect()).await
    }

    async fn empty(&self, of: &ConversationId, seq: Seq, why: Why) -> Result<()> {
        let content = serde_json::to_string(&Content::Gone { why }).map_err(Error::port)?;
        let update = self
            .client
            .update_item()
            .table_name(&self.tables.messages)
            .key(keys::CONVERSATION_ID, s(of.as_str()))
            .key(keys::SEQ, n(seq.get()))
            .update_expression("SET #c = :c")
            .condition_expression("attribute_exists(#seq)")
            .expression_attribute_names("#c", keys::CONTENT)
            .expression_attribute_names("#seq", keys::SEQ)
            .expression_attribute_values(":c", s(content))
            .send()
            .await;
        unless(update, &[CHECK_FAILED]).map(drop)
    }
}

impl Dynamo {
    async fn put_delete_at(&self, delete: &Entry, target: &Entry, floor: &Floor) -> Result<Put> {
        if matches!(target.content, Content::Gone { .. }) {
            return Ok(Put::Taken);
        }
        let Some(rows) = self.emptying_rows(target, floor).await? else { return Ok(Put::Taken) };
        let of = &delete.conversation_id;
        let mut actions = vec![self.putting(delete)?, self.standing(of, floor)?];
        actions.extend(rows);
        for seq in std::iter::once(&target.seq).chain(&target.edits) {
            if *seq <= floor.closing {
                // The note of the target alone says whether it was deleted before.
                actions.push(self.redacting(of, *seq, *seq == target.seq)?);
            }
        }
        self.write_all(actions).await
    }

    async fn erase_at(
        &self,
        of: &ConversationId,
        entries: &[Entry],
        floor: &Floor,
    ) -> Result<bool> {
        // Of those that lie elsewhere by now, a run that died may have left the rows.
        let old = entries.iter().map(|e| e.seq).filter(|seq| *seq <= floor.archived);
        let left: BTreeSet<Seq> = match (old.clone().min(), old.max()) {
            (Some(first), Some(last)) => {
                let rows = self.newest(of, first, Some(last.next()), usize::MAX).await?;
                rows.into_iter().map(|row| row.seq).collect()
            }
            _ => BTreeSet::new(),
        };
        let mut actions = vec![self.standing(of, floor)?];
        for entry in entries {
            if entry.seq > floor.archived || left.contains(&entry.seq) {
                actions.push(self.erasing(entry)?);
            }
            if entry.seq <= floor.closing {
                actions.push(self.redacting(of, entry.seq, false)?);
            }
        }
        Ok(self.write_all(actions).await? == Put::Stored)
    }

    /// [`unmoved`], as a part of a transaction.
    fn standing(&self, of: &ConversationId, floor: &Floor) -> Result<TransactWriteItem> {
        let check = ConditionCheck::builder()
            .table_name(&self.tables.conversations)
            .set_key(Some(floor_key(of)));
        let Unmoved { condition, names, values } = unmoved(floor);
        let check = check
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(values);
        let check = check.build().map_err(Error::port)?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// The note of what was deleted at a place.
    fn redacting(&self, of: &ConversationId, seq: Seq, once: bool) -> Result<TransactWriteItem> {
        let note = item([(keys::PK, s(of.as_str())), (keys::SK, s(keys::redaction(seq)))]);
        let put = PutAction::builder().table_name(&self.tables.conversations).set_item(Some(note));
        let put = if once {
            put.condition_expression("attribute_not_exists(#pk)")
                .expression_attribute_names("#pk", keys::PK)
        } else {
            put
        };
        Ok(TransactWriteItem::builder().put(put.build().map_err(Error::port)?).build())
    }

    /// Deletes the items under these keys, those that are there.
    pub(crate) async fn delete_all(&self, table: &str, keys: Vec<Item>) -> Result<()> {
        let deletes = keys.into_iter().map(|key| {
            let delete = DeleteRequest::builder().set_key(Some(key)).build();
            let delete = delete.map_err(Error::port)?;
            Ok(WriteRequest::builder().delete_request(delete).build())
        });
        self.write_each(table, &deletes.collect::<Result<Vec<_>>>()?).await
    }

    /// Makes these writes, some at a time and in no order.
    pub(crate) async fn write_each(&self, table: &str, writes: &[WriteRequest]) -> Result<()> {
        within(LONG_LIMIT, async {
            for batch in writes.chunks(BATCH) {
                self.write_batch(table, batch.to_vec()).await?;
            }
            Ok(())
        })
        .await
    }

    /// Writes a batch, and what DynamoDB has not come to again.
    async fn write_batch(&self, table: &str, mut wanted: Vec<WriteRequest>) -> Result<()> {
        for attempt in 0..ATTEMPTS {
            self.back_off(attempt).await;
            let answer = self
                .client
                .batch_write_item()
                .request_items(table, wanted)
                .send()
                .await
                .map_err(Error::port)?;
            let left = answer.unprocessed_items.unwrap_or_default();
            wanted = left.into_values().flatten().collect();
            if wanted.is_empty() {
                return Ok(());
            }
        }
        Err(Error::port("rows are still to be written"))
    }
}
