//! The binaries themselves: each runs under the Lambda runtime's interface and reaches DynamoDB, @connections, SQS and
//! the issuer over HTTP, as its environment says.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod attacks;
mod aws;
mod emf;
mod init;
mod lambda;
mod logs;
mod permissions;
mod recorder;

use aws::{Aws, Issuer};
use lambda::Lambda;
use serde_json::{Value, json};

/// One binary a function, and what they need around them.
struct Stack {
    aws: Aws,
    issuer: Issuer,
}

impl Stack {
    async fn start() -> Self {
        Self { aws: Aws::start().await, issuer: Issuer::start().await }
    }

    /// Starts a binary with no more than the variables that the template gives it.
    async fn function(&self, binary: &str) -> Lambda {
        Lambda::start(binary, &self.env(binary)).await
    }

    /// The variables that the template gives to the function of this binary, and AWS's own.
    fn env(&self, binary: &str) -> Vec<(String, String)> {
        let mut env = self.aws.env();
        env.extend(self.issuer.env());
        let name = binary.rsplit('/').next().unwrap();
        let given = variables(name);
        env.retain(|(variable, _)| !variable.starts_with("PETREL_") || given.contains(variable));
        env
    }

    /// What the authorizer says of a socket with this token.
    async fn authorize(&self, authorizer: &Lambda, token: &str) -> Result<Value, Value> {
        let event = json!({
            "type": "REQUEST",
            "methodArn": "arn:aws:execute-api:eu-central-1:1:api/prod/$connect",
            "headers": {"Sec-WebSocket-Protocol": format!("petrel.v1, bearer.{token}")},
            "queryStringParameters": {"device_id": "phone"},
            "requestContext": {"eventType": "CONNECT", "connectionId": "c"},
        });
        authorizer.invoke(&event).await
    }
}

/// The names of the variables that the template gives to the function of this binary.
fn variables(binary: &str) -> Vec<String> {
    let template = include_str!("../../../template.yaml");
    let named = |part: &str| {
        let (_, after) = template.split_once(part).unwrap();
        let (_, after) = after.split_once("Variables:\n").unwrap();
        let is_variable = |line: &&str| line.starts_with("PETREL_") || line.starts_with("RUST_LOG");
        let lines = after.lines().map(str::trim).take_while(is_variable);
        let names = lines.map(|l| l.split(':').next().unwrap().to_owned());
        names.filter(|name| name.starts_with("PETREL_")).collect::<Vec<_>>()
    };
    let mut names = named(&format!("Binary: {binary} }}"));
    assert!(!names.is_empty(), "{binary} gets no variables");
    names.extend(named("\nGlobals:"));
    names
}

fn context(user: &str, kind: &str, route: &str) -> Value {
    json!({
        "routeKey": route, "eventType": kind, "connectionId": format!("socket-{user}"),
        "connectedAt": 1_790_000_000_000_u64, "requestTimeEpoch": 1_790_000_000_000_u64,
        "authorizer": {"user": user, "device": "phone", "principalId": user},
    })
}

fn connect(user: &str) -> Value {
    json!({"requestContext": context(user, "CONNECT", "$connect"), "isBase64Encoded": false,
        "headers": {"Sec-WebSocket-Protocol": "petrel.v1, bearer.x"}})
}

fn frame(user: &str, frame: &Value) -> Value {
    let route = frame["action"].as_str().unwrap();
    json!({"requestContext": context(user, "MESSAGE", route), "body": frame.to_string(),
        "isBase64Encoded": false})
}

fn request(user: &str, method: &str, path: &str, body: &Value) -> Value {
    json!({
        "version": "2.0", "routeKey": "ANY /api/{proxy+}", "rawPath": path, "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "api.example"},
        "requestContext": {
            "accountId": "1", "apiId": "api", "stage": "$default", "timeEpoch": 1_790_000_000_000_u64,
            "authorizer": {"jwt": {"claims": {"sub": user}, "scopes": null}},
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1", "userAgent": "test"},
        },
        "body": body.to_string(), "isBase64Encoded": false,
    })
}

fn body(response: &Value) -> Value {
    serde_json::from_str(response["body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn the_authorizer_fetches_the_issuers_keys_and_decides() {
    let stack = Stack::start().await;
    let authorizer = stack.function(env!("CARGO_BIN_EXE_authorizer")).await;
    let allowed = stack.authorize(&authorizer, &stack.issuer.token("ana")).await.unwrap();
    assert_eq!(allowed["policyDocument"]["Statement"][0]["Effect"], "Allow");
    assert_eq!(allowed["context"], json!({"user": "ana", "device": "phone"}));
    // The one text that API Gateway turns into a 401.
    let refused = stack.authorize(&authorizer, "garbage").await.unwrap_err();
    assert_eq!(refused["errorMessage"], "Unauthorized");
}

#[tokio::test]
async fn a_message_goes_through_the_functions_to_the_other_socket_and_back_by_sync() {
    let stack = Stack::start().await;
    let connector = stack.function(env!("CARGO_BIN_EXE_connect")).await;
    for user in ["ana", "bo"] {
        let connected = connector.invoke(&connect(user)).await.unwrap();
        assert_eq!(connected["statusCode"], 200);
        assert_eq!(connected["headers"]["sec-websocket-protocol"], "petrel.v1");
    }
    let sender = stack.function(env!("CARGO_BIN_EXE_send")).await;
    let send = json!({"action": "send", "to_user_id": "bo", "seen": 0,
        "message_id": "0192f3c4-0000-7000-8000-000000000001",
        "content": {"type": "text", "text": "hi"}});
    let sent = body(&sender.invoke(&frame("ana", &send)).await.unwrap());
    assert_eq!((&sent["type"], &sent["seq"]), (&json!("sent"), &json!(1)));
    let posts = stack.aws.posts();
    assert_eq!(posts.len(), 1);
    assert_eq!((posts[0].0.as_str(), &posts[0].1["seq"]), ("socket-bo", &json!(1)));

    let syncer = stack.function(env!("CARGO_BIN_EXE_sync")).await;
    let sync = json!({"action": "sync", "cursors": {}});
    let synced = body(&syncer.invoke(&frame("bo", &sync)).await.unwrap());
    assert_eq!(synced["conversations"][0]["unread"], 1);
    assert_eq!(stack.aws.posts()[1].1["messages"][0]["content"]["text"], "hi");

    let acker = stack.function(env!("CARGO_BIN_EXE_ack")).await;
    let ack = json!({"action": "ack", "conversation_id": "d:ana:bo", "read": 1});
    let acked = acker.invoke(&frame("bo", &ack)).await.unwrap();
    assert_eq!((&acked["statusCode"], acked.get("body")), (&json!(200), None));
    let receipt = &stack.aws.posts()[2];
    assert_eq!((receipt.0.as_str(), &receipt.1["read"]), ("socket-ana", &json!(1)));

    let signaller = stack.function(env!("CARGO_BIN_EXE_signal")).await;
    let typing = json!({"action": "typing", "conversation_id": "d:ana:bo", "active": true});
    signaller.invoke(&frame("ana", &typing)).await.unwrap();
    assert_eq!(stack.aws.posts()[3].1["type"], "typing");
    let nonsense =
        body(&signaller.invoke(&frame("ana", &json!({"action": "dance"}))).await.unwrap());
    assert_eq!(nonsense["code"], "unknown_action");
}

#[tokio::test]
async fn a_large_group_is_served_through_the_queues() {
    let stack = Stack::start().await;
    let connector = stack.function(env!("CARGO_BIN_EXE_connect")).await;
    connector.invoke(&connect("u01")).await.unwrap();
    let api = stack.function(env!("CARGO_BIN_EXE_api")).await;
    let members: Vec<String> = (1..=40).map(|n| format!("u{n:02}")).collect();
    let group = json!({"name": "many", "member_ids": members});
    let created = api.invoke(&request("ana", "POST", "/api/conversations", &group)).await.unwrap();
    assert_eq!(created["statusCode"], 201);
    let conversation = body(&created)["conversation_id"].clone();
    let token = json!({"platform": "fcm", "token": "t"});
    let set = request("u02", "PUT", "/api/devices/phone/push", &token);
    assert_eq!(api.invoke(&set).await.unwrap()["statusCode"], 204);
    stack.aws.take_jobs("fanout");

    let message =
        json!({"conversation_id": conversation, "content": {"type": "text", "text": "all"}});
    let sent = api.invoke(&request("ana", "POST", "/api/messages", &message)).await.unwrap();
    assert_eq!(sent["statusCode"], 201);
    assert!(stack.aws.posts().is_empty(), "forty are not posted to by the sender");

    let fanout = stack.function(env!("CARGO_BIN_EXE_fanout")).await;
    let mut jobs = stack.aws.take_jobs("fanout");
    assert_eq!(jobs.len(), 1);
    // A poison message does not bring the others back.
    jobs.push("not a job".to_owned());
    let done = fanout.invoke(&aws::batch(&jobs)).await.unwrap();
    assert_eq!(done["batchItemFailures"], json!([{"itemIdentifier": "1"}]));
    assert_eq!(stack.aws.posts()[0].0, "socket-u01");

    let push = stack.function(env!("CARGO_BIN_EXE_push")).await;
    let jobs = stack.aws.take_jobs("push");
    assert_eq!(jobs.len(), 1);
    let done = push.invoke(&aws::batch(&jobs)).await.unwrap();
    assert_eq!(done["batchItemFailures"], json!([]));
    let pushes = stack.aws.pushes();
    assert_eq!(pushes.len(), 1);
    assert!(pushes[0].contains("all"), "{}", pushes[0]);
}

/// Everything it would reach takes connections and never answers.
#[tokio::test]
async fn a_function_starts_where_nothing_answers() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let env = Stack::start().await.aws.env().into_iter().map(|(name, value)| {
        let endpoint = name.contains("ENDPOINT");
        (name, if endpoint { url.clone() } else { value })
    });
    let sender = Lambda::start(env!("CARGO_BIN_EXE_send"), &env.collect::<Vec<_>>()).await;
    let nonsense = sender.invoke(&frame("ana", &json!({"action": "dance"}))).await.unwrap();
    assert_eq!(body(&nonsense)["code"], "unknown_action");
    assert!(listener.accept().is_ok(), "it did not try");
}
