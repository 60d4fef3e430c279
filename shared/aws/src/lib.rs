#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod archive;
mod calls;
mod clients;
mod connections;
mod conversations;
#[cfg(feature = "embedded")]
pub mod embedded;
mod endpoints;
mod files;
mod gateway;
mod https;
mod item;
pub mod keys;
mod log;
mod metrics;
mod moderation;
mod payload;
mod people;
mod pushes;
mod queues;
mod rows;
#[cfg(feature = "server")]
pub mod server;
pub mod settings;
mod shapes;
pub mod token;
mod unset;
mod uploads;
mod warm;
mod webhook;
mod world;

use aws_sdk_dynamodb::Client;

pub use clients::{
    app, app_over, app_with_buckets, function_config, sdk_config, verifier, with_buckets,
};
pub use files::{MediaBucket, s3_client};
pub use gateway::ApiGateway;
pub use https::HttpKeys;
pub use keys::Tables;
pub use metrics::{Emf, Invocation};
pub use pushes::Sns;
pub use queues::{Queues, Sqs};
pub use settings::{Origins, Settings, SettingsError, process_env};
pub use token::Verifier;
pub use warm::{WARM_LIMIT, warm};
pub use webhook::{HttpWebhook, Reach, Signer};
pub use world::SystemWorld;

/// The log, the members and the connections in DynamoDB.
#[derive(Clone, Debug)]
pub struct Dynamo {
    client: Client,
    tables: Tables,
}

impl Dynamo {
    /// The ports over these tables.
    pub fn new(client: Client, tables: Tables) -> Self {
        Self { client, tables }
    }
}
