//! What the environment makes: the ports of each function, the clients' limits, and the fetch of an issuer's keys
//! over a real socket.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use petrel_aws::settings::Env;
use petrel_aws::token::FetchKeys;
use petrel_aws::{HttpKeys, Origins, Settings, app_over, function_config, sdk_config, verifier};
use petrel_core::ids::{ConnectionId, ConversationId, Seq, UserId};
use petrel_core::ports::{Job, Posted};
use tokio::time::Instant;

use crate::stub::Stub;

fn of<'a>(variables: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + Sync + 'a {
    |name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
}

fn settings(variables: &[(&str, &str)]) -> Result<Settings, String> {
    Settings::read(&of(variables)).map_err(|error| error.to_string())
}

#[test]
fn a_variable_that_makes_no_sense_is_named() {
    let error = |name, value| settings(&[(name, value)]).unwrap_err();
    for delay in ["901", "0", "-1", "soon", "1.5"] {
        let words = format!("PETREL_PUSH_DELAY_S is {delay:?}; it must be a number from 1 to 900");
        assert_eq!(error("PETREL_PUSH_DELAY_S", delay), words);
    }
    let words = "PETREL_WEBSOCKET_ENDPOINT is \"wss://a.example/live\"; it must be the https URL of the \
        WebSocket API's stage";
    assert_eq!(error("PETREL_WEBSOCKET_ENDPOINT", "wss://a.example/live"), words);
}

#[test]
fn an_empty_variable_is_absent() {
    let settings = settings(&[
        ("PETREL_PUSH_DELAY_S", ""),
        ("PETREL_WEBSOCKET_ENDPOINT", " "),
        ("PETREL_MESSAGES_TABLE", ""),
        ("PETREL_FCM_ARN", ""),
    ])
    .unwrap();
    assert_eq!(settings.core.push_delay_s, 30);
    assert_eq!(settings.websocket_endpoint, None);
    assert_eq!(settings.messages_table, None);
    assert!(settings.platforms.is_empty());
}

#[test]
fn origins() {
    let read = |value| Origins::read(&of(&[("PETREL_ALLOWED_ORIGINS", value)])).unwrap();
    // A deployment that forgets the variable lets no page in, rather than all.
    assert!(!read("").allow(Some("https://a.example")) && read("").allow(None));
    assert_eq!(read("https://a.example, *"), Origins::Any);
    assert!(Origins::Any.allow(Some("https://evil.example")));
    let some = read("https://a.example/ ,http://localhost:3000");
    assert!(some.allow(Some("https://a.example")) && some.allow(Some("http://localhost:3000")));
    // An app is not a web page.
    assert!(some.allow(None));
    for other in ["", "null", "https://a.example.evil.example", "http://a.example", "https://a"] {
        assert!(!some.allow(Some(other)), "{other}");
    }
}

#[tokio::test]
async fn a_port_fails_only_where_it_lacks_its_variable() {
    let stub = Stub::answering([(200, r#"{"Items":[],"Responses":{}}"#)]);
    let settings = settings(&[("PETREL_CONNECTIONS_TABLE", "connections")]).unwrap();
    let app = app_over(&stub.config(), &settings);
    let (ana, bo) = (UserId::parse("ana").unwrap(), UserId::parse("bo").unwrap());
    let conversation = ConversationId::direct(&ana, &bo);
    app.connections.of(std::slice::from_ref(&ana)).await.unwrap();
    assert_eq!(stub.asked().len(), 1);

    let reason = |error: petrel_core::Error| error.source.unwrap().to_string();
    let log = app.log.newest(&conversation, Seq::FIRST, None, 1).await.unwrap_err();
    assert!(reason(log).starts_with("missing PETREL_MESSAGES_TABLE: "));
    let conversations = app.conversations.blocks(&ana, &bo).await.unwrap_err();
    assert!(reason(conversations).starts_with("missing PETREL_CONVERSATIONS_TABLE: "));
    let job = Job::Push { to: vec![bo], conversation, seq: Seq::FIRST, attempt: 0 };
    let jobs = app.jobs.enqueue(vec![job], 0).await.unwrap_err();
    assert!(reason(jobs).starts_with("missing PETREL_PUSH_QUEUE_URL: "));
    let to = ConnectionId::parse("x").unwrap();
    assert_eq!(app.gateway.post(&to, "{}").await, Posted::Later);
    assert_eq!(stub.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_post_gives_up_in_time_and_a_call_too() {
    let stub = Stub::silent();
    let settings = settings(&[
        ("PETREL_MESSAGES_TABLE", "messages"),
        ("PETREL_WEBSOCKET_ENDPOINT", "https://a.example/live"),
    ])
    .unwrap();
    let limits = sdk_config(&of(&[("AWS_REGION", "eu-west-1")])).await.unwrap();
    let config = stub
        .config_with(RetryConfig::disabled())
        .into_builder()
        .timeout_config(limits.timeout_config().unwrap().clone())
        .retry_config(limits.retry_config().unwrap().clone())
        .build();
    let app = app_over(&config, &settings);

    let start = Instant::now();
    let to = ConnectionId::parse("x").unwrap();
    assert_eq!(app.gateway.post(&to, "{}").await, Posted::Later);
    assert!(start.elapsed() <= Duration::from_millis(2_200), "{:?}", start.elapsed());
    assert_eq!(stub.asked().len(), 2);

    let start = Instant::now();
    let group = ConversationId::parse("d:ana:bo").unwrap();
    app.log.newest(&group, Seq::FIRST, None, 1).await.unwrap_err();
    assert!(start.elapsed() <= Duration::from_secs(6), "{:?}", start.elapsed());
    assert!(stub.asked().len() <= 2 + 3);
}

/// What an emulator has begun is not asked of it twice because it is slow.
#[tokio::test(start_paused = true)]
async fn an_endpoint_of_ones_own_has_longer() {
    let aws =
        [("AWS_REGION", "eu-west-1"), ("PETREL_WEBSOCKET_ENDPOINT", "https://a.example/live")];
    let own = [aws.as_slice(), &[("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")]].concat();
    let mut took = vec![];
    for variables in [aws.as_slice(), &own] {
        let limits = function_config(&of(variables)).unwrap();
        let limits = limits.timeout_config().unwrap();
        let stub = Stub::silent();
        let config = stub.config_with(RetryConfig::disabled()).into_builder();
        let config = config.timeout_config(limits.clone()).build();
        let app = app_over(&config, &settings(variables).unwrap());
        let start = Instant::now();
        assert_eq!(app.gateway.post(&ConnectionId::parse("x").unwrap(), "{}").await, Posted::Later);
        took.push((limits.connect_timeout(), limits.operation_timeout(), start.elapsed()));
    }
    let [(connect, call, post), (connect_own, call_own, post_own)] = took[..] else { panic!() };
    assert_eq!((connect_own, call_own), (connect.map(|it| it * 5), call.map(|it| it * 5)));
    assert!(post_own > post * 4, "{post_own:?} against {post:?}");
}

#[tokio::test(start_paused = true)]
async fn an_sqs_that_does_not_answer_is_waited_for_once_and_asked_again_later() {
    let stub = Stub::silent();
    let queue = "https://sqs.eu-west-1.amazonaws.com/1/push";
    let settings = settings(&[("PETREL_PUSH_QUEUE_URL", queue)]).unwrap();
    let jobs = app_over(&stub.config(), &settings).jobs;
    let to = vec![UserId::parse("bo").unwrap()];
    let conversation = ConversationId::parse("d:ana:bo").unwrap();
    let job = Job::Push { to, conversation, seq: Seq::FIRST, attempt: 0 };
    let queued = || jobs.enqueue(vec![job.clone()], 0);
    queued().await.unwrap_err();
    let asked = stub.asked().len();
    let start = Instant::now();
    for _ in 0..10 {
        queued().await.unwrap_err();
    }
    assert_eq!((start.elapsed(), stub.asked().len()), (Duration::ZERO, asked));
    tokio::time::advance(Duration::from_secs(5)).await;
    queued().await.unwrap_err();
    assert!(stub.asked().len() > asked);
}

/// Builds the TLS configuration, which panics if a root cannot be read. Nothing listens there.
#[tokio::test]
async fn the_https_client_is_built() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = sdk_config(&of(&[("AWS_REGION", "eu-west-1")])).await.unwrap();
    let config = Stub::default()
        .config()
        .into_builder()
        .http_client(config.http_client().unwrap())
        .endpoint_url(format!("https://{closed}"))
        .build();
    let settings = settings(&[("PETREL_MESSAGES_TABLE", "messages")]).unwrap();
    let group = ConversationId::parse("d:ana:bo").unwrap();
    app_over(&config, &settings).log.newest(&group, Seq::FIRST, None, 1).await.unwrap_err();
}

/// Answers one request on this machine and returns its head.
fn serve(answer: &'static str) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/.well-known/jwks.json", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        socket.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(head).unwrap()
    });
    (url, served)
}

#[tokio::test]
async fn keys_are_fetched_over_http() {
    let (url, served) = serve("HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"keys\":[]}");
    let keys = HttpKeys::new(&url, &of(&[])).unwrap();
    assert_eq!(keys.fetch().await.unwrap(), br#"{"keys":[]}"#);
    assert!(served.join().unwrap().starts_with("GET /.well-known/jwks.json HTTP/1.1\r\n"));

    let (url, _) = serve("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n");
    let error = HttpKeys::new(&url, &of(&[])).unwrap().fetch().await.unwrap_err();
    assert_eq!(error.to_string(), "the issuer answered 503");
}

#[test]
fn keys_come_from_where_nobody_can_change_them() {
    let new = |url: &str| HttpKeys::new(url, &of(&[])).map(drop).map_err(|e| e.to_string());
    let refused =
        |url: &str| format!("PETREL_JWKS_URL is {url:?}; it must be the https URL of a key set");
    for good in [
        "https://issuer.example/keys",
        "https://cognito-idp.eu-west-1.amazonaws.com/p/.well-known/jwks.json",
        "http://localhost:8080/keys",
        "http://127.0.0.1/keys",
        "http://[::1]:8080/keys",
    ] {
        assert_eq!(new(good), Ok(()), "{good}");
    }
    for bad in
        ["http://issuer.example/keys", "http://127.0.0.1.evil.example/", "ftp://a/keys", "a:80"]
    {
        assert_eq!(new(bad), Err(refused(bad)), "{bad}");
    }
    for bad in ["", "/keys", "https:///keys"] {
        assert_eq!(new(bad), Err(refused(bad)), "{bad}");
    }
}

#[test]
fn a_verifier_needs_an_issuer() {
    let build = |variables: &[(&str, &str)]| {
        let env: Env<'_> = &of(variables);
        verifier(env).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(
        build(&[]),
        Err("missing PETREL_TOKEN_ISSUER: the https URL of an identity provider".into())
    );
    assert_eq!(build(&[("PETREL_TOKEN_ISSUER", "https://issuer.example/")]), Ok(()));
    assert_eq!(build(&[("PETREL_JWKS_URL", "https://issuer.example/keys")]), Ok(()));
    let plain = [("PETREL_TOKEN_ISSUER", "http://issuer.example")];
    let words = "PETREL_TOKEN_ISSUER is \"http://issuer.example\"; it must be the https URL of an identity provider";
    assert_eq!(build(&plain), Err(words.into()));
}
