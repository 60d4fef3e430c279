//! On an endpoint of AWS: what it makes there, what it says when it cannot, and that jobs in its queues outlive the
//! server. Those that are ignored need an emulator; `tests/end_to_end/on_emulator` runs them on one.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::rest::Call;
use crate::server::{Server, crowd, endpoint, prefix_of, run};

/// A call of the emulator, as the SDKs make it.
async fn aws(target: &str, body: &Value) -> Value {
    let service = if target.starts_with("DynamoDB") { "dynamodb" } else { "sqs" };
    let scope = format!("Credential=test/20260101/us-east-1/{service}/aws4_request");
    // Without an emulator these tests are ignored.
    Call::new("POST", format!("{}/", endpoint().unwrap()))
        .header("x-amz-target", target)
        .header("content-type", "application/x-amz-json-1.0")
        .header(
            "authorization",
            &format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"),
        )
        .text(&body.to_string())
        .send()
        .await
        .expect(200)
}

async fn sqs(operation: &str, body: Value) -> Value {
    aws(&format!("AmazonSQS.{operation}"), &body).await
}

/// The URL of one of the server's queues.
async fn queue(server: &Server, name: &str) -> Value {
    let name = format!("{}-{name}", prefix_of(server.data()));
    sqs("GetQueueUrl", json!({"QueueName": name})).await["QueueUrl"].clone()
}

async fn attribute(queue: &Value, name: &str) -> Value {
    let ask = json!({"QueueUrl": queue, "AttributeNames": [name]});
    sqs("GetQueueAttributes", ask).await["Attributes"][name].clone()
}

async fn set_hidden_for(queue: &Value, seconds: &str) {
    let ask = json!({"QueueUrl": queue, "Attributes": {"VisibilityTimeout": seconds}});
    sqs("SetQueueAttributes", ask).await;
}

/// What a server says that does not start on this endpoint.
async fn refusal(url: &str, prefix: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let serve = ["serve", "--addr", "127.0.0.1:0", "--endpoint-url", url, "--prefix", prefix];
    let output = run(folder.path(), &serve).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[tokio::test]
async fn an_endpoint_where_nobody_answers_is_named() {
    // Taken and given back: nobody else listens there now.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = refusal(&format!("http://{free}"), "petrel").await;
    assert!(said.starts_with(&format!("petrel: cannot reach http://{free}: ")), "{said}");
    assert!(said.contains("Connection refused"), "{said}");
}

#[tokio::test]
async fn credentials_that_are_refused_are_told_from_an_endpoint_that_is_down() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 16 * 1024]);
            let body = r#"{"__type":"UnrecognizedClientException","message":"no such key"}"#;
            let head = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length:";
            let _ = write!(stream, "{head} {}\r\n\r\n{body}", body.len());
        }
    });
    let expected = format!(
        "petrel: {url} refuses the credentials (the table petrel-messages): \
         UnrecognizedClientException: no such key\n"
    );
    assert_eq!(refusal(&url, "petrel").await, expected);
}

#[tokio::test]
#[ignore = "needs an emulator"]
async fn a_table_that_is_not_ours_is_left_alone_and_named() {
    let prefix = prefix_of(tempfile::tempdir().unwrap().path());
    let table = format!("{prefix}-messages");
    let create = json!({
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    });
    aws("DynamoDB_20120810.CreateTable", &create).await;
    let expected = format!(
        "petrel: the table {table} is not ours: its key is id (S), and not conversation_id (S), seq (N); \
         choose another --prefix\n"
    );
    assert_eq!(refusal(&endpoint().unwrap(), &prefix).await, expected);
}

#[tokio::test]
#[ignore = "needs an emulator"]
async fn what_is_there_is_used_as_it_is_and_what_was_stored_is_found_again() {
    let mut server = Server::start().await;
    let fanout = queue(&server, "fanout").await;
    assert_eq!(attribute(&fanout, "VisibilityTimeout").await, "360");
    let redrive = attribute(&fanout, "RedrivePolicy").await.as_str().unwrap().to_owned();
    let redrive: Value = serde_json::from_str(&redrive).unwrap();
    assert_eq!(redrive["maxReceiveCount"].to_string().trim_matches('"'), "5");
    let dead = format!(":{}-fanout-dead", prefix_of(server.data()));
    assert!(redrive["deadLetterTargetArn"].as_str().unwrap().ends_with(&dead), "{redrive}");

    set_hidden_for(&fanout, "77").await;
    server.connect("ana").await.say("d:ana:bo", 0, "still here?").await;
    assert!(server.stop(Signal::TERM).await.success());
    server.start_again().await;
    assert_eq!(attribute(&fanout, "VisibilityTimeout").await, "77");
    let (batches, _) = server.connect("bo").await.sync(&json!({})).await;
    assert_eq!(batches[0]["messages"][0]["content"]["text"], "still here?");
}

#[tokio::test]
#[ignore = "needs an emulator"]
async fn a_job_that_always_fails_ends_among_the_dead_letters_and_holds_up_no_other() {
    let mut server = Server::start().await;
    let fanout = queue(&server, "fanout").await;
    // While nobody polls: a poll that is under way hides what it gets for as long as the queue said when it began.
    assert!(server.stop(Signal::TERM).await.success());
    set_hidden_for(&fanout, "1").await;
    let poison = json!({"QueueUrl": fanout, "MessageBody": "no job"});
    sqs("SendMessage", poison).await;
    server.start_again().await;

    let users = crowd(33);
    let group = server.found(&users[0], &users[1..]).await;
    let mut member = server.connect(&users[32]).await;
    let sent = server.connect(&users[0]).await.say(&group, 1, "nevertheless").await;
    member.wait_for_message(sent["message_id"].as_str().unwrap()).await;

    let dead = |state: &Value| state["queues"]["fanout"] == json!({"messages": 0, "dead": 1});
    server.wait_until("it is dead, and alone", dead).await;
}

#[tokio::test]
#[ignore = "needs an emulator"]
async fn a_push_that_waits_outlives_a_kill() {
    let mut server = Server::with(&["--push-delay", "2"]).await;
    leave_a_push_job(&server).await;
    server.kill().await;
    server.start_again().await;
    let pushes = server.pushed_out().await;
    assert_eq!((pushes.len(), &pushes[0]["preview"]), (1, &json!("did you get this?")));
}

/// A job in the push queue, delayed: the socket of someone with a phone took a message and did not say so.
async fn leave_a_push_job(server: &Server) {
    let phone = json!({"platform": "fcm", "token": format!("token {}", prefix_of(server.data()))});
    let put = server.request_as("bo", "PUT", "/api/devices/phone/push").json(&phone);
    put.send().await.expect(204);
    let _bo = server.connect("bo").await;
    server.connect("ana").await.say("d:ana:bo", 0, "did you get this?").await;
}

#[tokio::test]
#[ignore = "needs an emulator"]
async fn a_server_that_stops_finishes_what_it_took_and_leaves_the_rest_to_the_next() {
    const JOBS: usize = 200;
    let mut server = Server::with(&["--push-delay", "2"]).await;
    leave_a_push_job(&server).await;
    assert!(server.stop(Signal::TERM).await.success());
    let push = queue(&server, "push").await;
    let job = json!({"QueueUrl": push, "WaitTimeSeconds": 20});
    let job = sqs("ReceiveMessage", job).await["Messages"][0]["Body"].clone();
    for _ in 0..JOBS / 10 {
        let entries: Vec<_> =
            (0..10).map(|n| json!({"Id": n.to_string(), "MessageBody": job})).collect();
        sqs("SendMessageBatch", json!({"QueueUrl": push, "Entries": entries})).await;
    }

    // It is told to stop as soon as it has begun, until nothing is left to do.
    let mut left = vec![JOBS];
    while left.last() != Some(&0) {
        server.start_again().await;
        assert!(server.stop(Signal::TERM).await.success());
        // One is hidden: that which was copied.
        assert_eq!(attribute(&push, "ApproximateNumberOfMessagesNotVisible").await, "1");
        let waiting = attribute(&push, "ApproximateNumberOfMessages").await;
        left.push(waiting.as_str().unwrap().parse().unwrap());
        assert!(left.len() <= JOBS, "it gets nowhere: {left:?}");
    }
    assert!(left.len() > 2, "it never stopped in the midst of them: {left:?}");
    assert_eq!(
        attribute(&queue(&server, "push-dead").await, "ApproximateNumberOfMessages").await,
        "0"
    );
}
