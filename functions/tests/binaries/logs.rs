//! What the functions write: JSON objects, one a line; one line an invocation with its metrics; an error once; and
//! nothing that a message says.

use serde_json::{Value, json};

use crate::emf::metrics;
use crate::lambda::{Lambda, TRACE};
use crate::{Stack, aws, body, connect, context, frame, request};

/// The one line that the last of these invocations wrote about itself, and the names of its metrics.
fn last_line(function: &Lambda) -> (Value, Vec<String>) {
    let line = function.log().pop().unwrap();
    let names = metrics(&line).into_keys().collect();
    assert_eq!((&line["level"], &line["xrayTraceId"]), (&json!("INFO"), &json!(TRACE)));
    assert_eq!(function.errors(), "");
    (line, names)
}

fn send(message: u64, conversation: &Value, text: &str) -> Value {
    json!({"action": "send", "conversation_id": conversation, "seen": 0,
        "message_id": format!("0192f3c4-0000-7000-8000-{message:012}"),
        "content": {"type": "text", "text": text}})
}

#[tokio::test]
async fn each_function_writes_one_line_an_invocation_that_says_what_it_was_about() {
    let stack = Stack::start().await;
    let connector = stack.function(env!("CARGO_BIN_EXE_connect")).await;
    for user in ["ana", "bo"] {
        connector.invoke(&connect(user)).await.unwrap();
    }
    let (line, names) = last_line(&connector);
    assert_eq!(names, ["Opened"]);
    assert_eq!(
        (&line["connection"], &line["requestId"]),
        (&json!("socket-bo"), &json!("request-2"))
    );
    let mut leaves = connect("ana");
    leaves["requestContext"]["eventType"] = "DISCONNECT".into();
    connector.invoke(&leaves).await.unwrap();
    assert_eq!(last_line(&connector).1, ["Closed"]);
    assert_eq!(connector.log().len(), 3);

    let sender = stack.function(env!("CARGO_BIN_EXE_send")).await;
    let hello = send(1, &json!("d:ana:bo"), "hello");
    sender.invoke(&frame("ana", &hello)).await.unwrap();
    let (line, names) = last_line(&sender);
    assert_eq!(names, ["Deliveries", "DeliveryLatency", "Messages"]);
    let about = json!([line["connection"], line["conversation"], line["seq"], line["requestId"]]);
    assert_eq!(about, json!(["socket-ana", "d:ana:bo", 1, "request-1"]));
    sender.invoke(&frame("ana", &hello)).await.unwrap();
    assert_eq!(last_line(&sender).1, ["Deliveries", "Duplicates"]);
    assert_eq!(sender.log().len(), 2);

    let syncer = stack.function(env!("CARGO_BIN_EXE_sync")).await;
    syncer.invoke(&frame("bo", &json!({"action": "sync", "cursors": {}}))).await.unwrap();
    let (line, names) = last_line(&syncer);
    assert_eq!((names, &line["connection"]), (vec!["Syncs".to_owned()], &json!("socket-bo")));

    let acker = stack.function(env!("CARGO_BIN_EXE_ack")).await;
    let ack = json!({"action": "ack", "conversation_id": "d:ana:bo", "read": 1});
    acker.invoke(&frame("bo", &ack)).await.unwrap();
    let (line, names) = last_line(&acker);
    assert_eq!((names, &line["seq"]), (vec!["Acks".to_owned()], &json!(1)));

    // There is nothing to count in that someone types, and so nothing to pay for.
    let signaller = stack.function(env!("CARGO_BIN_EXE_signal")).await;
    let typing = json!({"action": "typing", "conversation_id": "d:ana:bo", "active": true});
    signaller.invoke(&frame("ana", &typing)).await.unwrap();
    assert_eq!(signaller.text(), "");
    signaller.invoke(&frame("ana", &json!({"action": "dance"}))).await.unwrap();
    assert_eq!(last_line(&signaller).1, ["Refused"]);

    let authorizer = stack.function(env!("CARGO_BIN_EXE_authorizer")).await;
    stack.authorize(&authorizer, &stack.issuer.token("ana")).await.unwrap();
    assert_eq!(authorizer.text(), "");
    stack.authorize(&authorizer, "garbage").await.unwrap_err();
    assert_eq!(last_line(&authorizer).1, ["Refused"]);
    assert_eq!(authorizer.log().len(), 1);
}

#[tokio::test]
async fn the_queues_functions_name_each_entry_and_how_old_it_was() {
    let stack = Stack::start().await;
    let connector = stack.function(env!("CARGO_BIN_EXE_connect")).await;
    connector.invoke(&connect("u01")).await.unwrap();
    let api = stack.function(env!("CARGO_BIN_EXE_api")).await;
    let members: Vec<String> = (1..=40).map(|n| format!("u{n:02}")).collect();
    let group = json!({"name": "many", "member_ids": members});
    let created = api.invoke(&request("ana", "POST", "/api/conversations", &group)).await.unwrap();
    let conversation = body(&created)["conversation_id"].clone();
    let (line, names) = last_line(&api);
    assert_eq!((names, &line["conversation"]), (vec!["Messages".to_owned()], &conversation));
    let token = json!({"platform": "fcm", "token": "t"});
    api.invoke(&request("u02", "PUT", "/api/devices/phone/push", &token)).await.unwrap();
    let message =
        json!({"conversation_id": conversation, "content": {"type": "text", "text": "all"}});
    api.invoke(&request("ana", "POST", "/api/messages", &message)).await.unwrap();
    assert_eq!(last_line(&api).0["seq"], 2);

    let fanout = stack.function(env!("CARGO_BIN_EXE_fanout")).await;
    let jobs = stack.aws.take_jobs("fanout");
    fanout.invoke(&aws::batch(&jobs)).await.unwrap();
    let (line, names) = last_line(&fanout);
    // The system entry of the group's beginning is pushed to no one.
    assert_eq!(names, ["Deliveries", "DeliveryLatency", "FanOutAge", "PushJobs"]);
    let id = conversation.as_str().unwrap();
    assert_eq!(line["entries"], format!("{id}#1 {id}#2"));
    assert_eq!(line["FanOutAge"]["Counts"], json!([1, 1]));

    let push = stack.function(env!("CARGO_BIN_EXE_push")).await;
    push.invoke(&aws::batch(&stack.aws.take_jobs("push"))).await.unwrap();
    let (line, names) = last_line(&push);
    assert_eq!(names, ["PushAge", "Pushes"]);
    assert_eq!((&line["conversation"], &line["seq"]), (&conversation, &json!(2)));
    for function in [fanout, push] {
        assert_eq!(function.log().len(), 1);
    }
}

#[tokio::test]
async fn an_error_is_in_the_log_once_with_what_it_was_about_and_no_content() {
    let stack = Stack::start().await;
    let binary = env!("CARGO_BIN_EXE_send");
    let mut env = stack.env(binary);
    // A table that is not there, so that the put's read fails.
    env.retain(|(name, _)| name != "PETREL_MESSAGES_TABLE");
    env.push(("PETREL_MESSAGES_TABLE".to_owned(), "elsewhere".to_owned()));
    let sender = Lambda::start(binary, &env).await;
    let answer = sender.invoke(&frame("ana", &send(1, &json!("d:ana:bo"), "secret"))).await;
    assert_eq!(body(&answer.unwrap())["code"], "busy");
    let log = sender.log();
    assert_eq!(log.len(), 2, "{log:?}");
    let error = &log[0];
    assert_eq!((&error["level"], &error["message"]), (&json!("ERROR"), &json!("failed")));
    assert!(error["error"].as_str().unwrap().contains("ResourceNotFoundException"), "{error}");
    let about = ["connection", "conversation", "requestId", "xrayTraceId"].map(|f| &error[f]);
    assert_eq!(json!(about), json!(["socket-ana", "d:ana:bo", "request-1", TRACE]));
    assert!(error["timestamp"].as_str().unwrap().ends_with('Z'), "{error}");
    assert_eq!(last_line(&sender).1, ["Busy", "Failures"]);
    assert!(!sender.text().contains("secret"));
}

#[tokio::test]
async fn a_job_that_cannot_be_read_is_named_and_not_quoted() {
    let stack = Stack::start().await;
    let fanout = stack.function(env!("CARGO_BIN_EXE_fanout")).await;
    let poison = json!({"job": "fan_out", "entry": "secret", "to": [], "attempt": 0});
    fanout.invoke(&aws::batch(&[poison.to_string()])).await.unwrap();
    let log = fanout.log();
    assert_eq!(log.len(), 2, "{log:?}");
    assert_eq!((&log[0]["job"], &log[0]["message"]), (&json!("0"), &json!("failed")));
    assert_eq!(last_line(&fanout).1, ["Failures"]);
    assert!(!fanout.text().contains("secret"));
}

#[tokio::test]
async fn a_push_that_is_refused_is_logged_without_the_phone() {
    let stack = Stack::start().await;
    let api = stack.function(env!("CARGO_BIN_EXE_api")).await;
    let token = json!({"platform": "fcm", "token": "the-phones-token"});
    api.invoke(&request("bo", "PUT", "/api/devices/phone/push", &token)).await.unwrap();
    let message = json!({"to_user_id": "bo", "content": {"type": "text", "text": "secret"}});
    api.invoke(&request("ana", "POST", "/api/messages", &message)).await.unwrap();
    stack.aws.refuse_pushes();
    let push = stack.function(env!("CARGO_BIN_EXE_push")).await;
    push.invoke(&aws::batch(&stack.aws.take_jobs("push"))).await.unwrap();
    let log = push.log();
    assert_eq!(log.len(), 2, "{log:?}");
    let about = ["level", "message", "conversation", "seq", "job"].map(|f| &log[0][f]);
    assert_eq!(json!(about), json!(["ERROR", "a push was refused", "d:ana:bo", 1, "0"]));
    assert!(log[0]["error"].as_str().unwrap().contains("AuthorizationError"), "{log:?}");
    assert_eq!(last_line(&push).1, ["PushAge", "PushFailures"]);
    for said in [api.text(), push.text()] {
        for hidden in ["endpoint/GCM", "the-phones-token", "secret"] {
            assert!(!said.contains(hidden), "{hidden} in {said}");
        }
    }
}

#[tokio::test]
async fn what_a_client_writes_cannot_forge_a_line() {
    let stack = Stack::start().await;
    let forged = "x\n{\"level\":\"ERROR\",\"message\":\"forged\"}\r\u{1b}[2J\u{0}\u{85}\u{2028}";
    let sender = stack.function(env!("CARGO_BIN_EXE_send")).await;
    let mut frames = vec![
        send(1, &json!(forged), "hi"),
        send(2, &json!("d:ana:bo"), forged),
        json!({"action": "send", "to_user_id": forged, "message_id": forged, "content": forged}),
    ];
    frames.push(json!({"action": "send", forged: forged}));
    let count = frames.len();
    for sent in frames {
        sender.invoke(&frame("ana", &sent)).await.unwrap();
        last_line(&sender);
    }
    // What API Gateway passes on of the client, whatever it may hold.
    let mut event = frame("ana", &json!({"action": "send"}));
    event["requestContext"] = context("ana", "MESSAGE", "send");
    event["requestContext"]["connectionId"] = forged.into();
    event["requestContext"]["authorizer"]["user"] = Value::Null;
    sender.invoke(&event).await.unwrap();
    let log = sender.log();
    // One line each, and the error of the event that names no user.
    assert_eq!(log.len(), count + 2, "{log:?}");
    assert!(log.iter().all(|line| line["message"] != "forged"));
    assert_eq!(log[count]["connection"], forged);

    let api = stack.function(env!("CARGO_BIN_EXE_api")).await;
    let path = "/api/conversations/%0A%7B%22level%22%3A%22ERROR%22%7D/messages";
    api.invoke(&request("ana", "GET", path, &json!({}))).await.unwrap();
    assert_eq!((last_line(&api).1, api.log().len()), (vec!["Refused".to_owned()], 1));
}

#[tokio::test]
async fn a_function_that_logs_errors_only_keeps_its_metrics() {
    let stack = Stack::start().await;
    let binary = env!("CARGO_BIN_EXE_send");
    for level in ["WARN", "ERROR"] {
        let mut env = stack.env(binary);
        for (name, value) in &mut env {
            if name == "RUST_LOG" || name == "AWS_LAMBDA_LOG_LEVEL" {
                *value = level.to_owned();
            }
        }
        let sender = Lambda::start(binary, &env).await;
        sender.invoke(&frame("ana", &send(1, &json!("d:ana:bo"), "hi"))).await.unwrap();
        let line = sender.log().pop().unwrap();
        assert!(!metrics(&line).is_empty());
        // Lambda passes a line on by its level, and believes that only beside a time.
        assert_eq!(line["level"], level);
        let time = line["timestamp"].as_str().unwrap();
        assert!(time.starts_with("20") && time.contains('T') && time.ends_with('Z'), "{time}");

        // An error line still says which request.
        let mut event = frame("ana", &json!({"action": "send"}));
        event["requestContext"]["authorizer"] = json!({});
        sender.invoke(&event).await.unwrap();
        let log = sender.log();
        assert_eq!(log[log.len() - 2]["requestId"], "request-2", "{log:?}");
    }
}

#[tokio::test]
async fn without_a_namespace_there_are_no_metrics() {
    let stack = Stack::start().await;
    let binary = env!("CARGO_BIN_EXE_send");
    let mut env = stack.env(binary);
    env.retain(|(name, _)| name != "PETREL_METRICS_NAMESPACE");
    let sender = Lambda::start(binary, &env).await;
    sender.invoke(&frame("ana", &send(1, &json!("d:ana:bo"), "hi"))).await.unwrap();
    assert_eq!(sender.text(), "");
}
