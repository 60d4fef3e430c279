//! The open sockets: the local @connections. A post puts a frame into the socket's outbox and returns; a reader that is
//! too slow for that is cut off.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use axum::extract::ws::Utf8Bytes;
use petrel_core::ids::ConnectionId;
use petrel_core::ports::{Gateway, Posted};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

/// Most bytes that wait for one reader: a sync of 1 MiB and as much again, with room.
const MAX_WAITING: usize = 4 * 1024 * 1024;
/// What a frame costs besides its text.
const OVERHEAD: usize = 64;

/// The way into one socket. Its size is bounded by [`MAX_WAITING`], not by a count of frames.
#[derive(Clone, Debug)]
struct Inbox {
    frames: UnboundedSender<Utf8Bytes>,
    waiting: Arc<AtomicUsize>,
    cut: CancellationToken,
}

/// The other end of an inbox: what the socket's task reads.
#[derive(Debug)]
pub struct Outbox {
    frames: UnboundedReceiver<Utf8Bytes>,
    waiting: Arc<AtomicUsize>,
    /// Ends when the reader was too slow.
    pub cut: CancellationToken,
}

impl Outbox {
    fn took(&self, frame: Utf8Bytes) -> Utf8Bytes {
        self.waiting.fetch_sub(frame.len() + OVERHEAD, Ordering::Relaxed);
        frame
    }

    /// The next frame.
    pub async fn next(&mut self) -> Option<Utf8Bytes> {
        let frame = self.frames.recv().await?;
        Some(self.took(frame))
    }

    /// The next frame if there is one already.
    pub fn try_next(&mut self) -> Option<Utf8Bytes> {
        let frame = self.frames.try_recv().ok()?;
        Some(self.took(frame))
    }
}

/// Every open socket.
#[derive(Debug, Default)]
pub struct Sockets(RwLock<HashMap<String, Inbox>>);

impl Sockets {
    /// From now on the socket can be posted to.
    pub fn open(&self, id: &str) -> Outbox {
        let (sender, frames) = unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let cut = CancellationToken::new();
        let inbox = Inbox { frames: sender, waiting: waiting.clone(), cut: cut.clone() };
        let mut sockets = self.0.write().unwrap_or_else(PoisonError::into_inner);
        sockets.insert(id.to_owned(), inbox);
        Outbox { frames, waiting, cut }
    }

    /// From now on posts to the socket are answered with 410.
    pub fn close(&self, id: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Puts a frame into a socket's outbox.
    pub fn put(&self, id: &str, frame: Utf8Bytes) -> Posted {
        let sockets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(inbox) = sockets.get(id) else { return Posted::Gone };
        let size = frame.len() + OVERHEAD;
        let waiting = inbox.waiting.fetch_add(size, Ordering::Relaxed) + size;
        if waiting > MAX_WAITING {
            inbox.cut.cancel();
            return Posted::Gone;
        }
        match inbox.frames.send(frame) {
            Ok(()) => Posted::Accepted,
            Err(_) => Posted::Gone,
        }
    }
}

#[async_trait]
impl Gateway for Sockets {
    async fn post(&self, to: &ConnectionId, frame: &str) -> Posted {
        self.put(to.as_str(), frame.into())
    }
}
