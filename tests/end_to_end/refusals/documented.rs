//! What the documents say is no body and no frame: of each field of each, what is of another type or out of its range. The
//! documents name the fields, and their stories fill the others, so that what is added to them is held here too.

use std::collections::BTreeMap;
use std::fs;

use petrel_test_client::tungstenite::Message;
use serde_json::{Map, Value, json};

use super::Scene;
use crate::document::{Document, file};
use crate::rest::Call;
use crate::server::Server;
use crate::tokens::Token;

/// What is not much of anything. What fits a field all the same is left out there.
fn odd_values() -> Vec<Value> {
    let beyond = 18_446_744_073_709_551_616.0;
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(1.5),
        json!(beyond),
        json!(7),
        json!(""),
        json!(" a b "),
        json!("a\u{0}b"),
        json!([]),
        json!([7]),
        json!([[]]),
        json!({}),
        json!({"a b": 7}),
        json!(["text", "x"]),
        json!({"type": "spell"}),
    ]
}

fn story(name: &str) -> Vec<Value> {
    serde_json::from_str(&fs::read_to_string(file(name)).unwrap()).unwrap()
}

/// The body or frame with each field that the schema names, wrong in each way, and without each that it needs.
fn wrong(document: &Document, schema: &Value, good: &Value) -> Vec<Value> {
    let mut all = vec![];
    for (name, field) in document.fields(schema) {
        // One that is odd is not echoed, and that is all.
        if name == "request_id" && good.get("action").is_some() {
            continue;
        }
        let is = document.checker(field);
        for value in odd_values().into_iter().filter(|value| !is.is_valid(value)) {
            let mut body = good.clone();
            body[&name] = value;
            all.push(body);
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name.as_str().unwrap());
        all.push(body);
    }
    all
}

/// Each kind of content that a client writes, wrong in each way.
fn wrong_contents(document: &Document) -> Vec<Value> {
    let mut good = BTreeMap::new();
    for name in ["examples/http.json", "examples/frames.json"] {
        for told in story(name) {
            let body = told.get("sends").unwrap_or(&told["body"]);
            let several = body["messages"].as_array().into_iter().flatten();
            for message in several.chain([body]) {
                if let Some(kind) = message["content"]["type"].as_str() {
                    good.insert(kind.to_owned(), message["content"].clone());
                }
            }
        }
    }
    assert!(good.len() >= 7, "the stories have {:?}", good.keys());
    let mut all = vec![];
    for variant in document.schema("Content")["oneOf"].as_array().unwrap() {
        if let Some(good) = good.get(variant["properties"]["type"]["const"].as_str().unwrap()) {
            all.extend(wrong(document, variant, good));
        }
    }
    all
}

/// A request of the story to this operation that went well.
fn told<'a>(story: &'a [Value], method: &str, template: &str) -> &'a Value {
    let fits = |told: &&Value| {
        let (m, target) = told["request"].as_str().unwrap().split_once(' ').unwrap();
        let same = |(t, p): (&str, &str)| t == p || t.starts_with('{');
        let (path, parts) = (target.split('?').next().unwrap(), template.split('/'));
        m.eq_ignore_ascii_case(method)
            && told["status"].as_u64().is_some_and(|status| status < 300)
            && path.split('/').count() == parts.clone().count()
            && parts.zip(path.split('/')).all(same)
    };
    story.iter().find(fits).unwrap_or_else(|| panic!("{method} {template} is in no story"))
}

/// The request of the story, with another body.
fn again(server: &Server, told: &Value, body: &str) -> Call {
    at(server, told, told["request"].as_str().unwrap().split_once(' ').unwrap().1, body)
}

/// The request of the story, at another path and with another body.
fn at(server: &Server, told: &Value, target: &str, body: &str) -> Call {
    let (method, _) = told["request"].as_str().unwrap().split_once(' ').unwrap();
    let mut token = Token::of(told["who"].as_str().unwrap());
    if let Some(scope) = told["scope"].as_str() {
        token = token.claim("scope", scope);
    }
    let call = server.request(method, target).token(&token.signed(&server.key()));
    call.header("content-type", "application/json").text(body)
}

#[tokio::test]
async fn each_body_that_is_none_by_the_document_is_refused() {
    let (document, story, scene) =
        (Document::read("openapi.json"), story("examples/http.json"), Scene::set().await);
    let (mut count, mut taken) = (0, vec![]);
    for (method, template, schema) in document.bodies() {
        let told = told(&story, method, template);
        let mut bodies = wrong(&document, schema, &told["body"]);
        if template == "/api/messages" {
            bodies.extend(wrong_contents(&document).into_iter().map(|content| {
                let mut body = told["body"].clone();
                body["content"] = content;
                body
            }));
        }
        for body in bodies {
            let answer = again(&scene.server, told, &body.to_string()).send().await;
            if (answer.status, &answer.body["code"]) != (400, &json!("bad_request")) {
                taken.push(format!("{method} {template} {body}: {}", answer.body));
            }
            count += 1;
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
    println!("{count} bodies were refused");
    assert!(count > 300, "{count}");
    scene.assert_nothing_changed().await;
}

/// Odd parts of a path and of a query, as they stand there and as they are read; `None` of what is no text.
fn odd_parts() -> [(String, Option<String>); 12] {
    let long = "x".repeat(300);
    [
        ("-1", Some("-1")),
        ("1.5", Some("1.5")),
        ("0x1", Some("0x1")),
        ("18446744073709551616", Some("18446744073709551616")),
        ("x", Some("x")),
        (&long, Some(&long)),
        ("%20a", Some(" a")),
        ("a%00b", Some("a\0b")),
        ("a%0Ab", Some("a\nb")),
        ("%C3%A9", Some("é")),
        ("a%23b", Some("a#b")),
        ("%FF", None),
    ]
    .map(|(written, read)| (written.to_owned(), read.map(str::to_owned)))
}

#[tokio::test]
async fn each_path_and_query_that_is_none_by_the_document_is_refused() {
    let (document, story, scene) =
        (Document::read("openapi.json"), story("examples/http.json"), Scene::set().await);
    let (mut count, mut taken) = (0, vec![]);
    for (method, template, [place, name], schema) in document.parameters() {
        let told = told(&story, method, template);
        let (_, target) = told["request"].as_str().unwrap().split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (is, number) = (document.checker(schema), document.is_integer(schema));
        let fits = |text: &str| match text.parse::<f64>() {
            Ok(value) if number => is.is_valid(&json!(value)),
            _ => is.is_valid(&json!(text)),
        };
        for (written, read) in odd_parts() {
            if read.is_some_and(|read| fits(&read)) {
                continue;
            }
            let target = if place == "path" {
                let parts = template.split('/').zip(path.split('/'));
                let odd = |(t, p)| if t == format!("{{{name}}}") { written.as_str() } else { p };
                parts.map(odd).collect::<Vec<_>>().join("/")
            } else {
                let others = query.split('&').filter(|pair| pair.split('=').next() != Some(name));
                let odd = format!("{name}={written}");
                let pairs: Vec<_> = others.filter(|pair| !pair.is_empty()).chain([&*odd]).collect();
                format!("{path}?{}", pairs.join("&"))
            };
            let body = told.get("body").map(Value::to_string).unwrap_or_default();
            let answer = at(&scene.server, told, &target, &body).send().await;
            if (answer.status, &answer.body["code"]) != (400, &json!("bad_request")) {
                taken.push(format!("{method} {target}: {} {}", answer.status, answer.body));
            }
            count += 1;
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
    println!("{count} paths and queries were refused");
    assert!(count > 300, "{count}");
    scene.assert_nothing_changed().await;
}

#[tokio::test]
async fn each_frame_that_is_none_by_the_document_is_refused() {
    let (document, story, scene) =
        (Document::read("asyncapi.json"), story("examples/frames.json"), Scene::set().await);
    let mut socket = scene.server.connect("ana").await;
    let (mut count, mut taken) = (0, vec![]);
    for (action, schema) in document.client_frames() {
        let fits = |line: &&Value| {
            line["sends"]["action"] == action && line["sends"]["messages"].is_null()
        };
        let good = story.iter().find(fits).unwrap_or_else(|| panic!("{action} is in no story"));
        let mut frames = wrong(&document, schema, &good["sends"]);
        if action == "send" {
            frames.extend(wrong_contents(&document).into_iter().map(|content| {
                let mut frame = good["sends"].clone();
                frame["content"] = content;
                frame
            }));
        }
        // What has another action, or none, is of no type: `frames.rs` holds that.
        for frame in frames.into_iter().filter(|frame| frame["action"] == action) {
            socket.send_raw(Message::text(frame.to_string())).await;
            let answer = socket.wait_for(&format!("what refuses {frame}"), |_| true).await;
            let told = (&answer["type"], &answer["code"], &answer["action"]);
            if told != (&json!("error"), &json!("bad_request"), &json!(action)) {
                taken.push(format!("{frame}: {answer}"));
            }
            count += 1;
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
    println!("{count} frames were refused");
    assert!(count > 150, "{count}");
    scene.assert_nothing_changed().await;
}

#[tokio::test]
async fn each_body_that_is_too_large_is_refused() {
    let (document, story, scene) =
        (Document::read("openapi.json"), story("examples/http.json"), Scene::set().await);
    for (method, template, _) in document.bodies() {
        let told = told(&story, method, template);
        let founds = ["/api/conversations", "/api/admin/conversations"].contains(&template);
        let most = if founds { 128 * 1024 } else { 32 * 1024 };
        let mut body = told["body"].as_object().cloned().unwrap_or_else(Map::new);
        body.insert("pad".to_owned(), json!("x".repeat(most)));
        let answer = again(&scene.server, told, &json!(body).to_string()).send().await;
        let what = format!("{method} {template}: {}", answer.body);
        assert_eq!((answer.status, &answer.body["code"]), (413, &json!("too_large")), "{what}");
    }
    scene.assert_nothing_changed().await;
}
