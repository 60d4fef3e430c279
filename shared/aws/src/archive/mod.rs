//! Cold history: what stands beside a log in DynamoDB, and the objects with its old end, in S3 or in a folder.

#[cfg(feature = "embedded")]
mod folder;
pub mod object;
mod s3;
#[cfg(feature = "server")]
mod timers;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConversationId, Seq};
use petrel_core::message::{Content, Why};
use petrel_core::ports::{Cold, Floor};

use crate::Dynamo;
use crate::calls::{CHECK_FAILED, unless};
use crate::item::{Item, at, item, n, number, s};
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
        gone: Seq::new(number(item, keys::GONE)?),
        gone_ordinal: number(item, keys::GONE_ORDINAL)?,
        version: number(item, keys::VERSION)?,
    })
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
            (keys::GONE, n(new.gone.get())),
            (keys::GONE_ORDINAL, n(new.gone_ordinal)),
            (keys::VERSION, n(old.version + 1)),
        ]));
        let put = self.client.put_item().table_name(&self.tables.conversations);
        let put = put.set_item(Some(new_item));
        let put = if old.version == 0 {
            put.condition_expression("attribute_not_exists(#pk)")
                .expression_attribute_names("#pk", keys::PK)
        } else {
            put.condition_expression("#v = :v")
                .expression_attribute_names("#v", keys::VERSION)
                .expression_attribute_values(":v", n(old.version))
        };
        Ok(unless(put.send().await, &[CHECK_FAILED])?.is_some())
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
        let seqs: Vec<u64> = (from.get()..=through.get()).collect();
        for batch in seqs.chunks(BATCH) {
            let deletes = batch.iter().map(|seq| {
                let delete = DeleteRequest::builder()
                    .key(keys::CONVERSATION_ID, s(of.as_str()))
                    .key(keys::SEQ, n(*seq))
                    .build()
                    .map_err(Error::port)?;
                Ok(WriteRequest::builder().delete_request(delete).build())
            });
            self.delete_batch(deletes.collect::<Result<Vec<_>>>()?).await?;
        }
        Ok(())
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
    /// Deletes rows of the log, and those again that DynamoDB has not come to.
    async fn delete_batch(&self, mut wanted: Vec<WriteRequest>) -> Result<()> {
        for attempt in 0..ATTEMPTS {
            self.back_off(attempt).await;
            let answer = self
                .client
                .batch_write_item()
                .request_items(&self.tables.messages, wanted)
                .send()
                .await
                .map_err(Error::port)?;
            let left = answer.unprocessed_items.unwrap_or_default();
            wanted = left.into_values().flatten().collect();
            if wanted.is_empty() {
                return Ok(());
            }
        }
        Err(Error::port("rows are still to be deleted"))
    }
}
