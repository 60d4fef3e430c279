//! The product as its functions build it, with their attempts and times, over tables and buckets that can be looked at, and
//! set again, behind its back.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};

use aws_config::{Region, SdkConfig};
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use petrel_aws::embedded::s3::S3;
use petrel_aws::{
    Dynamo, HttpWebhook, MediaBucket, Reach, Settings, Tables, app_over, archive, embedded,
    function_config, with_buckets,
};
use petrel_core::App;
use serde_json::{Map, Value, json};

use crate::answers::json_request;
use crate::injector::{Backends, Injector};
use crate::stage;

/// Lets the queues, the gateway and the phones be found; nobody looks these names up. One endpoint for all would have
/// longer than AWS.
const VARIABLES: &[(&str, &str)] = &[
    ("AWS_REGION", "eu-west-1"),
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_ENDPOINT_URL_S3", "http://aws.invalid"),
    ("PETREL_MESSAGES_TABLE", "messages"),
    ("PETREL_CONVERSATIONS_TABLE", "conversations"),
    ("PETREL_CONNECTIONS_TABLE", "connections"),
    ("PETREL_ARCHIVE_BUCKET", "archive"),
    ("PETREL_MEDIA_BUCKET", "media"),
    ("PETREL_FANOUT_QUEUE_URL", "https://sqs.invalid/1/fan-out"),
    ("PETREL_PUSH_QUEUE_URL", "https://sqs.invalid/1/push"),
    ("PETREL_WEBHOOK_QUEUE_URL", "https://sqs.invalid/1/webhook"),
    ("PETREL_WEBSOCKET_ENDPOINT", "https://gateway.invalid/live"),
    ("PETREL_MODERATION_TOPIC_ARN", "arn:aws:sns:eu-west-1:1:reports"),
    ("PETREL_APNS_ARN", "arn:aws:sns:eu-west-1:1:app/APNS/petrel"),
];
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BUCKETS: [&str; 2] = ["archive", "media"];
/// The tables, and the keys of each.
const TABLES: [(&str, &[&str]); 3] = [
    ("messages", &["conversation_id", "seq"]),
    ("conversations", &["pk", "sk"]),
    ("connections", &["user_id"]),
];

fn env(name: &str) -> Option<String> {
    let found = VARIABLES.iter().find(|(n, _)| *n == name);
    found.map(|(_, value)| (*value).to_owned())
}

/// Building it reads the certificates, each time.
static CONFIG: LazyLock<SdkConfig> = LazyLock::new(|| function_config(&env).unwrap());

fn tables() -> Tables {
    Tables {
        messages: "messages".into(),
        conversations: "conversations".into(),
        connections: "connections".into(),
    }
}

/// What is in the tables and in the buckets: where, and what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    pub items: BTreeSet<(&'static str, String)>,
    /// The names, with the tags.
    pub objects: BTreeSet<(&'static str, String, String)>,
}

/// One database with tables, and buckets.
pub struct World {
    database: SharedHttpConnector,
    s3: S3,
    buckets: aws_sdk_s3::Client,
    /// The ports without any fault.
    pub truth: Dynamo,
}

impl World {
    /// With nothing in it.
    pub async fn empty() -> Self {
        let database = embedded::in_memory().unwrap();
        let client = embedded::client_of(database.clone());
        embedded::create_tables(&client, &tables()).await.unwrap();
        let s3 = S3::in_memory(&BUCKETS);
        let buckets = s3.client("http://s3.invalid");
        Self { database, s3, buckets, truth: Dynamo::new(client, tables()) }
    }

    /// With the stage set.
    pub async fn staged() -> Self {
        let world = Self::empty().await;
        stage::set(&world).await;
        world
    }

    /// The archive without any fault.
    pub fn archive(&self) -> archive::S3 {
        archive::S3::new(self.buckets.clone(), "archive".into())
    }

    /// The files without any fault.
    pub fn files(&self) -> MediaBucket {
        MediaBucket::new(self.buckets.clone(), "media".into())
    }

    /// Stores an object.
    pub async fn store(&self, bucket: &str, key: &str, bytes: Vec<u8>) {
        let put = self.buckets.put_object().bucket(bucket).key(key).body(bytes.into());
        put.send().await.unwrap();
    }

    /// The product behind an injector. What its client remembers of how often it had to ask again is its own: the SDK
    /// keeps that by service and region.
    pub fn product(&self) -> (Injector, App) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let region = format!("faulty-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let backends = Backends {
            database: self.database.clone(),
            buckets: self.s3.for_key("test", "test", &region).connector(),
        };
        let injector = Injector::new(backends, stage::other_object().into());
        let config = CONFIG.clone().into_builder().http_client(injector.clone());
        let config = config.region(Region::new(region)).build();
        let settings = Settings::read(&env).unwrap();
        let mut app = with_buckets(app_over(&config, &settings), &config, &settings);
        let webhook = HttpWebhook::over(
            "https://receiver.invalid/hook",
            SECRET,
            Reach::Public,
            injector.connector(),
        );
        app.webhook = Arc::new(webhook.unwrap());
        (injector, app)
    }

    async fn ask(&self, operation: &str, body: &Value) -> Value {
        let answer = self.database.call(json_request(operation, body)).await.unwrap();
        let bytes = answer.body().bytes().unwrap();
        assert!(answer.status().is_success(), "{}", String::from_utf8_lossy(bytes));
        serde_json::from_slice(bytes).unwrap()
    }

    /// All that is stored.
    pub async fn look(&self) -> Stored {
        let mut stored = Stored::default();
        self.look_at_items(&mut stored, |_| true).await;
        self.look_at_objects(&mut stored).await;
        stored
    }

    /// Looks at these tables anew.
    pub async fn look_at_items(&self, stored: &mut Stored, these: impl Fn(&str) -> bool) {
        stored.items.retain(|(table, _)| !these(table));
        for (table, _) in TABLES.into_iter().filter(|(table, _)| these(table)) {
            let found = self.ask("Scan", &json!({"TableName": table})).await;
            assert!(found.get("LastEvaluatedKey").is_none(), "more than a page");
            let items = found["Items"].as_array().unwrap();
            stored.items.extend(items.iter().map(|item| (table, sorted(item).to_string())));
        }
    }

    /// Looks at the buckets anew.
    pub async fn look_at_objects(&self, stored: &mut Stored) {
        stored.objects.clear();
        for bucket in BUCKETS {
            let list = self.buckets.list_objects_v2().bucket(bucket).send().await.unwrap();
            for object in list.contents() {
                let (key, tag) = (object.key().unwrap(), object.e_tag().unwrap());
                stored.objects.insert((bucket, key.to_owned(), tag.to_owned()));
            }
        }
    }

    /// Makes of what there is what was there.
    pub async fn restore(&self, now: &Stored, before: &Stored) {
        for (table, item) in now.items.difference(&before.items) {
            let (_, keys) = TABLES.iter().find(|(name, _)| name == table).unwrap();
            let item: Map<String, Value> = serde_json::from_str(item).unwrap();
            let key: Map<_, _> =
                keys.iter().map(|key| ((*key).to_owned(), item[*key].clone())).collect();
            self.ask("DeleteItem", &json!({"TableName": table, "Key": key})).await;
        }
        for (table, item) in before.items.difference(&now.items) {
            let item: Value = serde_json::from_str(item).unwrap();
            self.ask("PutItem", &json!({"TableName": table, "Item": item})).await;
        }
        if now.objects != before.objects {
            for (bucket, key, _) in &now.objects {
                self.buckets.delete_object().bucket(*bucket).key(key).send().await.unwrap();
            }
            stage::fill_buckets(self).await;
        }
    }
}

/// The same with its fields in order: neither DynamoDB nor JSON has one.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(n, v)| (n.clone(), sorted(v))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        other => other.clone(),
    }
}
