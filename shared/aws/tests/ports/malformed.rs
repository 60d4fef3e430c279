//! Items that this crate did not write so: no panic, and an error that names the item and not what was said in it.

use petrel_aws::{Dynamo, Tables};
use petrel_core::ErrorKind;
use petrel_core::ids::{ConversationId, Seq, UserId};
use petrel_core::ports::{Connections, Conversations, Log, People};
use serde_json::{Value, json};

use crate::stub::Stub;

const GROUP: &str = "g:0192f3c4-0000-7000-8000-000000000007";

/// What a read of this item fails with, in the words of the log.
async fn read(table: &str, item: &Value) -> Result<(), String> {
    let answer = json!({"Items": [item], "Count": 1, "Responses": {table: [item]}});
    let stub = Stub::answering([(200, answer.to_string().as_str())]);
    let tables = Tables {
        messages: "messages".into(),
        conversations: "conversations".into(),
        connections: "connections".into(),
    };
    let dynamo = Dynamo::new(aws_sdk_dynamodb::Client::new(&stub.config()), tables);
    let group = ConversationId::parse(GROUP).unwrap();
    let ana = UserId::parse("ana").unwrap();
    let read = match table {
        "messages" => dynamo.after(&group, Seq::ZERO, 9).await.map(drop),
        "members" => dynamo.roster(&group, 9).await.map(drop),
        "rows" => dynamo.rows(&ana, None, 9).await.map(drop),
        "conversations" => dynamo.profiles(&[ana]).await.map(drop),
        _ => dynamo.of(&[ana]).await.map(drop),
    };
    read.map_err(|error| {
        assert_eq!(error.kind, ErrorKind::Busy);
        assert_eq!(error.message, "the service is busy; send the same again");
        error.with_causes()
    })
}

fn items() -> [(&'static str, &'static str, Value); 5] {
    let sealed = r#"{"type":"text","text":"a secret"}"#;
    [
        (
            "messages",
            "seq=2",
            json!({"conversation_id": {"S": GROUP}, "seq": {"N": "2"}, "u": {"S": "ana"},
                "mid": {"S": "0192f3c4-0000-7000-8000-000000000009"}, "o": {"N": "1"},
                "at": {"N": "1790000000123"}, "c": {"S": sealed}}),
        ),
        (
            "members",
            "sk=m#bo",
            json!({"pk": {"S": GROUP}, "sk": {"S": "m#bo"}, "role": {"S": "member"},
                "joined": {"N": "1"}}),
        ),
        (
            "rows",
            "pk=u#ana",
            json!({"pk": {"S": "u#ana"}, "sk": {"S": format!("c#{GROUP}")}, "joined": {"N": "1"},
                "delivered": {"N": "0"}, "read": {"N": "0"}, "read_ordinal": {"N": "0"}}),
        ),
        (
            "conversations",
            "pk=u#ana",
            json!({"pk": {"S": "u#ana"}, "sk": {"S": "p"}, "name": {"S": "Ana"},
                "avatar": {"S": "0123456789abcdef0123456789abcdef"}, "presence": {"S": "nobody"},
                "hide_read_receipts": {"BOOL": true}}),
        ),
        (
            "connections",
            "user_id=ana",
            json!({"user_id": {"S": "ana"}, "d#phone": {"M": {"id": {"S": "c"}, "at": {"N": "1"}}}}),
        ),
    ]
}

#[tokio::test]
async fn a_malformed_item_is_named_and_not_quoted() {
    let wrong = [
        json!({"NULL": true}),
        json!({"S": ""}),
        json!({"S": "a secret\u{0}"}),
        json!({"S": r#"{"type":"a secret"}"#}),
        json!({"N": "-1"}),
        json!({"N": "99999999999999999999999999999999999999"}),
        json!({"N": "1.5"}),
        json!({"L": []}),
        json!({"M": {"id": {"S": "\u{7f}"}, "at": {"N": "x"}}}),
    ];
    let mut refused = 0;
    for (table, key, item) in items() {
        read(table, &item).await.unwrap();
        for name in item.as_object().unwrap().keys() {
            let mut lacking = item.clone();
            lacking.as_object_mut().unwrap().remove(name);
            let mut cases = vec![lacking];
            for value in &wrong {
                let mut other = item.clone();
                other[name] = value.clone();
                cases.push(other);
            }
            for case in cases {
                let Err(words) = read(table, &case).await else { continue };
                refused += 1;
                let is_key = key.starts_with(&format!("{name}="));
                assert!(is_key || words.contains(key), "{case}: {words}");
                let in_key =
                    ["pk", "sk", "conversation_id", "seq", "user_id"].contains(&name.as_str());
                assert!(in_key || !words.contains("a secret"), "{case}: {words}");
            }
        }
    }
    assert!(refused > 150, "{refused}");
}
