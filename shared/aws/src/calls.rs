//! How calls are made: a query read to its end, a batch read whole, and a refusal told from a failure.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt::Debug;
use std::time::Duration;

use aws_sdk_dynamodb::config::AsyncSleep;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::KeysAndAttributes;
use petrel_core::error::{Error, Result};

use crate::Dynamo;
use crate::item::{Item, malformed};

/// A condition does not hold; nothing was written.
pub(crate) const CHECK_FAILED: &str = "ConditionalCheckFailedException";
/// A transaction is writing the same item; nothing was written.
pub(crate) const CONFLICT: &str = "TransactionConflictException";

/// Why an action of a transaction cancelled it: its condition does not hold.
pub(crate) const REASON_CHECK: &str = "ConditionalCheckFailed";
/// Why an action of a transaction cancelled it: another write was changing the item.
pub(crate) const REASON_CONFLICT: &str = "TransactionConflict";

/// For a call of a port with all its requests, their attempts and the pauses between them: every function that makes it has
/// more time, and tells its caller that it failed.
pub(crate) const LIMIT: Duration = Duration::from_secs(6);
/// For a call that makes many requests one after another.
pub(crate) const LONG_LIMIT: Duration = Duration::from_secs(15);

/// How many items one BatchGetItem takes.
const BATCH: usize = 100;
/// How often a batch is asked for, until what is still missing makes it fail.
const ATTEMPTS: u32 = 6;
/// The pause after the first attempt; it doubles with each.
const PAUSE: Duration = Duration::from_millis(20);

/// What a write returned, or `None` if it was refused with one of these codes.
pub(crate) fn unless<T, E, R>(done: Result<T, SdkError<E, R>>, codes: &[&str]) -> Result<Option<T>>
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    R: Debug + Send + Sync + 'static,
{
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if error.code().is_some_and(|code| codes.contains(&code)) => Ok(None),
        Err(error) => Err(Error::port(error)),
    }
}

/// What the call returns, unless it takes longer.
pub(crate) async fn within<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|elapsed| Err(Error::port(elapsed)))
}

/// Whether a write met a transaction on its item.
pub(crate) fn is_conflict<T, E: ProvideErrorMetadata, R>(done: &Result<T, SdkError<E, R>>) -> bool {
    done.as_ref().is_err_and(|error| error.code() == Some(CONFLICT))
}

/// Why nothing was written, by action; empty if the transaction was not cancelled but failed.
pub(crate) fn reasons(error: &TransactWriteItemsError) -> Vec<String> {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
        return vec![];
    };
    let reasons = cancelled.cancellation_reasons().iter();
    reasons.map(|r| r.code().unwrap_or_default().to_owned()).collect()
}

/// Whether the transaction was cancelled for one of these reasons.
pub(crate) fn cancelled_for(error: &TransactWriteItemsError, codes: &[&str]) -> bool {
    reasons(error).iter().any(|r| codes.contains(&r.as_str()))
}

/// Whether another call was first: the place is taken, or a write of the same items was under way.
pub(crate) fn lost(error: &TransactWriteItemsError) -> bool {
    cancelled_for(error, &[REASON_CHECK, REASON_CONFLICT])
}

/// Reads a query page by page, up to `limit` items.
pub(crate) async fn read_all(query: QueryFluentBuilder, limit: usize) -> Result<Vec<Item>> {
    within(LIMIT, read_pages(query, limit)).await
}

async fn read_pages(query: QueryFluentBuilder, limit: usize) -> Result<Vec<Item>> {
    let mut found = vec![];
    if limit == 0 {
        return Ok(found);
    }
    let query = if limit == usize::MAX {
        query
    } else {
        query.limit(i32::try_from(limit).unwrap_or(i32::MAX))
    };
    let mut pages = query.consistent_read(true).into_paginator().send();
    while found.len() < limit {
        let Some(page) = pages.next().await else { break };
        // An answer that is none must not read as an empty log.
        found.extend(page.map_err(Error::port)?.items.ok_or_else(|| malformed("Items"))?);
    }
    found.truncate(limit);
    Ok(found)
}

impl Dynamo {
    /// Waits before all but the first attempt, longer with each.
    pub(crate) async fn back_off(&self, attempt: u32) {
        if attempt > 0
            && let Some(sleep) = self.client.config().sleep_impl()
        {
            sleep.sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
        }
    }

    /// Reads one item.
    pub(crate) async fn get(&self, table: &str, key: Item) -> Result<Option<Item>> {
        let found = self
            .client
            .get_item()
            .table_name(table)
            .set_key(Some(key))
            .consistent_read(true)
            .send()
            .await
            .map_err(Error::port)?;
        Ok(found.item)
    }

    /// Reads the items under these keys (none twice), those that exist, in any order: all of them, or it fails.
    pub(crate) async fn batch_get(&self, table: &str, keys: Vec<Item>) -> Result<Vec<Item>> {
        self.batches(table, keys, true).await
    }

    /// As [`Self::batch_get`], and each may be a moment old: half a unit for each.
    pub(crate) async fn batch_get_recent(&self, table: &str, keys: Vec<Item>) -> Result<Vec<Item>> {
        self.batches(table, keys, false).await
    }

    async fn batches(&self, table: &str, keys: Vec<Item>, strong: bool) -> Result<Vec<Item>> {
        within(LIMIT, async {
            let mut found = vec![];
            for batch in keys.chunks(BATCH) {
                self.batch(table, batch.to_vec(), strong, &mut found).await?;
            }
            Ok(found)
        })
        .await
    }

    async fn batch(
        &self,
        table: &str,
        keys: Vec<Item>,
        strong: bool,
        found: &mut Vec<Item>,
    ) -> Result<()> {
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(strong)
            .build()
            .map_err(Error::port)?;
        let mut wanted = HashMap::from([(table.to_owned(), wanted)]);
        for attempt in 0..ATTEMPTS {
            self.back_off(attempt).await;
            let answer = self
                .client
                .batch_get_item()
                .set_request_items(Some(wanted))
                .send()
                .await
                .map_err(Error::port)?;
            // Nor as nobody online.
            let responses = answer.responses.ok_or_else(|| malformed("Responses"))?;
            found.extend(responses.into_values().flatten());
            wanted = answer.unprocessed_keys.unwrap_or_default();
            if wanted.is_empty() {
                return Ok(());
            }
        }
        Err(Error::port("items are still unprocessed"))
    }
}
