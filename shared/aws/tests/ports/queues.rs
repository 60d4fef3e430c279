//! How jobs go into the queues, and what becomes of those that do not.

use crate::stub::{Asked, Stub};
use petrel_aws::{Queues, Sqs};
use petrel_core::ids::{ConversationId, MessageId, Seq, UserId};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::{Job, Jobs};
use serde_json::{Value, json};
use uuid::{Uuid, uuid};

const FAN_OUT: &str = "https://sqs.eu-west-1.amazonaws.com/1/fan-out";
const PUSH: &str = "https://sqs.eu-west-1.amazonaws.com/1/push";
const DONE: &str = r#"{"Successful":[],"Failed":[]}"#;

fn sqs(stub: &Stub) -> Sqs {
    let queues = Queues { fan_out: Some(FAN_OUT.into()), push: Some(PUSH.into()), webhook: None };
    Sqs::new(aws_sdk_sqs::Client::new(&stub.config()), queues)
}

fn fan_out(text: &str, users: usize) -> Job {
    let entry = Entry {
        conversation_id: ConversationId::group(Uuid::from_u128(7)),
        seq: Seq::new(42),
        ordinal: 40,
        message_id: MessageId::minted(uuid!("0192f3c4-0000-7000-8000-000000000009")),
        sender_id: UserId::parse("ana").unwrap(),
        sent_at: 1_790_000_000_123,
        content: Content::text(text),
        level: 0,
        edits: vec![],
    };
    let to = (0..users).map(|n| UserId::parse(&format!("{n:0>64}")).unwrap()).collect();
    Job::FanOut { entry, to, except: None, attempt: 0 }
}

fn push(seq: u64) -> Job {
    let conversation = ConversationId::parse("d:ana:bo").unwrap();
    let to = vec![UserId::parse("bo").unwrap()];
    Job::Push { to, conversation, seq: Seq::new(seq), attempt: 0 }
}

/// What was sent: per request the queue and the bodies.
fn sent(stub: &Stub) -> Vec<(String, Vec<String>)> {
    let parse = |asked: Asked| serde_json::from_str::<Value>(&asked.body).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    stub.asked()
        .into_iter()
        .map(parse)
        .map(|request| {
            let entries = request["Entries"].as_array().unwrap();
            (text(&request["QueueUrl"]), entries.iter().map(|e| text(&e["MessageBody"])).collect())
        })
        .collect()
}

fn failing(ids: &[usize], ours: bool) -> String {
    let failed: Vec<_> = ids
        .iter()
        .map(
            |id| json!({"Id": id.to_string(), "Code": "Why", "Message": "so", "SenderFault": ours}),
        )
        .collect();
    json!({"Successful": [], "Failed": failed}).to_string()
}

#[tokio::test]
async fn each_job_goes_to_its_queue_and_comes_back_as_it_was() {
    let stub = Stub::answering([(200, DONE)]);
    let jobs = vec![fan_out("hi", 2), push(1), push(2)];
    sqs(&stub).enqueue(jobs.clone(), 30).await.unwrap();
    let sent = sent(&stub);
    assert_eq!(sent.iter().map(|(queue, _)| queue).collect::<Vec<_>>(), [FAN_OUT, PUSH]);
    let back: Vec<Job> = sent
        .iter()
        .flat_map(|(_, bodies)| bodies)
        .map(|body| serde_json::from_str(body).unwrap())
        .collect();
    assert_eq!(back, jobs);
    for asked in stub.asked() {
        let request: Value = serde_json::from_str(&asked.body).unwrap();
        for (id, entry) in request["Entries"].as_array().unwrap().iter().enumerate() {
            assert_eq!(entry["Id"], id.to_string());
            assert_eq!(entry["DelaySeconds"], 30);
        }
    }
}

#[tokio::test]
async fn nothing_is_asked_for_no_jobs() {
    let stub = Stub::answering([(500, "")]);
    sqs(&stub).enqueue(vec![], 0).await.unwrap();
    assert!(stub.asked().is_empty());
}

#[tokio::test]
async fn a_batch_keeps_to_ten_jobs_and_256_kib() {
    let stub = Stub::answering([(200, DONE)]);
    sqs(&stub).enqueue((0..25).map(push).collect(), 0).await.unwrap();
    let sizes: Vec<_> = sent(&stub).iter().map(|(_, bodies)| bodies.len()).collect();
    assert_eq!(sizes, [10, 10, 5]);

    // A thousand members of the longest names, and the longest text in its longest escapes.
    let stub = Stub::answering([(200, DONE)]);
    let longest = fan_out(&"\u{1}".repeat(5_000), 100);
    sqs(&stub).enqueue(vec![longest; 10], 0).await.unwrap();
    let sent = sent(&stub);
    assert!(sent.len() > 1);
    assert_eq!(sent.iter().map(|(_, bodies)| bodies.len()).sum::<usize>(), 10);
    for (_, bodies) in sent {
        assert!(bodies.iter().map(String::len).sum::<usize>() <= 256 * 1024);
    }
}

#[tokio::test]
async fn a_text_that_xml_cannot_hold_is_escaped() {
    let stub = Stub::answering([(200, DONE)]);
    let job = fan_out("\u{0}\u{8}\u{b}\u{1f}\u{fffe}\u{ffff}\\\"\u{10ffff}", 1);
    sqs(&stub).enqueue(vec![job.clone()], 0).await.unwrap();
    let (_, bodies) = &sent(&stub)[0];
    assert!(bodies[0].chars().all(|c| c >= ' ' && !('\u{fffe}'..='\u{ffff}').contains(&c)));
    assert_eq!(serde_json::from_str::<Job>(&bodies[0]).unwrap(), job);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_sent_again_and_nothing_else() {
    let stub = Stub::answering([
        (200, failing(&[1, 3], false).as_str()),
        (200, failing(&[1], false).as_str()),
        (200, DONE),
    ]);
    sqs(&stub).enqueue((0..4).map(push).collect(), 0).await.unwrap();
    let seqs: Vec<Vec<u64>> = sent(&stub)
        .iter()
        .map(|(_, bodies)| {
            let parse = |body: &String| serde_json::from_str::<Value>(body).unwrap();
            bodies.iter().map(|body| parse(body)["seq"].as_u64().unwrap()).collect()
        })
        .collect();
    assert_eq!(seqs, [vec![0, 1, 2, 3], vec![1, 3], vec![3]]);
}

#[tokio::test(start_paused = true)]
async fn what_is_still_not_queued_is_an_error() {
    let reason = |error: petrel_core::Error| error.source.unwrap().to_string();

    let stub = Stub::answering([(200, failing(&[0], false).as_str())]);
    let error = sqs(&stub).enqueue(vec![push(1), push(2)], 0).await.unwrap_err();
    assert_eq!(reason(error), "1 jobs are not queued: Why: so");
    assert_eq!(stub.asked().len(), 3);

    // Our fault: the same would fail again.
    let stub = Stub::answering([(200, failing(&[0], true).as_str())]);
    sqs(&stub).enqueue(vec![push(1)], 0).await.unwrap_err();
    assert_eq!(stub.asked().len(), 1);

    let stub = Stub::answering([(503, "")]);
    sqs(&stub).enqueue(vec![push(1)], 0).await.unwrap_err();
}

#[tokio::test]
async fn a_queue_that_is_not_set_is_named() {
    let stub = Stub::answering([(200, DONE)]);
    let queues = Queues { fan_out: Some(FAN_OUT.into()), push: None, webhook: None };
    let sqs = Sqs::new(aws_sdk_sqs::Client::new(&stub.config()), queues);
    sqs.enqueue(vec![fan_out("hi", 1)], 0).await.unwrap();
    let error = sqs.enqueue(vec![push(1)], 0).await.unwrap_err();
    assert!(error.source.unwrap().to_string().starts_with("missing PETREL_PUSH_QUEUE_URL: "));
}
