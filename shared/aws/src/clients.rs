//! The product on AWS, from the environment: the SDK's clients, built once at the start, and the ports on them.

use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use petrel_core::App;
use petrel_core::metrics::NoMetrics;
use petrel_core::ports::{
    Cold, Connections, Conversations, Gateway, Jobs, Log, Moderation, Notifier, People, Uploads,
    Webhook,
};

use crate::Dynamo;
use crate::archive::S3;
use crate::files::{MediaBucket, s3_client};
use crate::gateway::ApiGateway;
use crate::https::{self, CONNECT_TIMEOUT, ENDPOINT_URL, HttpKeys, patience};
use crate::keys::Tables;
use crate::moderation::Topic;
use crate::pushes::Sns;
use crate::queues::{Queues, Sqs};
use crate::settings::{self, Env, Settings, SettingsError};
use crate::token::{Expected, Verifier};
use crate::unset::Unset;
use crate::warm::warm;
use crate::webhook::{HttpWebhook, Reach};
use crate::world::SystemWorld;

/// For one attempt of a call. DynamoDB and SQS answer within 10 to 100 ms; what takes this long will not come.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2_500);
/// For a call with all its attempts: well below the 29 s that API Gateway waits for a function.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);
/// Attempts of a call.
const ATTEMPTS: u32 = 3;
/// The pause before the second attempt, at most; it doubles, and the SDK takes a random part of it. The SDK's own first
/// pause, up to 1 s, is longer than what a send may take.
const BACKOFF: Duration = Duration::from_millis(50);

/// For one attempt of a post, a job or a push, which many wait for: the core goes on without it.
const POST_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// For a post, a job or a push with all its attempts.
const POST_TIMEOUT: Duration = Duration::from_millis(2_200);
/// Attempts of a post, a job or a push.
const POST_ATTEMPTS: u32 = 2;

/// The product over AWS as these variables say (see [`settings`]; [`function_config`] for what the SDK takes from them). A
/// port whose variables are absent fails when it is used; [`settings::require`] finds that earlier. The connections are open
/// by then, unless that took longer than [`WARM_LIMIT`](crate::WARM_LIMIT). The metrics are forgotten; who publishes them
/// sets others. The buckets are none of it: see [`app_with_buckets`].
///
/// # Errors
/// For a variable that makes no sense.
pub async fn app(env: Env<'_>) -> Result<App, SettingsError> {
    let (config, settings) = begin(env).await?;
    Ok(app_over(&config, &settings))
}

/// The same with the buckets of media and of cold history. What calls it links the client of S3, 2.1 MB in each binary: for
/// those functions that deal with files, or read to the old end of a log.
///
/// # Errors
/// As [`app`].
pub async fn app_with_buckets(env: Env<'_>) -> Result<App, SettingsError> {
    let (config, settings) = begin(env).await?;
    Ok(with_buckets(app_over(&config, &settings), &config, &settings))
}

async fn begin(env: Env<'_>) -> Result<(SdkConfig, Settings), SettingsError> {
    let settings = Settings::read(env)?;
    let config = function_config(env)?;
    warm(&config, &settings).await;
    Ok((config, settings))
}

/// The SDK's configuration in a function, where everything that differs stands in the environment, credentials among it:
/// Lambda ends the environment before they do. What the SDK's own loader would look at besides, files, profiles, STS and
/// the metadata service, costs `send` 0.7 MB, and the start a search for files that are not there.
///
/// # Errors
/// If the HTTPS client cannot be built.
pub fn function_config(env: Env<'_>) -> Result<SdkConfig, SettingsError> {
    let get = |name: &str| settings::get(env, name);
    let is_on = |name: &str| get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(https::client(env).map_err(SettingsError::Https)?)
        .sleep_impl(TokioSleep::new())
        .timeout_config(timeouts(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT, patience(env)))
        .retry_config(retries(ATTEMPTS))
        .region(get("AWS_REGION").map(Region::new))
        .use_fips(is_on("AWS_USE_FIPS_ENDPOINT"))
        .use_dual_stack(is_on("AWS_USE_DUALSTACK_ENDPOINT"))
        .service_config(Endpoints::read(env));
    config.set_endpoint_url(get(ENDPOINT_URL));
    if let (Some(id), Some(secret)) = (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY")) {
        let credentials = Credentials::new(id, secret, get("AWS_SESSION_TOKEN"), None, "Lambda");
        config = config.credentials_provider(SharedCredentialsProvider::new(credentials));
    }
    Ok(config.build())
}

/// The endpoints of single services, by the variable that names them.
#[derive(Debug)]
struct Endpoints(Vec<(String, String)>);

impl Endpoints {
    fn read(env: Env<'_>) -> Self {
        let names =
            ["DYNAMODB", "S3", "SQS", "SNS"].map(|service| format!("AWS_ENDPOINT_URL_{service}"));
        let found = names.into_iter().filter_map(|name| Some((settings::get(env, &name)?, name)));
        Self(found.map(|(url, name)| (name, url)).collect())
    }
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        let name = format!("{}_{service}", key.env());
        self.0.iter().find(|(n, _)| *n == name).map(|(_, url)| url.clone())
    }
}

/// The same for a program on a machine, whose credentials may stand in files or come from elsewhere: the SDK's own loader.
/// One HTTPS client for all (rustls on ring, Amazon's roots; `SSL_CERT_FILE` names others), 1 s to connect, 2.5 s an
/// attempt, 6 s a call, at most 3 attempts; longer on an endpoint of one's own.
///
/// # Errors
/// If the HTTPS client cannot be built.
pub async fn sdk_config(env: Env<'_>) -> Result<SdkConfig, SettingsError> {
    let client = https::client(env).map_err(SettingsError::Https)?;
    let mut config = aws_config::defaults(BehaviorVersion::latest())
        .http_client(client)
        .timeout_config(timeouts(ATTEMPT_TIMEOUT, OPERATION_TIMEOUT, patience(env)))
        .retry_config(retries(ATTEMPTS));
    // Lambda sets it. Elsewhere the SDK looks for it in files and asks the machine's metadata service.
    if let Some(region) = settings::get(env, "AWS_REGION") {
        config = config.region(Region::new(region));
    }
    Ok(config.load().await)
}

/// What a post, a job or a push may take: as many times longer as this configuration waits for another call.
fn post_timeouts(config: &SdkConfig) -> TimeoutConfig {
    let attempt = config.timeout_config().and_then(TimeoutConfig::operation_attempt_timeout);
    let times = attempt.map_or(1, |it| it.as_millis() / ATTEMPT_TIMEOUT.as_millis());
    timeouts(POST_ATTEMPT_TIMEOUT, POST_TIMEOUT, u32::try_from(times).unwrap_or(1))
}

/// These, so many times longer.
fn timeouts(attempt: Duration, operation: Duration, times: u32) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT * times)
        .operation_attempt_timeout(attempt * times)
        .operation_timeout(operation * times)
        .build()
}

fn retries(attempts: u32) -> RetryConfig {
    RetryConfig::standard().with_max_attempts(attempts).with_initial_backoff(BACKOFF)
}

/// The product over a configuration of the SDK, without buckets.
pub fn app_over(config: &SdkConfig, settings: &Settings) -> App {
    let Ports { log, cold, conversations, people, uploads, connections } = tables(config, settings);
    App {
        log,
        cold,
        archive: Arc::new(Unset(settings::ARCHIVE_BUCKET)),
        conversations,
        people,
        connections,
        gateway: gateway(config, settings),
        jobs: jobs(config, settings),
        notifier: notifier(config, settings),
        webhook: webhook(settings),
        moderation: moderation(config, settings),
        uploads,
        files: Arc::new(Unset(settings::MEDIA_BUCKET)),
        world: Arc::new(SystemWorld),
        metrics: Arc::new(NoMetrics),
        usage: Arc::default(),
        settings: settings.core.clone(),
    }
}

/// The ports on the tables.
struct Ports {
    log: Arc<dyn Log>,
    cold: Arc<dyn Cold>,
    conversations: Arc<dyn Conversations>,
    people: Arc<dyn People>,
    uploads: Arc<dyn Uploads>,
    connections: Arc<dyn Connections>,
}

fn tables(config: &SdkConfig, settings: &Settings) -> Ports {
    let name = |table: &Option<String>| table.clone().unwrap_or_default();
    let tables = Tables {
        messages: name(&settings.messages_table),
        conversations: name(&settings.conversations_table),
        connections: name(&settings.connections_table),
    };
    let dynamo = Arc::new(Dynamo::new(aws_sdk_dynamodb::Client::new(config), tables));
    let log: Arc<dyn Log> = match settings.messages_table {
        Some(_) => dynamo.clone(),
        None => Arc::new(Unset(settings::MESSAGES_TABLE)),
    };
    // A change of membership writes the log too, and DynamoDB refuses it where that is not named.
    let conversations: Arc<dyn Conversations> = match settings.conversations_table {
        Some(_) => dynamo.clone(),
        None => Arc::new(Unset(settings::CONVERSATIONS_TABLE)),
    };
    let cold: Arc<dyn Cold> = match settings.conversations_table {
        Some(_) => dynamo.clone(),
        None => Arc::new(Unset(settings::CONVERSATIONS_TABLE)),
    };
    let uploads: Arc<dyn Uploads> = match settings.conversations_table {
        Some(_) => dynamo.clone(),
        None => Arc::new(Unset(settings::CONVERSATIONS_TABLE)),
    };
    let people: Arc<dyn People> = match settings.conversations_table {
        Some(_) => dynamo.clone(),
        None => Arc::new(Unset(settings::CONVERSATIONS_TABLE)),
    };
    let connections: Arc<dyn Connections> = match settings.connections_table {
        Some(_) => dynamo,
        None => Arc::new(Unset(settings::CONNECTIONS_TABLE)),
    };
    Ports { log, cold, conversations, people, uploads, connections }
}

/// The same with those buckets that there are.
pub fn with_buckets(mut app: App, config: &SdkConfig, settings: &Settings) -> App {
    if let Some(bucket) = &settings.media_bucket {
        app.files = Arc::new(MediaBucket::new(s3_client(config), bucket.clone()));
    }
    if let Some(bucket) = &settings.archive_bucket {
        app.archive = Arc::new(S3::new(s3_client(config), bucket.clone()));
    }
    app
}

fn gateway(config: &SdkConfig, settings: &Settings) -> Arc<dyn Gateway> {
    let Some(endpoint) = &settings.websocket_endpoint else {
        return Arc::new(Unset(settings::WEBSOCKET_ENDPOINT));
    };
    let config = aws_sdk_apigatewaymanagement::config::Builder::from(config)
        .endpoint_url(endpoint)
        .timeout_config(post_timeouts(config))
        .retry_config(retries(POST_ATTEMPTS))
        .build();
    Arc::new(ApiGateway::new(aws_sdk_apigatewaymanagement::Client::from_conf(config)))
}

fn jobs(config: &SdkConfig, settings: &Settings) -> Arc<dyn Jobs> {
    let queues = Queues {
        fan_out: settings.fanout_queue_url.clone(),
        push: settings.push_queue_url.clone(),
        webhook: settings.webhook_queue_url.clone(),
    };
    // Short as for posts: when the queue is out, the core delivers by itself, and its time is bounded.
    let config = aws_sdk_sqs::config::Builder::from(config)
        .timeout_config(post_timeouts(config))
        .retry_config(retries(POST_ATTEMPTS))
        .build();
    Arc::new(Sqs::new(aws_sdk_sqs::Client::from_conf(config), queues))
}

fn webhook(settings: &Settings) -> Arc<dyn Webhook> {
    let Some((url, secrets)) = &settings.webhook else {
        return Arc::new(Unset(settings::WEBHOOK_URL));
    };
    match HttpWebhook::new(url, secrets, Reach::Public) {
        Ok(webhook) => Arc::new(webhook),
        Err(error) => {
            // Both were looked at when they were read.
            tracing::error!(%error, "no webhooks");
            Arc::new(Unset(settings::WEBHOOK_URL))
        }
    }
}

fn moderation(config: &SdkConfig, settings: &Settings) -> Arc<dyn Moderation> {
    let Some(arn) = &settings.moderation_topic_arn else {
        return Arc::new(Unset(settings::MODERATION_TOPIC_ARN));
    };
    Arc::new(Topic::new(aws_sdk_sns::Client::new(config), arn.clone()))
}

fn notifier(config: &SdkConfig, settings: &Settings) -> Arc<dyn Notifier> {
    let config = aws_sdk_sns::config::Builder::from(config)
        .timeout_config(post_timeouts(config))
        .retry_config(retries(POST_ATTEMPTS))
        .build();
    Arc::new(Sns::new(aws_sdk_sns::Client::from_conf(config), settings.platforms.clone()))
}

/// Tells whom a token names, as these variables say: the issuer's keys are fetched when the first token comes.
///
/// # Errors
/// If neither [`settings::TOKEN_ISSUER`] nor [`settings::JWKS_URL`] is set, or one makes no sense.
pub fn verifier(env: Env<'_>) -> Result<Verifier, SettingsError> {
    let issuer = settings::checked(env, settings::TOKEN_ISSUER)?;
    let keys = match (settings::checked(env, settings::JWKS_URL)?, &issuer) {
        (Some(url), _) => HttpKeys::new(&url, env)?,
        (None, Some(issuer)) => {
            let url = format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/'));
            // The variable that was set is the one to name.
            HttpKeys::new(&url, env).map_err(|error| match error {
                SettingsError::Invalid { .. } => {
                    SettingsError::invalid(settings::TOKEN_ISSUER, issuer)
                }
                other => other,
            })?
        }
        (None, None) => return Err(SettingsError::Missing(settings::TOKEN_ISSUER)),
    };
    settings::checked(env, settings::TOKEN_AUDIENCE)?;
    let audiences = settings::list(env, settings::TOKEN_AUDIENCE);
    Ok(Verifier::issuer(keys, Expected { issuer, audiences }))
}
