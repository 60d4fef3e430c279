//! The port's HTTP side: the page, the handshake of a socket, and the HTTP API behind the JWT authorizer that API
//! Gateway has on AWS.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures::StreamExt;
use petrel_aws::token::Verified;
use petrel_core::ids::UserId;
use petrel_core::wire::ServerFrame;
use petrel_core::{Error, ErrorKind};
use petrel_functions::api;
use serde::Deserialize;
use serde_json::{Map, json};
use tower::ServiceExt;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::buckets;
use crate::events;
use crate::key;
use crate::media;
use crate::serve::Server;
use crate::socket::{self, INTEGRATION_TIMEOUT};

/// Largest body that is kept. API Gateway passes on more; no handler takes that much.
const MAX_BODY: usize = 256 * 1024;
/// Largest body that is read, as API Gateway reads it.
pub const MAX_READ: usize = 10 * 1024 * 1024;
/// How long a token of the page is valid.
const LOGIN: std::time::Duration = std::time::Duration::from_secs(86_400);

/// Everything on the port.
pub fn router(server: Arc<Server>) -> Router {
    let handlers = api::router(server.app.clone());
    let cors = cors(&server.options.origins);
    let api = any(move |State(server): State<Arc<Server>>, request: Request| {
        let handlers = handlers.clone();
        async move { call_api(&server, handlers, request).await }
    });
    Router::new()
        .route("/api/{*path}", api.layer(cors))
        .route("/ws", get(open_socket))
        .route("/local/token", post(token))
        .route("/local/state", get(state))
        .route("/local/events", post(event))
        .merge(buckets::router(&server))
        .merge(page())
        .merge(documents())
        .layer(map_response(harden))
        .with_state(server)
}

/// What a browser must not do with an answer, unless the answer says otherwise: guess its type, keep it, show it in a
/// frame, hand it to a page of another site, or tell anyone where it came from.
async fn harden(mut response: Response) -> Response {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        for (name, value) in [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ] {
            response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
        }
    }
    response
}

/// An error as a response.
pub fn refuse(error: &Error) -> Response {
    let status = StatusCode::from_u16(error.kind.http_status()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = (status, axum::Json(ServerFrame::error(error, None, None))).into_response();
    if let Some(ms) = error.retry_after_ms {
        response.headers_mut().insert(header::RETRY_AFTER, ms.div_ceil(1000).into());
    }
    response
}

/// As the CorsConfiguration of the HTTP API has it: for the origins that were named, and no other.
fn cors(origins: &[String]) -> CorsLayer {
    CorsLayer::new()
        .allow_origin(allowed(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .expose_headers([header::RETRY_AFTER])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
}

/// The pages that were named.
pub fn allowed(origins: &[String]) -> AllowOrigin {
    if origins.iter().any(|o| o == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|o| HeaderValue::from_str(o).ok()))
    }
}

async fn open_socket(State(server): State<Arc<Server>>, request: Request) -> Response {
    let (mut head, _) = request.into_parts();
    match WebSocketUpgrade::from_request_parts(&mut head, &()).await {
        Ok(upgrade) => socket::accept(server, &head, upgrade).await,
        Err(rejection) => rejection.into_response(),
    }
}

/// The JWT authorizer, then the function.
async fn call_api(server: &Server, handlers: Router, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let claims = if head.uri.path() == "/api/health" {
        None
    } else {
        let header = only(&head.headers, &header::AUTHORIZATION);
        let token = header.and_then(|h| h.strip_prefix("Bearer ")).unwrap_or_default();
        match server.authorizer.verifier.read(token).await {
            Ok(Verified { user, scope }) => Some(
                json!({ "sub": user, "iss": key::ISSUER, "aud": key::AUDIENCE, "scope": scope }),
            ),
            Err(error) => {
                let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
                return (challenge, refuse(&error)).into_response();
            }
        }
    };
    let Some(body) = read(body).await else {
        return refuse(&Error::new(ErrorKind::TooLarge, "the body is too large"));
    };
    let event = events::request(&head, &body, claims);
    let Ok(request) = lambda_http::request::from_str(&event.to_string()) else {
        return refuse(&Error::bad_request("not a request that the gateway can pass on"));
    };
    let admitted = match server.admission.admit() {
        Ok(admitted) => admitted,
        Err(busy) => return refuse(&busy),
    };
    let handled = async move {
        let response = tokio::time::timeout(INTEGRATION_TIMEOUT, handlers.oneshot(request)).await;
        drop(admitted);
        response
    };
    // As on AWS, a client that hangs up does not stop the function half-way, and no function goes on for ever: what a user
    // sent is stored soon, or not at all.
    match server.running.spawn(handled).await {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(elapsed)) => refuse(&Error::port(elapsed)),
        Err(error) => refuse(&Error::port(error)),
    }
}

/// The body, unless it is too large. Such a one is read nevertheless: a client that still writes does not read why it is
/// refused.
async fn read(body: Body) -> Option<Vec<u8>> {
    let mut chunks = body.into_data_stream();
    let (mut kept, mut size) = (vec![], 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.ok()?;
        size += chunk.len();
        if size > MAX_READ {
            return None;
        }
        if size <= MAX_BODY {
            kept.extend_from_slice(&chunk);
        }
    }
    (size <= MAX_BODY).then_some(kept)
}

/// The value of a header that may stand there once.
pub fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether a request comes from this machine: to a loopback interface by its name, as a page of another name that
/// resolves here does not; from no other page; and through no proxy, as far as one can tell. Version 1.0 is spoken by
/// nobody but proxies (nginx, as it comes).
fn is_local(server: &Server, head: &Parts) -> bool {
    let forwarded = |name: &HeaderName| {
        *name == header::FORWARDED
            || *name == header::VIA
            || name.as_str() == "x-real-ip"
            || name.as_str().starts_with("x-forwarded")
    };
    let origin = head.headers.contains_key(header::ORIGIN);
    if !server.open_login
        || head.version != Version::HTTP_11
        || head.uri.authority().is_some()
        || head.headers.keys().any(forwarded)
        || (origin && !socket::is_own(&head.headers))
    {
        return false;
    }
    let host = only(&head.headers, &header::HOST).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    ["localhost", "127.0.0.1", "[::1]"].contains(&name)
}

#[derive(Deserialize)]
struct Login {
    user: String,
}

/// A token for whoever asks, on the loopback interface only. JSON, so that no other page's form can ask for it.
async fn token(
    State(server): State<Arc<Server>>,
    head: Parts,
    body: Result<axum::Json<Login>, axum::extract::rejection::JsonRejection>,
) -> Response {
    if !is_local(&server, &head) {
        let refusal = "this server gives out no tokens; ask its owner for `petrel token USER`";
        return refuse(&Error::new(ErrorKind::Forbidden, refusal));
    }
    let user = match body {
        Ok(axum::Json(login)) => UserId::parse(&login.user),
        Err(rejection) => Err(Error::unreadable(rejection.body_text())),
    };
    match user {
        Ok(user) => match key::sign(&server.key, &user, events::now_ms(), LOGIN, None) {
            Ok(token) => axum::Json(json!({ "token": token })).into_response(),
            Err(error) => refuse(&Error::port(error)),
        },
        Err(error) => refuse(&error),
    }
}

/// What goes on inside, for the curious and for tests. On the loopback interface only.
async fn state(State(server): State<Arc<Server>>, head: Parts) -> Response {
    if !is_local(&server, &head) {
        return refuse(&Error::new(ErrorKind::Forbidden, "on the loopback interface only"));
    }
    let mut queues = Map::new();
    for (name, queue) in &server.queues {
        match queue.depth().await {
            Ok(depth) => {
                let depth = json!({ "messages": depth.messages, "dead": depth.dead });
                queues.insert((*name).to_owned(), depth);
            }
            Err(error) => return refuse(&error),
        }
    }
    axum::Json(json!({
        "connections": server.connections.len(),
        "waiting_bytes": server.sockets.waiting(),
        "invocations": {
            "under_way": server.admission.under_way(),
            "refused": server.admission.refused(),
        },
        "queues": queues,
        "pushes": server.pushes.records(),
        "phones": server.pushes.endpoints(),
        "reports": server.reports.records(),
    }))
    .into_response()
}

/// What EventBridge hands on, on AWS: a scanner's verdict of an upload. On the loopback interface only.
async fn event(
    State(server): State<Arc<Server>>,
    head: Parts,
    body: Result<axum::Json<serde_json::Value>, axum::extract::rejection::JsonRejection>,
) -> Response {
    if !is_local(&server, &head) {
        return refuse(&Error::new(ErrorKind::Forbidden, "on the loopback interface only"));
    }
    let handled = match body {
        Ok(axum::Json(event)) => media::handle(&server.app, event).await,
        Err(rejection) => Err(Error::unreadable(rejection.body_text())),
    };
    match handled {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refuse(&error),
    }
}

/// The chat page's files.
fn page() -> Router<Arc<Server>> {
    let file = |kind: &'static str, text: &'static str| {
        get(move || async move {
            let policy = "default-src 'self'; base-uri 'none'; form-action 'none'; \
                          frame-ancestors 'none'; object-src 'none'";
            let headers: [(HeaderName, &str); 3] = [
                (header::CONTENT_TYPE, kind),
                (header::CONTENT_SECURITY_POLICY, policy),
                (header::CACHE_CONTROL, "no-cache"),
            ];
            (headers, Body::from(text)).into_response()
        })
    };
    let script = "text/javascript; charset=utf-8";
    Router::new()
        .route("/", file("text/html; charset=utf-8", include_str!("../page/index.html")))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .route("/style.css", file("text/css; charset=utf-8", include_str!("../page/style.css")))
        .route("/app.js", file(script, include_str!("../page/app.js")))
        .route("/conversation.js", file(script, include_str!("../page/conversation.js")))
        .route("/dom.js", file(script, include_str!("../page/dom.js")))
        .route("/petrel.js", file(script, include_str!("../page/petrel.js")))
        .route("/session.js", file(script, include_str!("../page/session.js")))
        .route("/view.js", file(script, include_str!("../page/view.js")))
        .route("/wire.js", file(script, include_str!("../page/wire.js")))
}

/// The documents about the API, for machines.
fn documents() -> Router<Arc<Server>> {
    let document = |text: &'static str| {
        get(move || async move { ([(header::CONTENT_TYPE, "application/json")], text) })
    };
    Router::new()
        .route("/openapi.json", document(include_str!("../../../docs/openapi.json")))
        .route("/asyncapi.json", document(include_str!("../../../docs/asyncapi.json")))
}
