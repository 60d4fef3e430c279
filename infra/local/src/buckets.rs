//! The port's S3 side: where presigned URLs of the media bucket lead.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures::StreamExt;
use petrel_aws::embedded::s3::S3;
use tower_http::cors::CorsLayer;

use crate::backend::MEDIA_BUCKET;
use crate::http::{MAX_READ, allowed};
use crate::serve::Server;

/// The bucket's path, if it is embedded.
pub fn router(server: &Server) -> Router<Arc<Server>> {
    let Some(s3) = &server.s3 else { return Router::new() };
    // As the bucket's CorsConfiguration has it.
    let cors = CorsLayer::new()
        .allow_origin(allowed(&server.options.origins))
        .allow_methods([Method::GET, Method::HEAD, Method::PUT])
        .expose_headers([header::ETAG])
        .allow_headers([
            header::CONTENT_TYPE,
            header::IF_NONE_MATCH,
            header::RANGE,
            HeaderName::from_static("x-amz-checksum-sha256"),
        ]);
    let answer = any(answer).layer(cors).with_state(s3.clone());
    Router::new().route(&format!("/{MEDIA_BUCKET}/{{*key}}"), answer)
}

async fn answer(State(s3): State<S3>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let mut body = body.into_data_stream();
    let answer = s3.answer(axum::http::Request::from_parts(head, &mut body)).await;
    if answer.status().is_client_error() {
        // A client that still writes does not read why it is refused.
        let mut size = 0;
        while let Some(Ok(chunk)) = body.next().await {
            size += chunk.len();
            if size > MAX_READ {
                break;
            }
        }
    }
    let mut response = answer.map(Body::from_stream).into_response();
    if response.status() == StatusCode::NO_CONTENT {
        *response.body_mut() = Body::empty();
    }
    let headers = response.headers_mut();
    // Whatever somebody put there runs no script on the origin of the chat page. S3 is another origin on AWS.
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    let cross = HeaderValue::from_static("cross-origin");
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), cross);
    response
}
