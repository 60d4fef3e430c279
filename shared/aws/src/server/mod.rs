//! What a server needs that runs on an endpoint by itself, and a function does not: the clients of that endpoint, and its
//! tables, queues and push applications made where they are absent. On AWS the template makes them.

mod buckets;
mod platforms;
mod queues;
mod tables;

use std::error::Error as StdError;
use std::fmt::{Debug, Write};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use petrel_core::App;

use crate::clients::{app_over, sdk_config, with_buckets};
use crate::https::ENDPOINT_URL;
use crate::keys::Tables;
use crate::settings::{Env, Settings, SettingsError, get};

pub use queues::{Depth, Received, Source};
pub use tables::create_tables;

/// The region, unless a variable names one. An endpoint of one's own has no other.
const REGION: &str = "us-east-1";
/// Each says that the caller has credentials; without one, those of an emulator are used, which takes any.
const CREDENTIALS: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];
/// Attempts of each of the first calls. One that is refused ends at once, one that nobody answers after five seconds.
const START_ATTEMPTS: u32 = 6;
/// The pause before the second attempt, at most; it doubles.
const START_BACKOFF: Duration = Duration::from_millis(200);
/// What an endpoint answers to credentials that it does not take.
const REFUSED: [&str; 9] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Why there is nothing to run on. Each is one line.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Nothing answers there, or something that is no AWS.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// The endpoint.
        url: String,
        /// What happened instead of an answer.
        reason: String,
    },
    /// It does not know us, or does not let us.
    #[error("{url} refuses the credentials ({what}): {reason}")]
    Refused {
        /// The endpoint.
        url: String,
        /// What was to be made.
        what: String,
        /// In its own words.
        reason: String,
    },
    /// A table of this name has other keys.
    #[error(
        "the table {table} is not ours: its key is {found}, and not {expected}; choose another --prefix"
    )]
    OtherKey {
        /// The table.
        table: String,
        /// What it has.
        found: String,
        /// What it would have.
        expected: String,
    },
    /// Whatever else.
    #[error("cannot make {what}: {reason}")]
    Failed {
        /// What was to be made.
        what: String,
        /// Why not.
        reason: String,
    },
    /// A variable makes no sense.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl SetupError {
    fn failed(what: &str, reason: impl ToString) -> Self {
        Self::Failed { what: what.to_owned(), reason: reason.to_string() }
    }

    /// What a call's failure means for who started the server.
    fn of<E, R>(url: &str, what: &str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
        R: Debug + 'static,
    {
        let (url, what) = (url.to_owned(), what.to_owned());
        match (error, error.code()) {
            (SdkError::ServiceError(_), Some(code)) => {
                let reason = match error.message() {
                    Some(message) => format!("{code}: {message}"),
                    None => code.to_owned(),
                };
                if REFUSED.contains(&code) {
                    return Self::Refused { url, what, reason };
                }
                Self::Failed { what, reason }
            }
            _ => Self::Unreachable { url, reason: causes(error) },
        }
    }
}

/// The error and what lies below it, on one line. The SDK's own words for the outermost say nothing.
fn causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text.replace('\n', " ")
}

/// Whom the server runs on, and by what names.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where DynamoDB, S3, SQS and SNS answer.
    pub url: String,
    /// Begins the name of everything that is made there.
    pub prefix: String,
    /// Makes the push applications that are not named: an emulator takes them without a push service's credentials.
    pub make_platforms: bool,
    /// Web pages that may upload to the bucket and read from it.
    pub origins: Vec<String>,
}

/// The product on an endpoint, but for its gateway, and the queues that it must be fed from.
pub struct OnEndpoint {
    /// The product.
    pub app: App,
    /// Where its fan-out jobs come out again.
    pub fan_out: Source,
    /// Where its push jobs come out again.
    pub push: Source,
    /// Where its events come out again, if they are told to anyone.
    pub webhook: Option<Source>,
}

/// Makes what is absent on the endpoint, and the product on it. Whatever is there is used as it is, so that this may be
/// repeated. Region and credentials come from the usual variables, or are those of an emulator; so do the push
/// applications and the push delay in `settings`. A service's own `AWS_ENDPOINT_URL_*` goes before the endpoint.
///
/// # Errors
/// If the endpoint does not answer, or refuses, or has a table of the same name and another key.
pub async fn set_up(
    endpoint: &Endpoint,
    mut settings: Settings,
    env: Env<'_>,
) -> Result<OnEndpoint, SetupError> {
    let config = config(&endpoint.url, env).await?;
    let name = |what: &str| format!("{}-{what}", endpoint.prefix);
    let tables = Tables {
        messages: name("messages"),
        conversations: name("conversations"),
        connections: name("connections"),
    };
    // The first to call, and patient: the endpoint may be starting beside this server, or busy.
    let patient = RetryConfig::standard().with_max_attempts(START_ATTEMPTS);
    let patient = aws_sdk_dynamodb::config::Builder::from(&config)
        .timeout_config(TimeoutConfig::disabled())
        .retry_config(patient.with_initial_backoff(START_BACKOFF));
    let dynamo = aws_sdk_dynamodb::Client::from_conf(patient.build());
    create_tables(&dynamo, &tables, &endpoint.url).await?;
    settings.messages_table = Some(tables.messages);
    settings.conversations_table = Some(tables.conversations);
    settings.connections_table = Some(tables.connections);

    let fan_out = Source::create(&config, endpoint, "fanout", queues::FAN_OUT).await?;
    let push = Source::create(&config, endpoint, "push", queues::PUSH).await?;
    settings.fanout_queue_url = Some(fan_out.url().to_owned());
    settings.push_queue_url = Some(push.url().to_owned());
    let webhook = if settings.core.webhook {
        let queue = Source::create(&config, endpoint, "webhook", queues::WEBHOOK).await?;
        settings.webhook_queue_url = Some(queue.url().to_owned());
        Some(queue)
    } else {
        None
    };

    settings.media_bucket = Some(buckets::create(&config, endpoint, &endpoint.origins).await?);

    if endpoint.make_platforms {
        platforms::create(&config, endpoint, &mut settings.platforms).await?;
    }
    let app = with_buckets(app_over(&config, &settings), &config, &settings);
    Ok(OnEndpoint { app, fan_out, push, webhook })
}

/// The configuration of every client of the endpoint.
async fn config(url: &str, env: Env<'_>) -> Result<SdkConfig, SettingsError> {
    // Never asked of files or of the machine's metadata service, which would take seconds.
    let region = get(env, "AWS_REGION").or_else(|| get(env, "AWS_DEFAULT_REGION"));
    let region = region.unwrap_or_else(|| REGION.to_owned());
    let with_these = |name: &str| match name {
        "AWS_REGION" => Some(region.clone()),
        ENDPOINT_URL => Some(url.to_owned()),
        other => env(other),
    };
    let mut config = sdk_config(&with_these).await?.into_builder();
    config.set_endpoint_url(Some(url.to_owned())).set_region(Some(Region::new(region)));
    if !CREDENTIALS.iter().any(|name| get(env, name).is_some()) {
        let test = Credentials::new("test", "test", None, None, "none were set");
        config.set_credentials_provider(Some(SharedCredentialsProvider::new(test)));
    }
    Ok(config.build())
}
