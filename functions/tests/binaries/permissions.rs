//! What a function may do is what it does: every function runs through all that it can come to, and the permissions
//! that AWS would have asked for are those of its role, neither more nor fewer.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use petrel_core::ids::{ConversationId, MessageId, Seq, UserId};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::{Archive, Cold, Connections, Conversations, Floor, Log, Precondition};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::aws;
use crate::lambda::Lambda;
use crate::recorder::{Permission, Recorder};
use crate::{Stack, body, connect, context, frame, request};

/// The template as SAM expands it; `infra/template/check` keeps it fresh.
const EXPANDED: &str = include_str!("../../../infra/template/snapshot.json");

/// A group of whoever has a socket or a phone that is peculiar.
const FEW: [&str; 9] = ["bo", "gone", "busy", "cy", "dee", "off", "lost", "sold", "slow"];

/// What Lambda itself needs a function's role for: to write its logs, and to take its jobs from a queue or a stream.
const OF_LAMBDA: [&str; 9] = [
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
];

/// What the role of this function allows it.
fn allowed(role: &str) -> BTreeSet<Permission> {
    let template: Value = serde_json::from_str(EXPANDED).unwrap();
    let policies = &template["Resources"][role]["Properties"]["Policies"];
    let documents = policies.as_array().unwrap().iter().map(|p| &p["PolicyDocument"]);
    let statements = documents.flat_map(|d| d["Statement"].as_array().unwrap());
    let given = |statement: &Value| match statement.get("Fn::If") {
        Some(choice) => permission(&choice[1]),
        None => permission(statement),
    };
    // What a function fails at Lambda writes down itself, by the function's role.
    let of_lambda = |(action, of): &Permission| {
        OF_LAMBDA.contains(&action.as_str())
            || ["ArchiveFailureQueue", "MediaDeadLetterQueue"].contains(&of.as_str())
    };
    statements.map(given).filter(|given| !of_lambda(given)).collect()
}

fn permission(statement: &Value) -> Permission {
    let resource = &statement["Resource"];
    let name = |value: &Value| value.as_str().unwrap().to_owned();
    let named = if let Some(attribute) = resource.get("Fn::GetAtt") {
        name(&attribute[0])
    } else if let Some(parameter) = resource.get("Ref") {
        name(parameter)
    } else if resource["Fn::Sub"].is_array() {
        // "${Endpoints}/*", with Endpoints made of the application's ARN.
        let text = resource.to_string();
        let (_, rest) = text.split_once("{\"Ref\":\"").unwrap();
        format!("{} endpoints", rest.split('"').next().unwrap())
    } else {
        let sub = name(&resource["Fn::Sub"]);
        if let Some(bucket) = sub.strip_prefix("${").and_then(|s| s.strip_suffix(".Arn}/*")) {
            return (name(&statement["Action"]), format!("{bucket} objects"));
        }
        let is_of = |m: &&str| sub.ends_with(&format!("/{m}/@connections/*"));
        let method = ["POST", "DELETE"].into_iter().find(is_of);
        format!("{} sockets", method.unwrap())
    };
    (name(&statement["Action"]), named)
}

/// One running function and what it used.
struct Watched {
    function: Lambda,
    recorder: Recorder,
}

impl Watched {
    async fn start(stack: &Stack, binary: &str) -> Self {
        Self::start_with(stack, binary, None).await
    }

    /// One that has this variable too.
    async fn start_with(stack: &Stack, binary: &str, more: Option<(&str, &str)>) -> Self {
        let recorder = Recorder::before(&stack.aws).await;
        let mut env = stack.env(binary);
        env.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let function = Lambda::start(binary, &recorder.env(env)).await;
        Self { function, recorder }
    }

    /// The answer to an event, which has to be one of success.
    async fn invoke(&self, event: &Value) -> Value {
        let answer = self.function.invoke(event).await.unwrap();
        let status = answer["statusCode"].as_u64();
        assert!(status.is_none_or(|s| s < 300), "{event} was answered {answer}");
        let body = answer["body"].as_str().unwrap_or_default();
        assert!(!body.contains("\"error\""), "{event} was answered {answer}");
        answer
    }

    async fn call(&self, user: &str, method: &str, path: &str, content: Value) -> Value {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut event = request(user, method, path, &content);
        event["rawQueryString"] = json!(query);
        self.invoke(&event).await
    }

    async fn operate(&self, method: &str, path: &str) -> Value {
        self.order(method, path, &json!({})).await
    }

    async fn order(&self, method: &str, path: &str, content: &Value) -> Value {
        let mut event = request("root", method, path, content);
        event["requestContext"]["authorizer"]["jwt"]["claims"]["scope"] = json!("petrel/admin");
        self.invoke(&event).await
    }

    /// What whoever has this URL does is done with the function's rights.
    fn signs(&self, url: &Value, action: &str) {
        let url = url.as_str().unwrap();
        assert!(url.contains("X-Amz-Signature="), "{url}");
        self.recorder.add((action.to_owned(), "MediaBucket objects".to_owned()));
    }

    #[track_caller]
    fn holds(&self, role: &str) {
        let (used, allowed) = (self.recorder.used(), allowed(role));
        let missing: Vec<_> = used.difference(&allowed).collect();
        let idle: Vec<_> = allowed.difference(&used).collect();
        assert!(missing.is_empty(), "{role} does not allow {missing:?}, which its function uses");
        assert!(idle.is_empty(), "{role} allows {idle:?}, which its function did not use");
    }
}

/// A conversation with 205 messages, the first 105 of which are old enough to be archived; but the first 4 are so old
/// that their time is over.
pub async fn grow_old(stack: &Stack, words: &str) -> ConversationId {
    let of = ConversationId::parse("d:ana:old").unwrap();
    let dynamo = stack.aws.tables();
    let users = [UserId::parse("ana").unwrap(), UserId::parse("old").unwrap()];
    dynamo.open(&of, &users).await.unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = u64::try_from(now).unwrap();
    for seq in 1..=205 {
        let age_days = if seq <= 4 { 400 } else { 40 };
        let entry = Entry {
            conversation_id: of.clone(),
            seq: Seq::new(seq),
            ordinal: seq,
            message_id: MessageId::minted(Uuid::from_u128(u128::from(seq) | 7 << 76 | 2 << 62)),
            sender_id: users[usize::from(seq % 50 == 40)].clone(),
            sent_at: now - age_days * 86_400_000 + seq,
            content: Content::text(words),
            level: 0,
            edits: vec![],
        };
        dynamo.put(&entry).await.unwrap();
    }
    of
}

/// What the stream tells when the TTL has deleted a timer.
pub fn timer_gone(of: &ConversationId) -> Value {
    json!({"Records": [{"eventName": "REMOVE",
        "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
        "dynamodb": {"Keys": {"pk": {"S": format!("t#{of}")}, "sk": {"S": "timer"}},
            "SequenceNumber": "1"}}]})
}

fn text(to: Value, n: u8) -> Value {
    let mut send = json!({"action": "send", "seen": 0,
        "message_id": format!("0192f3c4-0000-7000-8000-0000000000{n:02}"),
        "content": {"type": "text", "text": "hi"}});
    send.as_object_mut().unwrap().extend(to.as_object().unwrap().clone());
    send
}

/// What is done to a first message.
fn changes() -> [Value; 2] {
    let edit = json!({"type": "edit", "target": 1, "text": "ho"});
    [edit, json!({"type": "delete", "target": 1})]
}

/// The event, of a socket that has just been opened: one from long ago is nobody's presence.
fn just_now(mut event: Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    event["requestContext"]["connectedAt"] = json!(u64::try_from(now).unwrap());
    event
}

/// Founds a group of this user and these; returns its id.
async fn found(api: &Watched, name: &str, members: &[String]) -> Value {
    let group = json!({"name": name, "member_ids": members});
    body(&api.call("ana", "POST", "/api/conversations", group).await)["conversation_id"].clone()
}

/// Announces an upload of ana's that the stand-in has; returns its id.
async fn upload(api: &Watched) -> String {
    loop {
        let new = json!({"content_type": "image/png", "size": 1,
            "sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="});
        let announced = body(&api.call("ana", "POST", "/api/media", new).await);
        api.signs(&announced["upload"]["url"], "s3:PutObject");
        let id = announced["media_id"].as_str().unwrap();
        if !id.starts_with('0') {
            return id.to_owned();
        }
    }
}

async fn take_pushes(api: &Watched, user: &str, platform: &str, token: &str) {
    let push = json!({"platform": platform, "token": token});
    api.call(user, "PUT", "/api/devices/phone/push", push).await;
}

#[tokio::test]
async fn each_function_uses_what_its_role_allows_and_nothing_else() {
    let stack = Stack::start().await;
    let authorizer = Watched::start(&stack, env!("CARGO_BIN_EXE_authorizer")).await;
    stack.authorize(&authorizer.function, &stack.issuer.token("ana")).await.unwrap();
    authorizer.holds("AuthorizerRole");

    let connector = Watched::start(&stack, env!("CARGO_BIN_EXE_connect")).await;
    for user in ["ana", "bo", "gone", "busy"] {
        connector.invoke(&connect(user)).await;
    }
    connector.invoke(&json!({"requestContext": context("eva", "DISCONNECT", "$disconnect")})).await;

    let archiver = Watched::start(&stack, env!("CARGO_BIN_EXE_archive")).await;
    let old = grow_old(&stack, "old").await;
    // Twice: first there is nothing in the archive that could be too old.
    for _ in 0..2 {
        let done = archiver.invoke(&timer_gone(&old)).await;
        assert_eq!(done["batchItemFailures"], json!([]));
    }
    assert_eq!(stack.aws.objects(), ["d:ana:old/00000000000000000105.zst"]);
    // An object whose time is over goes, if the run that should have taken it ended before it was done.
    let stray = stack.aws.archive();
    let first = stray.get(&old, Seq::new(105)).await.unwrap().unwrap();
    let stretch = [Entry { seq: Seq::new(2), ..first.entries[0].clone() }];
    stray.put(&stretch, &Precondition::Absent).await.unwrap();
    let tables = stack.aws.tables();
    let floor = tables.floor(&old).await.unwrap();
    let held = Floor { until: 1, ..floor.clone() };
    assert!(tables.move_floor(&old, &floor, &held).await.unwrap());
    archiver.invoke(&timer_gone(&old)).await;
    assert_eq!(stack.aws.objects().len(), 1);

    // The gateway says 410 for the socket of `gone` and 429 for that of `busy`; see the stand-in.
    let api = Watched::start(&stack, env!("CARGO_BIN_EXE_api")).await;
    take_pushes(&api, "cy", "apns", "t").await;
    take_pushes(&api, "dee", "apns_sandbox", "t").await;
    take_pushes(&api, "off", "fcm", "disabled").await;
    take_pushes(&api, "lost", "apns", "disabled").await;
    take_pushes(&api, "sold", "apns_sandbox", "disabled").await;
    take_pushes(&api, "slow", "fcm", "throttled").await;
    // His badge asks how much of what he has not read is over.
    take_pushes(&api, "old", "fcm", "o").await;
    let few = found(&api, "few", &FEW.map(str::to_owned)).await;
    let many: Vec<String> = (0..40).map(|n| format!("u{n}")).collect();
    let many = found(&api, "many", &many).await;
    let message =
        |to: &Value| json!({"conversation_id": to, "content": {"type": "text", "text": "a"}});
    api.call("ana", "POST", "/api/messages", message(&few)).await;
    api.call("ana", "POST", "/api/messages", message(&many)).await;
    let direct = json!({"to_user_id": "zoe", "content": {"type": "text", "text": "first"}});
    api.call("ana", "POST", "/api/messages", direct).await;
    let group = format!("/api/conversations/{}", few.as_str().unwrap());
    api.call("ana", "POST", &format!("{group}/members"), json!({"user_ids": ["eva"]})).await;
    api.call("ana", "DELETE", &format!("{group}/members/eva"), json!({})).await;
    api.call("bo", "POST", &format!("{group}/ack"), json!({"delivered": 2, "read": 1})).await;
    api.call("bo", "GET", "/api/conversations", json!({})).await;
    for content in changes() {
        let changed = json!({"to_user_id": "zoe", "content": content});
        api.call("ana", "POST", "/api/messages", changed).await;
    }
    let mute = json!({"muted_until": 1_900_000_000_000_u64});
    api.call("bo", "PATCH", &format!("{group}/state"), mute).await;
    api.call("bo", "GET", "/api/unread", json!({})).await;
    for below in ["", "/messages?before=2", "/receipts?seq=2"] {
        api.call("ana", "GET", &format!("{group}{below}"), json!({})).await;
    }
    api.call("bo", "POST", "/api/sync", json!({"cursors": {}})).await;
    api.call("ana", "GET", &format!("/api/conversations/{old}/messages?before=90"), json!({}))
        .await;
    api.call("cy", "DELETE", "/api/devices/tablet/push", json!({})).await;
    api.call("cy", "PATCH", "/api/profile", json!({"name": "Cy"})).await;
    api.call("cy", "PUT", "/api/blocks/zoe", json!({})).await;
    api.call("cy", "DELETE", "/api/blocks/zoe", json!({})).await;
    for platform in ["apns", "apns_sandbox", "fcm"] {
        take_pushes(&api, "eva", platform, "another").await;
        api.call("eva", "DELETE", "/api/devices/phone/push", json!({})).await;
    }
    archiver.invoke(&timer_gone(&ConversationId::parse(few.as_str().unwrap()).unwrap())).await;
    // What is deleted of what is archived is noted, and goes into the object.
    let delete = |target: u8| json!({"type": "delete", "target": target});
    let deleted = json!({"conversation_id": old, "content": delete(60)});
    api.call("ana", "POST", "/api/messages", deleted).await;
    archiver.invoke(&timer_gone(&old)).await;
    archiver.holds("ArchiveRole");

    // What operators ask for, and a report.
    let report = format!("{group}/messages/2/report");
    api.call("ana", "POST", &report, json!({"reason": "spam"})).await;
    for (method, path) in [
        ("GET", "/api/admin/users/zed"),
        ("PUT", "/api/admin/users/zed/disabled"),
        ("DELETE", "/api/admin/users/zed/disabled"),
        ("DELETE", "/api/admin/users/bo/connections"),
    ] {
        api.operate(method, path).await;
    }
    // What someone wrote long ago, and all of someone else.
    let one = body(
        &api.order("POST", "/api/admin/users/old/erasure", &json!({"conversation_id": old})).await,
    );
    assert!(one["erased"].as_u64().unwrap() > 0 && one["page"].is_null(), "{one}");
    api.call("era", "PATCH", "/api/profile", json!({"name": "Era"})).await;
    let era = UserId::parse("era").unwrap();
    stack.aws.tables().set_disabled(&era, Some(1)).await.unwrap();
    api.operate("POST", "/api/admin/users/era/erasure").await;
    let media = upload(&api).await;
    let path = format!("/api/media/{media}/complete");
    let state = body(&api.call("ana", "POST", &path, json!({})).await);
    assert_eq!(state["state"], "clean");
    let with_file = json!({"to_user_id": "zoe", "content": {"type": "media", "media_id": media}});
    let sent = body(&api.call("ana", "POST", "/api/messages", with_file).await);
    let entry = format!("/api/conversations/d:ana:zoe/messages/{}", sent["seq"]);
    let download = body(&api.call("zoe", "GET", &format!("{entry}/media"), json!({})).await);
    api.signs(&download["url"], "s3:GetObject");
    api.call("zoe", "POST", &format!("{entry}/forward"), json!({})).await;
    api.holds("ApiRole");

    for user in ["bo", "gone", "busy"] {
        connector.invoke(&connect(user)).await;
    }
    let send = Watched::start(&stack, env!("CARGO_BIN_EXE_send")).await;
    send.invoke(&frame("ana", &text(json!({"to_user_id": "yan"}), 1))).await;
    send.invoke(&frame("ana", &text(json!({"conversation_id": few}), 2))).await;
    send.invoke(&frame("ana", &text(json!({"conversation_id": many}), 3))).await;
    let mut reply = text(json!({"conversation_id": old}), 4);
    reply["seen"] = json!(205);
    reply["content"] = json!({"type": "reply", "target": 50, "text": "to what was long ago"});
    send.invoke(&frame("ana", &reply)).await;
    let mut with_file = text(json!({"to_user_id": "yan"}), 5);
    let unsent = upload(&api).await;
    api.call("ana", "POST", &format!("/api/media/{unsent}/complete"), json!({})).await;
    with_file["content"] = json!({"type": "media", "media_id": unsent});
    send.invoke(&frame("ana", &with_file)).await;
    let mut deleted = text(json!({"conversation_id": old}), 9);
    (deleted["seen"], deleted["content"]) = (json!(206), delete(61));
    send.invoke(&frame("ana", &deleted)).await;
    for (n, content) in (5..).zip(changes()) {
        let mut changed = text(json!({"to_user_id": "yan"}), n);
        changed["content"] = content;
        send.invoke(&frame("ana", &changed)).await;
    }
    send.holds("SendRole");

    let ack = Watched::start(&stack, env!("CARGO_BIN_EXE_ack")).await;
    ack.invoke(&frame("bo", &json!({"action": "ack", "conversation_id": few, "read": 4}))).await;
    ack.invoke(&frame("old", &json!({"action": "ack", "conversation_id": old, "read": 50}))).await;
    ack.holds("AckRole");

    let signal = Watched::start(&stack, env!("CARGO_BIN_EXE_signal")).await;
    for conversation in [&few, &json!("d:ana:zoe")] {
        let typing = json!({"action": "typing", "conversation_id": conversation, "active": true});
        signal.invoke(&frame("ana", &typing)).await;
    }
    // Nobody is where ana thinks from here on; that they come is told.
    let watch = json!({"action": "presence", "user_ids": ["yan", "zoe"], "watch": true});
    signal.invoke(&frame("ana", &watch)).await;
    signal.holds("SignalRole");
    connector.invoke(&just_now(connect("yan"))).await;
    // A second socket of the same device: the first is closed.
    let again = |user: &str| {
        let mut event = just_now(connect(user));
        event["requestContext"]["connectionId"] = json!(format!("socket-{user}-2"));
        event
    };
    connector.invoke(&again("yan")).await;
    connector.holds("ConnectRole");

    let sync = Watched::start(&stack, env!("CARGO_BIN_EXE_sync")).await;
    // Bo's socket is known; zoe's is not, and is registered again.
    for user in ["bo", "zoe"] {
        let frame = frame(user, &json!({"action": "sync", "cursors": {}}));
        sync.invoke(&just_now(frame)).await;
    }
    // Hers takes the place of a newer one.
    connector.invoke(&again("zoe")).await;
    sync.invoke(&just_now(frame("zoe", &json!({"action": "sync", "cursors": {}})))).await;
    let history = json!({"action": "history", "conversation_id": few, "before": 3, "limit": 2});
    sync.invoke(&frame("bo", &history)).await;
    let history = json!({"action": "history", "conversation_id": old, "after": 30, "limit": 2});
    sync.invoke(&frame("old", &history)).await;
    sync.holds("SyncRole");

    // What the functions above queued, and a chunk with everyone whose socket or phone is peculiar.
    for user in ["gone", "busy"] {
        connector.invoke(&connect(user)).await;
    }
    let fanout = Watched::start(&stack, env!("CARGO_BIN_EXE_fanout")).await;
    let mut jobs = stack.aws.take_jobs("fanout");
    assert!(!jobs.is_empty());
    let mut all = jobs.iter().map(|job| serde_json::from_str::<Value>(job).unwrap());
    let mut job = all.rfind(|job| job["job"] == "fan_out").unwrap();
    job["to"] = json!(FEW);
    jobs.push(job.to_string());
    let done = fanout.invoke(&aws::batch(&jobs)).await;
    assert_eq!(done["batchItemFailures"], json!([]));
    fanout.holds("FanoutRole");

    // Since then messages are kept for a shorter time, and the archiver has not come: what is over lies in the archive.
    let kept = Some(("PETREL_RETENTION_DAYS", "35"));
    let push = Watched::start_with(&stack, env!("CARGO_BIN_EXE_push"), kept).await;
    let done = push.invoke(&aws::batch(&stack.aws.take_jobs("push"))).await;
    assert_eq!(done["batchItemFailures"], json!([]));
    push.holds("PushRole");

    // Nobody takes the events: each is put back.
    let webhook = Watched::start(&stack, env!("CARGO_BIN_EXE_webhook")).await;
    let events = stack.aws.take_jobs("webhook");
    assert!(events.len() > 3, "{events:?}");
    let done = webhook.invoke(&aws::batch(&events[..1])).await;
    assert_eq!(done["batchItemFailures"], json!([]));
    assert_eq!(stack.aws.take_jobs("webhook").len(), 1);
    webhook.holds("WebhookRole");
    let media = Watched::start(&stack, env!("CARGO_BIN_EXE_media")).await;
    let stored = |id: &str| {
        json!({"source": "aws.s3", "detail-type": "Object Created",
        "detail": {"bucket": {"name": "media"}, "object": {"key": format!("YW5h/{id}"), "size": 1}}})
    };
    let announced = upload(&api).await;
    media.invoke(&stored(&announced)).await;
    // One that nothing is known of, and one that ran out.
    media.invoke(&stored("0123456789abcdef0123456789abcdef")).await;
    let ran_out = json!({"Records": [{"eventSource": "aws:dynamodb", "eventName": "REMOVE",
        "userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"},
        "dynamodb": {"SequenceNumber": "1", "Keys": {
            "pk": {"S": "f#0123456789abcdef0123456789abcdef"}, "sk": {"S": "u#ana"}}}}]});
    let done = media.invoke(&ran_out).await;
    assert_eq!(done["batchItemFailures"], json!([]));
    media.holds("MediaRole");
}
