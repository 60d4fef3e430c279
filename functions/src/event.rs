//! What every event of the WebSocket API carries: who is at the other end. The authorizer put it there.

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use aws_lambda_events::encodings::Body;
use lambda_http::http::header::SEC_WEBSOCKET_PROTOCOL;
use lambda_http::http::{HeaderMap, HeaderName};
use petrel_core::ids::{ConnectionId, DeviceId, UserId};
use petrel_core::ports::Connection;
use petrel_core::{Error, Result};
use serde_json::Value;
use tracing::Span;
use tracing::field::Empty;

/// The authorizer's context: the user's id.
pub(crate) const USER: &str = "user";
/// The authorizer's context: the device's id, as the client gave it.
pub(crate) const DEVICE: &str = "device";

/// What the log says of an event's work. The core fills in the entry that it is about.
pub(crate) fn span(event: &ApiGatewayWebsocketProxyRequest) -> Span {
    let connection = event.request_context.connection_id.as_deref();
    tracing::error_span!("event", connection, conversation = Empty, seq = Empty)
}

/// The socket that an event came over.
///
/// # Errors
/// `bad_request` for a device id that breaks the rules; it comes from the client.
pub(crate) fn socket(event: &ApiGatewayWebsocketProxyRequest) -> Result<Connection> {
    let context = &event.request_context;
    let given = |name: &str| {
        let field = context.authorizer.fields.get(name).and_then(Value::as_str);
        field.ok_or_else(|| Error::port(format!("the event has no authorizer.{name}")))
    };
    let id = context.connection_id.as_deref().unwrap_or_default();
    Ok(Connection {
        user: UserId::parse(given(USER)?)?,
        device: DeviceId::parse(given(DEVICE)?)?,
        id: ConnectionId::parse(id)?,
        connected_at: u64::try_from(context.connected_at).map_err(Error::port)?,
    })
}

/// The subprotocols that a handshake offers. They may stand in several lines.
pub(crate) fn subprotocols<'a>(
    headers: &'a HeaderMap,
    multi_value_headers: &'a HeaderMap,
) -> impl Iterator<Item = &'a str> {
    let lines = lines(headers, multi_value_headers, SEC_WEBSOCKET_PROTOCOL);
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// The lines of a header of a handshake: `multiValueHeaders` has all, `headers` the last.
pub(crate) fn lines<'a>(
    headers: &'a HeaderMap,
    multi_value_headers: &'a HeaderMap,
    name: HeaderName,
) -> impl Iterator<Item = &'a str> {
    let several = multi_value_headers.contains_key(&name);
    let headers = if several { multi_value_headers } else { headers };
    headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok())
}

/// What API Gateway expects of a route.
pub(crate) fn response(status: u16, body: Option<String>) -> ApiGatewayProxyResponse {
    let mut response = ApiGatewayProxyResponse::default();
    response.status_code = i64::from(status);
    response.body = body.map(Body::Text);
    response
}
