//! The HTTP API as a caller sees it.

use http::{HeaderMap, Method, Request, Uri};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::document::check_refusal;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// The body; null if there is none, a string if it is no JSON.
    pub body: Value,
}

impl Answer {
    /// The body of an answer with this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Call {
    pub fn new(method: &str, url: String) -> Self {
        let method = method.parse().unwrap();
        Self { method, url, headers: vec![], body: String::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").text(&body.to_string())
    }

    pub fn text(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    /// Sends it. A refusal that the documents do not list for it is a failure of the test.
    pub async fn send(self) -> Answer {
        let uri: Uri = self.url.parse().unwrap();
        let method = self.method.clone();
        let mut request = Request::builder().method(self.method).uri(&uri);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request.body(self.body).unwrap();
        // Not kept: a server that was killed meanwhile must not be met over an old connection.
        let client: Client<HttpConnector, String> =
            Client::builder(TokioExecutor::new()).build_http();
        let (head, body) = client.request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = || match String::from_utf8_lossy(&body) {
            text if text.is_empty() => Value::Null,
            text => text.into_owned().into(),
        };
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| text());
        let status = head.status.as_u16();
        check_refusal(method.as_str(), uri.path(), status, &body);
        Answer { status, headers: head.headers, body }
    }
}
