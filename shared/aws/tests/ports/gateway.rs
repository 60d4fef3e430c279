//! What a post sends, and what each answer means.

use crate::stub::Stub;
use aws_config::SdkConfig;
use petrel_aws::ApiGateway;
use petrel_core::ids::ConnectionId;
use petrel_core::ports::{Gateway, Posted};

fn gateway(config: &SdkConfig) -> ApiGateway {
    let config = aws_sdk_apigatewaymanagement::config::Builder::from(config)
        .endpoint_url("https://a1b2.execute-api.eu-west-1.amazonaws.com/live")
        .build();
    ApiGateway::new(aws_sdk_apigatewaymanagement::Client::from_conf(config))
}

async fn post(stub: &Stub) -> Posted {
    let to = ConnectionId::parse("L0SM9cOFvHcCIhw=").unwrap();
    gateway(&stub.config()).post(&to, r#"{"type":"message","text":"é"}"#).await
}

#[tokio::test]
async fn a_frame_goes_out_as_it_is() {
    let stub = Stub::answering([(200, "")]);
    assert_eq!(post(&stub).await, Posted::Accepted);
    let asked = &stub.asked()[0];
    assert_eq!(
        asked.uri,
        "https://a1b2.execute-api.eu-west-1.amazonaws.com/live/@connections/L0SM9cOFvHcCIhw%3D"
    );
    assert_eq!(asked.body, r#"{"type":"message","text":"é"}"#);
}

#[tokio::test]
async fn every_answer_has_its_meaning() {
    let table = [
        (410, r#"{"__type":"GoneException"}"#, Posted::Gone),
        // The gateway names the error in a header; others may leave it at the status.
        (410, "", Posted::Gone),
        (
            400,
            r#"{"__type":"BadRequestException","message":"Invalid connectionId: x"}"#,
            Posted::Gone,
        ),
        (400, r#"{"__type":"BadRequestException","message":"Other"}"#, Posted::Later),
        (403, r#"{"__type":"ForbiddenException"}"#, Posted::Later),
        (413, r#"{"__type":"PayloadTooLargeException"}"#, Posted::Later),
        (429, r#"{"__type":"LimitExceededException"}"#, Posted::Later),
        (500, r#"{"message":"Internal server error"}"#, Posted::Later),
        (502, "<html>bad gateway</html>", Posted::Later),
        (503, "", Posted::Later),
    ];
    for (status, body, meaning) in table {
        assert_eq!(post(&Stub::answering([(status, body)])).await, meaning, "{status} {body}");
    }
}
