//! The way back to the devices: posts through @connections.

use async_trait::async_trait;
use aws_sdk_apigatewaymanagement::Client;
use aws_sdk_apigatewaymanagement::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_apigatewaymanagement::operation::post_to_connection::PostToConnectionError;
use aws_sdk_apigatewaymanagement::primitives::Blob;
use petrel_core::ids::ConnectionId;
use petrel_core::ports::{Gateway, Posted};

/// @connections of one WebSocket API.
#[derive(Clone, Debug)]
pub struct ApiGateway(Client);

impl ApiGateway {
    /// The port over a client whose endpoint is the API's stage.
    pub fn new(client: Client) -> Self {
        Self(client)
    }
}

#[async_trait]
impl Gateway for ApiGateway {
    async fn post(&self, to: &ConnectionId, frame: &str) -> Posted {
        let post = self.0.post_to_connection().connection_id(to.as_str());
        match post.data(Blob::new(frame)).send().await {
            Ok(_) => Posted::Accepted,
            Err(error) if is_gone(&error) => Posted::Gone,
            Err(error) => {
                log(&error, to, frame.len());
                Posted::Later
            }
        }
    }

    async fn close(&self, connection: &ConnectionId) -> Posted {
        match self.0.delete_connection().connection_id(connection.as_str()).send().await {
            Ok(_) => Posted::Accepted,
            Err(error) if is_gone(&error) => Posted::Gone,
            Err(error) => {
                let error = DisplayErrorContext(error);
                tracing::warn!(%connection, %error, "a connection was not closed");
                Posted::Later
            }
        }
    }
}

fn is_gone<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    if error.raw_response().is_some_and(|response| response.status().as_u16() == 410) {
        return true;
    }
    let Some(error) = error.as_service_error() else { return false };
    // An id that this API cannot have given, such as one of another gateway, gets a 400 that the model does not name.
    // It will never be a connection.
    error.code() == Some("BadRequestException")
        && error.message().is_some_and(|m| m.starts_with("Invalid connectionId"))
}

/// Logs why a frame did not go out. A refused caller (403) or frame (413) is a fault of ours that waiting does not cure.
/// It counts as `Later` all the same: taken for gone it would cost users their connections, and as it stands the
/// messages still reach them by push and sync.
fn log(error: &SdkError<PostToConnectionError>, to: &ConnectionId, bytes: usize) {
    let ours = error
        .as_service_error()
        .is_some_and(|e| e.is_forbidden_exception() || e.is_payload_too_large_exception());
    let error = DisplayErrorContext(error);
    if ours {
        tracing::error!(%to, bytes, %error, "a post was refused");
    } else {
        tracing::warn!(%to, bytes, %error, "a post failed");
    }
}
