//! The whole product over metered AWS, and words to drive it with. Ids are as long as Cognito's and API Gateway's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use petrel_aws::{Dynamo, Settings, Tables, app_over, embedded, with_buckets};
use petrel_core::ids::{ConnectionId, ConversationId, DeviceId, EndpointId, Seq, UserId};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::{
    Connection, Connections, Delivery, Endpoint, Hooked, Log, Platform, Put, Webhook, mint,
};
use petrel_core::services::{Ack, NewGroup, Outgoing, SendRequest};
use petrel_core::testing::{Meanwhile, Memory, Racing};
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
    /// With a receiver of webhooks, which takes nothing.
    pub async fn telling() -> Self {
        let mut world = Self::new().await;
        world.app.settings.webhook = true;
        world.app.webhook = Arc::new(Receiver(Hooked::Refused { retry_after_s: None }));
        world
    }

    /// The app, with a receiver that takes everything.
    pub fn taken(&self) -> App {
        App { webhook: Arc::new(Receiver(Hooked::Accepted)), ..self.app.clone() }
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

    /// Everything up to this seq has reached a device of `user`, and none of it was read.
    pub async fn reached(&self, user: usize, of: ConversationId, seq: u64) {
        let ack = Ack { conversation: of, delivered: Some(Seq::new(seq)), read: None };
        self.app.ack(&caller(user), &ack).await.unwrap();
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

/// The receiver of webhooks, who always says the same. He is no part of AWS.
struct Receiver(Hooked);

#[async_trait]
impl Webhook for Receiver {
    async fn deliver(&self, _: &Delivery) -> Hooked {
        self.0
    }
}

/// A clock that stands still. Pauses are many times as long as they are said to be, so that nothing is given up because the
/// machine is slow: what a badge costs would depend on it.
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
        tokio::time::sleep(30 * Duration::from_millis(ms)).await;
    }
}

/// Someone else takes the place of the first put just before it.
struct Overtaken {
    dynamo: Dynamo,
    clock: Arc<Memory>,
    done: AtomicBool,
}

#[async_trait]
impl Meanwhile for Overtaken {
    async fn before_put(&self, entry: &Entry) -> Result<Option<Put>> {
        if !self.done.swap(true, Ordering::Relaxed) {
            let other = Entry { message_id: mint(&*self.clock), ..entry.clone() };
            assert_eq!(self.dynamo.put(&other).await?, Put::Stored);
        }
        Ok(None)
    }
}

impl World {
    /// The app, in which the next put loses its race.
    pub fn overtaken(&self) -> App {
        let (dynamo, clock) = (self.dynamo.clone(), self.clock.clone());
        let overtaken = Overtaken { dynamo, clock, done: AtomicBool::new(false) };
        App { log: Racing::new(self.app.log.clone(), overtaken), ..self.app.clone() }
    }
}
