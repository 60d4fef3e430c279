//! The SDK's client of the embedded buckets, which calls them without a socket.

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::{Client, Config};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use futures::{TryStreamExt, stream};
use http::{Request, Uri};

use super::{REGION, S3};

impl S3 {
    /// What takes the requests of clients.
    pub fn connector(&self) -> SharedHttpConnector {
        SharedHttpConnector::new(Embedded(self.clone()))
    }

    /// A client. What it presigns is for this URL, where [`answer`](Self::answer) must be reachable.
    pub fn client(&self, url: &str) -> Client {
        let connector = self.connector();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(url)
            .force_path_style(true)
            .credentials_provider(Credentials::new(
                &self.keys.id,
                &self.keys.secret,
                None,
                None,
                "embedded",
            ))
            .http_client(http_client_fn(move |_, _| connector.clone()));
        Client::from_conf(crate::files::checked(config).build())
    }
}

/// Carries the client's requests.
#[derive(Clone, Debug)]
struct Embedded(S3);

impl Embedded {
    async fn call(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let other =
            |error: Box<dyn std::error::Error + Send + Sync>| ConnectorError::other(error, None);
        let uri: Uri = request.uri().parse().map_err(|e: http::uri::InvalidUri| other(e.into()))?;
        let mut made = Request::builder().method(request.method()).uri(uri);
        for (name, value) in request.headers() {
            made = made.header(name, value);
        }
        let bytes = request.body().bytes();
        let bytes = bytes.ok_or_else(|| other("a body that is not in memory".into()))?.to_vec();
        // As an HTTP client does it that sends the body.
        if request.headers().get("content-length").is_none() {
            made = made.header("content-length", bytes.len());
        }
        let body = stream::iter([Ok::<_, std::io::Error>(bytes)]);
        let made = made.body(body).map_err(|e| other(e.into()))?;
        let (head, body) = self.0.answer(made).await.into_parts();
        let body: Vec<u8> = body.try_concat().await.map_err(|e| other(e.into()))?;
        let status = head.status.as_u16().try_into();
        let status =
            status.map_err(|e: aws_smithy_runtime_api::http::HttpError| other(e.into()))?;
        let mut response = HttpResponse::new(status, SdkBody::from(body));
        for (name, value) in &head.headers {
            if let Ok(value) = value.to_str() {
                response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
            }
        }
        Ok(response)
    }
}

impl HttpConnector for Embedded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().call(request))
    }
}
