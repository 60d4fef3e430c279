//! What the binaries run: the product from the environment, built once, and a handler under the Lambda runtime.

use std::sync::Arc;

use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerRequestTypeRequest, ApiGatewayWebsocketProxyRequest,
};
use aws_lambda_events::sqs::SqsEvent;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use lambda_http::RequestExt;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use petrel_aws as clients;
use petrel_aws::settings::{Origins, SettingsError, process_env, require};
use petrel_core::App;

use crate::archive::{self, StreamEvent};
use crate::authorizer::Authorizer;
use crate::needs::{self, Needs};
use crate::telemetry::{self, Telemetry};
use crate::{api, connect, init, media, queue, route};

async fn start(needs: Needs) -> (App, Telemetry) {
    begin(needs, clients::app(&process_env)).await
}

/// As [`start`], for what deals with files or with cold history: whatever calls it links the client of S3.
async fn start_with_buckets(needs: Needs) -> (App, Telemetry) {
    begin(needs, clients::app_with_buckets(&process_env)).await
}

async fn begin(
    needs: Needs,
    app: impl Future<Output = Result<App, SettingsError>>,
) -> (App, Telemetry) {
    telemetry::start_log();
    let built = async {
        require(&process_env, needs)?;
        let telemetry = Telemetry::read(&process_env)?;
        let app = app.await?;
        Ok((App { metrics: telemetry.metrics(), ..app }, telemetry))
    };
    init::succeed(built.await).await
}

/// Runs `$connect` and `$disconnect`.
///
/// # Errors
/// If the runtime fails. An environment that makes no sense ends the process before.
pub async fn connect() -> Result<(), Error> {
    let (app, telemetry) = &start(needs::CONNECT).await;
    let handler = |event: LambdaEvent<ApiGatewayWebsocketProxyRequest>| async move {
        let socket = event.payload.request_context.connection_id.clone();
        let work = connect::handle(app, event.payload);
        Ok::<_, Error>(telemetry.invocation(&event.context, socket.as_deref(), work).await)
    };
    lambda_runtime::run(service_fn(handler)).await
}

/// Runs the routes of frames that read no log. The functions differ in what they need.
///
/// # Errors
/// As [`connect()`].
pub async fn route(needs: Needs) -> Result<(), Error> {
    frames(start(needs).await).await
}

/// Runs the routes of frames that may read a log to its old end.
///
/// # Errors
/// As [`connect()`].
pub async fn route_to_logs(needs: Needs) -> Result<(), Error> {
    frames(start_with_buckets(needs).await).await
}

async fn frames((app, telemetry): (App, Telemetry)) -> Result<(), Error> {
    let (app, telemetry) = (&app, &telemetry);
    let handler = |event: LambdaEvent<ApiGatewayWebsocketProxyRequest>| async move {
        let socket = event.payload.request_context.connection_id.clone();
        let work = route::handle(app, event.payload);
        Ok::<_, Error>(telemetry.invocation(&event.context, socket.as_deref(), work).await)
    };
    lambda_runtime::run(service_fn(handler)).await
}

/// Runs the jobs of a queue that come to no old history. The functions differ in what they need.
///
/// # Errors
/// As [`connect()`].
pub async fn queue(needs: Needs) -> Result<(), Error> {
    jobs(start(needs).await).await
}

/// Runs the push queue, whose badges count messages to a log's old end.
///
/// # Errors
/// As [`connect()`].
pub async fn pushes() -> Result<(), Error> {
    jobs(start_with_buckets(needs::PUSH).await).await
}

async fn jobs((app, telemetry): (App, Telemetry)) -> Result<(), Error> {
    let (app, telemetry) = (&app, &telemetry);
    let handler = |event: LambdaEvent<SqsEvent>| async move {
        let work = queue::handle(app, event.payload);
        Ok::<_, Error>(telemetry.invocation(&event.context, None, work).await)
    };
    lambda_runtime::run(service_fn(handler)).await
}

/// Runs the archiver for each timer that has vanished.
///
/// # Errors
/// As [`connect()`].
pub async fn archive() -> Result<(), Error> {
    let (app, telemetry) = &start_with_buckets(needs::ARCHIVE).await;
    let handler = |event: LambdaEvent<StreamEvent>| async move {
        let work = archive::handle(app, event.payload);
        Ok::<_, Error>(telemetry.invocation(&event.context, None, work).await)
    };
    lambda_runtime::run(service_fn(handler)).await
}

/// Runs what happens in the media bucket, and to uploads that run out.
///
/// # Errors
/// As [`connect()`].
pub async fn media() -> Result<(), Error> {
    let (app, telemetry) = &start_with_buckets(needs::MEDIA).await;
    let handler = |event: LambdaEvent<media::Event>| async move {
        let work = async {
            let done = media::handle(app, event.payload).await;
            done.inspect_err(|error| app.failed(error)).map_err(Error::from)
        };
        telemetry.invocation(&event.context, None, work).await
    };
    lambda_runtime::run(service_fn(handler)).await
}

/// Runs the HTTP API.
///
/// # Errors
/// As [`connect()`].
pub async fn api() -> Result<(), Error> {
    let (app, telemetry) = start_with_buckets(needs::API).await;
    lambda_http::run(api::router(app).layer(from_fn_with_state(telemetry, request))).await
}

async fn request(State(telemetry): State<Telemetry>, request: Request, next: Next) -> Response {
    let context = request.lambda_context_ref().cloned().unwrap_or_default();
    telemetry.invocation(&context, None, next.run(request)).await
}

/// Runs the authorizer. It needs no AWS.
///
/// # Errors
/// As [`connect()`].
pub async fn authorizer() -> Result<(), Error> {
    telemetry::start_log();
    let built = || {
        require(&process_env, needs::AUTHORIZER)?;
        let verifier = clients::verifier(&process_env)?;
        let authorizer = Authorizer { verifier, origins: Origins::read(&process_env)? };
        Ok::<_, SettingsError>((Arc::new(authorizer), Telemetry::read(&process_env)?))
    };
    let (authorizer, telemetry) = &init::succeed(built()).await;
    authorizer.verifier.warm(clients::WARM_LIMIT).await;
    let handler = |event: LambdaEvent<ApiGatewayCustomAuthorizerRequestTypeRequest>| async move {
        let work = async {
            let decided = crate::authorizer::handle(authorizer, event.payload).await;
            crate::authorizer::note(&*telemetry.metrics(), &decided);
            decided.map_err(crate::authorizer::failure)
        };
        telemetry.invocation(&event.context, None, work).await
    };
    lambda_runtime::run(service_fn(handler)).await
}
