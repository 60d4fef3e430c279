//! What the binaries run: the product from the environment, built once, and a handler under the Lambda runtime.

use std::sync::Arc;

use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerRequestTypeRequest, ApiGatewayWebsocketProxyRequest,
};
use aws_lambda_events::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn, tracing};
use petrel_aws as clients;
use petrel_aws::settings::{Origins, process_env};
use petrel_core::App;

use crate::authorizer::Authorizer;
use crate::{api, connect, queue, route};

async fn start() -> Result<App, Error> {
    tracing::init_default_subscriber();
    Ok(clients::app(&process_env).await?)
}

/// Runs `$connect` and `$disconnect`.
///
/// # Errors
/// If the environment makes no sense or the runtime fails.
pub async fn connect() -> Result<(), Error> {
    let app = start().await?;
    let handler = |event: LambdaEvent<ApiGatewayWebsocketProxyRequest>| {
        let app = &app;
        async move { Ok::<_, Error>(connect::handle(app, event.payload).await) }
    };
    lambda_runtime::run(service_fn(handler)).await
}

/// Runs the routes of frames.
///
/// # Errors
/// As [`connect()`].
pub async fn route() -> Result<(), Error> {
    let app = start().await?;
    let handler = |event: LambdaEvent<ApiGatewayWebsocketProxyRequest>| {
        let app = &app;
        async move { Ok::<_, Error>(route::handle(app, event.payload).await) }
    };
    lambda_runtime::run(service_fn(handler)).await
}

/// Runs the jobs of a queue.
///
/// # Errors
/// As [`connect()`].
pub async fn queue() -> Result<(), Error> {
    let app = start().await?;
    let handler = |event: LambdaEvent<SqsEvent>| {
        let app = &app;
        async move { Ok::<_, Error>(queue::handle(app, event.payload).await) }
    };
    lambda_runtime::run(service_fn(handler)).await
}

/// Runs the HTTP API.
///
/// # Errors
/// As [`connect()`].
pub async fn api() -> Result<(), Error> {
    lambda_http::run(api::router(start().await?)).await
}

/// Runs the authorizer. It needs no AWS.
///
/// # Errors
/// As [`connect()`].
pub async fn authorizer() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let authorizer = Arc::new(Authorizer {
        verifier: clients::verifier(&process_env)?,
        origins: Origins::read(&process_env),
    });
    authorizer.verifier.warm(clients::WARM_LIMIT).await;
    let handler = |event: LambdaEvent<ApiGatewayCustomAuthorizerRequestTypeRequest>| {
        let authorizer = authorizer.clone();
        async move {
            let decided = crate::authorizer::handle(&authorizer, event.payload).await;
            decided.map_err(crate::authorizer::failure)
        }
    };
    lambda_runtime::run(service_fn(handler)).await
}
