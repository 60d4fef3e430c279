//! `$connect` and `$disconnect`: a socket comes and goes.

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use lambda_http::http::HeaderValue;
use lambda_http::http::header::SEC_WEBSOCKET_PROTOCOL;
use petrel_core::wire::ServerFrame;
use petrel_core::{App, Result};
use tracing::Instrument;

use crate::event;

/// The subprotocol that a client asks for, and the server answers with.
pub const SUBPROTOCOL: &str = "petrel.v1";

/// Registers the socket, or removes it. A `$connect` that is refused has the status of the error and the socket never
/// opens; `$disconnect` cannot be refused, and a row that could not be removed goes at the first post.
pub async fn handle(app: &App, event: ApiGatewayWebsocketProxyRequest) -> ApiGatewayProxyResponse {
    let span = event::span(&event);
    answer(app, event).instrument(span).await
}

async fn answer(app: &App, event: ApiGatewayWebsocketProxyRequest) -> ApiGatewayProxyResponse {
    let leaves = event.request_context.event_type.as_deref() == Some("DISCONNECT");
    let done = if leaves { disconnect(app, &event).await } else { connect(app, &event).await };
    let mut response = match done {
        Ok(()) => event::response(200, None),
        Err(error) => {
            app.refused(&error);
            let frame = ServerFrame::error(&error, None, None);
            event::response(error.kind.http_status(), Some(frame.to_json()))
        }
    };
    // A browser closes a socket whose subprotocol was not picked.
    let mut offered = event::subprotocols(&event.headers, &event.multi_value_headers);
    if !leaves && offered.any(|p| p == SUBPROTOCOL) {
        response.headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    response
}

async fn connect(app: &App, event: &ApiGatewayWebsocketProxyRequest) -> Result<()> {
    app.connect(&event::socket(event)?).await
}

async fn disconnect(app: &App, event: &ApiGatewayWebsocketProxyRequest) -> Result<()> {
    let socket = event::socket(event)?;
    app.disconnect(&socket.user, &socket.device, &socket.id).await
}
