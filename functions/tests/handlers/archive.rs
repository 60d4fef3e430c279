//! Records of the stream of the conversations table: which of them set the archiver off, and which come again.

use std::sync::Arc;

use petrel_core::ids::{ConversationId, UserId};
use petrel_core::message::Content;
use petrel_core::ports::{Cold, Log, mint};
use petrel_core::services::{Keeping, Outgoing, SendRequest};
use petrel_core::testing::Memory;
use petrel_core::{App, Caller};
use petrel_functions::archive::{StreamEvent, handle};
use serde_json::{Value, json};

const TTL: &str = "dynamodb.amazonaws.com";

/// A record as AWS documents it: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html>.
fn record(pk: &str, sk: &str, number: &str) -> Value {
    json!({"eventID": "c81e728d9d4c2f636f067f89cc14862c", "eventName": "REMOVE", "eventVersion": "1.1",
        "eventSource": "aws:dynamodb", "awsRegion": "eu-west-1",
        "userIdentity": {"type": "Service", "principalId": TTL},
        "dynamodb": {"ApproximateCreationDateTime": 1_790_000_000.0,
            "Keys": {"pk": {"S": pk}, "sk": {"S": sk}},
            "SequenceNumber": number, "SizeBytes": 26, "StreamViewType": "KEYS_ONLY"},
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/conversations/stream/2026"})
}

async fn answer(app: &App, records: &[Value]) -> Value {
    let event: StreamEvent = serde_json::from_value(json!({"Records": records})).unwrap();
    serde_json::to_value(handle(app, event).await).unwrap()
}

/// Ten messages, all old.
async fn world() -> (Arc<Memory>, App, ConversationId) {
    let memory = Arc::new(Memory::default());
    let mut app = memory.app();
    app.settings.keeping = Keeping { hot_s: 60, tail: 2, least: 1, retention_s: u64::MAX / 1_000 };
    let of = ConversationId::parse("d:ana:bo").unwrap();
    for _ in 0..10 {
        let content = Content::text("hi");
        let messages = vec![Outgoing { message_id: mint(&*memory), content }];
        let send = SendRequest { conversation: of.clone(), seen: None, messages };
        app.send(&Caller::http(UserId::parse("ana").unwrap()), send).await.unwrap();
    }
    memory.pass(100_000);
    (memory, app, of)
}

#[tokio::test]
async fn a_timer_that_vanished_sets_the_archiver_off() {
    let (memory, app, of) = world().await;
    let all_well = json!({"batchItemFailures": []});
    // A timer that someone removed, one that was written, and other rows, whoever removed them.
    let mut by_hand = record("t#d:ana:bo", "timer", "1");
    by_hand.as_object_mut().unwrap().remove("userIdentity");
    let mut written = record("t#d:ana:bo", "timer", "2");
    written["eventName"] = json!("MODIFY");
    let mut by_another = record("t#d:ana:bo", "timer", "3");
    by_another["userIdentity"]["principalId"] = json!("someone.else");
    let other = record("u#ana", "w#bo", "4");
    assert_eq!(answer(&app, &[by_hand, written, by_another, other]).await, all_well);
    assert_eq!(memory.rows_of_log(&of).len(), 10);

    let gone = record("t#d:ana:bo", "timer", "5");
    for _ in 0..2 {
        assert_eq!(answer(&app, std::slice::from_ref(&gone)).await, all_well);
        assert_eq!(memory.rows_of_log(&of), [1, 9, 10]);
        assert_eq!(memory.floor(&of).await.unwrap().archived.get(), 8);
    }
    // A conversation that is not there.
    assert_eq!(answer(&app, &[record("t#d:no:one", "timer", "6")]).await, all_well);
}

#[tokio::test]
async fn the_shard_comes_again_from_the_first_that_failed() {
    let (memory, app, of) = world().await;
    let records = [
        record("t#d:no:one", "timer", "7"),
        record("t#nonsense", "timer", "8"),
        record("t#d:ana:bo", "timer", "9"),
        record("elsewhere", "timer", "10"),
    ];
    let answer = answer(&app, &records).await;
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "8"}]}));
    // It does not keep the others from their work.
    assert_eq!(memory.rows_of_log(&of), [1, 9, 10]);
    assert_eq!(memory.newest(&of, petrel_core::ids::Seq::FIRST, None, 1).await.unwrap().len(), 1);
}

#[test]
fn what_is_no_event_of_a_stream_is_refused() {
    for bad in [json!({}), json!({"Records": [{}]}), json!({"Records": [{"eventName": "REMOVE"}]})]
    {
        assert!(serde_json::from_value::<StreamEvent>(bad.clone()).is_err(), "{bad}");
    }
}
