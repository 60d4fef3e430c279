//! Stands between one function and AWS, and writes down which permission AWS would ask for each call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::aws::{self, Aws};

/// An action, and the resource as the template calls it.
pub type Permission = (String, String);

#[derive(Clone)]
struct Between {
    dynamo: String,
    other: String,
    client: Client<HttpConnector, Body>,
    used: Arc<Mutex<BTreeSet<Permission>>>,
    calls: Arc<Mutex<BTreeMap<String, u64>>>,
}

/// What one function uses of AWS.
pub struct Recorder {
    address: String,
    between: Between,
}

impl Recorder {
    pub async fn before(aws: &Aws) -> Self {
        let between = Between {
            dynamo: aws.dynamo.clone(),
            other: aws.other.clone(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            used: Arc::default(),
            calls: Arc::default(),
        };
        let router = Router::new().fallback(pass).with_state(between.clone());
        Self { address: aws::serve(router).await, between }
    }

    /// These variables, with this recorder in the place of AWS.
    pub fn env(&self, env: Vec<(String, String)>) -> Vec<(String, String)> {
        let through = |value: String| {
            value
                .replace(&self.between.dynamo, &self.address)
                .replace(&self.between.other, &self.address)
        };
        env.into_iter().map(|(name, value)| (name, through(value))).collect()
    }

    /// How often what was called since this was asked last.
    pub fn take_calls(&self) -> Vec<(String, u64)> {
        std::mem::take(&mut *self.between.calls.lock().unwrap()).into_iter().collect()
    }

    /// What is used by what the function signed, and not by itself.
    pub fn add(&self, permission: Permission) {
        self.between.used.lock().unwrap().insert(permission);
    }

    pub fn used(&self) -> BTreeSet<Permission> {
        self.between.used.lock().unwrap().clone()
    }
}

async fn pass(
    State(between): State<Between>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let target = headers.get("x-amz-target").map(|t| t.to_str().unwrap());
    // A function opens its connections at the start by asking for nothing, unsigned, which needs no permission.
    let warms = method == Method::GET && uri.path() == "/";
    assert_ne!(warms, headers.contains_key(header::AUTHORIZATION), "{method} {uri}");
    if !warms {
        between.used.lock().unwrap().extend(permissions(&method, &uri, target, &body));
        let call = target.map_or_else(|| uri.path().to_owned(), str::to_owned);
        *between.calls.lock().unwrap().entry(call).or_default() += 1;
    }
    let to_dynamo = target.is_some_and(|t| t.starts_with("DynamoDB"));
    let address = if to_dynamo { &between.dynamo } else { &between.other };
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{}", uri.path_and_query().unwrap()))
        .body(Body::from(body))
        .unwrap();
    *request.headers_mut() = headers;
    request.headers_mut().remove(header::HOST);
    match between.client.request(request).await {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            Response::from_parts(parts, Body::from(body.collect().await.unwrap().to_bytes()))
        }
        Err(_) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
    }
}

fn permissions(method: &Method, uri: &Uri, target: Option<&str>, body: &Bytes) -> Vec<Permission> {
    let json = || serde_json::from_slice::<Value>(body).unwrap();
    match target.and_then(|t| t.split_once('.')) {
        Some(("DynamoDB_20120810", operation)) => of_dynamo(operation, &json()),
        Some(("AmazonSQS", operation)) => {
            let queue = match json()["QueueUrl"].as_str().unwrap().rsplit('/').next().unwrap() {
                "fanout" => "FanoutQueue",
                "push" => "PushQueue",
                "webhook" => "WebhookQueue",
                other => panic!("the queue {other}"),
            };
            // AWS asks for one permission, however many messages there are in a call.
            vec![(format!("sqs:{}", operation.trim_end_matches("Batch")), queue.to_owned())]
        }
        Some((service, operation)) => panic!("{service}.{operation}"),
        None if uri.path().starts_with("/archive/") => vec![of_s3(method, uri)],
        None if uri.path().starts_with("/@connections/") => {
            vec![("execute-api:ManageConnections".to_owned(), format!("{method} sockets"))]
        }
        None if uri.path() == "/media/" => {
            vec![("s3:ListBucket".to_owned(), "MediaBucket".to_owned())]
        }
        None if uri.path().starts_with("/media/") => {
            let action = match method.as_str() {
                "HEAD" | "GET" => "GetObject",
                "DELETE" => "DeleteObject",
                other => panic!("{other} {uri}"),
            };
            vec![(format!("s3:{action}"), "MediaBucket objects".to_owned())]
        }
        None => of_sns(body),
    }
}

fn table(name: &str) -> String {
    let table = match name {
        "messages" => "MessagesTable",
        "conversations" => "ConversationsTable",
        "connections" => "ConnectionsTable",
        other => panic!("the table {other}"),
    };
    table.to_owned()
}

/// A transaction needs the permissions of its parts.
fn of_dynamo(operation: &str, request: &Value) -> Vec<Permission> {
    let one = |action: &str, name: &str| (format!("dynamodb:{action}"), table(name));
    match operation {
        "TransactWriteItems" => {
            let parts = request["TransactItems"].as_array().unwrap().iter();
            let part = |part: &Value| {
                let (kind, inner) = part.as_object().unwrap().iter().next().unwrap();
                let action = match kind.as_str() {
                    "ConditionCheck" => "ConditionCheckItem".to_owned(),
                    kind => format!("{kind}Item"),
                };
                one(&action, inner["TableName"].as_str().unwrap())
            };
            parts.map(part).collect()
        }
        "BatchGetItem" | "BatchWriteItem" => {
            let tables = request["RequestItems"].as_object().unwrap().keys();
            tables.map(|name| one(operation, name)).collect()
        }
        _ => vec![one(operation, request["TableName"].as_str().unwrap())],
    }
}

fn of_s3(method: &Method, uri: &Uri) -> Permission {
    let (action, resource) = match (method.as_str(), uri.path()) {
        ("GET", "/archive/") => ("ListBucket", "ArchiveBucket"),
        ("GET", _) => ("GetObject", "ArchiveBucket objects"),
        ("PUT", _) => ("PutObject", "ArchiveBucket objects"),
        ("DELETE", _) => ("DeleteObject", "ArchiveBucket objects"),
        other => panic!("{other:?}"),
    };
    (format!("s3:{action}"), resource.to_owned())
}

fn of_sns(form: &Bytes) -> Vec<Permission> {
    let form = aws::form(form);
    if form.contains_key("TopicArn") {
        return vec![("sns:Publish".to_owned(), "ModerationTopic".to_owned())];
    }
    let arn = ["PlatformApplicationArn", "EndpointArn", "TargetArn"];
    let arn = arn.iter().find_map(|name| form.get(*name)).unwrap();
    let application = match arn.split('/').nth(1).unwrap() {
        "APNS" => "ApnsArn",
        "APNS_SANDBOX" => "ApnsSandboxArn",
        "GCM" => "FcmArn",
        other => panic!("the platform {other}"),
    };
    let action = &form["Action"];
    // See the template.
    let of: &[&str] = match action.as_str() {
        "Publish" => &[" endpoints"],
        "DeleteEndpoint" => &["", " endpoints"],
        _ => &[""],
    };
    of.iter().map(|of| (format!("sns:{action}"), format!("{application}{of}"))).collect()
}
