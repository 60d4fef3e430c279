//! Opens the connections that a function is about to use, before its first event comes: while it starts, Lambda lends it
//! a whole processor and nobody waits for an answer yet. Bounded in time, and nothing depends on it.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_sqs::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_sqs::error::{DisplayErrorContext, SdkError};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use http::Uri;

use crate::settings::Settings;

/// All of it ends after this time, whatever answers and whatever does not.
pub const WARM_LIMIT: Duration = Duration::from_secs(1);

/// Opens what the ports over these settings are going to need: DynamoDB (twice, where log and conversations are read side
/// by side), @connections and SQS. Not SNS: who is pushed to has waited for seconds anyway. What cannot be opened is
/// logged and left to the first call that needs it.
pub async fn warm(config: &SdkConfig, settings: &Settings) {
    let mut calls = vec![];
    let tables = [&settings.messages_table, &settings.conversations_table];
    let tables = tables.into_iter().flatten().count();
    if tables > 0 || settings.connections_table.is_some() {
        calls.extend((0..tables.max(1)).map(|_| dynamo(config)));
    }
    if let Some(endpoint) = &settings.websocket_endpoint {
        calls.push(gateway(config, endpoint));
    }
    let queues =
        [&settings.fanout_queue_url, &settings.push_queue_url, &settings.webhook_queue_url];
    if queues.into_iter().any(Option::is_some) {
        calls.push(sqs(config));
    }
    if tokio::time::timeout(WARM_LIMIT, join_all(calls)).await.is_err() {
        tracing::warn!("a connection took too long to open at the start");
    }
}

// Each is an operation that its function makes anyway, so no code is linked for this alone. None of its fields leave.

fn dynamo(config: &SdkConfig) -> BoxFuture<'static, ()> {
    let config = aws_sdk_dynamodb::config::Builder::from(config)
        .retry_config(RetryConfig::disabled())
        .interceptor(Bare)
        .build();
    let client = aws_sdk_dynamodb::Client::from_conf(config);
    let call = client.query().table_name("none");
    opened("dynamodb", call.send()).boxed()
}

fn gateway(config: &SdkConfig, endpoint: &str) -> BoxFuture<'static, ()> {
    let config = aws_sdk_apigatewaymanagement::config::Builder::from(config)
        .endpoint_url(endpoint)
        .retry_config(RetryConfig::disabled())
        .interceptor(Bare)
        .build();
    let client = aws_sdk_apigatewaymanagement::Client::from_conf(config);
    let call = client.post_to_connection().connection_id("none").data(vec![].into());
    opened("@connections", call.send()).boxed()
}

fn sqs(config: &SdkConfig) -> BoxFuture<'static, ()> {
    let config = aws_sdk_sqs::config::Builder::from(config)
        .retry_config(RetryConfig::disabled())
        .interceptor(Bare)
        .build();
    let client = aws_sdk_sqs::Client::from_conf(config);
    let call = client.send_message_batch().queue_url("none");
    opened("sqs", call.send()).boxed()
}

/// Waits for an answer, whatever it says: no service answers a request that asks for nothing as its operation would.
async fn opened<T, E, R>(service: &str, call: impl Future<Output = Result<T, SdkError<E, R>>>)
where
    E: std::error::Error + 'static,
    R: Debug,
{
    if let Err(error @ (SdkError::DispatchFailure(_) | SdkError::TimeoutError(_))) = call.await {
        let error = DisplayErrorContext(&error);
        tracing::warn!(service, %error, "a connection could not be opened at the start");
    }
}

/// Sends `GET /` in place of what was to be sent, to the same host: the client has found endpoint and credentials by
/// then, and the answer leaves the connection in the pool. Without a signature it asks for no permission, and does
/// nothing.
#[derive(Debug)]
struct Bare;

#[dyn_dispatch_hint]
impl Intercept for Bare {
    fn name(&self) -> &'static str {
        "Bare"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut root = context.request().uri().parse::<Uri>()?.into_parts();
        root.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        *context.request_mut() = HttpRequest::get(Uri::from_parts(root)?.to_string())?;
        Ok(())
    }
}
