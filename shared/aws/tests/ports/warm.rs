//! Connections: opened at the start, whatever stands at the other end, and given up when the other end has.

use std::net::TcpListener;
use std::time::Duration;

use aws_config::SdkConfig;
use petrel_aws::{Settings, WARM_LIMIT, app_over, function_config, warm};
use petrel_core::ids::{ConnectionId, ConversationId, Seq, UserId};
use petrel_core::ports::{Job, Posted};
use tokio::time::Instant;

use crate::server::{Answer, Server};

const EMPTY: &str = r#"{"Items":[],"Count":0,"ScannedCount":0}"#;

/// The clients as they are deployed, pointed at these two.
fn over(aws: &str, gateway: &str) -> (SdkConfig, Settings) {
    let variables = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session"),
        ("AWS_ENDPOINT_URL", aws),
    ];
    let env = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    let config = function_config(&env).unwrap();
    let settings = Settings {
        messages_table: Some("messages".to_owned()),
        conversations_table: Some("conversations".to_owned()),
        push_queue_url: Some("https://sqs.eu-west-1.amazonaws.com/1/push".to_owned()),
        websocket_endpoint: Some(format!("{gateway}/live")),
        ..Settings::default()
    };
    (config, settings)
}

async fn newest(config: &SdkConfig, settings: &Settings) -> Result<(), petrel_core::Error> {
    let conversation = ConversationId::parse("d:ana:bo").unwrap();
    let log = app_over(config, settings).log;
    log.newest(&conversation, Seq::FIRST, None, 1).await.map(drop)
}

#[tokio::test]
async fn the_first_calls_find_their_connections_open() {
    let aws = Server::start(|_, _| Answer::Body(EMPTY));
    let gateway = Server::start(|_, _| Answer::Body(""));
    let (config, settings) = over(&aws.url, &gateway.url);
    warm(&config, &settings).await;
    // Two to DynamoDB and one to SQS, which have the same address here.
    assert_eq!((aws.requests().len(), gateway.requests().len()), (3, 1));
    for request in [aws.requests(), gateway.requests()].concat() {
        assert!(request.head.starts_with("get / http/1.1\r\n"), "{}", request.head);
        for signed in ["authorization", "x-amz", "amz-sdk"] {
            assert!(!request.head.contains(signed), "{}", request.head);
        }
    }

    newest(&config, &settings).await.unwrap();
    let to = ConnectionId::parse("x").unwrap();
    assert_eq!(app_over(&config, &settings).gateway.post(&to, "{}").await, Posted::Accepted);
    for server in [aws, gateway] {
        let requests = server.requests();
        let (last, first) = requests.split_last().unwrap();
        assert!(last.head.starts_with("post "), "{}", last.head);
        assert!(first.iter().any(|warm| warm.connection == last.connection), "{requests:?}");
    }
}

#[tokio::test]
async fn a_function_takes_what_its_environment_says() {
    let (every, dynamo) =
        (Server::start(|_, _| Answer::Body("{}")), Server::start(|_, _| Answer::Body(EMPTY)));
    let variables = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session"),
        ("AWS_ENDPOINT_URL", &every.url),
        ("AWS_ENDPOINT_URL_DYNAMODB", &dynamo.url),
    ];
    let env = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    let (_, settings) = over(&every.url, &every.url);
    let config = function_config(&env).unwrap();
    newest(&config, &settings).await.unwrap();
    let to = vec![UserId::parse("bo").unwrap()];
    let conversation = ConversationId::parse("d:ana:bo").unwrap();
    let job = Job::Push { to, conversation, seq: Seq::FIRST, attempt: 0 };
    let _ = app_over(&config, &settings).jobs.enqueue(vec![job], 0).await;
    assert_eq!(dynamo.requests().len(), 1);
    for (server, service) in [(dynamo, "dynamodb"), (every, "sqs")] {
        let head = &server.requests()[0].head;
        assert!(head.contains("credential=id/"), "{head}");
        assert!(head.contains(&format!("/eu-west-1/{service}/aws4_request")), "{head}");
        assert!(head.contains("x-amz-security-token: session\r\n"), "{head}");
    }
}

#[tokio::test]
async fn a_function_opens_no_more_than_it_uses() {
    let aws = Server::start(|_, _| Answer::Body(EMPTY));
    let (config, _) = over(&aws.url, &aws.url);
    warm(&config, &Settings::default()).await;
    assert!(aws.requests().is_empty());
    let connections = Some("connections".to_owned());
    warm(&config, &Settings { connections_table: connections, ..Settings::default() }).await;
    assert_eq!(aws.requests().len(), 1);
}

/// What each does at the start keeps nobody from the calls that follow.
#[tokio::test]
async fn a_start_that_cannot_warm_is_a_start() {
    let misbehaving: [fn() -> Answer; 5] = [
        || Answer::Close,
        || Answer::Bytes(b"\x15\x03\x01\x00\x02\x02\x46"),
        || Answer::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
        || Answer::Bytes(b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\n\r\n"),
        || Answer::Silence,
    ];
    for answer in misbehaving {
        let server =
            Server::start(
                move |head, _| {
                    if head.starts_with("get ") { answer() } else { Answer::Body(EMPTY) }
                },
            );
        let (config, settings) = over(&server.url, &server.url);
        warm(&config, &settings).await;
        assert_eq!(server.requests().len(), 4);
        newest(&config, &settings).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn warming_ends_in_time() {
    let silent = Server::start(|_, _| Answer::Silence);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in [silent.url, format!("http://{closed}")] {
        let (config, settings) = over(&url, &url);
        let start = Instant::now();
        warm(&config, &settings).await;
        // The runtime's clock, which does not move while there is work to do.
        assert!(start.elapsed() <= WARM_LIMIT + Duration::from_millis(1), "{:?}", start.elapsed());
    }
}

/// What an environment meets that was frozen between two events: the other side has closed meanwhile, or forgot.
#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_fails_no_call() {
    let closing = Server::start(|_, _| Answer::BodyThenClose(EMPTY));
    let (config, settings) = over(&closing.url, &closing.url);
    for _ in 0..3 {
        newest(&config, &settings).await.unwrap();
    }
    let forgetful = Server::start(|_, before| match before {
        1 => Answer::Close,
        _ => Answer::Body(EMPTY),
    });
    let (config, settings) = over(&forgetful.url, &forgetful.url);
    newest(&config, &settings).await.unwrap();
    newest(&config, &settings).await.unwrap();
    let connections: Vec<_> = forgetful.requests().iter().map(|r| r.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
}

#[tokio::test]
async fn a_connection_that_was_idle_for_a_minute_is_not_used_again() {
    let server = Server::start(|_, _| Answer::Body(EMPTY));
    let (config, settings) = over(&server.url, &server.url);
    for idle_s in [0, 59, 61] {
        // Paused only for this: a paused clock leaps to the next time-out when it waits for a socket.
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(idle_s)).await;
        tokio::time::resume();
        newest(&config, &settings).await.unwrap();
    }
    let connections: Vec<_> = server.requests().iter().map(|r| r.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
}
