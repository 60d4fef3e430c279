//! The events as AWS documents them: each JSON file is one whole event, and a function here fills in what varies.

use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerRequestTypeRequest, ApiGatewayWebsocketProxyRequest,
};
use aws_lambda_events::sqs::SqsEvent;
use lambda_http::Request;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A socket as events name it.
#[derive(Clone, Copy)]
pub struct Socket {
    pub user: &'static str,
    pub device: &'static str,
    pub id: &'static str,
    pub connected_at: u64,
}

pub const ANA: Socket = Socket {
    user: "ana",
    device: "laptop",
    id: "AnaXcOFvHcCIhw=",
    connected_at: 1_790_000_000_000,
};
pub const BO: Socket =
    Socket { user: "bo", device: "phone", id: "BoYXcOFvHcCIhw=", connected_at: 1_790_000_000_000 };

/// Reads an event from text, as the Lambda runtime does.
pub fn read<T: DeserializeOwned>(event: &Value) -> T {
    serde_json::from_str(&event.to_string()).unwrap()
}

fn file(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn of_socket(mut event: Value, socket: Socket) -> Value {
    let context = &mut event["requestContext"];
    context["connectionId"] = socket.id.into();
    context["connectedAt"] = socket.connected_at.into();
    // API Gateway adds the last two to what the authorizer returned.
    context["authorizer"] = json!({"user": socket.user, "device": socket.device,
        "principalId": socket.user, "integrationLatency": 5});
    event
}

/// `$connect`, after the authorizer.
pub fn connect(socket: Socket) -> Value {
    of_socket(file(include_str!("events/connect.json")), socket)
}

/// `$disconnect`.
pub fn disconnect(socket: Socket) -> Value {
    of_socket(file(include_str!("events/disconnect.json")), socket)
}

/// A frame on the route that its `action` names.
pub fn message(socket: Socket, body: &str) -> Value {
    let mut event = of_socket(file(include_str!("events/message.json")), socket);
    let frame: Value = serde_json::from_str(body).unwrap_or_default();
    event["requestContext"]["routeKey"] = frame["action"].as_str().unwrap_or("$default").into();
    event["body"] = body.into();
    event
}

/// What the authorizer is asked about a handshake with these headers and this query besides the usual.
pub fn authorize(headers: &[(&str, &str)], query: &[(&str, &str)]) -> Value {
    let mut event = file(include_str!("events/connect.json"));
    event["type"] = "REQUEST".into();
    event["methodArn"] = ARN.into();
    event["stageVariables"] = json!({});
    for (name, value) in headers {
        set_header(&mut event, name, value);
    }
    if !query.is_empty() {
        for (name, value) in query {
            event["queryStringParameters"][*name] = (*value).into();
            event["multiValueQueryStringParameters"][*name] = json!([value]);
        }
    }
    event
}

pub const ARN: &str = "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/$connect";

/// One header of a handshake; a name that was there already gets a second value, and `headers` holds the last.
pub fn set_header(event: &mut Value, name: &str, value: &str) {
    event["headers"][name] = value.into();
    match event["multiValueHeaders"][name].as_array_mut() {
        Some(values) => values.push(value.into()),
        None => event["multiValueHeaders"][name] = json!([value]),
    }
}

pub fn websocket(event: &Value) -> ApiGatewayWebsocketProxyRequest {
    read(event)
}

pub fn authorizer(event: &Value) -> ApiGatewayCustomAuthorizerRequestTypeRequest {
    read(event)
}

/// A batch of these messages, each with its id and body.
pub fn sqs(messages: &[(&str, &str)]) -> SqsEvent {
    let record = |(id, body): &(&str, &str)| {
        let mut record = file(include_str!("events/sqs.json"));
        record["messageId"] = (*id).into();
        record["body"] = (*body).into();
        record
    };
    read(&json!({ "Records": messages.iter().map(record).collect::<Vec<_>>() }))
}

/// A request to the HTTP API as API Gateway passes it on (payload format 2.0): the path decoded, the query not, and
/// the claims of the token that its authorizer has checked.
pub fn http(user: Option<&str>, method: &str, path_and_query: &str, body: &str) -> Value {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let mut event = file(include_str!("events/http.json"));
    event["rawPath"] = path.into();
    event["rawQueryString"] = query.into();
    event["requestContext"]["http"]["method"] = method.into();
    event["requestContext"]["http"]["path"] = path.into();
    if let Some(user) = user {
        event["headers"]["authorization"] = "Bearer e30.e30.e30".into();
        event["requestContext"]["authorizer"] = json!({"jwt": {"claims": {
            "sub": user, "iss": "https://issuer.example", "aud": "petrel", "exp": "1790003600",
            "token_use": "access"}, "scopes": null}});
    }
    if !body.is_empty() {
        event["headers"]["content-type"] = "application/json".into();
        event["headers"]["content-length"] = body.len().to_string().into();
        event["body"] = body.into();
    }
    event
}

pub fn request(event: &Value) -> Request {
    lambda_http::request::from_str(&event.to_string()).unwrap()
}
