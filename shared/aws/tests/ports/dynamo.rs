//! What DynamoDB answers when it is not well, and what the ports make of it: never fewer items than there are, and no
//! put that is taken for lost or for done when it is neither.

use crate::stub::Stub;
use petrel_aws::{Dynamo, Tables};
use petrel_core::ErrorKind;
use petrel_core::error::Error;
use petrel_core::group::{Allowed, GroupInfo, Role};
use petrel_core::ids::{ConnectionId, ConversationId, DeviceId, MessageId, Seq, UserId};
use petrel_core::message::{Content, Entry, GroupChange};
use petrel_core::people::{Profile, ProfileChange};
use petrel_core::ports::{
    Account, Change, Connection, Connections, Conversations, Log, People, Put, Sockets, Watermarks,
};
use serde_json::{Value, json};
use uuid::uuid;

const GROUP: &str = "g:0192f3c4-0000-7000-8000-000000000007";
const PREFIX: &str = "com.amazonaws.dynamodb.v20120810#";

fn dynamo(stub: &Stub) -> Dynamo {
    let tables = Tables {
        messages: "messages".into(),
        conversations: "conversations".into(),
        connections: "connections".into(),
    };
    Dynamo::new(aws_sdk_dynamodb::Client::new(&stub.config()), tables)
}

/// The ports over what answers so, in this order; the last answer stands for all that follow.
fn answering<const N: usize>(answers: [(u16, Value); N]) -> (Stub, Dynamo) {
    let texts = answers.map(|(status, body)| (status, body.to_string()));
    let stub = Stub::answering(texts.each_ref().map(|(status, body)| (*status, body.as_str())));
    let dynamo = dynamo(&stub);
    (stub, dynamo)
}

fn refusing(name: &str) -> (u16, Value) {
    let status = if name == "InternalServerError" { 500 } else { 400 };
    (status, json!({"__type": format!("{PREFIX}{name}"), "message": "why"}))
}

fn cancelled(codes: &[&str]) -> (u16, Value) {
    let reasons: Vec<_> =
        codes.iter().map(|code| json!({"Code": code, "Message": "why"})).collect();
    let name = format!("{PREFIX}TransactionCanceledException");
    (400, json!({"__type": name, "Message": "why", "CancellationReasons": reasons}))
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn group() -> ConversationId {
    ConversationId::parse(GROUP).unwrap()
}

fn entry() -> Entry {
    Entry {
        conversation_id: group(),
        seq: Seq::new(2),
        ordinal: 0,
        message_id: MessageId::minted(uuid!("0192f3c4-0000-7000-8000-000000000009")),
        sender_id: user("ana"),
        sent_at: 1_790_000_000_123,
        content: Content::System { change: GroupChange::Added { members: vec![user("bo")] } },
        level: 0,
        edits: vec![],
    }
}

fn joining() -> Change {
    Change {
        entry: entry(),
        added: vec![user("bo")],
        removed: vec![],
        roles: vec![],
        info: None,
        invite: None,
    }
}

fn info() -> GroupInfo {
    GroupInfo {
        name: "trip".into(),
        post: Allowed::All,
        add: Allowed::Admins,
        avatar: None,
        retention_days: None,
    }
}

fn connection(name: &str) -> Value {
    json!({"user_id": {"S": name}, "d#phone": {"M": {"id": {"S": "c1"}, "at": {"N": "1"}}}})
}

fn row(name: &str) -> Value {
    json!({"pk": {"S": format!("u#{name}")}, "sk": {"S": format!("c#{GROUP}")},
        "joined": {"N": "1"}, "delivered": {"N": "0"}, "read": {"N": "0"},
        "read_ordinal": {"N": "0"}})
}

fn member() -> Value {
    json!({"pk": {"S": GROUP}, "sk": {"S": "m#bo"}, "role": {"S": "member"}, "joined": {"N": "1"}})
}

fn stored() -> Value {
    json!({"conversation_id": {"S": GROUP}, "seq": {"N": "2"},
        "mid": {"S": "0192f3c4-0000-7000-8000-000000000009"}, "u": {"S": "ana"},
        "at": {"N": "1790000000123"}, "o": {"N": "0"},
        "c": {"S": r#"{"type":"system","change":{"kind":"added","members":["bo"]}}"#}})
}

/// Some items of a batch, and the keys that were not looked at.
fn batch(table: &str, items: &[Value], left: &[Value], strong: bool) -> (u16, Value) {
    let unprocessed = if left.is_empty() {
        json!({})
    } else {
        json!({table: {"Keys": left, "ConsistentRead": strong}})
    };
    (200, json!({"Responses": {table: items}, "UnprocessedKeys": unprocessed}))
}

/// Checks that a port failed: nobody knows what happened, and the cause is for the log.
#[track_caller]
fn failed<T: std::fmt::Debug>(done: Result<T, Error>, label: &str) {
    let Err(error) = done else { panic!("{label}: {done:?}") };
    assert_eq!(error.kind, ErrorKind::Busy, "{label}");
    assert!(error.source.is_some(), "{label}");
}

#[tokio::test(start_paused = true)]
async fn keys_that_were_not_looked_at_are_asked_for_again() {
    let key = |name: &str| json!({"user_id": {"S": name}});
    let (stub, dynamo) = answering([
        batch("connections", &[connection("ana")], &[key("bo"), key("cy")], true),
        batch("connections", &[], &[key("bo"), key("cy")], true),
        batch("connections", &[connection("cy")], &[key("bo")], true),
        batch("connections", &[connection("bo")], &[], true),
    ]);
    let users = [user("ana"), user("bo"), user("cy")];
    let found = dynamo.of(&users).await.unwrap().connections;
    let names: Vec<_> = found.iter().map(|c| c.user.as_str()).collect();
    assert_eq!(names, ["ana", "bo", "cy"]);
    let asked: Vec<Value> =
        stub.asked().iter().map(|a| serde_json::from_str(&a.body).unwrap()).collect();
    let keys: Vec<_> = asked.iter().map(|a| &a["RequestItems"]["connections"]["Keys"]).collect();
    let rest = json!([key("bo"), key("cy")]);
    assert_eq!(keys[1..], [&rest, &rest, &json!([key("bo")])]);
    assert!(asked.iter().all(|a| a["RequestItems"]["connections"]["ConsistentRead"] == true));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_stays_incomplete_fails() {
    let key = json!({"user_id": {"S": "bo"}});
    let (stub, dynamo) = answering([
        batch("connections", &[connection("ana")], std::slice::from_ref(&key), true),
        batch("connections", &[], &[key], true),
    ]);
    failed(dynamo.of(&[user("ana"), user("bo")]).await, "connections");
    assert_eq!(stub.asked().len(), 6);

    let key = json!({"pk": {"S": "u#bo"}, "sk": {"S": format!("c#{GROUP}")}});
    let (_, dynamo) = answering([batch("conversations", &[row("ana")], &[key], false)]);
    failed(dynamo.rows_of(&group(), &[user("ana"), user("bo")]).await, "rows");

    // Nor is half of it an answer when the rest fails.
    let key = json!({"user_id": {"S": "bo"}});
    let (_, dynamo) = answering([
        batch("connections", &[connection("ana")], &[key], true),
        refusing("ProvisionedThroughputExceededException"),
    ]);
    failed(dynamo.of(&[user("ana"), user("bo")]).await, "throttled");
}

#[tokio::test]
async fn a_query_goes_on_until_there_is_no_more_or_fails() {
    let key = |n: u64| json!({"conversation_id": {"S": GROUP}, "seq": {"N": n.to_string()}});
    let page =
        |items: &[Value], last| (200, json!({"Items": items, "LastEvaluatedKey": key(last)}));
    let end = (200, json!({"Items": [stored()]}));
    // A page may be empty and not the last.
    let (stub, dynamo) = answering([page(&[stored()], 2), page(&[], 3), end]);
    assert_eq!(dynamo.after(&group(), Seq::ZERO, 10).await.unwrap(), [entry(), entry()]);
    let asked: Vec<Value> =
        stub.asked().iter().map(|a| serde_json::from_str(&a.body).unwrap()).collect();
    let starts: Vec<_> = asked.iter().map(|a| &a["ExclusiveStartKey"]).collect();
    assert_eq!(starts, [&Value::Null, &key(2), &key(3)]);
    assert!(asked.iter().all(|a| a["ConsistentRead"] == true));

    let (stub, dynamo) = answering([page(&[stored()], 2)]);
    assert_eq!(dynamo.newest(&group(), Seq::FIRST, None, 1).await.unwrap(), [entry()]);
    assert_eq!(stub.asked().len(), 1);

    let (_, dynamo) = answering([page(&[stored()], 2), refusing("InternalServerError")]);
    failed(dynamo.after(&group(), Seq::ZERO, 10).await, "the log");
    let (_, dynamo) = answering([page(&[member()], 2), refusing("InternalServerError")]);
    failed(dynamo.roster(&group(), usize::MAX).await, "members");
}

/// What each refusal means for writes that may lose: the first two are another call's doing, the rest is not.
#[tokio::test]
async fn a_conditional_write_is_lost_or_failed() {
    let marks = |seq| Watermarks { delivered: Seq::new(seq), ..Watermarks::default() };
    let socket = Connection {
        user: user("bo"),
        device: DeviceId::parse("phone").unwrap(),
        id: ConnectionId::parse("c1").unwrap(),
        connected_at: 1,
    };
    for name in ["ConditionalCheckFailedException", "TransactionConflictException"] {
        let (_, dynamo) = answering([refusing(name)]);
        assert_eq!(dynamo.put(&entry()).await.unwrap(), Put::Taken, "{name}");
        let moved = dynamo.advance(&user("bo"), &group(), marks(0), marks(1)).await;
        assert!(!moved.unwrap(), "{name}");
    }
    let (_, dynamo) = answering([refusing("ConditionalCheckFailedException")]);
    assert_eq!(dynamo.register(&socket).await.unwrap(), None);
    dynamo.remove(&socket.user, &socket.device, &socket.id, 7).await.unwrap();
    dynamo.open(&ConversationId::parse("d:ana:bo").unwrap(), &[user("bo")]).await.unwrap();

    for name in [
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "ResourceNotFoundException",
        "ValidationException",
        "AccessDeniedException",
        "InternalServerError",
    ] {
        let (_, dynamo) = answering([refusing(name)]);
        failed(dynamo.put(&entry()).await, name);
        failed(dynamo.advance(&user("bo"), &group(), marks(0), marks(1)).await, name);
        failed(dynamo.register(&socket).await, name);
        failed(dynamo.remove(&socket.user, &socket.device, &socket.id, 7).await, name);
        failed(dynamo.open(&ConversationId::parse("d:ana:bo").unwrap(), &[user("bo")]).await, name);
    }
    let (_, dynamo) = answering([(200, json!({}))]);
    assert_eq!(dynamo.put(&entry()).await.unwrap(), Put::Stored);
    assert!(dynamo.advance(&user("bo"), &group(), marks(0), marks(1)).await.unwrap());
}

#[tokio::test]
async fn what_only_takes_away_where_nothing_stands_leaves_nothing() {
    let (_, dynamo) = answering([(200, json!({}))]);
    let nothing = ProfileChange { name: Some(None), avatar: Some(None), ..Default::default() };
    assert_eq!(dynamo.set_profile(&user("bo"), &nothing).await.unwrap(), Profile::default());
    assert_eq!(dynamo.set_away(&user("bo"), false).await.unwrap(), Sockets::default());
    assert_eq!(dynamo.set_disabled(&user("bo"), None).await.unwrap(), Account::default());
    // What writes something has something to show.
    let hides = ProfileChange { hide_read_receipts: Some(true), ..Default::default() };
    failed(dynamo.set_profile(&user("bo"), &hides).await, "set");
    failed(dynamo.set_away(&user("bo"), true).await, "away");
    failed(dynamo.set_disabled(&user("bo"), Some(1)).await, "disabled");
}

#[tokio::test]
async fn a_transaction_is_lost_or_failed_by_its_reasons() {
    let founders = [(user("ana"), Role::Admin), (user("bo"), Role::Member)];
    let taken = Some(Put::Taken);
    // What cancelled it; what a change makes of it, and what a founding does: another founding of the same group at
    // the same time is no reason to think that the group stands.
    for (codes, change, found) in [
        (&["ConditionalCheckFailed", "None", "None"][..], taken.clone(), taken.clone()),
        (&["TransactionConflict", "None", "None"], taken.clone(), None),
        (&["None", "None", "TransactionConflict"], taken.clone(), None),
        (&["ConditionalCheckFailed", "TransactionConflict"], taken.clone(), taken.clone()),
        (&["ConditionalCheckFailed", "ThrottlingError"], taken.clone(), taken.clone()),
        (&["None", "ThrottlingError"], None, None),
        (&["None", "ProvisionedThroughputExceeded"], None, None),
        (&["None", "ItemCollectionSizeLimitExceeded"], None, None),
        (&["None", "ValidationError"], None, None),
        (&["None", "None"], None, None),
        (&[], None, None),
    ] {
        let (_, dynamo) = answering([cancelled(codes)]);
        for (done, expected) in [
            (dynamo.change(&joining()).await, change),
            (dynamo.found(&group(), &info(), &founders).await, found),
        ] {
            match expected {
                Some(put) => assert_eq!(done.unwrap(), put, "{codes:?}"),
                None => failed(done, &format!("{codes:?}")),
            }
        }
    }
    for name in [
        "TransactionInProgressException",
        "IdempotentParameterMismatchException",
        "ThrottlingException",
        "InternalServerError",
    ] {
        let (_, dynamo) = answering([refusing(name)]);
        failed(dynamo.change(&joining()).await, name);
        failed(dynamo.found(&group(), &info(), &founders).await, name);
    }
}

#[tokio::test]
async fn a_founding_ends_where_the_group_turns_out_to_stand_or_a_part_fails() {
    let members: Vec<_> = (0..120).map(|n| (user(&format!("user-{n}")), Role::Member)).collect();
    let done = (200, json!({}));
    let (stub, dynamo) = answering([done.clone(), cancelled(&["ConditionalCheckFailed"])]);
    assert_eq!(dynamo.found(&group(), &info(), &members).await.unwrap(), Put::Taken);
    assert_eq!(stub.asked().len(), 2);

    let (stub, dynamo) = answering([done.clone(), refusing("InternalServerError")]);
    failed(dynamo.found(&group(), &info(), &members).await, "the second part");
    assert_eq!(stub.asked().len(), 2);

    let (stub, dynamo) = answering([done]);
    assert_eq!(dynamo.found(&group(), &info(), &members).await.unwrap(), Put::Stored);
    assert_eq!(stub.asked().len(), 3);
}

/// An item with one attribute other than this crate writes it; `null` takes it away.
fn broken(item: &Value, name: &str, value: &Value) -> Value {
    let mut item = item.clone();
    let attributes = item.as_object_mut().unwrap();
    match value {
        Value::Null => drop(attributes.remove(name)),
        value => drop(attributes.insert(name.to_owned(), value.clone())),
    }
    item
}

#[tokio::test]
async fn an_item_that_makes_no_sense_is_a_failure_and_not_an_absence() {
    let items = |item: Value| (200, json!({"Items": [item]}));
    let no_number = [
        Value::Null,
        json!({"S": "1"}),
        json!({"N": "-1"}),
        json!({"N": "1.5"}),
        json!({"N": "99999999999999999999"}),
    ];
    let no_text = [Value::Null, json!({"N": "1"}), json!({"S": ""})];
    for (name, values) in [
        ("conversation_id", &[json!({"S": "x"}), Value::Null][..]),
        ("seq", &no_number),
        ("mid", &no_text),
        ("u", &no_text),
        ("at", &no_number),
        ("o", &no_number),
        (
            "c",
            &[
                Value::Null,
                json!({"S": ""}),
                json!({"S": "{}"}),
                json!({"M": {}}),
                json!({"S": r#"{"type":"spell"}"#}),
            ],
        ),
    ] {
        for value in values {
            let (_, dynamo) = answering([items(broken(&stored(), name, value))]);
            let label = format!("{name}: {value}");
            failed(dynamo.newest(&group(), Seq::FIRST, None, 1).await, &label);
            failed(dynamo.after(&group(), Seq::ZERO, 1).await, &label);
        }
    }
    for (name, values) in [
        ("sk", &[Value::Null, json!({"S": "bo"}), json!({"S": "m#"})][..]),
        ("role", &[Value::Null, json!({"S": "king"}), json!({"N": "1"})]),
        ("joined", &no_number),
    ] {
        for value in values {
            let (_, dynamo) = answering([items(broken(&member(), name, value))]);
            failed(dynamo.roster(&group(), 9).await, &format!("{name}: {value}"));
        }
    }
    let rules = json!({"pk": {"S": GROUP}, "sk": {"S": "m"}, "name": {"S": "trip"},
        "post": {"S": "all"}, "add": {"S": "admins"}});
    let (_, dynamo) = answering([items(rules.clone())]);
    assert_eq!(dynamo.roster(&group(), 9).await.unwrap().info, Some(info()));
    for (name, values) in [
        ("name", &[Value::Null, json!({"N": "1"})][..]),
        ("post", &[Value::Null, json!({"S": "owners"})]),
        ("add", &[Value::Null, json!({"S": ""})]),
    ] {
        for value in values {
            let (_, dynamo) = answering([items(broken(&rules, name, value))]);
            failed(dynamo.roster(&group(), 9).await, &format!("{name}: {value}"));
        }
    }
    for (name, values) in [
        ("sk", &[Value::Null, json!({"S": GROUP}), json!({"S": "c#x"})][..]),
        ("joined", &no_number),
        ("delivered", &no_number),
        ("read", &no_number),
        ("read_ordinal", &no_number),
    ] {
        for value in values {
            let item = broken(&row("bo"), name, value);
            let label = format!("{name}: {value}");
            let (_, dynamo) = answering([(200, json!({"Item": item}))]);
            failed(dynamo.row(&user("bo"), &group()).await, &label);
            let (_, dynamo) = answering([items(item.clone())]);
            failed(dynamo.rows(&user("bo"), None, 9).await, &label);
            let (_, dynamo) = answering([batch("conversations", &[row("ana"), item], &[], false)]);
            failed(dynamo.rows_of(&group(), &[user("ana"), user("bo")]).await, &label);
        }
    }
    for (name, values) in [
        ("user_id", &[Value::Null, json!({"S": "a b"})][..]),
        (
            "d#phone",
            &[
                json!({"S": "c1"}),
                json!({"M": {}}),
                json!({"M": {"id": {"S": "c1"}}}),
                json!({"M": {"id": {"S": ""}, "at": {"N": "1"}}}),
            ],
        ),
        ("d#a b", &[json!({"M": {"id": {"S": "c1"}, "at": {"N": "1"}}})]),
        ("p#phone", &[json!({"N": "1"}), json!({"S": ""})]),
    ] {
        for value in values {
            let item = broken(&connection("bo"), name, value);
            let (_, dynamo) =
                answering([batch("connections", &[connection("ana"), item], &[], true)]);
            failed(dynamo.of(&[user("ana"), user("bo")]).await, &format!("{name}: {value}"));
        }
    }
}
