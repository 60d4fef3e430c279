//! An app over memory, and words to drive it with.

use std::sync::Arc;

use futures::executor::block_on;
use petrel_core::ids::{ConnectionId, ConversationId, DeviceId, MessageId, Seq, UserId};
use petrel_core::message::Content;
use petrel_core::ports::{Connection, mint};
use petrel_core::services::{
    Ack, NewGroup, Outgoing, Range, SendRequest, Sent, SyncRequest, Synced,
};
use petrel_core::testing::Memory;
use petrel_core::{App, Caller, Error, ErrorKind};

pub struct World {
    pub memory: Arc<Memory>,
    pub app: App,
}

pub fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

pub fn caller(name: &str) -> Caller {
    Caller::over(socket(name, name, 0))
}

pub fn socket(name: &str, device: &str, connected_at: u64) -> Connection {
    Connection {
        user: user(name),
        device: DeviceId::parse(device).unwrap(),
        id: ConnectionId::parse(device).unwrap(),
        connected_at,
    }
}

pub fn direct(a: &str, b: &str) -> ConversationId {
    ConversationId::direct(&user(a), &user(b))
}

pub fn text(text: &str) -> Content {
    Content::text(text)
}

pub fn kind<T: std::fmt::Debug>(result: Result<T, Error>) -> ErrorKind {
    result.unwrap_err().kind
}

impl World {
    pub fn new() -> Self {
        let memory = Arc::new(Memory::default());
        Self { app: memory.app(), memory }
    }

    pub fn online(&self, name: &str, device: &str) {
        let socket = socket(name, device, self.app.world.now_ms());
        block_on(self.app.connect(&socket)).unwrap();
    }

    pub fn send_as(
        &self,
        from: &str,
        to: &ConversationId,
        seen: Option<u64>,
        id: MessageId,
        content: Content,
    ) -> Result<Sent, Error> {
        let send = SendRequest {
            conversation: to.clone(),
            seen: seen.map(Seq::new),
            messages: vec![Outgoing { message_id: id, content }],
        };
        let mut results = block_on(self.app.send(&caller(from), send))?;
        results.remove(0).map_err(|(_, error)| error)
    }

    pub fn say(&self, from: &str, to: &ConversationId, words: &str) -> Sent {
        self.send_as(from, to, None, mint(&*self.memory), text(words)).unwrap()
    }

    pub fn group(&self, creator: &str, members: &[&str]) -> ConversationId {
        let group = NewGroup {
            name: "trip".into(),
            members: members.iter().map(|m| user(m)).collect(),
            request_id: None,
        };
        block_on(self.app.create_group(&caller(creator), group)).unwrap().conversation_id
    }

    pub fn crowd(&self, size: usize) -> (ConversationId, Vec<String>) {
        let names: Vec<String> = (1..size).map(|i| format!("u{i:04}")).collect();
        let members: Vec<&str> = names.iter().map(String::as_str).collect();
        (self.group("ana", &members), names)
    }

    pub fn sync(&self, who: &str, cursors: &[(&ConversationId, u64)], limit: usize) -> Synced {
        let sync = SyncRequest {
            cursors: cursors.iter().map(|(c, s)| ((*c).clone(), Seq::new(*s))).collect(),
            limit,
            tail: false,
            page: None,
        };
        block_on(self.app.sync(&caller(who), &sync)).unwrap()
    }

    pub fn ack(
        &self,
        who: &str,
        c: &ConversationId,
        delivered: u64,
        read: u64,
    ) -> Result<bool, Error> {
        let some = |n: u64| (n > 0).then(|| Seq::new(n));
        let ack = Ack { conversation: c.clone(), delivered: some(delivered), read: some(read) };
        Ok(block_on(self.app.ack(&caller(who), &ack))?.is_some())
    }

    pub fn readable(&self, who: &str, c: &ConversationId) -> Result<Vec<u64>, Error> {
        let range = Range::After(Seq::ZERO);
        let page = block_on(self.app.history(&caller(who), c, range, 100))?;
        Ok(page.messages.iter().map(|e| e.seq.get()).collect())
    }

    /// The frames of this type that reached a connection.
    pub fn received(&self, connection: &str, kind: &str) -> Vec<serde_json::Value> {
        let posts = self.memory.posts();
        let frames = posts.iter().filter(|(c, _)| c.as_str() == connection);
        frames
            .map(|(_, f)| serde_json::from_str::<serde_json::Value>(f).unwrap())
            .filter(|f| f["type"] == kind)
            .collect()
    }
}

pub fn through(synced: &Synced) -> Vec<u64> {
    synced.batches.iter().flat_map(|b| b.messages.iter().map(|e| e.seq.get())).collect()
}
