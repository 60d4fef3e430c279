//! What DynamoDB answers, to every read: the items in it are as wrong as may be.

use std::fmt;
use std::future::Future;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use petrel_aws::{Dynamo, Tables};
use petrel_core::ErrorKind;
use petrel_core::error::Result;
use petrel_core::ids::{ConversationId, InviteId, Seq, UserId};
use petrel_core::ports::{Connections, Conversations, Log};

use crate::scene::wait;

/// Gives every request this body.
#[derive(Clone)]
struct Says(Vec<u8>);

impl fmt::Debug for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Says")
    }
}

impl HttpConnector for Says {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let status = 200.try_into().expect("a status");
        let response = HttpResponse::new(status, SdkBody::from(self.0.clone()));
        HttpConnectorFuture::ready(Ok(response))
    }
}

impl HttpClient for Says {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

fn dynamo(body: &[u8]) -> Dynamo {
    let credentials = Credentials::new("test", "test", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(RetryConfig::disabled())
        .http_client(Says(body.to_vec()))
        .build();
    let tables = Tables {
        messages: "messages".into(),
        conversations: "conversations".into(),
        connections: "connections".into(),
    };
    Dynamo::new(aws_sdk_dynamodb::Client::new(&config), tables)
}

/// One read. Whatever is wrong, it is the store's fault and no client's, and no client hears of it.
fn read<T>(work: impl Future<Output = Result<T>>) {
    if let Err(error) = wait(work) {
        assert_eq!(error.kind, ErrorKind::Busy, "{}", error.with_causes());
        assert_eq!(error.message, "the service is busy; send the same again");
    }
}

/// The first letter chooses the read: each follows pages as long as the answer has them, and this one always does.
pub fn run(input: &[u8]) {
    let Some((letter, body)) = input.split_first() else { return };
    let dynamo = dynamo(body);
    let group = ConversationId::parse("g:0192f3c4-0000-7000-8000-000000000007").expect("an id");
    let direct = ConversationId::parse("d:ana:bo").expect("an id");
    let ana = UserId::parse("ana").expect("an id");
    match letter {
        b'n' => read(dynamo.newest(&group, Seq::FIRST, None, 9)),
        b'a' => read(dynamo.after(&direct, Seq::ZERO, 9)),
        b'm' => read(dynamo.roster(&group, 9)),
        b'r' => read(dynamo.rows(&ana, None, 9)),
        b'1' => read(dynamo.row(&ana, &group)),
        b'w' => read(dynamo.rows_of(&group, std::slice::from_ref(&ana))),
        b'i' => read(dynamo.invites(&group, 9)),
        b'v' => {
            let id = InviteId::parse("00000000000000000000000000000001").expect("an id");
            read(dynamo.invite(&group, &id));
        }
        b'b' => read(dynamo.blocks(&ana, &UserId::parse("bo").expect("an id"))),
        b'c' => read(dynamo.of(&[ana])),
        _ => {}
    }
}
