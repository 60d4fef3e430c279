//! How a device's token becomes an endpoint, what a push sends, and what each answer of SNS means.

use crate::stub::Stub;
use petrel_aws::Sns;
use petrel_core::error::ErrorKind;
use petrel_core::ids::{ConversationId, EndpointId, Seq, UserId};
use petrel_core::ports::{Notification, Notifier, Platform, Pushed};

const APPLICATION: &str = "arn:aws:sns:eu-west-1:1:app/APNS/petrel";
const ENDPOINT: &str = "arn:aws:sns:eu-west-1:1:endpoint/APNS/petrel/5e3e9847";

fn sns(stub: &Stub) -> Sns {
    let platforms = vec![(Platform::Apns, APPLICATION.to_owned())];
    Sns::new(aws_sdk_sns::Client::new(&stub.config()), platforms)
}

fn created(arn: &str) -> String {
    format!(
        "<CreatePlatformEndpointResponse><CreatePlatformEndpointResult><EndpointArn>{arn}</EndpointArn>\
         </CreatePlatformEndpointResult></CreatePlatformEndpointResponse>"
    )
}

fn refused(code: &str, message: &str) -> String {
    format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>\
         </Error></ErrorResponse>"
    )
}

const PUBLISHED: &str = "<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult>\
                         </PublishResponse>";
const SET: &str = "<SetEndpointAttributesResponse/>";

async fn endpoint(stub: &Stub) -> petrel_core::Result<EndpointId> {
    let ana = UserId::parse("ana").unwrap();
    sns(stub).endpoint(Platform::Apns, "c0ffee", &ana).await
}

fn form(stub: &Stub, request: usize) -> Vec<(String, String)> {
    stub.asked()[request].form()
}

fn fields(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[tokio::test]
async fn a_new_token_becomes_an_endpoint_that_is_enabled() {
    let stub = Stub::answering([(200, created(ENDPOINT).as_str()), (200, SET)]);
    assert_eq!(endpoint(&stub).await.unwrap().as_str(), ENDPOINT);
    assert_eq!(
        form(&stub, 0),
        fields(&[
            ("Action", "CreatePlatformEndpoint"),
            ("PlatformApplicationArn", APPLICATION),
            ("Token", "c0ffee"),
            ("CustomUserData", "ana"),
        ])
    );
    let mut set = form(&stub, 1);
    set.sort();
    let has = |value: &str| set.iter().any(|(_, v)| v == value);
    assert!(has("SetEndpointAttributes") && has(ENDPOINT));
    assert!(has("Enabled") && has("true") && has("Token") && has("c0ffee"));
    assert!(has("CustomUserData") && has("ana"));
}

#[tokio::test]
async fn a_token_that_was_another_users_is_taken_over() {
    let message = format!(
        "Invalid parameter: Token Reason: Endpoint {ENDPOINT} already exists with the same Token, \
         but different attributes."
    );
    let refusal = refused("InvalidParameter", &message);
    let stub = Stub::answering([(400, refusal.as_str()), (200, SET)]);
    assert_eq!(endpoint(&stub).await.unwrap().as_str(), ENDPOINT);
    assert!(form(&stub, 1).contains(&("EndpointArn".to_owned(), ENDPOINT.to_owned())));
}

#[tokio::test]
async fn a_token_that_is_none_is_a_bad_request() {
    let message = "Invalid parameter: Token Reason: iOS device tokens must be no more than 400 \
                   hexadecimal characters";
    let stub = Stub::answering([(400, refused("InvalidParameter", message).as_str())]);
    let error = endpoint(&stub).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadRequest);
    assert_eq!(error.message, "the push service refuses this token");
    // A source would make it a failure of ours, which alarms.
    assert!(error.source.is_none());
}

#[tokio::test]
async fn a_platform_that_is_not_set_up_is_a_bad_request() {
    let stub = Stub::answering([(200, "")]);
    let ana = UserId::parse("ana").unwrap();
    let error = sns(&stub).endpoint(Platform::Fcm, "c0ffee", &ana).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::BadRequest);
    assert!(stub.asked().is_empty());
}

#[tokio::test]
async fn a_failure_to_make_an_endpoint_is_busy() {
    let missing = refused("NotFound", "PlatformApplication does not exist");
    for stub in [
        Stub::answering([(404, missing.as_str())]),
        Stub::answering([(500, refused("InternalError", "").as_str())]),
        Stub::answering([(200, created(ENDPOINT).as_str()), (500, "")]),
        Stub::answering([(200, created("").as_str()), (200, SET)]),
    ] {
        assert_eq!(endpoint(&stub).await.unwrap_err().kind, ErrorKind::Busy);
    }
}

async fn push_to(stub: &Stub, endpoint: &str) -> Pushed {
    let notification = Notification {
        conversation_id: ConversationId::parse("d:ana:bo").unwrap(),
        seq: Seq::new(42),
        sender_id: UserId::parse("ana").unwrap(),
        sender_name: None,
        sender_avatar: None,
        preview: Some("hi & bye".to_owned()),
        badge: None,
        mentioned: false,
    };
    sns(stub).push(&EndpointId::parse(endpoint).unwrap(), &notification).await
}

#[tokio::test]
async fn a_push_says_what_its_service_understands() {
    let stub = Stub::answering([(200, PUBLISHED)]);
    assert_eq!(push_to(&stub, ENDPOINT).await, Pushed::Accepted);
    let form = form(&stub, 0);
    let field = |name: &str| &form.iter().find(|(k, _)| k == name).unwrap().1;
    assert_eq!(field("Action"), "Publish");
    assert_eq!(field("TargetArn"), ENDPOINT);
    assert_eq!(field("MessageStructure"), "json");
    let message: serde_json::Value = serde_json::from_str(field("Message")).unwrap();
    let apns: serde_json::Value = serde_json::from_str(message["APNS"].as_str().unwrap()).unwrap();
    assert_eq!(apns["aps"]["alert"]["body"], "hi & bye");
    let attributes = form.iter().filter(|(_, v)| v.starts_with("AWS.SNS.MOBILE.APNS.")).count();
    assert_eq!(attributes, 3);
}

#[tokio::test]
async fn every_answer_has_its_meaning() {
    let gone =
        "Invalid parameter: TargetArn Reason: No endpoint found for the target arn specified";
    let table = [
        (400, refused("EndpointDisabled", "Endpoint is disabled"), Pushed::Disabled),
        (404, refused("NotFound", "Endpoint does not exist"), Pushed::Disabled),
        (400, refused("InvalidParameter", gone), Pushed::Disabled),
        (400, refused("InvalidParameter", "Invalid parameter: Message too long"), Pushed::Later),
        (400, refused("PlatformApplicationDisabled", "expired"), Pushed::Later),
        (403, refused("AuthorizationError", "no"), Pushed::Later),
        (400, refused("Throttling", "Rate exceeded"), Pushed::Later),
        (500, refused("InternalError", ""), Pushed::Later),
        (503, String::new(), Pushed::Later),
    ];
    for (status, body, meaning) in table {
        let stub = Stub::answering([(status, body.as_str())]);
        assert_eq!(push_to(&stub, ENDPOINT).await, meaning, "{status} {body}");
    }
}

#[tokio::test]
async fn an_endpoint_is_deleted_whatever_stood_there() {
    let deleted = "<DeleteEndpointResponse/>";
    let remove = async |stub: &Stub, endpoint: &str| {
        sns(stub).remove(&EndpointId::parse(endpoint).unwrap()).await
    };
    let stub = Stub::answering([(200, deleted)]);
    remove(&stub, ENDPOINT).await.unwrap();
    let mut form = form(&stub, 0);
    form.sort();
    assert_eq!(form, fields(&[("Action", "DeleteEndpoint"), ("EndpointArn", ENDPOINT)]));
    // None of an application that is set up.
    for other in [
        "local:phone-1",
        "arn:aws:sns:eu-west-1:1:endpoint/GCM/petrel/5e3e9847",
        "arn:aws:sns:eu-west-1:1:endpoint/APNS/petrel-2/5e3e9847",
        "arn:aws:sns:eu-west-1:2:endpoint/APNS/petrel/5e3e9847",
    ] {
        let stub = Stub::answering([(200, deleted)]);
        remove(&stub, other).await.unwrap();
        assert!(stub.asked().is_empty(), "{other}");
    }
    let quoted = format!("not authorized to perform: SNS:DeleteEndpoint on {ENDPOINT}");
    for (status, body) in
        [(403, refused("AuthorizationError", &quoted)), (500, refused("InternalError", ""))]
    {
        let stub = Stub::answering([(status, body.as_str())]);
        let error = remove(&stub, ENDPOINT).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Busy);
        assert!(!error.with_causes().contains(ENDPOINT), "a phone stands in the log");
    }
}

#[tokio::test]
async fn an_endpoint_of_another_push_service_takes_no_pushes() {
    let stub = Stub::answering([(200, PUBLISHED)]);
    assert_eq!(push_to(&stub, "local:phone-1").await, Pushed::Disabled);
    assert!(stub.asked().is_empty());
}
