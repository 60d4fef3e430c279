//! Where mutation begins: the examples of the documents, the events of AWS, and one good token, answer and id of each kind.

use std::fs;
use std::path::Path;
use std::time::Duration;

use petrel_aws::token::{LocalKey, sign};
use petrel_core::events::Event;
use petrel_core::ids::{ConversationId, Seq, UserId};
use petrel_core::message::Entry;
use petrel_core::ports::Job;
use serde_json::{Value, json};

use crate::Target;
use crate::scene::{self, DIRECT};
use crate::targets::presigned;
use crate::targets::tokens::{ISSUER, KEY};

fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).expect("a file of the repository")
}

fn json_of(path: &str) -> Value {
    serde_json::from_str(&file(path)).expect("JSON")
}

/// The seeds of a target: what is checked in under `corpus`.
pub fn seeds(target: Target) -> Vec<String> {
    match target {
        Target::Frames => frames(),
        Target::Requests => requests(),
        Target::Events => events(),
        Target::Tokens => tokens(),
        Target::Items => items(),
        Target::Ids => ids(),
        Target::Archive => archive(),
        Target::Presigned => presigned::seeds(),
    }
}

fn letter(who: &str) -> char {
    who.chars().next().filter(|c| "abe".contains(*c)).unwrap_or('a')
}

/// A line each, and the whole story in pieces.
fn frames() -> Vec<String> {
    let story = json_of("docs/examples/frames.json");
    let told = story.as_array().expect("a list");
    let lines: Vec<String> = told
        .iter()
        .filter_map(|l| Some(format!("{}{}", letter(l["who"].as_str()?), l.get("sends")?)))
        .collect();
    let mut all: Vec<String> = lines.chunks(4).map(|few| few.join("\n")).collect();
    all.extend(lines);
    let group = scene::group();
    all.push(format!(
        r#"a{{"action":"send","conversation_id":"{group}","seen":1,"message_id":"0192f3c4-0000-7000-8000-0000000000aa","content":{{"type":"text","text":"all"}}}}"#
    ));
    all
}

fn requests() -> Vec<String> {
    let story = json_of("docs/examples/http.json");
    let group = scene::group().to_string();
    let lines: Vec<String> = story
        .as_array()
        .expect("a list")
        .iter()
        .map(|e| {
            let who = e["who"].as_str().map_or('-', letter);
            let body = e.get("body").map(Value::to_string).unwrap_or_default();
            let line = format!("{who} {} {body}", e["request"].as_str().unwrap());
            line.replace("g:0192f3c4-0000-7000-9000-000000000001", &group).trim_end().to_owned()
        })
        .collect();
    let mut all: Vec<String> = lines.chunks(5).map(|few| few.join("\n")).collect();
    all.extend(lines);
    all
}

fn events() -> Vec<String> {
    let event = |name: &str| json_of(&format!("functions/tests/handlers/events/{name}.json"));
    let authorizer = json!({"user": "ana", "device": "phone", "principalId": "ana"});
    let mut all = vec![];
    for name in ["connect", "disconnect"] {
        let mut one = event(name);
        one["requestContext"]["authorizer"] = authorizer.clone();
        all.push(format!("c{one}"));
    }
    for body in [
        json!({"action": "sync", "cursors": {DIRECT: 0}}),
        json!({"action": "typing", "conversation_id": DIRECT, "active": true}),
    ] {
        let mut one = event("message");
        one["requestContext"]["authorizer"] = authorizer.clone();
        one["body"] = body.to_string().into();
        all.push(format!("r{one}"));
    }
    let mut handshake = event("connect");
    handshake["type"] = "REQUEST".into();
    handshake["methodArn"] =
        "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/$connect".into();
    handshake["stageVariables"] = json!({});
    handshake["queryStringParameters"] = json!({"token": token(), "device_id": "phone"});
    handshake["multiValueQueryStringParameters"] =
        json!({"token": [token()], "device_id": ["phone"]});
    all.push(format!("a{handshake}"));
    for job in jobs() {
        let mut record = event("sqs");
        record["messageId"] = "1".into();
        record["body"] = job.into();
        all.push(format!("q{}", json!({ "Records": [record] })));
    }
    all.push(format!("h{}", event("http")));
    let by_ttl = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
    let removed = |pk: &str, sk: &str| {
        json!({"Records": [{"eventName": "REMOVE", "userIdentity": by_ttl,
            "dynamodb": {"SequenceNumber": "1", "Keys": {"pk": {"S": pk}, "sk": {"S": sk}}}}]})
    };
    all.push(format!("s{}", removed(&format!("t#{DIRECT}"), "timer")));
    all.push(format!("m{}", removed(&format!("f#{MEDIA}"), "u#ana")));
    let key = format!("YW5h/{MEDIA}");
    for told in [
        json!({"source": "aws.s3", "detail": {"object": {"key": key}}}),
        json!({"source": "scanner", "detail": {"key": key, "verdict": "blocked"}}),
        json!({"source": "aws.guardduty", "detail": {"s3ObjectDetails": {"objectKey": key},
            "scanResultDetails": {"scanResultStatus": "NO_THREATS_FOUND"}}}),
    ] {
        all.push(format!("m{told}"));
    }
    all
}

/// Good until long after us.
fn token() -> String {
    let ana = UserId::parse("ana").expect("an id");
    let key = LocalKey::new(KEY).expect("long enough");
    let century = Duration::from_secs(100 * 365 * 86_400);
    sign(&key, &ana, ISSUER, "petrel", 1_790_000_000_000, century, None).expect("a token")
}

fn tokens() -> Vec<String> {
    // The example keys of RFC 7517, appendix A.1.
    let keys = json!({"keys": [
        {"kty": "EC", "crv": "P-256", "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
         "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "use": "sig", "kid": "1"},
        {"kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
         "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}]});
    let good = token();
    let (_, rest) = good.split_once('.').expect("a token");
    // {"alg":"ES256","kid":"1"} and {"alg":"RS256","kid":"2011-04-29"}
    let of = |header: &str| format!("{header}.{rest}\n{keys}");
    vec![
        format!("{good}\n{keys}"),
        of("eyJhbGciOiJFUzI1NiIsImtpZCI6IjEifQ"),
        of("eyJhbGciOiJSUzI1NiIsImtpZCI6IjIwMTEtMDQtMjkifQ"),
        format!("{good}\n{{\"keys\":[]}}"),
    ]
}

const MEDIA: &str = "00000000000000000000000000000006";
const GROUP: &str = "g:0192f3c4-0000-7000-8000-000000000007";

fn items() -> Vec<String> {
    let text = r#"{"type":"text","text":"hi"}"#;
    let many = |item: Value| json!({"Items": [item], "Count": 1});
    let entry = json!({"conversation_id": {"S": GROUP}, "seq": {"N": "1"}, "u": {"S": "ana"},
        "mid": {"S": "0192f3c4-0000-7000-8000-000000000009"}, "o": {"N": "1"},
        "at": {"N": "1790000000123"}, "c": {"S": text}});
    let member = json!({"pk": {"S": GROUP}, "sk": {"S": "m#bo"}, "role": {"S": "member"},
        "joined": {"N": "1"}});
    let row = json!({"pk": {"S": "u#ana"}, "sk": {"S": format!("c#{GROUP}")}, "joined": {"N": "1"},
        "delivered": {"N": "0"}, "read": {"N": "0"}, "read_ordinal": {"N": "0"}});
    let device =
        json!({"user_id": {"S": "ana"}, "d#phone": {"M": {"id": {"S": "c"}, "at": {"N": "1"}}}});
    let invite = json!({"pk": {"S": GROUP}, "sk": {"S": "i#00000000000000000000000000000001"},
        "by": {"S": "ana"}, "at": {"N": "1"}, "expires": {"N": "9"}});
    let seen = json!({"user_id": {"S": "ana"}, "last_seen": {"N": "5"}, "watched": {"N": "6"},
        "away": {"BOOL": true}, "d#phone": {"M": {"id": {"S": "c"}, "at": {"N": "1"}}}});
    let profile = json!({"pk": {"S": "u#ana"}, "sk": {"S": "p"}, "name": {"S": "Ana"},
        "avatar": {"S": MEDIA}, "hide_read_receipts": {"BOOL": true}, "presence": {"S": "nobody"}});
    let upload = json!({"pk": {"S": format!("f#{MEDIA}")}, "sk": {"S": "u#ana"}, "type": {"S": "image/png"},
        "size": {"N": "3"}, "sha256": {"S": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
        "state": {"S": "clean"}, "shown": {"BOOL": false}, "ttl": {"N": "9"}});
    let responses = |table: &str, item: &Value| json!({"Responses": {table: [item]}});
    vec![
        format!("n{}", many(entry.clone())),
        format!("a{}", many(entry)),
        format!("m{}", many(member)),
        format!("r{}", many(row.clone())),
        format!("1{}", json!({"Item": row})),
        format!("w{}", responses("conversations", &row)),
        format!("i{}", many(invite.clone())),
        format!("v{}", json!({ "Item": invite })),
        format!("b{}", json!({"Item": {"pk": {"S": "u#ana"}, "sk": {"S": "b#bo"}}})),
        format!("c{}", responses("connections", &device)),
        format!("R{}", responses("conversations", &row)),
        format!("p{}", responses("conversations", &profile)),
        format!("P{}", responses("conversations", &profile)),
        format!("o{}", json!({"Responses": {"conversations": [row, profile]}})),
        format!("B{}", many(json!({"pk": {"S": "u#ana"}, "sk": {"S": "b#bo"}}))),
        format!(
            "k{}",
            responses("conversations", &json!({"pk": {"S": "u#ana"}, "sk": {"S": "b#bo"}}))
        ),
        format!(
            "g{}",
            responses(
                "conversations",
                &json!({"pk": {"S": "u#bo"}, "sk": {"S": "p"},
            "presence": {"S": "contacts"}})
            )
        ),
        format!(
            "W{}",
            many(json!({"pk": {"S": "u#ana"}, "sk": {"S": "w#bo"}, "until": {"N": "9"}}))
        ),
        format!("s{}", responses("connections", &seen)),
        format!(
            "A{}",
            json!({"Item": {"user_id": {"S": "ana"}, "off": {"N": "1"},
            "d#phone": {"M": {"id": {"S": "c"}, "at": {"N": "1"}}}, "p#phone": {"S": "e"}}})
        ),
        format!("D{}", json!({"Item": {"user_id": {"S": "ana"}, "off": {"N": "1"}}})),
        format!(
            "f{}",
            json!({"Item": {"pk": {"S": GROUP}, "sk": {"S": "floor"}, "archived": {"N": "1"},
            "closing": {"N": "2"}, "until": {"N": "0"}, "gone": {"N": "0"}, "gone_ordinal": {"N": "0"}, "oldest_at": {"N": "0"},
            "version": {"N": "3"}}})
        ),
        format!("x{}", many(json!({"pk": {"S": GROUP}, "sk": {"S": "r#00000000000000000002"}}))),
        format!("u{}", many(upload)),
        format!(
            "l{}",
            json!({"Item": {"pk": {"S": format!("f#{MEDIA}")}, "sk": {"S": "l#ana"}, "ttl": {"N": "9"}}})
        ),
        format!("L{}", many(json!({"pk": {"S": "l#ana"}, "sk": {"S": GROUP}}))),
    ]
}

fn jobs() -> Vec<String> {
    let entry = json!({"conversation_id": DIRECT, "seq": 1, "ordinal": 1, "sender_id": "ana",
        "message_id": "0192f3c4-0000-7000-8000-000000000101", "sent_at": 1_790_000_000_000_u64,
        "content": {"type": "text", "text": "hi"}});
    let entry: Entry = serde_json::from_value(entry).expect("an entry");
    let user = |id| UserId::parse(id).expect("an id");
    let conversation = ConversationId::parse(DIRECT).expect("an id");
    // By their types, so that none of them is of yesterday.
    let jobs = [
        Job::FanOut {
            entry: entry.clone(),
            to: vec![user("ana"), user("bo")],
            except: None,
            attempt: 1,
        },
        Job::Push { to: vec![user("bo")], conversation, seq: Seq::FIRST, attempt: 1 },
        Job::Presence { user: user("ana") },
        Job::Webhook { event: Event::Stored(entry), attempt: 1 },
    ];
    jobs.iter().map(|job| serde_json::to_string(job).expect("JSON")).collect()
}

fn ids() -> Vec<String> {
    let contents = [
        json!({"type": "text", "text": "hi"}),
        json!({"type": "reaction", "target": 1, "emoji": "+1", "remove": true}),
        json!({"type": "system", "change": {"kind": "created", "name": "crew", "members": ["ana"]}}),
        json!({"type": "sealed", "ciphertext": "b3BhcXVl"}),
    ];
    let mut all = vec![
        format!("ana\n{DIRECT}\n{GROUP}"),
        "0192f3c4-0000-7000-8000-000000000001".to_owned(),
        "0192f3c4-0000-7000-8000-000000000001.00000000000000000000000000000001".to_owned(),
    ];
    all.extend(contents.iter().map(Value::to_string));
    all.extend(jobs());
    all
}

/// The lines of objects: a header and then entries.
fn archive() -> Vec<String> {
    let header = r#"{"petrel":1,"conversation_id":"d:ana:bo","first":1,"last":2}"#;
    let line = |seq: u64, rest: &str| {
        format!(
            r#"{{"conversation_id":"d:ana:bo","seq":{seq},"ordinal":{seq},"message_id":"0192f3c4-0000-7000-8000-00000000000{seq}","sender_id":"ana","sent_at":{seq},{rest}}}"#
        )
    };
    let text = r#""content":{"type":"text","text":"hi"}"#;
    let edited = r#""content":{"type":"text","text":"hi"},"edits":[7,9]"#;
    let gone = r#""content":{"type":"gone","why":"deleted"}"#;
    let edit = r#""content":{"type":"edit","target":1,"text":""}"#;
    let object = |lines: &[String]| {
        std::iter::once(header.to_owned())
            .chain(lines.iter().cloned())
            .collect::<Vec<_>>()
            .join("\n")
    };
    vec![
        object(&[line(1, text), line(2, text)]),
        object(&[line(1, edited), line(2, edit)]),
        object(&[line(1, gone), line(2, text)]),
        object(&[line(2, text), line(1, text)]),
        header.replace("\"first\":1", "\"first\":2") + "\n" + &line(2, text),
        " ".repeat(4_096),
    ]
}
