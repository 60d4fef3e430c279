//! One event: the first letter says whose handler gets it, the rest is the event as the Lambda runtime would read it.

use std::sync::OnceLock;

use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerRequestTypeRequest, ApiGatewayWebsocketProxyRequest,
    ApiGatewayWebsocketProxyRequestContext,
};
use aws_lambda_events::sqs::SqsEvent;
use petrel_aws::Origins;
use petrel_core::ErrorKind;
use petrel_functions::authorizer::{self, Authorizer};
use petrel_functions::{api, archive, connect, media, queue, route};
use serde::Serialize;
use serde_json::Value;

use super::{requests, tokens};
use crate::scene::{self, wait};

fn gatekeeper() -> &'static Authorizer {
    static ONE: OnceLock<Authorizer> = OnceLock::new();
    ONE.get_or_init(|| Authorizer {
        verifier: tokens::local(),
        origins: Origins::These(vec!["https://chat.example".into()]),
    })
}

/// That it has what the gateway and the authorizer write, and no client can leave out. Where it has not, the fault is ours: `busy`.
fn is_whole(context: &ApiGatewayWebsocketProxyRequestContext) -> bool {
    let written = |name: &str| context.authorizer.fields.get(name).is_some_and(Value::is_string);
    written("user") && written("device") && context.connected_at >= 0
}

/// A shard goes on only behind what succeeded: the first that failed is named, and no other.
fn one_fails_at_most(answer: &impl Serialize) {
    let answer = serde_json::to_value(answer).expect("JSON");
    assert!(answer["batchItemFailures"].as_array().expect("a list").len() <= 1, "{answer}");
}

pub fn run(input: &[u8]) {
    let Some((letter, event)) = input.split_first() else { return };
    let (_, app) = scene::set();
    match letter {
        b'c' | b'r' => {
            let Ok(event) = serde_json::from_slice::<ApiGatewayWebsocketProxyRequest>(event) else {
                return;
            };
            let whole = is_whole(&event.request_context);
            let answer = if *letter == b'c' {
                wait(connect::handle(&app, event))
            } else {
                wait(route::handle(&app, event))
            };
            let fault = !whole && answer.status_code == 503;
            assert!(fault || (200..500).contains(&answer.status_code), "{answer:?}");
        }
        b'a' => {
            let event =
                serde_json::from_slice::<ApiGatewayCustomAuthorizerRequestTypeRequest>(event);
            if let Ok(event) = event {
                let _refused = wait(authorizer::handle(gatekeeper(), event));
            }
        }
        b'q' => {
            let Ok(event) = serde_json::from_slice::<SqsEvent>(event) else { return };
            let records = event.records.len();
            let failed = wait(queue::handle(&app, event)).batch_item_failures.len();
            assert!(failed <= records);
        }
        b's' => {
            if let Ok(event) = serde_json::from_slice::<archive::StreamEvent>(event) {
                one_fails_at_most(&wait(archive::handle(&app, event)));
            }
        }
        b'm' => {
            if let Ok(event) = serde_json::from_slice::<media::Event>(event) {
                match wait(media::handle(&app, event)) {
                    Ok(answer) => one_fails_at_most(&answer),
                    // It comes again, and nobody but the log is told.
                    Err(error) => assert_eq!(error.kind, ErrorKind::Busy, "{error}"),
                }
            }
        }
        b'h' => {
            let Ok(mut event) = serde_json::from_slice::<Value>(event) else { return };
            // The gateway's own, whatever comes in: over what makes no URL the library panics, and nothing of ours runs before
            // it (tests/security/requests.rs::no_host_and_no_scheme_breaks_a_request).
            let word = |name: &str| event[name].as_str().unwrap_or_default();
            let target = format!("{}?{}", word("rawPath"), word("rawQueryString"));
            if !requests::is_target(&target)
                || !event["headers"].is_object()
                || !event["requestContext"].is_object()
            {
                return;
            }
            event["headers"]["host"] = "localhost".into();
            event["headers"]["x-forwarded-proto"] = "https".into();
            event["requestContext"]["domainName"] = "localhost".into();
            if let Ok(request) = lambda_http::request::from_str(&event.to_string()) {
                wait(requests::ask(api::router(app.clone()), request));
            }
        }
        _ => {}
    }
    scene::check(&app);
}
