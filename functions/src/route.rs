//! `send`, `ack`, `sync`, `history`, `typing`, `presence` and `$default`: one frame in, at most one frame as the route's response.

use aws_lambda_events::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use petrel_core::wire::ServerFrame;
use petrel_core::{App, Caller};
use tracing::Instrument;

use crate::event;

/// Handles one frame. Never fails: a refusal is a frame too.
pub async fn handle(app: &App, event: ApiGatewayWebsocketProxyRequest) -> ApiGatewayProxyResponse {
    let span = event::span(&event);
    answer(app, event).instrument(span).await
}

async fn answer(app: &App, event: ApiGatewayWebsocketProxyRequest) -> ApiGatewayProxyResponse {
    let frame = match event::socket(&event) {
        Ok(socket) => {
            let json = event.body.as_deref().unwrap_or_default();
            app.respond(&Caller::over(socket), json).await.map(|answer| answer.to_json())
        }
        Err(error) => {
            app.refused(&error);
            Some(ServerFrame::error(&error, None, None).to_json())
        }
    };
    event::response(200, frame)
}
