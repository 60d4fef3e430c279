//! What a phone is sent: a notification as SNS takes it, per push service. Pure.

use petrel_core::ports::Notification;
use serde_json::{Value, json};
use uuid::{Uuid, uuid};

/// What is shown where the server cannot or may not read the message.
const GENERIC_BODY: &str = "New message";
/// Names the key space of [`collapse_id`].
const COLLAPSE: Uuid = uuid!("0192f3c4-5b1e-7a60-9d5c-6f7f0b8f4a11");

/// A push service, as SNS calls it in ARNs and messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `APNS` or `APNS_SANDBOX`.
    Apns(&'static str),
    /// `GCM`, which is Firebase Cloud Messaging.
    Gcm,
}

/// The push service of an endpoint: `arn:aws:sns:<region>:<account>:endpoint/<service>/<application>/<id>`.
pub(crate) fn kind(endpoint_arn: &str) -> Option<Kind> {
    let mut parts = endpoint_arn.splitn(6, ':');
    if parts.next() != Some("arn") || parts.nth(1) != Some("sns") {
        return None;
    }
    let (service, _) = parts.nth(2)?.strip_prefix("endpoint/")?.split_once('/')?;
    match service {
        "APNS" => Some(Kind::Apns("APNS")),
        "APNS_SANDBOX" => Some(Kind::Apns("APNS_SANDBOX")),
        "GCM" => Some(Kind::Gcm),
        _ => None,
    }
}

/// What goes in one Publish with the message structure `json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payload {
    /// JSON with a string of JSON per push service.
    pub(crate) message: String,
    /// Message attributes, all strings.
    pub(crate) attributes: Vec<(&'static str, String)>,
}

/// The notification for that push service. Apple and Firebase take 4 KB; a preview of 120 characters stays below.
pub(crate) fn of(kind: Kind, notification: &Notification) -> Payload {
    let (service, inner, attributes) = match kind {
        Kind::Apns(service) => (service, apns(notification), apns_attributes(notification)),
        Kind::Gcm => ("GCM", fcm(notification), vec![]),
    };
    let message = json!({ "default": GENERIC_BODY, service: inner.to_string() });
    Payload { message: message.to_string(), attributes }
}

fn title(notification: &Notification) -> &str {
    notification.sender_name.as_deref().unwrap_or(notification.sender_id.as_str())
}

fn body(notification: &Notification) -> &str {
    notification.preview.as_deref().unwrap_or(GENERIC_BODY)
}

fn apns(notification: &Notification) -> Value {
    let mut payload = json!({
        "aps": {
            "alert": { "title": title(notification), "body": body(notification) },
            "sound": "default",
            "thread-id": notification.conversation_id,
            // Lets the app's extension decrypt or name what the server cannot.
            "mutable-content": 1,
        },
        "conversation_id": notification.conversation_id,
        "seq": notification.seq,
        "sender_id": notification.sender_id,
    });
    if let Some(badge) = notification.badge {
        payload["aps"]["badge"] = badge.into();
    }
    if let Some(avatar) = &notification.sender_avatar {
        payload["sender_avatar"] = avatar.as_str().into();
    }
    if notification.mentioned {
        payload["mentioned"] = true.into();
    }
    payload
}

/// SNS makes request headers of these, for the sandbox too.
fn apns_attributes(notification: &Notification) -> Vec<(&'static str, String)> {
    vec![
        ("AWS.SNS.MOBILE.APNS.COLLAPSE_ID", collapse_id(notification)),
        ("AWS.SNS.MOBILE.APNS.PRIORITY", "10".to_owned()),
        ("AWS.SNS.MOBILE.APNS.PUSH_TYPE", "alert".to_owned()),
    ]
}

/// The shape of FCM's HTTP v1, in which every value of `data` is a string.
fn fcm(notification: &Notification) -> Value {
    let collapse = collapse_id(notification);
    let mut payload = json!({
        "fcmV1Message": {
            "message": {
                "notification": { "title": title(notification), "body": body(notification) },
                "data": {
                    "conversation_id": notification.conversation_id,
                    "seq": notification.seq.to_string(),
                    "sender_id": notification.sender_id,
                },
                "android": {
                    "priority": "high",
                    // The first replaces what has not been delivered, the second what is on the screen.
                    "collapse_key": collapse,
                    "notification": { "tag": collapse },
                },
            },
        },
    });
    let message = &mut payload["fcmV1Message"]["message"];
    if let Some(badge) = notification.badge {
        // Where a launcher shows a number; others show a dot.
        message["android"]["notification"]["notification_count"] = badge.into();
        message["data"]["badge"] = badge.to_string().into();
    }
    if let Some(avatar) = &notification.sender_avatar {
        message["data"]["sender_avatar"] = avatar.as_str().into();
    }
    if notification.mentioned {
        message["data"]["mentioned"] = "true".into();
    }
    payload
}

/// The same for every push of one conversation: a phone replaces the older one. Hashed, since Apple takes 64 bytes and a
/// conversation's id may have 131.
fn collapse_id(notification: &Notification) -> String {
    Uuid::new_v5(&COLLAPSE, notification.conversation_id.as_str().as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use petrel_core::ids::{ConversationId, MediaId, Seq, UserId};

    use super::*;

    fn notification(preview: Option<&str>) -> Notification {
        Notification {
            conversation_id: ConversationId::parse("d:ana:bo").unwrap(),
            seq: Seq::new(42),
            sender_id: UserId::parse("ana").unwrap(),
            sender_name: None,
            sender_avatar: None,
            preview: preview.map(str::to_owned),
            badge: None,
            mentioned: false,
        }
    }

    /// The message, and what it says to the one service in it.
    fn opened(payload: &Payload, service: &str) -> Value {
        let message: Value = serde_json::from_str(&payload.message).unwrap();
        assert_eq!(message["default"], "New message");
        assert_eq!(message.as_object().unwrap().len(), 2);
        serde_json::from_str(message[service].as_str().unwrap()).unwrap()
    }

    #[test]
    fn apple() {
        let payload = of(Kind::Apns("APNS_SANDBOX"), &notification(Some("say \"hi\"\n👋")));
        assert_eq!(
            opened(&payload, "APNS_SANDBOX"),
            json!({
                "aps": {
                    "alert": { "title": "ana", "body": "say \"hi\"\n👋" },
                    "sound": "default",
                    "thread-id": "d:ana:bo",
                    "mutable-content": 1,
                },
                "conversation_id": "d:ana:bo",
                "seq": 42,
                "sender_id": "ana",
            })
        );
        assert_eq!(
            payload.attributes,
            [
                (
                    "AWS.SNS.MOBILE.APNS.COLLAPSE_ID",
                    "34fe9e39-429a-55c4-b57b-ea6a630e218d".to_owned()
                ),
                ("AWS.SNS.MOBILE.APNS.PRIORITY", "10".to_owned()),
                ("AWS.SNS.MOBILE.APNS.PUSH_TYPE", "alert".to_owned()),
            ]
        );
    }

    #[test]
    fn firebase() {
        let payload = of(Kind::Gcm, &notification(None));
        assert_eq!(
            opened(&payload, "GCM"),
            json!({
                "fcmV1Message": {
                    "message": {
                        "notification": { "title": "ana", "body": "New message" },
                        "data": { "conversation_id": "d:ana:bo", "seq": "42", "sender_id": "ana" },
                        "android": {
                            "priority": "high",
                            "collapse_key": "34fe9e39-429a-55c4-b57b-ea6a630e218d",
                            "notification": { "tag": "34fe9e39-429a-55c4-b57b-ea6a630e218d" },
                        },
                    },
                },
            })
        );
        assert!(payload.attributes.is_empty());
    }

    #[test]
    fn the_badge_and_the_mention() {
        let name = Some("Ana".to_owned());
        let told = Notification {
            badge: Some(7),
            mentioned: true,
            sender_name: name,
            sender_avatar: Some(MediaId::new(7)),
            ..notification(None)
        };
        let apple = opened(&of(Kind::Apns("APNS"), &told), "APNS");
        assert_eq!((&apple["aps"]["badge"], &apple["mentioned"]), (&json!(7), &json!(true)));
        assert_eq!(apple["aps"]["alert"]["title"], "Ana");
        let avatar = json!(MediaId::new(7));
        assert_eq!(apple["sender_avatar"], avatar);
        let firebase = opened(&of(Kind::Gcm, &told), "GCM");
        let message = &firebase["fcmV1Message"]["message"];
        assert_eq!(message["android"]["notification"]["notification_count"], 7);
        assert_eq!(
            (&message["data"]["badge"], &message["notification"]["title"]),
            (&json!("7"), &json!("Ana"))
        );
        assert_eq!(message["data"]["mentioned"], "true");
        assert_eq!(message["data"]["sender_avatar"], avatar);
        // Nothing unread takes the number away; not counted leaves it as it is.
        let none = Notification { badge: Some(0), ..notification(None) };
        assert_eq!(opened(&of(Kind::Apns("APNS"), &none), "APNS")["aps"]["badge"], 0);
    }

    #[test]
    fn the_longest_fits() {
        let user = |c: &str| UserId::parse(&c.repeat(64)).unwrap();
        let longest = Notification {
            conversation_id: ConversationId::direct(&user("a"), &user("b")),
            seq: Seq::new(u64::MAX),
            sender_id: user("a"),
            sender_name: Some("\u{2028}".repeat(42)),
            sender_avatar: Some(MediaId::parse(&"\\".repeat(128)).unwrap()),
            preview: Some("\u{1}".repeat(120)),
            badge: Some(u64::MAX),
            mentioned: true,
        };
        assert_eq!(collapse_id(&longest).len(), 36);
        for (kind, service) in [(Kind::Apns("APNS"), "APNS"), (Kind::Gcm, "GCM")] {
            assert!(opened(&of(kind, &longest), service).to_string().len() < 4_096);
        }
    }

    #[test]
    fn the_push_service_stands_in_the_arn() {
        let of = |service: &str| kind(&format!("arn:aws:sns:eu-west-1:1:endpoint/{service}/app/u"));
        assert_eq!(of("APNS"), Some(Kind::Apns("APNS")));
        assert_eq!(of("APNS_SANDBOX"), Some(Kind::Apns("APNS_SANDBOX")));
        assert_eq!(of("GCM"), Some(Kind::Gcm));
        assert_eq!(of("ADM"), None);
        for other in
            ["", "phone-1", "arn:aws:sns:eu-west-1:1:topic", "arn:aws:sqs:r:1:endpoint/GCM/a/u"]
        {
            assert_eq!(kind(other), None, "{other}");
        }
    }
}
