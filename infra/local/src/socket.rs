//! One WebSocket, treated as API Gateway treats it: the authorizer, then `$connect`, then a route for each frame, then
//! `$disconnect`.

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::apigw::ApiGatewayProxyResponse;
use aws_lambda_events::encodings::Body;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use futures::SinkExt;
use petrel_core::dispatch;
use petrel_functions::{authorizer, connect, route};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::events::{SocketContext, now_ms};
use crate::http::only;
use crate::serve::Server;
use crate::sockets::Outbox;

/// Largest frame in; a larger one closes the socket with 1009.
const MAX_FRAME: usize = 32 * 1024;
/// Largest message in, over several frames.
const MAX_MESSAGE: usize = 128 * 1024;
/// What a socket reads at once. Each holds a buffer of this size as long as it is open, and fills it with zeros before
/// each read: the library's own 128 KiB are most of what an idle socket takes. Larger frames are read in pieces.
const READ_BUFFER: usize = 4 * 1024;
/// Frames of one socket that are handled at the same time. AWS has no such limit but that of the account.
const MAX_AT_ONCE: u32 = 16;
/// Most time for a route, as on AWS.
pub const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(29);
/// The routes that have a name; every other frame goes to `$default`.
const ROUTES: [&str; 6] = ["send", "ack", "sync", "history", "typing", "presence"];

/// Why a socket ends.
struct End {
    code: u16,
    reason: &'static str,
}

const fn end(code: u16, reason: &'static str) -> End {
    End { code, reason }
}

/// Asks the authorizer and `$connect`, and opens the socket if both agree.
pub async fn accept(
    server: Arc<Server>,
    request: &request::Parts,
    upgrade: WebSocketUpgrade,
) -> Response {
    let mut context = SocketContext {
        connection_id: Uuid::now_v7().simple().to_string(),
        connected_at: now_ms(),
        authorizer: Value::Null,
    };
    let mut request = request.clone();
    if is_own(&request.headers) {
        // The server's own page, by whatever name it was reached.
        request.headers.remove(header::ORIGIN);
    }
    let _admitted = match server.admission.admit() {
        Ok(admitted) => admitted,
        Err(busy) => return crate::http::refuse(&busy),
    };
    let Some(event) = readable(context.authorize(&request)) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let allowed = match authorizer::handle(&server.authorizer, event).await {
        Ok(allowed) => allowed,
        Err(error) => {
            tracing::debug!(error = error.with_causes(), "refused a socket");
            return crate::http::refuse(&error);
        }
    };
    let statements = serde_json::to_value(&allowed.policy_document).unwrap_or_default();
    if statements["Statement"][0]["Effect"] != "Allow" {
        return (StatusCode::FORBIDDEN, "the origin is not allowed").into_response();
    }
    context.authorizer = allowed.context;
    let Some(event) = readable(context.connect(&request)) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let connected = connect::handle(&server.app, event).await;
    if connected.status_code != 200 {
        let status = u16::try_from(connected.status_code).ok();
        let status = status.and_then(|s| StatusCode::from_u16(s).ok());
        let body = text(connected).unwrap_or_default();
        let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        return (status.unwrap_or(StatusCode::BAD_GATEWAY), json, body).into_response();
    }
    let picked = connected.headers.get(header::SEC_WEBSOCKET_PROTOCOL).cloned();
    let upgrade = upgrade
        .max_frame_size(MAX_FRAME)
        .max_message_size(MAX_MESSAGE)
        .read_buffer_size(READ_BUFFER);
    let upgrade = match picked.as_ref().and_then(|p| p.to_str().ok()) {
        Some(protocol) => upgrade.protocols([protocol.to_owned()]),
        None => upgrade,
    };
    let failed = (server.clone(), context.clone());
    upgrade
        .on_failed_upgrade(move |_| {
            let (server, context) = failed;
            tokio::spawn(async move { gone(&server, &context, &end(1006, "no upgrade")).await });
        })
        .on_upgrade(move |socket| run(server, context, socket))
}

/// Whether the page that opens the socket came from where the socket goes.
pub fn is_own(headers: &HeaderMap) -> bool {
    let origin = only(headers, &header::ORIGIN).and_then(|o| o.split_once("://"));
    origin.is_some_and(|(_, authority)| only(headers, &header::HOST) == Some(authority))
}

/// The event as its handler takes it. That it cannot be read is a mistake here, not the client's.
fn readable<T: DeserializeOwned>(json: Value) -> Option<T> {
    serde_json::from_value(json)
        .inspect_err(|error| tracing::error!(%error, "an event that no handler can read"))
        .ok()
}

async fn run(server: Arc<Server>, context: SocketContext, mut socket: WebSocket) {
    let _running = (server.connections.token(), server.running.token());
    let context = Arc::new(context);
    let mut outbox = server.sockets.open(&context.connection_id);
    let at_once = Arc::new(Semaphore::new(MAX_AT_ONCE as usize));
    let ended = converse(&server, &context, &at_once, &mut socket, &mut outbox).await;
    if ended.code == 1001 {
        // The socket is sound: what is under way is answered before it closes.
        let _ = at_once.acquire_many(MAX_AT_ONCE).await;
        let rest = async {
            while let Some(frame) = outbox.try_next() {
                write(&mut socket, &mut outbox, frame).await?;
            }
            Ok::<_, axum::Error>(())
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), rest).await;
    }
    server.sockets.close(&context.connection_id);
    // What he did not read is let go now, not when his farewell is over.
    drop(outbox);
    tracing::debug!(
        connection = context.connection_id,
        code = ended.code,
        reason = ended.reason,
        "closed"
    );
    if ended.code != 1006 {
        let frame = CloseFrame { code: ended.code, reason: ended.reason.into() };
        let goodbye = async {
            // Refused where the client said it first; then reading sends the answer.
            let _ = socket.send(Message::Close(Some(frame))).await;
            // Read to its end: a connection that closes with something unread is reset, and that may overtake the close.
            while socket.recv().await.is_some_and(|m| m.is_ok()) {}
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
    }
    // What is under way finishes: a `sync` that outlived `$disconnect` would register the socket again.
    let _ = at_once.acquire_many(MAX_AT_ONCE).await;
    gone(&server, &context, &ended).await;
}

/// `$disconnect`.
async fn gone(server: &Server, context: &SocketContext, ended: &End) {
    if let Some(event) = readable(context.disconnect(ended.code, ended.reason)) {
        connect::handle(&server.app, event).await;
    }
}

/// Carries frames in and out until one side, a limit or the end of the server ends it.
async fn converse(
    server: &Arc<Server>,
    context: &Arc<SocketContext>,
    at_once: &Arc<Semaphore>,
    socket: &mut WebSocket,
    outbox: &mut Outbox,
) -> End {
    let dies = Instant::now() + server.options.lifetime;
    let mut idle = Instant::now() + server.options.idle_timeout;
    let (cut, closed) = (outbox.cut.clone(), outbox.closed.clone());
    loop {
        // As long as its answers are that far behind, nothing more is read from the client.
        let may_read = at_once.available_permits() > 0;
        tokio::select! {
            () = cut.cancelled() => return end(1008, "too slow a reader"),
            () = closed.cancelled() => return end(1000, "closed by the server"),
            () = server.stop.cancelled() => return end(1001, "the server stops"),
            () = sleep_until(dies.min(idle)) => return end(1001, "Going away"),
            frame = outbox.next() => {
                let Some(frame) = frame else { return end(1006, "no outbox") };
                tokio::select! {
                    sent = write(socket, outbox, frame) => if sent.is_err() {
                        return end(1006, "cannot write");
                    },
                    () = cut.cancelled() => return end(1006, "too slow a reader"),
                    () = closed.cancelled() => return end(1006, "closed by the server"),
                    () = sleep_until(dies.min(idle)) => return end(1006, "too slow a reader"),
                    () = server.stop.cancelled() => return end(1006, "the server stops"),
                }
            }
            _ = at_once.acquire(), if !may_read => {}
            message = socket.recv(), if may_read => match message {
                Some(Ok(Message::Text(body))) => {
                    let Ok(permit) = at_once.clone().try_acquire_owned() else { continue };
                    // Before the task begins: those that wait for a thread are under way too.
                    match server.admission.admit() {
                        Ok(admitted) => {
                            let (server, context) = (server.clone(), context.clone());
                            tokio::spawn(async move {
                                answer(&server, &context, &body).await;
                                drop((admitted, permit));
                            });
                        }
                        Err(busy) => {
                            let refusal = dispatch::refuse(&body, &busy).to_json();
                            server.sockets.put(&context.connection_id, refusal.into());
                        }
                    }
                }
                Some(Ok(Message::Binary(_))) => return end(1003, "text frames only"),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(close))) => {
                    return end(close.map_or(1005, |c| c.code), "closed by the client");
                }
                None => return end(1006, "the connection ended"),
                Some(Err(error)) if is_too_large(&error) => return end(1009, "Message too big"),
                Some(Err(_)) => return end(1006, "broken connection"),
            },
        }
        idle = Instant::now() + server.options.idle_timeout;
    }
}

/// Writes a frame and whatever waits behind it, with one flush.
async fn write(
    socket: &mut WebSocket,
    outbox: &mut Outbox,
    first: Utf8Bytes,
) -> Result<(), axum::Error> {
    socket.feed(Message::Text(first)).await?;
    while let Some(frame) = outbox.try_next() {
        socket.feed(Message::Text(frame)).await?;
    }
    socket.flush().await
}

fn is_too_large(error: &axum::Error) -> bool {
    use std::error::Error as _;
    // The library's own type is not part of axum's interface; its words are stable within a locked version, and the
    // end-to-end tests hold them.
    error.source().is_some_and(|e| e.to_string().contains("too long"))
}

/// Runs the route that a frame names, and sends what it answers.
async fn answer(server: &Server, context: &SocketContext, body: &str) {
    let action = serde_json::from_str::<Value>(body).ok();
    let action = action.as_ref().and_then(|v| v.get("action")).and_then(Value::as_str);
    let named = action.and_then(|a| ROUTES.into_iter().find(|r| *r == a)).unwrap_or("$default");
    let Some(event) = readable(context.message(named, body)) else { return };
    let answered = tokio::time::timeout(INTEGRATION_TIMEOUT, route::handle(&server.app, event));
    let frame = match answered.await {
        Ok(response) => text(response),
        Err(_) => {
            tracing::error!(connection = context.connection_id, route = named, "route timed out");
            let id = &context.connection_id;
            Some(format!(r#"{{"message":"Endpoint request timed out","connectionId":"{id}"}}"#))
        }
    };
    if let Some(frame) = frame {
        server.sockets.put(&context.connection_id, frame.into());
    }
}

/// The body of a response.
fn text(response: ApiGatewayProxyResponse) -> Option<String> {
    match response.body? {
        Body::Text(text) => Some(text),
        _ => None,
    }
}
