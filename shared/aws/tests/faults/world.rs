//! The product as its functions build it, with their attempts and times, over a database that can be asked behind its back.

use std::sync::Arc;

use aws_config::Region;
use aws_sdk_dynamodb::Client;
use petrel_aws::{Dynamo, Settings, Tables, app_over, embedded, function_config, with_buckets};
use petrel_core::App;

use crate::injector::Injector;

/// Lets the queues, the gateway and the phones be found; nobody looks these names up.
const VARIABLES: &[(&str, &str)] = &[
    ("AWS_REGION", "eu-west-1"),
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_ENDPOINT_URL", "http://aws.invalid"),
    ("PETREL_MESSAGES_TABLE", "messages"),
    ("PETREL_CONVERSATIONS_TABLE", "conversations"),
    ("PETREL_CONNECTIONS_TABLE", "connections"),
    ("PETREL_FANOUT_QUEUE_URL", "https://sqs.invalid/1/fan-out"),
    ("PETREL_PUSH_QUEUE_URL", "https://sqs.invalid/1/push"),
    ("PETREL_WEBSOCKET_ENDPOINT", "https://gateway.invalid/live"),
    ("PETREL_APNS_ARN", "arn:aws:sns:eu-west-1:1:app/APNS/petrel"),
];

fn env(name: &str) -> Option<String> {
    let found = VARIABLES.iter().find(|(n, _)| *n == name);
    found.map(|(_, value)| (*value).to_owned())
}

fn tables() -> Tables {
    Tables {
        messages: "messages".into(),
        conversations: "conversations".into(),
        connections: "connections".into(),
    }
}

/// One database with tables.
pub struct World {
    client: Client,
    /// The ports without any fault.
    pub truth: Arc<Dynamo>,
}

impl World {
    pub async fn new() -> Self {
        let client = embedded::client().unwrap();
        embedded::create_tables(&client, &tables()).await.unwrap();
        let truth = Arc::new(Dynamo::new(client.clone(), tables()));
        Self { client, truth }
    }

    /// The product behind an injector. What its client remembers of how often it had to ask again is its own: the SDK
    /// keeps that by service and region.
    pub fn product(&self, name: &str) -> (Injector, App) {
        let injector = Injector::new(self.client.config().http_client().unwrap());
        let config = function_config(&env).unwrap().into_builder();
        let config =
            config.http_client(injector.clone()).region(Region::new(name.to_owned())).build();
        {
            let settings = Settings::read(&env).unwrap();
            (injector, with_buckets(app_over(&config, &settings), &config, &settings))
        }
    }
}
