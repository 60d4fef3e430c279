//! What an attacker gets from the functions themselves: the table of `tests/security` passed through the real binaries,
//! with the calls that they make of AWS counted, for how long an answer takes is an answer too; and what they write down
//! when they are told to write everything.

use serde_json::{Value, json};

use crate::aws;
use crate::lambda::Lambda;
use crate::permissions::{grow_old, timer_gone};
use crate::recorder::Recorder;
use crate::{Stack, body, connect, frame, request};

#[path = "../../../tests/security/routes.rs"]
#[expect(dead_code, reason = "what the local server has besides is not here")]
mod routes;

use routes::{Row, Way};

const NOWHERE: &str = "g:0192f3c4-0000-7000-8000-00000000dead";
const ID: &str = "0192f3c4-0000-7000-8000-0000000000e0";
/// More than one read of a log brings.
const ENTRIES: usize = 250;

/// A function, and what it asks of AWS.
struct Counted {
    function: Lambda,
    recorder: Recorder,
}

impl Counted {
    async fn start(stack: &Stack, binary: &str) -> Self {
        let recorder = Recorder::before(&stack.aws).await;
        let function = Lambda::start(binary, &recorder.env(stack.env(binary))).await;
        Self { function, recorder }
    }

    /// The whole answer, and how often what was called for it.
    async fn ask(&self, event: &Value) -> (Value, Vec<(String, u64)>) {
        self.recorder.take_calls();
        let answer = self.function.invoke(event).await.unwrap();
        (answer, self.recorder.take_calls())
    }
}

/// Every function that a row may lead to.
struct Functions {
    api: Counted,
    send: Counted,
    ack: Counted,
    sync: Counted,
    signal: Counted,
}

impl Functions {
    async fn start(stack: &Stack) -> Self {
        Self {
            api: Counted::start(stack, env!("CARGO_BIN_EXE_api")).await,
            send: Counted::start(stack, env!("CARGO_BIN_EXE_send")).await,
            ack: Counted::start(stack, env!("CARGO_BIN_EXE_ack")).await,
            sync: Counted::start(stack, env!("CARGO_BIN_EXE_sync")).await,
            signal: Counted::start(stack, env!("CARGO_BIN_EXE_signal")).await,
        }
    }

    /// What a row's request gets, and what it costs.
    async fn pass(&self, row: &Row, user: &str, of: &str) -> (Value, Vec<(String, u64)>) {
        let (path, content) = row.fill(of, ID, user);
        let content: Value = serde_json::from_str(&content).unwrap_or_default();
        match row.way {
            Way::Http(method) => self.api.ask(&http(user, method, &path, &content)).await,
            Way::Frame(action) => {
                let function = match action {
                    "send" => &self.send,
                    "ack" => &self.ack,
                    "sync" | "history" => &self.sync,
                    _ => &self.signal,
                };
                function.ask(&frame(user, &content)).await
            }
        }
    }
}

fn http(user: &str, method: &str, path: &str, content: &Value) -> Value {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut event = request(user, method, path, content);
    event["rawQueryString"] = query.into();
    event
}

#[tokio::test]
async fn what_is_forbidden_costs_what_is_missing_costs() {
    let stack = Stack::start().await;
    let all = Functions::start(&stack).await;
    let api = async |user: &str, method: &str, path: &str, content: Value| {
        let (answer, _) = all.api.ask(&http(user, method, path, &content)).await;
        assert!(answer["statusCode"].as_u64().unwrap() < 300, "{path}: {answer}");
        answer
    };
    let group = json!({"name": "crew", "member_ids": ["bo", "ex", "late"]});
    let group = body(&api("ana", "POST", "/api/conversations", group).await);
    let group = group["conversation_id"].as_str().unwrap().to_owned();
    let members = format!("/api/conversations/{group}/members");
    api("ana", "DELETE", &format!("{members}/ex"), json!({})).await;
    let mut n = 0;
    for (to, mut seen) in [(group.as_str(), 2), ("d:ana:bo", 0)] {
        for _ in 0..ENTRIES / 10 {
            let mut message = || {
                n += 1;
                json!({"message_id": format!("0192f3c4-0000-7000-8000-{n:012}"),
                    "content": {"type": "text", "text": "x"}})
            };
            let messages: Vec<Value> = (0..10).map(|_| message()).collect();
            let send = json!({"action": "send", "conversation_id": to, "seen": seen,
                "messages": messages});
            let (answer, _) = all.send.ask(&frame("ana", &send)).await;
            assert_eq!(body(&answer)["results"][9]["seq"], seen + 10, "{answer}");
            seen += 10;
        }
    }
    for row in Row::guarded() {
        for (user, there, nowhere) in [
            ("eve", group.as_str(), NOWHERE),
            ("ex", &group, NOWHERE),
            ("eve", "d:ana:bo", "d:ana:nobody"),
        ] {
            if !row.is_for(there) {
                continue;
            }
            let (refused, cost) = all.pass(row, user, there).await;
            let (missing, as_much) = all.pass(row, user, nowhere).await;
            assert_eq!(body(&refused)["code"], "not_a_member", "{row:?} as {user}: {refused}");
            assert_eq!(refused, missing, "{row:?} as {user}");
            assert_eq!(cost, as_much, "{row:?} as {user}");
            // Who writes to whom: nothing is read for one whom the id itself leaves out.
            if there.starts_with("d:") && row.who == routes::Who::Writers {
                // Over HTTP the one read is of the caller himself: whether he is disabled.
                let own = ("DynamoDB_20120810.GetItem".to_owned(), 1);
                let own = matches!(row.way, Way::Http(_)).then_some(own);
                assert_eq!(cost, own.into_iter().collect::<Vec<_>>(), "{row:?} as {user}");
            }
        }
    }
}

#[tokio::test]
async fn cursors_of_what_is_not_ones_own_cost_nothing() {
    let stack = Stack::start().await;
    let api = Counted::start(&stack, env!("CARGO_BIN_EXE_api")).await;
    let message = json!({"to_user_id": "bo", "content": {"type": "text", "text": "x"}});
    api.ask(&request("ana", "POST", "/api/messages", &message)).await;
    let sync = async |cursors: Value| {
        let body = json!({"cursors": cursors});
        assert!(body.to_string().len() < 32 * 1024);
        api.ask(&request("ana", "POST", "/api/sync", &body)).await
    };
    let with_none = sync(json!({})).await;
    assert_eq!(with_none.0["statusCode"], 200);
    let others: serde_json::Map<String, Value> =
        (0..1_000).map(|n| (format!("d:eve:user{n:04}"), json!(0))).collect();
    assert_eq!(sync(others.into()).await, with_none);
}

#[tokio::test]
async fn at_no_level_does_a_function_write_down_content_or_tokens() {
    let stack = Stack::start().await;
    let start = async |binary: &str| {
        let mut env = stack.env(binary);
        for (name, value) in &mut env {
            if name == "RUST_LOG" || name == "AWS_LAMBDA_LOG_LEVEL" {
                *value = "trace".to_owned();
            }
        }
        Lambda::start(binary, &env).await
    };
    let (words, phone) = ("words-that-only-bo-may-read", "the-token-of-a-phone");
    let token = stack.issuer.token("ana");
    let authorizer = start(env!("CARGO_BIN_EXE_authorizer")).await;
    stack.authorize(&authorizer, &token).await.unwrap();
    stack.authorize(&authorizer, &format!("{token}x")).await.unwrap_err();
    let connector = start(env!("CARGO_BIN_EXE_connect")).await;
    for user in ["ana", "bo", "gone", "busy"] {
        let mut event = connect(user);
        event["headers"]["Sec-WebSocket-Protocol"] = format!("petrel.v1, bearer.{token}").into();
        event["queryStringParameters"] = json!({"token": token});
        connector.invoke(&event).await.unwrap();
    }
    let api = start(env!("CARGO_BIN_EXE_api")).await;
    let ask = async |user: &str, method: &str, path: &str, content: Value| {
        let mut event = http(user, method, path, &content);
        event["headers"]["authorization"] = format!("Bearer {token}").into();
        body(&api.invoke(&event).await.unwrap())
    };
    let push = json!({"platform": "fcm", "token": phone});
    for user in ["bo", "gone"] {
        let mut event = http(user, "PUT", "/api/devices/phone/push", &push);
        event["headers"]["authorization"] = format!("Bearer {token}").into();
        api.invoke(&event).await.unwrap();
    }
    let text = json!({"type": "text", "text": words});
    let message = json!({"to_user_id": "bo", "content": text});
    ask("ana", "POST", "/api/messages", message).await;
    let many: Vec<String> = (0..40).map(|n| format!("u{n}")).chain(["bo".to_owned()]).collect();
    let group =
        ask("ana", "POST", "/api/conversations", json!({"name": words, "member_ids": many}));
    let group = group.await["conversation_id"].clone();
    ask("ana", "POST", "/api/messages", json!({"conversation_id": group, "content": text})).await;
    ask("ana", "POST", "/api/messages", json!({"to_user_id": 7, "content": text})).await;
    ask("bo", "GET", "/api/conversations/d:ana:bo/messages?after=0", Value::Null).await;

    let sender = start(env!("CARGO_BIN_EXE_send")).await;
    for (n, to) in ["bo", "gone", "busy"].into_iter().enumerate() {
        let send = json!({"action": "send", "to_user_id": to, "content": text,
            "message_id": format!("0192f3c4-0000-7000-8000-0000000001{n:02}")});
        sender.invoke(&frame("ana", &send)).await.unwrap();
    }
    let syncer = start(env!("CARGO_BIN_EXE_sync")).await;
    syncer.invoke(&frame("bo", &json!({"action": "sync", "cursors": {}}))).await.unwrap();
    let acker = start(env!("CARGO_BIN_EXE_ack")).await;
    let ack = json!({"action": "ack", "conversation_id": "d:ana:bo", "read": 1});
    acker.invoke(&frame("bo", &ack)).await.unwrap();
    let signaller = start(env!("CARGO_BIN_EXE_signal")).await;
    signaller.invoke(&frame("ana", &json!({"action": words, "x": token}))).await.unwrap();
    let fanout = start(env!("CARGO_BIN_EXE_fanout")).await;
    let mut jobs = stack.aws.take_jobs("fanout");
    assert!(!jobs.is_empty());
    jobs.push(json!({"job": "fan_out", "entry": words}).to_string());
    fanout.invoke(&aws::batch(&jobs)).await.unwrap();
    let pusher = start(env!("CARGO_BIN_EXE_push")).await;
    let jobs = stack.aws.take_jobs("push");
    assert!(!jobs.is_empty());
    pusher.invoke(&aws::batch(&jobs)).await.unwrap();
    assert!(stack.aws.pushes().iter().any(|p| p.contains(words)), "the words went to the phone");

    // Nobody takes the events, which carry the words: each is put back, and the log says why.
    let teller = start(env!("CARGO_BIN_EXE_webhook")).await;
    let events = stack.aws.take_jobs("webhook");
    let mut events: Vec<String> =
        events.into_iter().filter(|e| e.contains(words)).take(1).collect();
    assert!(!events.is_empty(), "the words are told");
    events.push(json!({"job": "webhook", "event": words}).to_string());
    let told = teller.invoke(&aws::batch(&events)).await.unwrap();
    assert_eq!(told["batchItemFailures"], json!([{"itemIdentifier": "1"}]), "{told}");

    let old = grow_old(&stack, words).await;
    let archiver = start(env!("CARGO_BIN_EXE_archive")).await;
    // Twice: objects are written, and read again.
    for _ in 0..2 {
        archiver.invoke(&timer_gone(&old)).await.unwrap();
    }
    assert!(!stack.aws.objects().is_empty(), "the words are archived");
    let mut nonsense = timer_gone(&old);
    nonsense["Records"][0]["dynamodb"]["Keys"]["pk"]["N"] = words.into();
    nonsense["Records"][0]["dynamodb"]["Keys"]["pk"].as_object_mut().unwrap().remove("S");
    archiver.invoke(&nonsense).await.unwrap();

    let keeper = start(env!("CARGO_BIN_EXE_media")).await;
    let new = json!({"content_type": "image/png", "size": 1,
        "sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="});
    let announced = ask("ana", "POST", "/api/media", new).await;
    let id = announced["media_id"].as_str().unwrap();
    // What entitles to the upload is in its URL.
    let upload = announced["upload"]["url"].as_str().unwrap().to_owned();
    let (_, entitles) = upload.split_once("X-Amz-Signature=").unwrap();
    let entitles = entitles.split('&').next().unwrap();
    let arrived = json!({"source": "aws.s3", "detail": {
        "object": {"key": format!("YW5h/{id}"), "etag": words, "url": upload}}});
    let judged = json!({"source": "scanner", "detail": {
        "key": format!("YW5h/{id}"), "verdict": "blocked", "note": words}});
    for event in [arrived, judged] {
        keeper.invoke(&event).await.unwrap();
    }
    let unreadable = json!({"source": "aws.s3", "detail": {"object": words}});
    keeper.invoke(&unreadable).await.unwrap_err();

    let signature = token.rsplit('.').next().unwrap();
    let secrets = stack.aws.env().into_iter().find(|(name, _)| name == "PETREL_WEBHOOK_SECRETS");
    let secret = secrets.unwrap().1.trim_start_matches("whsec_").to_owned();
    for (name, function) in [
        ("authorizer", authorizer),
        ("connect", connector),
        ("api", api),
        ("send", sender),
        ("sync", syncer),
        ("ack", acker),
        ("signal", signaller),
        ("fanout", fanout),
        ("push", pusher),
        ("webhook", teller),
        ("archive", archiver),
        ("media", keeper),
    ] {
        // Each line is an object, and there are some: the level is what it was set to.
        assert!(!function.log().is_empty(), "{name}");
        let said = function.text() + &function.errors();
        for secret in [words, phone, signature, &secret, entitles] {
            assert!(!said.contains(secret), "{secret} in the log of {name}:\n{said}");
        }
    }
}
