//! The HTTP API, for who needs little of it: what is no success is an error.

use http::Request;
use http::response::Parts;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::Failure;

type Result<T> = std::result::Result<T, Failure>;

/// What came back, whatever it was.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header `Retry-After`, s.
    pub retry_after: Option<u64>,
    /// The body.
    pub body: Value,
}

/// One server's API.
#[derive(Debug)]
pub struct Rest {
    client: Client<HttpConnector, String>,
    base: String,
}

impl Rest {
    /// At `http://host:port`.
    pub fn new(base: &str) -> Self {
        // No connection is kept: it would stand in the server's figures, and be met dead after a kill.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { client, base: base.trim_end_matches('/').to_owned() }
    }

    /// Gets what lies at `path`.
    ///
    /// # Errors
    /// When it is not there, or nobody answers.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let request = Request::get(format!("{}{path}", self.base)).body(String::new())?;
        self.call(request).await
    }

    /// Gets what this token's user may see at `path`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_as(&self, token: &str, path: &str) -> Result<Value> {
        let request = Request::get(format!("{}{path}", self.base));
        let request = request.header("authorization", format!("Bearer {token}"));
        self.call(request.body(String::new())?).await
    }

    /// Asks what this token's user may see at `path`; a refusal is an answer too.
    ///
    /// # Errors
    /// When nobody answers, or not with JSON.
    pub async fn ask_as(&self, token: &str, path: &str) -> Result<Answer> {
        self.request(token, "GET", path, None).await
    }

    /// Makes any request as this token's user; a refusal is an answer too. An answer without a body has `null`.
    ///
    /// # Errors
    /// When nobody answers, or not with JSON.
    pub async fn request(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(body.map(ToString::to_string).unwrap_or_default())?;
        let (head, body) = self.answer(request).await?;
        let header = head.headers.get("retry-after").and_then(|value| value.to_str().ok());
        Ok(Answer {
            status: head.status.as_u16(),
            retry_after: header.and_then(|value| value.parse().ok()),
            body: if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? },
        })
    }

    /// Stores the bytes of an upload: `upload` says how, and no token goes with it. Returns the status.
    ///
    /// # Errors
    /// When nobody answers, or `upload` says nothing that can be done.
    pub async fn store(&self, upload: &Value, bytes: &str) -> Result<u16> {
        let field = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
        let mut request =
            Request::builder().method(field(&upload["method"]).as_str()).uri(field(&upload["url"]));
        for (name, value) in upload["headers"].as_object().into_iter().flatten() {
            request = request.header(name, field(value));
        }
        let (head, _) = self.answer(request.body(bytes.to_owned())?).await?;
        Ok(head.status.as_u16())
    }

    /// What lies at this URL, which is its own permission, and the status.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn fetch(&self, url: &str) -> Result<(u16, Vec<u8>)> {
        let (head, body) = self.answer(Request::get(url).body(String::new())?).await?;
        Ok((head.status.as_u16(), body))
    }

    /// Posts `body` to `path`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(&self, token: &str, path: &str, body: &Value) -> Result<Value> {
        let request = Request::post(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(body.to_string())?;
        self.call(request).await
    }

    async fn answer(&self, request: Request<String>) -> Result<(Parts, Vec<u8>)> {
        let (head, body) = self.client.request(request).await?.into_parts();
        Ok((head, body.collect().await?.to_bytes().to_vec()))
    }

    async fn call(&self, request: Request<String>) -> Result<Value> {
        let what = format!("{} {}", request.method(), request.uri());
        let (head, body) =
            self.answer(request).await.map_err(|error| format!("{what}: {error}"))?;
        if !head.status.is_success() {
            let body = String::from_utf8_lossy(&body);
            return Err(format!("{what} was answered with {}: {body}", head.status).into());
        }
        serde_json::from_slice(&body).map_err(|error| format!("{what}: {error}").into())
    }
}

/// Most users that one change of a group may name, so that its entry stays small.
const CHANGE: usize = 49;

impl Rest {
    /// Founds a group and returns its id. `token` is the creator's.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn found(&self, token: &str, name: &str, others: &[String]) -> Result<String> {
        let mut changes = others.chunks(CHANGE);
        let group = json!({"name": name, "member_ids": changes.next().unwrap_or_default()});
        let made = self.post(token, "/api/conversations", &group).await?;
        let id = made["conversation_id"].as_str().ok_or_else(|| format!("no group: {made}"))?;
        for change in changes {
            let path = format!("/api/conversations/{id}/members");
            self.post(token, &path, &json!({ "user_ids": change })).await?;
        }
        Ok(id.to_owned())
    }
}
