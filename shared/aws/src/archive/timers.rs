//! What TTL and the stream do on AWS, for a server on its own: it looks for timers that have run out. They stay until the
//! archiver sets them again, so that one which is killed meanwhile is found once more.

use petrel_core::error::{Error, Result};
use petrel_core::ids::ConversationId;

use crate::Dynamo;
use crate::item::{malformed, n, s, text};
use crate::keys;

impl Dynamo {
    /// The conversations whose timer has run out by now (ms since 1970), at most `limit`. Reads the whole table: for a
    /// table on this machine.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub async fn expired_timers(&self, now: u64, limit: usize) -> Result<Vec<ConversationId>> {
        let mut pages = self
            .client
            .scan()
            .table_name(&self.tables.conversations)
            .filter_expression("#sk = :timer AND #ttl < :now")
            .expression_attribute_names("#sk", keys::SK)
            .expression_attribute_names("#ttl", keys::TTL)
            .expression_attribute_values(":timer", s(keys::TIMER))
            .expression_attribute_values(":now", n(now / 1_000))
            .into_paginator()
            .send();
        let mut found = vec![];
        while let Some(page) = pages.next().await {
            for item in page.map_err(Error::port)?.items.unwrap_or_default() {
                let of = keys::read_timer(text(&item, keys::PK)?);
                found.push(of.ok_or_else(|| malformed(keys::PK))?);
                if found.len() == limit {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }
}
