//! Webhooks: a receiver that does what docs/webhooks.md asks of it, and what reaches it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use petrel_test_client::frames;
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{interval, timeout};

use crate::document::Document;
use crate::examples::names::Names;
use crate::examples::{story, update, write};
use crate::server::{Server, run};

const PATIENCE: Duration = Duration::from_secs(60);
/// How old a delivery may be, s: what docs/webhooks.md asks for.
const TOLERANCE_S: u64 = 300;

/// What came, as it came.
#[derive(Clone, Debug)]
struct Came {
    id: String,
    timestamp: String,
    signature: String,
    path: String,
    body: String,
}

impl Came {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Whether a receiver with this secret takes it, at this time.
    fn is_good(&self, secret: &str, now_s: u64) -> bool {
        let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let signed = format!("{}.{}.{}", self.id, self.timestamp, self.body);
        let good = |signature: &str| {
            let tag = signature.strip_prefix("v1,").and_then(|s| BASE64_STANDARD.decode(s).ok());
            tag.is_some_and(|tag| hmac::verify(&key, signed.as_bytes(), &tag).is_ok())
        };
        let fresh = self.timestamp.parse::<u64>().is_ok_and(|t| t.abs_diff(now_s) <= TOLERANCE_S);
        fresh && self.signature.split(' ').any(good)
    }
}

#[derive(Default)]
struct Inner {
    came: Vec<Came>,
    /// What the next are answered; 200 when there is nothing here.
    answers: VecDeque<u16>,
    /// Whoever says this is always refused.
    poison: Option<String>,
}

/// A receiver on this machine.
#[derive(Clone)]
struct Receiver {
    url: String,
    inner: Arc<Mutex<Inner>>,
}

async fn receive(
    State(inner): State<Arc<Mutex<Inner>>>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let header = |name: &str| headers.get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
    let mut inner = inner.lock().unwrap();
    let poisoned = inner.poison.as_ref().is_some_and(|poison| body.contains(poison));
    inner.came.push(Came {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        path: uri.path().to_owned(),
        body,
    });
    let status = if poisoned { 400 } else { inner.answers.pop_front().unwrap_or(200) };
    let status = StatusCode::from_u16(status).unwrap();
    if status.is_redirection() {
        return (status, [("location", "/elsewhere")]).into_response();
    }
    // More than anyone should read.
    (status, "x".repeat(100_000)).into_response()
}

impl Receiver {
    async fn start() -> Self {
        let inner: Arc<Mutex<Inner>> = Arc::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().fallback(receive).with_state(inner.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inner }
    }

    fn answer(&self, statuses: &[u16]) {
        self.inner.lock().unwrap().answers.extend(statuses);
    }

    fn came(&self) -> Vec<Came> {
        self.inner.lock().unwrap().came.clone()
    }

    async fn until(&self, so: impl Fn(&[Came]) -> bool) -> Vec<Came> {
        let mut again = interval(Duration::from_millis(10));
        let waiting = async {
            while !so(&self.came()) {
                again.tick().await;
            }
        };
        let came = timeout(PATIENCE, waiting).await;
        assert!(came.is_ok(), "{:?}", self.came());
        self.came()
    }
}

fn secret(byte: u8) -> String {
    format!("whsec_{}", BASE64_STANDARD.encode([byte; 32]))
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn server(receiver: &Receiver, secrets: &[String]) -> Server {
    let mut args = vec!["--memory", "--webhook-url", &receiver.url];
    for secret in secrets {
        args.extend(["--webhook-secret", secret]);
    }
    Server::with(&args).await
}

#[tokio::test]
async fn every_message_change_and_report_is_told_and_signed_with_both_secrets() {
    let receiver = Receiver::start().await;
    let (new, old) = (secret(1), secret(2));
    let server = server(&receiver, &[new.clone(), old.clone()]).await;
    let group = server.found("ana", &["bo".to_owned()]).await;
    let mut ana = server.connect("ana").await;
    let sent = ana.say(&group, 1, "hi").await;
    let report = format!("/api/conversations/{group}/messages/2/report");
    server.post("bo", &report, &json!({"reason": "spam"})).await.expect(202);
    let came = receiver.until(|came| came.len() >= 3).await;
    let of = |kind: &str| came.iter().find(|c| c.json()["type"] == kind).unwrap();

    let message = of("message.created");
    let expected = json!({"type": "message.created", "version": 1, "timestamp": sent["sent_at"], "data": {
        "conversation_id": group, "seq": 2, "ordinal": 1, "message_id": sent["message_id"], "sender_id": "ana",
        "sent_at": sent["sent_at"], "content": {"type": "text", "text": "hi"}}});
    assert_eq!(message.json(), expected);
    let change = of("conversation.changed").json();
    assert_eq!(
        (&change["data"]["seq"], &change["data"]["content"]["change"]["kind"]),
        (&json!(1), &json!("created"))
    );
    let reported = of("message.reported").json();
    assert_eq!(reported["data"]["message"]["seq"], 2);
    assert_eq!(reported["data"]["reporter_id"], "bo");
    for one in &came {
        assert!(one.is_good(&new, now_s()) && one.is_good(&old, now_s()), "{one:?}");
        assert_eq!(one.path, "/hook");
    }

    // What is forged or replayed is not taken.
    let other = of("conversation.changed");
    let forged = [
        Came { body: message.body.replace("hi", "ho"), ..message.clone() },
        Came { id: other.id.clone(), ..message.clone() },
        Came { timestamp: (now_s() + 1).to_string(), ..message.clone() },
        Came { timestamp: String::new(), ..message.clone() },
        Came { signature: other.signature.clone(), ..message.clone() },
        Came { signature: message.signature.replace("v1,", "v1a,"), ..message.clone() },
        Came { signature: String::new(), ..message.clone() },
    ];
    for one in forged {
        assert!(!one.is_good(&new, now_s()) && !one.is_good(&old, now_s()), "{one:?}");
    }
    assert!(!message.is_good(&secret(3), now_s()));
    assert!(!message.is_good(&new, now_s() + TOLERANCE_S + 60), "replayed");
}

#[tokio::test]
async fn what_is_refused_comes_again_with_its_id_and_a_redirect_leads_nowhere() {
    let receiver = Receiver::start().await;
    let key = secret(1);
    let server = server(&receiver, std::slice::from_ref(&key)).await;
    receiver.answer(&[302]);
    let mut ana = server.connect("ana").await;
    // A receiver that is away stops nobody from writing.
    let sent = ana.say("d:ana:bo", 0, "one").await;
    let came = receiver.until(|came| came.len() >= 2).await;
    assert_eq!(came[0].id, came[1].id);
    assert_eq!(came[0].body, came[1].body);
    assert!(came[1].timestamp > came[0].timestamp, "{came:?}");
    assert!(came.iter().all(|c| c.path == "/hook" && c.is_good(&key, now_s())), "{came:?}");
    // A duplicate is told again, under the same id: what the first call could not queue comes that way.
    let id = sent["message_id"].as_str().unwrap();
    let again = ana.ask(&frames::send("d:ana:bo", 0, id, frames::text("one"))).await;
    assert_eq!(again["duplicate"], true);
    let came = receiver.until(|came| came.len() >= 3).await;
    assert_eq!((&came[2].id, &came[2].body), (&came[0].id, &came[0].body));
    server.wait_until("all is told", |s| s["queues"]["webhook"]["messages"] == 0).await;
}

#[tokio::test]
async fn one_event_that_is_always_refused_holds_up_no_other() {
    let receiver = Receiver::start().await;
    receiver.inner.lock().unwrap().poison = Some("poison".to_owned());
    let server = server(&receiver, &[secret(1)]).await;
    let mut ana = server.connect("ana").await;
    ana.say("d:ana:bo", 0, "poison").await;
    for n in 1..=20 {
        ana.say("d:ana:bo", n, &format!("number {n}")).await;
    }
    let good = |came: &[Came]| {
        let mut seqs: Vec<u64> =
            came.iter().filter_map(|c| c.json()["data"]["seq"].as_u64()).collect();
        seqs.sort_unstable();
        seqs.dedup();
        seqs.len() == 21
    };
    receiver.until(good).await;
    server.wait_until("all but one is told", |s| s["queues"]["webhook"]["messages"] == 1).await;
}

#[tokio::test]
async fn a_receiver_that_makes_no_sense_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let good = secret(1);
    for (url, key) in [
        ("http://example.com/hook", good.as_str()),
        ("ftp://127.0.0.1/", &good),
        ("https://user:pass@example.com/", &good),
        ("hook", &good),
        ("https://example.com/", "hunter2"),
        ("https://example.com/", "whsec_c2hvcnQ="),
    ] {
        let output =
            run(folder.path(), &["serve", "--webhook-url", url, "--webhook-secret", key]).await;
        assert_eq!(output.status.code(), Some(2), "{url} {key}");
    }
    let output = run(folder.path(), &["serve", "--webhook-url", "https://example.com/"]).await;
    assert_eq!(output.status.code(), Some(2));
}

/// A request, and what the receiver is told of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    shows: String,
    who: String,
    request: String,
    body: Value,
    #[serde(default)]
    tells: Value,
}

/// `docs/examples/webhooks.json`, a story from its top to its end. `PETREL_UPDATE=1` writes down what was told instead.
#[tokio::test]
async fn every_webhook_example_is_told_as_it_is_written() {
    const STORY: &str = "examples/webhooks.json";
    let mut all: Vec<Told> = story(STORY);
    let document = Document::read("openapi.json");
    let receiver = Receiver::start().await;
    let server = server(&receiver, &[secret(1)]).await;
    let mut names = Names::new(server.addr());
    for (n, example) in all.iter_mut().enumerate() {
        let (method, target) = example.request.split_once(' ').unwrap();
        let call = server.request_as(&example.who, method, &names.real(target));
        let answer = call.json(&names.real_in(&example.body)).send().await;
        assert!(answer.status < 300, "{}: {}", example.request, answer.body);
        let came = receiver.until(|came| came.len() > n).await;
        let told = came[n].json();
        let written = names.written(&told);
        if update() {
            example.tells = written;
        } else {
            document.check_event(&told);
            let hint = "PETREL_UPDATE=1 writes it down";
            assert_eq!(written, example.tells, "{}; {hint}", example.shows);
        }
    }
    server.wait_until("all is told", |s| s["queues"]["webhook"]["messages"] == 0).await;
    assert_eq!(receiver.came().len(), all.len(), "each tells of one thing");
    if update() {
        write(STORY, &all);
    }
}
