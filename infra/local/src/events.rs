//! The events that API Gateway and SQS would build, as JSON, so that the handlers read here what they read on AWS.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, Uri, request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use petrel_aws::embedded::s3::Created;
use petrel_aws::keys;
use petrel_aws::server::Received;
use petrel_core::ids::{ConversationId, MediaId, UserId};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The stage and the API in the events.
const STAGE: &str = "local";
const API: &str = "petrel";

/// Now, ms since 1970.
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// What stays the same as long as a socket is open.
#[derive(Clone, Debug)]
pub struct SocketContext {
    /// Its id.
    pub connection_id: String,
    /// When it was opened, ms.
    pub connected_at: u64,
    /// What the authorizer found out; null before it was asked.
    pub authorizer: Value,
}

impl SocketContext {
    fn context(&self, event_type: &str, route: &str) -> Value {
        let mut context = json!({
            "routeKey": route,
            "eventType": event_type,
            "messageDirection": "IN",
            "connectionId": self.connection_id,
            "connectedAt": self.connected_at,
            "requestId": Uuid::now_v7().simple().to_string(),
            "requestTimeEpoch": now_ms(),
            "stage": STAGE,
            "apiId": API,
            "domainName": "localhost",
        });
        if !self.authorizer.is_null() {
            context["authorizer"] = self.authorizer.clone();
        }
        context
    }

    /// What the authorizer of the WebSocket API is asked.
    pub fn authorize(&self, request: &request::Parts) -> Value {
        let mut event = handshake(request);
        event["type"] = "REQUEST".into();
        event["methodArn"] = format!("arn:aws:execute-api:local:0:{API}/{STAGE}/$connect").into();
        event["requestContext"] = self.context("CONNECT", "$connect");
        event
    }

    /// `$connect`.
    pub fn connect(&self, request: &request::Parts) -> Value {
        let mut event = handshake(request);
        event["requestContext"] = self.context("CONNECT", "$connect");
        event["isBase64Encoded"] = false.into();
        event
    }

    /// `$disconnect`.
    pub fn disconnect(&self, code: u16, reason: &str) -> Value {
        let mut context = self.context("DISCONNECT", "$disconnect");
        context["disconnectStatusCode"] = code.into();
        context["disconnectReason"] = reason.into();
        json!({ "requestContext": context, "isBase64Encoded": false })
    }

    /// A frame, on the route that it names.
    pub fn message(&self, route: &str, body: &str) -> Value {
        let mut context = self.context("MESSAGE", route);
        context["messageId"] = Uuid::now_v7().simple().to_string().into();
        json!({ "requestContext": context, "body": body, "isBase64Encoded": false })
    }
}

/// The headers and the query of a handshake.
fn handshake(request: &request::Parts) -> Value {
    let (headers, all_headers) = headers(&request.headers);
    let mut query = Map::new();
    let mut all_query: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in pairs(&request.uri) {
        query.insert(name.clone(), value.clone().into());
        all_query.entry(name).or_default().push(value);
    }
    json!({
        "headers": headers,
        "multiValueHeaders": all_headers,
        "queryStringParameters": query,
        "multiValueQueryStringParameters": all_query,
    })
}

fn pairs(uri: &Uri) -> Vec<(String, String)> {
    let query = uri.query().unwrap_or_default();
    serde_urlencoded::from_str(query).unwrap_or_default()
}

fn headers(headers: &HeaderMap) -> (Map<String, Value>, BTreeMap<String, Vec<String>>) {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.entry(name.to_string()).or_default().push(value);
    }
    let joined = all.iter().map(|(name, values)| (name.clone(), values.join(",").into()));
    (joined.collect(), all)
}

/// The name that the HTTP API has for functions.
const DOMAIN: &str = "localhost";

/// A request to the HTTP API (payload format 2.0), with the claims of its token.
pub fn request(parts: &request::Parts, body: &[u8], claims: Option<Value>) -> Value {
    let (body, encoded) = match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (STANDARD.encode(body), true),
    };
    let (mut headers, _) = headers(&parts.headers);
    // The gateway's own, whatever the client wrote there: from these two a function's library makes the request's URL, and it
    // panics over what makes none.
    headers.insert("host".to_owned(), DOMAIN.into());
    headers.insert("x-forwarded-proto".to_owned(), "http".into());
    let mut context = json!({
        "accountId": "0",
        "apiId": API,
        "domainName": DOMAIN,
        "http": {
            "method": parts.method.as_str(),
            "path": parts.uri.path(),
            "protocol": "HTTP/1.1",
            "sourceIp": "127.0.0.1",
            "userAgent": headers.get("user-agent").cloned().unwrap_or_default(),
        },
        "requestId": Uuid::now_v7().simple().to_string(),
        "routeKey": "ANY /api/{proxy+}",
        "stage": "$default",
        "timeEpoch": now_ms(),
    });
    if let Some(claims) = claims {
        context["authorizer"] = json!({ "jwt": { "claims": claims, "scopes": null } });
    }
    json!({
        "version": "2.0",
        "routeKey": "ANY /api/{proxy+}",
        "rawPath": parts.uri.path(),
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": headers,
        "requestContext": context,
        "body": body,
        "isBase64Encoded": encoded,
    })
}

/// The records that tell that DynamoDB's TTL has deleted these conversations' timers.
pub fn timers(of: &[ConversationId]) -> Value {
    let records = of.iter().enumerate().map(|(number, of)| {
        json!({
            "eventID": Uuid::now_v7().simple().to_string(),
            "eventName": "REMOVE",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": "local",
            "userIdentity": { "type": "Service", "principalId": "dynamodb.amazonaws.com" },
            "dynamodb": {
                "Keys": { keys::PK: { "S": keys::timer(of) }, keys::SK: { "S": keys::TIMER } },
                "SequenceNumber": number.to_string(),
                "StreamViewType": "KEYS_ONLY",
            },
        })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

/// What S3 tells EventBridge of an object that came to be.
pub fn created(object: &Created) -> Value {
    json!({
        "version": "0",
        "id": Uuid::now_v7(),
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {
            "version": "0",
            "bucket": { "name": object.bucket },
            "object": { "key": object.key, "size": object.size },
            "reason": "PutObject",
        },
    })
}

/// What the table's stream tells of an upload that ran out.
pub fn expired(owner: &UserId, id: &MediaId) -> Value {
    json!({ "Records": [{
        "eventID": Uuid::now_v7().simple().to_string(),
        "eventName": "REMOVE",
        "eventSource": "aws:dynamodb",
        "userIdentity": { "type": "Service", "principalId": "dynamodb.amazonaws.com" },
        "dynamodb": {
            "Keys": {
                keys::PK: { "S": keys::upload(id) },
                keys::SK: { "S": keys::user(owner) },
            },
            "SequenceNumber": "1",
        },
    }] })
}

/// A batch of the queue with this ARN.
pub fn batch(arn: &str, messages: &[Received]) -> Value {
    let region = arn.split(':').nth(3).unwrap_or_default();
    let record = |message: &Received| {
        json!({
            "messageId": message.id,
            "receiptHandle": message.handle,
            "body": message.body,
            "attributes": { "ApproximateReceiveCount": message.receives.to_string() },
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": arn,
            "awsRegion": region,
        })
    };
    json!({ "Records": messages.iter().map(record).collect::<Vec<_>>() })
}
