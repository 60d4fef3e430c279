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
use petrel_core::ids::{ConversationId, InviteId, MediaId, Seq, UserId};
use petrel_core::ports::{Cold, Connections, Conversations, Log, People, Uploads};

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

/// One read, and whether it brought something. Whatever is wrong, it is the store's fault and no client's, and no client
/// hears of it.
fn read<T>(work: impl Future<Output = Result<T>>) -> bool {
    let done = wait(work);
    if let Err(error) = &done {
        assert_eq!(error.kind, ErrorKind::Busy, "{}", error.with_causes());
        assert_eq!(error.message, "the service is busy; send the same again");
    }
    done.is_ok()
}

/// The first letter chooses the read: each follows pages as long as the answer has them, and this one always does.
pub fn run(input: &[u8]) {
    reads(input);
}

/// Whether it is an answer that the read which its letter names takes.
fn reads(input: &[u8]) -> bool {
    let Some((letter, body)) = input.split_first() else { return false };
    let dynamo = dynamo(body);
    let group = ConversationId::parse("g:0192f3c4-0000-7000-8000-000000000007").expect("an id");
    let direct = ConversationId::parse("d:ana:bo").expect("an id");
    let ana = UserId::parse("ana").expect("an id");
    let bo = UserId::parse("bo").expect("an id");
    let media = MediaId::parse("00000000000000000000000000000006").expect("an id");
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
            read(dynamo.invite(&group, &id))
        }
        b'R' => read(dynamo.recent_rows_of(&group, std::slice::from_ref(&ana))),
        b'b' => read(dynamo.blocks(&ana, &bo)),
        b'p' => read(dynamo.profiles(&[ana])),
        b'P' => read(dynamo.recent_profiles(&[ana])),
        b'o' => read(dynamo.row_and_profile(&ana, &group)),
        b'B' => read(dynamo.blocked(&ana, None, 9)),
        b'k' => read(dynamo.blockers(&[ana], &bo)),
        b'g' => read(dynamo.regards(&[(ana, bo)])),
        b'W' => read(dynamo.watchers(&ana, 1, 9)),
        b'c' => read(dynamo.of(&[ana])),
        b's' => read(dynamo.sockets(&[ana])),
        b'A' => read(dynamo.account(&ana)),
        b'D' => read(dynamo.is_disabled(&ana)),
        b'f' => read(dynamo.floor(&group)),
        b'x' => read(dynamo.redactions(&group, Seq::FIRST, Seq::new(9), 9)),
        b'u' => read(dynamo.upload(&media)),
        b'l' => read(dynamo.lent(&media, &ana)),
        b'L' => read(dynamo.left(&ana, 9)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Target, seeds};

    /// One that is not taken is of yesterday, and leads nowhere.
    #[test]
    fn every_seed_is_an_answer_that_is_taken() {
        for seed in seeds(Target::Items) {
            assert!(reads(seed.as_bytes()), "{seed}");
        }
    }
}
