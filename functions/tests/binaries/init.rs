//! Every function with every variable that the template gives it: absent, and nonsense.

use serde_json::Value;

use crate::lambda::Lambda;
use crate::{Stack, variables};

const FUNCTIONS: [&str; 11] = [
    env!("CARGO_BIN_EXE_archive"),
    env!("CARGO_BIN_EXE_authorizer"),
    env!("CARGO_BIN_EXE_connect"),
    env!("CARGO_BIN_EXE_send"),
    env!("CARGO_BIN_EXE_ack"),
    env!("CARGO_BIN_EXE_sync"),
    env!("CARGO_BIN_EXE_signal"),
    env!("CARGO_BIN_EXE_fanout"),
    env!("CARGO_BIN_EXE_push"),
    env!("CARGO_BIN_EXE_media"),
    env!("CARGO_BIN_EXE_api"),
];

/// What may be absent. The template passes empty parameters on.
const OPTIONAL: [&str; 20] = [
    "PETREL_ALLOWED_ORIGINS",
    "PETREL_APNS_ARN",
    "PETREL_APNS_SANDBOX_ARN",
    "PETREL_EDIT_WINDOW_S",
    "PETREL_FCM_ARN",
    "PETREL_HOT_DAYS",
    "PETREL_JWKS_URL",
    "PETREL_LIMITS",
    "PETREL_MAX_FILE_MB",
    "PETREL_MAX_PHOTO_MB",
    "PETREL_MAX_RETENTION_DAYS",
    "PETREL_MEDIA_SCAN",
    "PETREL_METRICS_NAMESPACE",
    "PETREL_OPERATOR_SCOPE",
    "PETREL_PUSH_BADGE",
    "PETREL_PUSH_DELAY_S",
    "PETREL_PUSH_PREVIEW",
    "PETREL_RETENTION_DAYS",
    "PETREL_REVISION",
    "PETREL_WEBHOOK_QUEUE_URL",
];

/// Values that a variable must not have; none for what may be any text.
fn nonsense(variable: &str) -> &'static [&'static str] {
    match variable {
        "PETREL_MESSAGES_TABLE" | "PETREL_CONVERSATIONS_TABLE" | "PETREL_CONNECTIONS_TABLE" => {
            &["no table", "ab", "arn:aws:dynamodb:eu-central-1:1:table/messages", "two\nlines"]
        }
        "PETREL_FANOUT_QUEUE_URL" | "PETREL_PUSH_QUEUE_URL" | "PETREL_WEBHOOK_QUEUE_URL" => {
            &["queue", "arn:aws:sqs:eu-central-1:1:q", "https://sqs.eu-central-1.amazonaws.com"]
        }
        "PETREL_ARCHIVE_BUCKET" => &["no bucket", "Archive", "arn:aws:s3:::archive", "-archive"],
        "PETREL_HOT_DAYS" | "PETREL_RETENTION_DAYS" | "PETREL_MAX_RETENTION_DAYS" => {
            &["0", "3651", "a month"]
        }
        "PETREL_WEBSOCKET_ENDPOINT" => &["wss://a.example/prod", "a.example", "https://"],
        "PETREL_TOKEN_ISSUER" => &["issuer", "http://issuer.example"],
        "PETREL_JWKS_URL" => &["keys", "http://issuer.example/keys"],
        "PETREL_ALLOWED_ORIGINS" => &["chat.example.com", "https://a.example/page", "*.a.example"],
        "PETREL_LIMITS" => &["600/60", "messages=600", "nothing=1/1"],
        "PETREL_OPERATOR_SCOPE" => &["petrel admin"],
        "PETREL_MODERATION_TOPIC_ARN" => &["reports", "arn:aws:sqs:eu-central-1:1:reports"],
        "PETREL_PUSH_DELAY_S" => &["901", "0", "-1", "soon"],
        "PETREL_EDIT_WINDOW_S" => &["31536001", "-1", "long"],
        "PETREL_PUSH_BADGE" | "PETREL_PUSH_PREVIEW" => &["yes", "1", "True"],
        "PETREL_MEDIA_BUCKET" => &["no bucket", "ab", "Media", "arn:aws:s3:::media"],
        "PETREL_MAX_FILE_MB" | "PETREL_MAX_PHOTO_MB" => &["0", "5001", "-1", "25 MB"],
        "PETREL_MEDIA_SCAN" => &["yes", "1", "TRUE"],
        "PETREL_APNS_ARN" => &["apns", "arn:aws:sns:eu-central-1:1:app/GCM/petrel"],
        "PETREL_APNS_SANDBOX_ARN" => &["arn:aws:sns:eu-central-1:1:app/APNS/petrel"],
        "PETREL_FCM_ARN" => &["arn:aws:sns:eu-central-1:1:app/GCM/", "arn:aws:sns::1:topic"],
        "PETREL_METRICS_NAMESPACE" => &["AWS/Lambda", ":petrel", "pet rel"],
        "PETREL_TOKEN_AUDIENCE" => &[",", ",,"],
        "PETREL_REVISION" => &[],
        other => panic!("what must {other} not be?"),
    }
}

/// Starts a function with one variable set to this value, or removed.
async fn start(stack: &Stack, binary: &str, variable: &str, value: Option<&str>) -> Lambda {
    let mut env = stack.env(binary);
    env.retain(|(name, _)| name != variable);
    env.extend(value.map(|value| (variable.to_owned(), value.to_owned())));
    Lambda::start(binary, &env).await
}

/// The function must end with one line, which it also reports; returns its words.
async fn refused(mut function: Lambda) -> String {
    let reported = function.started().await.unwrap_err();
    assert_eq!(function.ended().await, Some(1));
    let log = function.log();
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!((&log[0]["level"], &log[0]["message"]), (&"ERROR".into(), &"cannot start".into()));
    assert_eq!(function.errors(), "");
    assert_eq!(reported["errorMessage"], log[0]["error"]);
    log[0]["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_missing_variable_ends_the_start_and_is_named_unless_it_may_be_absent() {
    let stack = Stack::start().await;
    for binary in FUNCTIONS {
        for variable in variables(binary.rsplit('/').next().unwrap()) {
            for absent in [None, Some("")] {
                let function = start(&stack, binary, &variable, absent).await;
                if OPTIONAL.contains(&variable.as_str()) {
                    assert_eq!(function.started().await, Ok(()), "{binary} without {variable}");
                    assert_eq!(function.text(), "");
                } else {
                    let words = refused(function).await;
                    assert!(words.starts_with(&format!("missing {variable}: ")), "{words}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_variable_that_makes_no_sense_ends_the_start_and_is_named_with_its_value() {
    let stack = Stack::start().await;
    for binary in FUNCTIONS {
        for variable in variables(binary.rsplit('/').next().unwrap()) {
            for value in nonsense(&variable) {
                let words = refused(start(&stack, binary, &variable, Some(value)).await).await;
                let named = format!("{variable} is {value:?}; it must be ");
                assert!(words.starts_with(&named) && words.len() > named.len(), "{words}");
            }
        }
    }
}

#[tokio::test]
async fn with_what_the_template_gives_every_function_starts_in_silence() {
    let stack = Stack::start().await;
    for binary in FUNCTIONS {
        let function = stack.function(binary).await;
        assert_eq!(function.started().await, Ok(()), "{binary}");
        assert_eq!((function.log(), function.errors()), (Vec::<Value>::new(), String::new()));
    }
}
