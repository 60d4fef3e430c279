//! The HTTP API, for the two things that a load asks of it.

use http::Request;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::Result;

/// Connections to one server's API.
#[derive(Debug)]
pub struct Rest {
    client: Client<HttpConnector, String>,
    base: String,
}

impl Rest {
    /// At `http://host:port`.
    pub fn new(base: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, base: base.trim_end_matches('/').to_owned() }
    }

    /// Gets what lies at `path`.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let request = Request::get(format!("{}{path}", self.base)).body(String::new())?;
        self.call(request).await
    }

    /// Posts `body` to `path`.
    pub async fn post(&self, token: &str, path: &str, body: &Value) -> Result<Value> {
        let request = Request::post(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(body.to_string())?;
        self.call(request).await
    }

    async fn call(&self, request: Request<String>) -> Result<Value> {
        let what = format!("{} {}", request.method(), request.uri());
        let (head, body) = self
            .client
            .request(request)
            .await
            .map_err(|error| format!("{what}: {error}"))?
            .into_parts();
        let body = body.collect().await?.to_bytes();
        if !head.status.is_success() {
            let body = String::from_utf8_lossy(&body);
            return Err(format!("{what} was answered with {}: {body}", head.status).into());
        }
        serde_json::from_slice(&body).map_err(|error| format!("{what}: {error}").into())
    }
}
