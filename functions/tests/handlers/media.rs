//! The media function: what it makes of each event, and of events that are none.

use std::sync::Arc;

use petrel_core::media::UploadState;
use petrel_core::ports::Uploads;
use petrel_core::testing::{Memory, an_upload};
use petrel_functions::media::{Event, handle};
use serde_json::{Value, json};

/// What becomes of ana's upload by this event; `None` if the event is refused.
async fn state_after(event: Value) -> Option<UploadState> {
    let memory = Arc::new(Memory::default());
    let upload = an_upload(1);
    memory.media().announce(&upload).await.unwrap();
    let event: Event = serde_json::from_value(event).ok()?;
    handle(&memory.app(), event).await.ok()?;
    memory.media().upload(&upload.id).await.unwrap().map(|upload| upload.state)
}

fn key() -> String {
    // `ana` in base64.
    format!("YW5h/{}", an_upload(1).id)
}

#[tokio::test]
async fn the_buckets_and_a_scanners_events_set_the_state() {
    let created = |source: &str| {
        json!({"source": source, "detail-type": "Object Created",
        "detail": {"bucket": {"name": "media"}, "object": {"key": key(), "size": 1}}})
    };
    let guard_duty = |status: &str| {
        json!({"source": "aws.guardduty",
        "detail-type": "GuardDuty Malware Protection Object Scan Result",
        "detail": {"scanStatus": "COMPLETED",
            "s3ObjectDetails": {"bucketName": "media", "objectKey": key()},
            "scanResultDetails": {"scanResultStatus": status, "threats": null}}})
    };
    let own = |verdict: &str| {
        json!({"source": "petrel.scanner",
        "detail": {"bucket": "media", "key": key(), "verdict": verdict}})
    };
    use UploadState::{Blocked, Clean, Waiting};
    for (event, expected) in [
        (created("aws.s3"), Some(Clean)),
        (created("petrel.scanner"), None),
        (guard_duty("NO_THREATS_FOUND"), Some(Clean)),
        (guard_duty("THREATS_FOUND"), Some(Blocked)),
        // It does not know: nothing is opened.
        (guard_duty("UNSUPPORTED"), Some(Waiting)),
        (guard_duty("ACCESS_DENIED"), Some(Waiting)),
        (own("clean"), Some(Clean)),
        (own("blocked"), Some(Blocked)),
        (own("perhaps"), None),
        (
            json!({"source": "petrel.scanner", "detail": {"key": "elsewhere", "verdict": "clean"}}),
            None,
        ),
        (json!({"source": "petrel.scanner", "detail": {}}), None),
        (json!({}), None),
    ] {
        let what = event.to_string();
        assert_eq!(state_after(event).await, expected, "{what}");
    }
}

#[tokio::test]
async fn only_what_the_ttl_removed_ran_out() {
    let memory = Arc::new(Memory::default());
    let upload = an_upload(1);
    let removed = |by: Value, name: &str| {
        let event = json!({"Records": [{"eventSource": "aws:dynamodb", "eventName": name,
            "userIdentity": by, "dynamodb": {"SequenceNumber": "7", "Keys": {
                "pk": {"S": format!("f#{}", upload.id)}, "sk": {"S": "u#ana"}}}}]});
        serde_json::from_value::<Event>(event).unwrap()
    };
    let ttl = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
    memory.media().store(&upload.owner, &upload.id);
    for (by, name) in [(Value::Null, "REMOVE"), (ttl.clone(), "MODIFY"), (ttl.clone(), "INSERT")] {
        handle(&memory.app(), removed(by, name)).await.unwrap();
        assert!(memory.media().holds(&upload.owner, &upload.id), "{name}");
    }
    let answer = handle(&memory.app(), removed(ttl, "REMOVE")).await.unwrap();
    assert_eq!(serde_json::to_value(answer).unwrap(), json!({"batchItemFailures": []}));
    assert!(!memory.media().holds(&upload.owner, &upload.id));
}
