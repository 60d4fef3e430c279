//! Answers that get lost on their way back, behind the unmodified client: what was done is done, the SDK asks again,
//! and what was asked for happens once.

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use petrel_aws::{Dynamo, Tables, embedded};
use petrel_core::ids::{ConnectionId, ConversationId, DeviceId, MessageId, Seq, UserId};
use petrel_core::message::Content;
use petrel_core::ports::{Connection, Connections, Conversations, Log};
use petrel_core::services::{Ack, NewGroup, Outgoing, SendRequest};
use petrel_core::testing::Memory;
use petrel_core::{App, Caller};
use uuid::uuid;

use crate::stub::Sleep;

/// Loses the answers of so many of the next requests of this kind.
#[derive(Clone)]
struct Lossy {
    database: SharedHttpClient,
    lose: Arc<Mutex<(&'static str, u32)>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl fmt::Debug for Lossy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lossy")
    }
}

impl HttpClient for Lossy {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let database = self.database.http_connector(settings, components);
        SharedHttpConnector::new(LossyConnector { database, lossy: self.clone() })
    }
}

#[derive(Debug)]
struct LossyConnector {
    database: SharedHttpConnector,
    lossy: Lossy,
}

impl HttpConnector for LossyConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap();
        let operation = target.rsplit('.').next().unwrap().to_owned();
        let call = self.database.call(request);
        let lossy = self.lossy.clone();
        HttpConnectorFuture::new(async move {
            let response = call.await?;
            let mut lose = lossy.lose.lock().unwrap();
            lossy.asked.lock().unwrap().push(operation.clone());
            if lose.0 == operation && lose.1 > 0 {
                lose.1 -= 1;
                return Err(ConnectorError::io("the connection was reset".into()));
            }
            Ok(response)
        })
    }
}

struct World {
    lossy: Lossy,
    dynamo: Arc<Dynamo>,
    memory: Arc<Memory>,
    app: App,
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn caller(name: &str) -> Caller {
    Caller::http(user(name))
}

impl World {
    /// Bo is connected.
    async fn new() -> Self {
        let client = embedded::client().unwrap();
        let tables = Tables {
            messages: "messages".into(),
            conversations: "conversations".into(),
            connections: "connections".into(),
        };
        embedded::create_tables(&client, &tables).await.unwrap();
        let lossy = Lossy {
            database: client.config().http_client().unwrap(),
            lose: Arc::default(),
            asked: Arc::default(),
        };
        let config = client.config().to_builder();
        let config = config
            .http_client(lossy.clone())
            .sleep_impl(Sleep)
            .retry_config(RetryConfig::standard().with_max_attempts(3));
        let dynamo = Arc::new(Dynamo::new(Client::from_conf(config.build()), tables));
        let memory = Arc::new(Memory::default());
        let app = App {
            log: dynamo.clone(),
            cold: dynamo.clone(),
            conversations: dynamo.clone(),
            people: dynamo.clone(),
            connections: dynamo.clone(),
            ..memory.app()
        };
        let world = Self { lossy, dynamo, memory, app };
        world.app.connect(&world.socket()).await.unwrap();
        world
    }

    fn socket(&self) -> Connection {
        Connection {
            user: user("bo"),
            device: DeviceId::parse("phone").unwrap(),
            id: ConnectionId::parse("bo").unwrap(),
            connected_at: 1,
        }
    }

    fn lose(&self, operation: &'static str, times: u32) {
        *self.lossy.lose.lock().unwrap() = (operation, times);
        self.lossy.asked.lock().unwrap().clear();
    }

    /// How often this was asked since.
    fn asked(&self, operation: &str) -> usize {
        assert_eq!(self.lossy.lose.lock().unwrap().1, 0, "an answer was to be lost and was not");
        self.lossy.asked.lock().unwrap().iter().filter(|o| *o == operation).count()
    }

    async fn log(&self, of: &ConversationId) -> Vec<u64> {
        let found = self.dynamo.after(of, Seq::ZERO, 100).await.unwrap();
        found.iter().map(|e| e.seq.get()).collect()
    }
}

/// The SDK's second put finds the first one's entry in its place; the core finds that it is its own.
#[tokio::test(start_paused = true)]
async fn a_put_whose_answer_is_lost_stores_once_and_delivers() {
    // Fewer than the SDK tries, and as many, so that the port fails.
    for lost in [1, 2, 3] {
        let world = World::new().await;
        let c = ConversationId::direct(&user("ana"), &user("bo"));
        world.dynamo.open(&c, &[user("ana"), user("bo")]).await.unwrap();
        let id = MessageId::minted(uuid!("0192f3c4-0000-7000-8000-000000000009"));
        let send = |seen| SendRequest {
            conversation: c.clone(),
            seen: Some(Seq::new(seen)),
            messages: vec![Outgoing { message_id: id, content: Content::text("hi") }],
        };
        let first = MessageId::minted(uuid!("0192f3c4-0000-7000-8000-000000000001"));
        let mut request = send(0);
        request.messages[0].message_id = first;
        world.app.send(&caller("ana"), request).await.unwrap();

        world.lose("PutItem", lost);
        let sent = world.app.send(&caller("ana"), send(1)).await.unwrap().remove(0).unwrap();
        assert_eq!((sent.message_id, sent.seq), (id, Seq::new(2)), "{lost}");
        assert_eq!(world.asked("PutItem"), usize::try_from(lost + 1).unwrap().min(3), "{lost}");
        assert_eq!(world.log(&c).await, [1, 2], "{lost}");
        assert_eq!(world.memory.posts().len(), 2, "{lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_answer_is_lost_happens_once() {
    for lost in [1, 3] {
        let world = World::new().await;
        let new = NewGroup { name: "trip".into(), members: vec![user("bo")], request_id: None };
        world.lose("TransactWriteItems", 1);
        let group = world.app.create_group(&caller("ana"), new).await.unwrap().conversation_id;
        assert_eq!(world.asked("TransactWriteItems"), 2);

        world.lose("TransactWriteItems", lost);
        let added = world.app.add_members(&caller("ana"), &group, &[user("cy")]).await.unwrap();
        assert_eq!(added.unwrap().seq, Seq::new(2), "{lost}");
        assert_eq!(world.asked("TransactWriteItems"), usize::try_from(lost + 1).unwrap().min(3));
        assert_eq!(world.log(&group).await, [1, 2], "{lost}");
        let roster = world.dynamo.roster(&group, usize::MAX).await.unwrap();
        let joined: Vec<_> =
            roster.members.iter().map(|m| (m.user.as_str(), m.joined.get())).collect();
        assert_eq!(joined, [("ana", 1), ("bo", 1), ("cy", 2)], "{lost}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watermark_and_a_socket_whose_answers_are_lost_stand() {
    let world = World::new().await;
    let c = ConversationId::direct(&user("ana"), &user("bo"));
    let message = Outgoing {
        message_id: MessageId::minted(uuid!("0192f3c4-0000-7000-8000-000000000001")),
        content: Content::text("hi"),
    };
    let send = SendRequest { conversation: c.clone(), seen: None, messages: vec![message] };
    world.app.send(&caller("ana"), send).await.unwrap();

    world.lose("UpdateItem", 1);
    let ack = Ack { conversation: c.clone(), delivered: Some(Seq::FIRST), read: None };
    // The second write finds the first one's marks: there is nothing new to tell.
    assert_eq!(world.app.ack(&caller("bo"), &ack).await.unwrap(), None);
    assert_eq!(world.asked("UpdateItem"), 2);
    let row = world.dynamo.row(&user("bo"), &c).await.unwrap().unwrap();
    assert_eq!(row.marks.delivered, Seq::FIRST);

    let newer =
        Connection { id: ConnectionId::parse("newer").unwrap(), connected_at: 2, ..world.socket() };
    world.lose("UpdateItem", 1);
    world.app.connect(&newer).await.unwrap();
    assert_eq!(world.asked("UpdateItem"), 2);
    let connected = async || world.dynamo.of(&[user("bo")]).await.unwrap().connections;
    assert_eq!(connected().await, std::slice::from_ref(&newer));
    world.lose("UpdateItem", 1);
    world.app.disconnect(&newer.user, &newer.device, &newer.id).await.unwrap();
    assert_eq!(world.asked("UpdateItem"), 2);
    assert_eq!(connected().await, []);
}
