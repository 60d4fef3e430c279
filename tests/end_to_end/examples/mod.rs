//! Every example of the documents, told to the real server: `docs/examples/http.json` and `docs/examples/frames.json`, each a story from
//! its top to its end (`webhooks.json` is told in `webhooks.rs`, where there is a receiver). What is answered must be what is written there, and what the schemas say.
//!
//! `PETREL_UPDATE=1` writes down what was answered instead; `cargo test -p petrel-core --test documents` then makes the
//! documents of it.

pub mod names;
mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::document::{Document, file};
use crate::rest::Call;
use crate::server::Server;
use crate::tokens::Token;
use names::Names;

/// A request and its answer.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    shows: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    who: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    request: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Value>,
}

/// A frame, or a request, what answers the frame, and what arrives at every socket besides.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    shows: String,
    who: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sends: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    answers: Vec<Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    arrives: BTreeMap<String, Vec<Value>>,
}

/// A story of `docs`.
pub fn story<T: DeserializeOwned>(name: &str) -> Vec<T> {
    serde_json::from_str(&fs::read_to_string(file(name)).unwrap()).unwrap()
}

/// Whether the story is told to be written down.
pub fn update() -> bool {
    std::env::var_os("PETREL_UPDATE").is_some()
}

/// Writes a story down.
pub fn write(name: &str, story: &impl Serialize) {
    fs::write(file(name), serde_json::to_string_pretty(story).unwrap() + "\n").unwrap();
}

#[tokio::test]
async fn every_http_example_is_answered_as_it_is_written() {
    let mut told: Vec<Example> = story("examples/http.json");
    let document = Document::read("openapi.json");
    let server = Server::start().await;
    let mut names = Names::new(server.addr());
    for example in &mut told {
        let (method, target) = example.request.split_once(' ').unwrap();
        let elsewhere = target.contains("://");
        let mut call = if elsewhere {
            // A URL that an answer named, which needs no token.
            let mut call = Call::new(method, names.url(target));
            for (name, value) in &example.headers {
                call = call.header(name, value);
            }
            call.text(example.text.as_deref().unwrap_or_default())
        } else {
            server.request(method, &names.real(target))
        };
        if let Some(who) = &example.who {
            let mut token = Token::of(who);
            if let Some(scope) = &example.scope {
                token = token.claim("scope", scope.as_str());
            }
            call = call.token(&token.signed(&server.key()));
        }
        if let Some(body) = &example.body {
            call = call.json(&names.real_in(body));
        }
        let answer = call.send().await;
        if !update() && !elsewhere {
            document.check_request(method, target, example.body.as_ref(), answer.status);
            document.check_answer(method, target, answer.status, &answer.body);
        }
        let body = Some(names.written(&answer.body)).filter(|body| !body.is_null());
        if update() {
            (example.status, example.answer) = (Some(answer.status), body);
        } else {
            assert_eq!(
                (Some(answer.status), &body),
                (example.status, &example.answer),
                "{}; PETREL_UPDATE=1 writes it down",
                example.request
            );
        }
    }
    if update() {
        write("examples/http.json", &told);
    } else {
        let count = told.len();
        println!("{count} requests were answered as they are written");
        assert!(count > 20);
    }
}

/// What the test asks besides, to know that nothing more is on its way.
const ASIDE: &str = "aside";

#[tokio::test]
async fn every_frame_example_is_answered_as_it_is_written() {
    let mut told: Vec<Line> = story("examples/frames.json");
    let document = Document::read("asyncapi.json");
    let server = Server::start().await;
    let mut names = Names::new(server.addr());
    let mut sockets = BTreeMap::new();
    let all = told.iter().flat_map(|line| line.arrives.keys().chain([&line.who]));
    for who in all.collect::<BTreeSet<_>>() {
        let (user, device) = who.split_once('/').unwrap_or((who, "phone"));
        sockets.insert(who.clone(), server.connect_device(user, device).await);
    }
    for line in &mut told {
        let socket = sockets.get_mut(&line.who).unwrap();
        if let Some(sends) = &line.sends {
            socket.send(&names.real_in(sends)).await;
        }
        if let Some(request) = &line.request {
            let (method, path) = request.split_once(' ').unwrap();
            let user = line.who.split('/').next().unwrap();
            let call = server.request_as(user, method, &names.real(path));
            let answer = call.json(&names.real_in(&json!(line.body))).send().await;
            assert!(answer.status < 300, "{request}: {}", answer.body);
        }
        // When this is answered, the frame before it was taken; frames of one socket are handled side by side.
        let (mut answers, mut arrived) = (vec![], BTreeMap::new());
        let aside = json!({"action": "sync", "request_id": ASIDE});
        socket.send(&aside).await;
        socket.wait_for(ASIDE, |f| f["type"] == "synced" && f["request_id"] == ASIDE).await;
        server.wait_until("it is done", |s| s["invocations"]["under_way"] == 0).await;
        server.fanned_out().await;
        for (who, socket) in &mut sockets {
            socket.send(&aside).await;
            socket.wait_for(ASIDE, |f| f["type"] == "synced" && f["request_id"] == ASIDE).await;
            let came = socket.take_mailbox().into_iter().filter(|f| f["request_id"] != ASIDE);
            let came: Vec<Value> = came.collect();
            if !update() {
                for frame in &came {
                    document.check_frame("Server", "type", frame);
                }
            }
            let pushed = |frame: &Value| {
                let kind = frame["type"].as_str().unwrap();
                kind != "error" && document.pushes().contains(&kind)
            };
            let (unasked, asked): (Vec<_>, Vec<_>) = came.iter().partition(|f| pushed(f));
            assert!(*who == line.who || asked.is_empty(), "{who} did not ask for {asked:?}");
            answers.extend(asked.into_iter().map(|f| names.written(f)));
            if !unasked.is_empty() {
                let unasked: Vec<_> = unasked.into_iter().map(|f| names.written(f)).collect();
                arrived.insert(who.clone(), unasked);
            }
        }
        if update() {
            (line.answers, line.arrives) = (answers, arrived);
        } else {
            if let Some(sends) = &line.sends {
                document.check_frame("Client", "action", sends);
            }
            let hint = "PETREL_UPDATE=1 writes it down";
            assert_eq!(answers, line.answers, "{}; {hint}", line.shows);
            assert_eq!(arrived, line.arrives, "{}; {hint}", line.shows);
        }
    }
    if update() {
        write("examples/frames.json", &told);
    } else {
        println!("{} frames were answered as they are written", told.len());
        assert!(told.len() > 10);
    }
}

/// The page that people read has examples too.
#[test]
fn what_the_protocol_page_shows_is_of_the_schemas() {
    let document = Document::read("asyncapi.json");
    let page = fs::read_to_string(file("protocol.md")).unwrap();
    let blocks = page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut count = 0;
    for line in blocks.flat_map(str::lines) {
        let frame: Value = serde_json::from_str(line).unwrap();
        if frame.get("action").is_some() {
            document.check_frame("Client", "action", &frame);
        } else {
            document.check_frame("Server", "type", &frame);
        }
        count += 1;
    }
    assert!(count >= 2);
}

#[tokio::test]
async fn the_server_hands_out_its_documents() {
    let server = Server::start().await;
    for name in ["openapi.json", "asyncapi.json"] {
        let served = server.request("GET", &format!("/{name}")).send().await;
        assert_eq!(served.headers["content-type"], "application/json");
        let written: Value =
            serde_json::from_str(&fs::read_to_string(file(name)).unwrap()).unwrap();
        assert_eq!(served.expect(200), written);
    }
}
