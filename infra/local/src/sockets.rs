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
/// Most bytes that wait for all readers together. Beyond, a reader may have no more than [`SHARE`]: many slow ones must
/// not take the memory that the server needs.
const MAX_WAITING_FOR_ALL: usize = 64 * 1024 * 1024;
/// Bytes that may wait for a reader whatever waits for others.
const SHARE: usize = 64 * 1024;
/// What a frame costs besides its text.
const OVERHEAD: usize = 64;

/// How many bytes wait: for one reader, and for all.
#[derive(Clone, Debug, Default)]
struct Waiting {
    one: Arc<AtomicUsize>,
    all: Arc<AtomicUsize>,
}

impl Waiting {
    /// Adds a frame, unless that is too much.
    fn add(&self, frame: &Utf8Bytes) -> bool {
        let size = frame.len() + OVERHEAD;
        let one = self.one.fetch_add(size, Ordering::Relaxed) + size;
        let all = self.all.fetch_add(size, Ordering::Relaxed) + size;
        let most = if all > MAX_WAITING_FOR_ALL { SHARE } else { MAX_WAITING };
        if one > most {
            self.remove(frame);
        }
        one <= most
    }

    fn remove(&self, frame: &Utf8Bytes) {
        let size = frame.len() + OVERHEAD;
        self.one.fetch_sub(size, Ordering::Relaxed);
        self.all.fetch_sub(size, Ordering::Relaxed);
    }
}

/// The way into one socket. Its size is bounded by bytes, not by a count of frames.
#[derive(Clone, Debug)]
struct Inbox {
    frames: UnboundedSender<Utf8Bytes>,
    waiting: Waiting,
    cut: CancellationToken,
    closed: CancellationToken,
}

/// The other end of an inbox: what the socket's task reads.
#[derive(Debug)]
pub struct Outbox {
    frames: UnboundedReceiver<Utf8Bytes>,
    waiting: Waiting,
    /// Ends when the reader was too slow.
    pub cut: CancellationToken,
    /// Ends when an operator closes the socket.
    pub closed: CancellationToken,
}

impl Outbox {
    fn took(&self, frame: Utf8Bytes) -> Utf8Bytes {
        self.waiting.remove(&frame);
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

impl Drop for Outbox {
    fn drop(&mut self) {
        self.frames.close();
        while self.try_next().is_some() {}
    }
}

/// Every open socket.
#[derive(Debug, Default)]
pub struct Sockets {
    open: RwLock<HashMap<String, Inbox>>,
    waiting: Arc<AtomicUsize>,
}

impl Sockets {
    /// From now on the socket can be posted to.
    pub fn open(&self, id: &str) -> Outbox {
        let (sender, frames) = unbounded_channel();
        let waiting = Waiting { one: Arc::default(), all: self.waiting.clone() };
        let (cut, closed) = (CancellationToken::new(), CancellationToken::new());
        let inbox = Inbox {
            frames: sender,
            waiting: waiting.clone(),
            cut: cut.clone(),
            closed: closed.clone(),
        };
        let mut sockets = self.open.write().unwrap_or_else(PoisonError::into_inner);
        sockets.insert(id.to_owned(), inbox);
        Outbox { frames, waiting, cut, closed }
    }

    /// From now on posts to the socket are answered with 410.
    pub fn close(&self, id: &str) {
        self.open.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Puts a frame into a socket's outbox.
    pub fn put(&self, id: &str, frame: Utf8Bytes) -> Posted {
        let sockets = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let Some(inbox) = sockets.get(id) else { return Posted::Gone };
        if !inbox.waiting.add(&frame) {
            inbox.cut.cancel();
            return Posted::Gone;
        }
        match inbox.frames.send(frame) {
            Ok(()) => Posted::Accepted,
            Err(unsent) => {
                inbox.waiting.remove(&unsent.0);
                Posted::Gone
            }
        }
    }

    /// Bytes that wait for all readers.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Gateway for Sockets {
    async fn post(&self, to: &ConnectionId, frame: &str) -> Posted {
        self.put(to.as_str(), frame.into())
    }

    async fn close(&self, connection: &ConnectionId) -> Posted {
        let sockets = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let Some(inbox) = sockets.get(connection.as_str()) else { return Posted::Gone };
        inbox.closed.cancel();
        Posted::Accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> Utf8Bytes {
        "x".repeat(bytes - OVERHEAD).into()
    }

    fn fill(sockets: &Sockets, id: &str, bytes: usize) -> Posted {
        let each = 1024 * 1024;
        (0..bytes / each).map(|_| sockets.put(id, frame(each))).last().unwrap()
    }

    #[test]
    fn who_does_not_read_is_cut_at_his_limit_and_what_waited_is_let_go() {
        let sockets = Sockets::default();
        let mut outbox = sockets.open("slow");
        assert!(matches!(fill(&sockets, "slow", MAX_WAITING), Posted::Accepted));
        assert!(!outbox.cut.is_cancelled());
        assert!(matches!(sockets.put("slow", frame(1024)), Posted::Gone));
        assert!(outbox.cut.is_cancelled());
        assert_eq!(sockets.waiting(), MAX_WAITING);
        outbox.try_next().unwrap();
        assert_eq!(sockets.waiting(), MAX_WAITING - 1024 * 1024);
        drop(outbox);
        assert_eq!(sockets.waiting(), 0);
        assert!(matches!(sockets.put("slow", frame(1024)), Posted::Gone));
        assert_eq!(sockets.waiting(), 0, "nothing stays behind of what nobody will read");
    }

    #[test]
    fn many_slow_readers_share_one_limit_and_those_who_read_are_not_cut() {
        let sockets = Sockets::default();
        let ids: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let outboxes: Vec<_> = ids.iter().map(|id| sockets.open(id)).collect();
        for id in &ids {
            fill(&sockets, id, MAX_WAITING);
        }
        assert!(sockets.waiting() <= MAX_WAITING_FOR_ALL + ids.len() * SHARE);
        let cut = outboxes.iter().filter(|o| o.cut.is_cancelled()).count();
        assert_eq!(cut, ids.len() - MAX_WAITING_FOR_ALL / MAX_WAITING);
        let reader = sockets.open("reader");
        assert!(matches!(sockets.put("reader", frame(SHARE)), Posted::Accepted));
        assert!(!reader.cut.is_cancelled());
    }
}
