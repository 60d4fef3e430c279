//! What each variable must look like, so that a mistake ends the start of a function and not its first request.

use http::Uri;
use petrel_core::limits::Limits;

use crate::settings::{
    ALLOWED_ORIGINS, APNS_ARN, APNS_SANDBOX_ARN, ARCHIVE_BUCKET, CONNECTIONS_TABLE,
    CONVERSATIONS_TABLE, EDIT_WINDOW_S, FANOUT_QUEUE_URL, FCM_ARN, HOT_DAYS, JWKS_URL, LIMITS,
    MAX_DELAY_S, MAX_EDIT_WINDOW_S, MAX_FILE_MB, MAX_PHOTO_MB, MAX_RETENTION_DAYS, MEDIA_BUCKET,
    MEDIA_SCAN, MESSAGES_TABLE, METRICS_NAMESPACE, MODERATION_TOPIC_ARN, OPERATOR_SCOPE,
    PUSH_BADGE, PUSH_DELAY_S, PUSH_PREVIEW, PUSH_QUEUE_URL, RETENTION_DAYS, TOKEN_AUDIENCE,
    TOKEN_ISSUER, WEBHOOK_QUEUE_URL, WEBHOOK_SECRETS, WEBHOOK_URL, WEBSOCKET_ENDPOINT,
};
use crate::webhook::{self, Reach, Signer};

/// What a variable must be, in words, and whether this value is.
type Shape = (&'static str, fn(&str) -> bool);

/// The shape of a variable. One without a rule may be anything.
fn shape(name: &str) -> Shape {
    match name {
        MESSAGES_TABLE | CONVERSATIONS_TABLE | CONNECTIONS_TABLE => {
            ("the name of a DynamoDB table: 3 to 255 of A-Z a-z 0-9 _ . -", is_table)
        }
        FANOUT_QUEUE_URL | PUSH_QUEUE_URL | WEBHOOK_QUEUE_URL => {
            ("the URL of an SQS queue, https://<host>/<account>/<name>", is_queue)
        }
        // The console shows the clients' wss URL first; posts go to the other one.
        WEBSOCKET_ENDPOINT => ("the https URL of the WebSocket API's stage", is_url),
        WEBHOOK_URL => ("the https URL of a receiver at a public address", |value| {
            webhook::receiver(value, Reach::Public).is_some()
        }),
        WEBHOOK_SECRETS => (
            "whsec_ and 24 to 64 bytes in base64; two at most, with a comma between them",
            |value| Signer::parse(value).is_some(),
        ),
        MODERATION_TOPIC_ARN => ("an ARN, arn:aws:sns:<region>:<account>:<topic>", |value| {
            value.split(':').nth(2) == Some("sns") && value.split(':').count() == 6
        }),
        TOKEN_ISSUER => ("the https URL of an identity provider", is_url),
        // None at all would take everyone's tokens.
        TOKEN_AUDIENCE => ("audiences, with commas between them", |value| {
            value.split(',').any(|audience| !audience.trim().is_empty())
        }),
        JWKS_URL => ("the https URL of a key set", is_url),
        ALLOWED_ORIGINS => {
            ("* or origins such as https://chat.example.com, with commas between them", are_origins)
        }
        ARCHIVE_BUCKET | MEDIA_BUCKET => (
            "the name of an S3 bucket: 3 to 63 of a-z 0-9 . -, a letter or digit at each end",
            is_bucket,
        ),
        HOT_DAYS | RETENTION_DAYS | MAX_RETENTION_DAYS => {
            ("a number of days from 1 to 3650", are_days)
        }
        LIMITS => ("limits such as messages=600/60,sockets=0, with commas between them", |value| {
            Limits::default().set(value).is_ok()
        }),
        OPERATOR_SCOPE => {
            ("one scope, without blanks", |value| !value.contains(char::is_whitespace))
        }
        MAX_PHOTO_MB | MAX_FILE_MB => ("a number from 1 to 5000", |value| {
            value.parse::<u32>().is_ok_and(|mb| (1..=5000).contains(&mb))
        }),
        MEDIA_SCAN => ("true or false", |value| value == "true" || value == "false"),
        PUSH_DELAY_S => ("a number from 1 to 900", is_delay),
        PUSH_BADGE | PUSH_PREVIEW => ("true or false", |v| matches!(v, "true" | "false")),
        EDIT_WINDOW_S => ("a number from 0 to 31536000", |v| {
            v.parse::<u32>().is_ok_and(|window| window <= MAX_EDIT_WINDOW_S)
        }),
        APNS_ARN => {
            ("an ARN, arn:aws:sns:<region>:<account>:app/APNS/<name>", |v| is_platform(v, "APNS"))
        }
        APNS_SANDBOX_ARN => {
            ("an ARN, arn:aws:sns:<region>:<account>:app/APNS_SANDBOX/<name>", |v| {
                is_platform(v, "APNS_SANDBOX")
            })
        }
        FCM_ARN => {
            ("an ARN, arn:aws:sns:<region>:<account>:app/GCM/<name>", |v| is_platform(v, "GCM"))
        }
        METRICS_NAMESPACE => {
            ("a namespace: 1 to 255 of A-Z a-z 0-9 _ . / # : -, not AWS/...", is_namespace)
        }
        _ => ("a text", |_| true),
    }
}

/// What the variable must be, in words.
pub(crate) fn expected(name: &str) -> &'static str {
    shape(name).0
}

/// Whether the variable may have this value.
pub(crate) fn fits(name: &str, value: &str) -> bool {
    (shape(name).1)(value)
}

fn is_table(value: &str) -> bool {
    (3..=255).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn is_bucket(value: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (3..=63).contains(&value.len())
        && value.bytes().all(|b| plain(b) || b".-".contains(&b))
        && value.bytes().next().is_some_and(plain)
        && value.bytes().next_back().is_some_and(plain)
}

/// The scheme may be `http`, for emulators.
fn url(value: &str) -> Option<Uri> {
    let uri: Uri = value.parse().ok()?;
    let host = uri.host().filter(|host| !host.is_empty());
    (matches!(uri.scheme_str(), Some("https" | "http")) && host.is_some()).then_some(uri)
}

fn is_url(value: &str) -> bool {
    url(value).is_some()
}

fn is_queue(value: &str) -> bool {
    let Some(uri) = url(value) else { return false };
    let parts: Vec<&str> = uri.path().split('/').skip(1).collect();
    parts.len() >= 2 && parts.iter().all(|part| !part.is_empty())
}

fn are_origins(value: &str) -> bool {
    let is_origin = |origin: &str| {
        let Some((scheme, host)) = origin.split_once("://") else { return false };
        let host = host.strip_suffix('/').unwrap_or(host);
        // An app's own scheme too, such as capacitor://localhost.
        !scheme.is_empty()
            && !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@*".contains(&b))
    };
    value.split(',').map(str::trim).all(|part| part == "*" || is_origin(part))
}

fn is_delay(value: &str) -> bool {
    value.parse::<u32>().is_ok_and(|delay| (1..=MAX_DELAY_S).contains(&delay))
}

fn are_days(value: &str) -> bool {
    value.parse::<u64>().is_ok_and(|days| (1..=3_650).contains(&days))
}

fn is_platform(value: &str, kind: &str) -> bool {
    let parts: Vec<&str> = value.splitn(6, ':').collect();
    let ["arn", partition, "sns", region, account, app] = parts.as_slice() else { return false };
    let name = app.strip_prefix("app/").and_then(|rest| rest.strip_prefix(kind));
    let name = name.and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
    !partition.is_empty()
        && !region.is_empty()
        && !account.is_empty()
        && account.bytes().all(|b| b.is_ascii_digit())
        && is_name(name)
}

fn is_name(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn is_namespace(value: &str) -> bool {
    value.len() <= 255
        && !value.starts_with(':')
        && !value.starts_with("AWS/")
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./#:-".contains(&b))
}
