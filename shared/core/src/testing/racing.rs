//! A log before whose calls something else happens: what a service meets that is not alone.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;
use crate::ids::{ConversationId, Seq};
use crate::message::Entry;
use crate::ports::{Log, Put};

/// What happens first; nothing, where it is not said.
#[async_trait]
pub trait Meanwhile: Send + Sync {
    /// Before the newest entries are read, at most so many.
    async fn before_newest(&self, _of: &ConversationId, _limit: usize) -> Result<()> {
        Ok(())
    }

    /// Before the entries above a seq are read.
    async fn before_after(&self, _of: &ConversationId) -> Result<()> {
        Ok(())
    }

    /// Before an entry is put; in its place, if this says what comes of it.
    async fn before_put(&self, _entry: &Entry) -> Result<Option<Put>> {
        Ok(None)
    }
}

/// The log.
pub struct Racing<M> {
    log: Arc<dyn Log>,
    meanwhile: M,
}

impl<M: Meanwhile> Racing<M> {
    /// This log, after this.
    pub fn new(log: Arc<dyn Log>, meanwhile: M) -> Arc<Self> {
        Arc::new(Self { log, meanwhile })
    }
}

#[async_trait]
impl<M: Meanwhile> Log for Racing<M> {
    async fn newest(
        &self,
        conversation: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.meanwhile.before_newest(conversation, limit).await?;
        self.log.newest(conversation, from, before, limit).await
    }

    async fn after(
        &self,
        conversation: &ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.meanwhile.before_after(conversation).await?;
        self.log.after(conversation, after, limit).await
    }

    async fn put(&self, entry: &Entry) -> Result<Put> {
        match self.meanwhile.before_put(entry).await? {
            Some(put) => Ok(put),
            None => self.log.put(entry).await,
        }
    }

    async fn put_changing(&self, entry: &Entry) -> Result<Put> {
        self.log.put_changing(entry).await
    }
}
