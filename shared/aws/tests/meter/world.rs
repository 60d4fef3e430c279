//! The whole product over metered AWS, and words to drive it with. Ids are as long as Cognito's and API Gateway's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use petrel_aws::{Dynamo, Settings, Tables, app_over, embedded, with_buckets};
use petrel_core::ids::{ConnectionId, ConversationId, DeviceId, EndpointId, Seq, UserId};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::{Connection, Connections, Endpoint, Log, Platform, Put, mint};
use petrel_core::services::{NewGroup, Outgoing, SendRequest};
use petrel_core::testing::Memory;
use petrel_core::{App, Caller, Result};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::wire::{Bill, Meter};

/// Bytes of an ordinary message's text.
pub const TEXT: usize = 200;

pub struct World {
    meter: Meter,
    pub app: App,
    /// Past the meter.
    dynamo: Dynamo,
    pub clock: Arc<Memory>,
}

pub fn user(n: usize) -> UserId {
    UserId::parse(&format!("{n:08}-4f2a-4c1b-9d3e-6a7b8c9d0e1f")).unwrap()
}

pub fn users(n: usize) -> Vec<UserId> {
    (0..n).map(user).collect()
}

fn device(n: usize) -> DeviceId {
    DeviceId::parse(&format!("{n:032x}")).unwrap()
}

pub fn socket(n: usize) -> Connection {
    let id = ConnectionId::parse(&format!("{n:015}=")).unwrap();
    Connection { user: user(n), device: device(n), id, connected_at: 1_790_000_000_000 }
}

pub fn caller(n: usize) -> Caller {
    Caller::over(socket(n))
}

pub fn direct(a: usize, b: usize) -> ConversationId {
    ConversationId::direct(&user(a), &user(b))
}

pub fn text() -> Content {
    Content::text("x".repeat(TEXT))
}

impl World {
    /// With a receiver of webhooks.
    pub async fn telling() -> Self {
        let mut world = Self::new().await;
        world.app.settings.webhook = true;
        world
    }

    pub async fn new() -> Self {
        let client = embedded::client().unwrap();
        let tables = Tables {
            messages: "messages".into(),
            conversations: "conversations".into(),
            connections: "connections".into(),
        };
        embedded::create_tables(&client, &tables).await.unwrap();
        let meter = Meter::over(&client);
        let settings = Settings {
            messages_table: Some(tables.messages.clone()),
            conversations_table: Some(tables.conversations.clone()),
            connections_table: Some(tables.connections.clone()),
            archive_bucket: Some("archive".into()),
            fanout_queue_url: Some("https://sqs.us-east-1.amazonaws.com/1/fan-out".into()),
            push_queue_url: Some("https://sqs.us-east-1.amazonaws.com/1/push".into()),
            webhook_queue_url: Some("https://sqs.us-east-1.amazonaws.com/1/webhook".into()),
            moderation_topic_arn: Some("arn:aws:sns:us-east-1:1:reports".into()),
            media_bucket: Some("media".into()),
            platforms: vec![(Platform::Fcm, "arn:aws:sns:us-east-1:1:app/GCM/petrel".into())],
            websocket_endpoint: Some("https://a.execute-api.us-east-1.amazonaws.com/prod".into()),
            ..Settings::default()
        };
        let clock = Arc::new(Memory::default());
        let world = Arc::new(Clock(clock.clone()));
        let config = meter.config();
        let app = with_buckets(app_over(&config, &settings), &config, &settings);
        let app = App { world, ..app };
        Self { meter, app, dynamo: Dynamo::new(client, tables), clock }
    }

    /// What this cost.
    pub async fn bill<T>(&self, work: impl Future<Output = T>) -> Bill {
        self.meter.read();
        work.await;
        self.meter.read()
    }

    /// What a frame cost, which must be answered with this type of frame (or by none).
    pub async fn frame(&self, from: usize, frame: Value, answer: Option<&str>) -> Bill {
        let respond = async {
            let response = self.app.respond(&caller(from), &frame.to_string()).await;
            let response = response.map(|f| serde_json::from_str::<Value>(&f.to_json()).unwrap());
            let kind = response.as_ref().map(|f| f["type"].as_str().unwrap());
            assert_eq!(kind, answer, "{frame} {response:?}");
        };
        self.bill(respond).await
    }

    pub async fn online(&self, ns: std::ops::Range<usize>) {
        for n in ns {
            self.dynamo.register(&socket(n)).await.unwrap();
        }
    }

    /// Gives users phones.
    pub async fn phones(&self, ns: std::ops::Range<usize>) {
        for n in ns {
            let arn = "arn:aws:sns:us-east-1:123456789012:endpoint/GCM/petrel";
            let id = EndpointId::parse(&format!("{arn}/{}", user(n))).unwrap();
            let endpoint = Endpoint { user: user(n), device: device(n), id };
            self.dynamo.set_endpoint(&endpoint).await.unwrap();
        }
    }

    /// A conversation in which `from` has said something so many times.
    pub async fn said(&self, from: usize, to: &ConversationId, times: usize) {
        for _ in 0..times {
            let messages = vec![Outgoing { message_id: mint(&*self.clock), content: text() }];
            let send = SendRequest { conversation: to.clone(), seen: None, messages };
            assert!(self.app.send(&caller(from), send).await.unwrap()[0].is_ok());
        }
    }

    /// The frame that says something more; `seen` is the head.
    pub async fn send(&self, to: &ConversationId) -> Value {
        let head = self.head(to).await.map_or(0, |e| e.seq.get());
        json!({"action": "send", "conversation_id": to, "seen": head,
            "message_id": mint(&*self.clock), "content": text()})
    }

    pub async fn head(&self, of: &ConversationId) -> Option<Entry> {
        self.dynamo.newest(of, Seq::FIRST, None, 1).await.unwrap().pop()
    }

    /// A new group, and what creating it cost.
    pub async fn create(&self, members: Vec<UserId>) -> (ConversationId, Bill) {
        let group = NewGroup { name: "trip".into(), members, request_id: None };
        self.meter.read();
        let id = self.app.create_group(&caller(0), group).await.unwrap().conversation_id;
        (id, self.meter.read())
    }

    /// As many conversations of one user with others, each with one message.
    pub async fn conversations(&self, of: usize, many: usize) {
        for n in 1..=many {
            self.said(of + n, &direct(of, of + n), 1).await;
        }
    }
}

/// A clock that stands still, and pauses that do not: what is given up after a while is given up then.
struct Clock(Arc<Memory>);

#[async_trait]
impl petrel_core::ports::World for Clock {
    fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }

    fn new_id(&self) -> Uuid {
        self.0.new_id()
    }

    fn secret(&self) -> u128 {
        self.0.secret()
    }

    fn jitter(&self, below: u64) -> u64 {
        self.0.jitter(below)
    }

    async fn pause(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// A log in which someone else takes the place of the first put just before it.
pub struct Overtaken {
    metered: Arc<dyn Log>,
    dynamo: Dynamo,
    clock: Arc<Memory>,
    done: AtomicBool,
}

impl World {
    /// The app, in which the next put loses its race.
    pub fn overtaken(&self) -> App {
        let log = Overtaken {
            metered: self.app.log.clone(),
            dynamo: self.dynamo.clone(),
            clock: self.clock.clone(),
            done: AtomicBool::new(false),
        };
        App { log: Arc::new(log), ..self.app.clone() }
    }
}

#[async_trait]
impl Log for Overtaken {
    async fn newest(
        &self,
        conversation: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.metered.newest(conversation, from, before, limit).await
    }

    async fn after(&self, of: &ConversationId, after: Seq, limit: usize) -> Result<Vec<Entry>> {
        self.metered.after(of, after, limit).await
    }

    async fn put_changing(&self, entry: &Entry) -> Result<Put> {
        self.metered.put_changing(entry).await
    }

    async fn put(&self, entry: &Entry) -> Result<Put> {
        if !self.done.swap(true, Ordering::Relaxed) {
            let other = Entry { message_id: mint(&*self.clock), ..entry.clone() };
            assert_eq!(self.dynamo.put(&other).await?, Put::Stored);
        }
        self.metered.put(entry).await
    }
}
