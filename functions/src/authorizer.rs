//! Lets a socket open, or not: a valid token, and for browsers an origin that is allowed. What it finds out comes with
//! every later event of the socket.

use std::collections::BTreeSet;

use aws_lambda_events::apigw::{
    ApiGatewayCustomAuthorizerRequestTypeRequest, ApiGatewayCustomAuthorizerResponse,
};
use aws_lambda_events::iam::{IamPolicyEffect, IamPolicyStatement};
use lambda_http::http::header::{AUTHORIZATION, ORIGIN};
use petrel_aws::settings::Origins;
use petrel_aws::token::Verifier;
use petrel_core::metrics::{Count, Metrics};
use petrel_core::{Error, ErrorKind, Result};
use serde_json::json;
use uuid::Uuid;

use crate::event::{self, DEVICE, USER};

/// Begins the subprotocol that carries a token: the one header that a browser can set.
const BEARER_PROTOCOL: &str = "bearer.";

/// What the authorizer decides by.
#[derive(Debug)]
pub struct Authorizer {
    /// Whose tokens are good.
    pub verifier: Verifier,
    /// Which pages are.
    pub origins: Origins,
}

/// Decides about one socket. The answer allows it, or denies it for its origin (403).
///
/// # Errors
/// `unauthenticated` (401) without a valid token; `busy` if the issuer's keys cannot be fetched. [`failure`] is what the
/// gateway must be told.
pub async fn handle(
    authorizer: &Authorizer,
    event: ApiGatewayCustomAuthorizerRequestTypeRequest,
) -> Result<ApiGatewayCustomAuthorizerResponse> {
    let token = token(&event)
        .ok_or_else(|| Error::new(ErrorKind::Unauthenticated, "the request has not one token"))?;
    let user = authorizer.verifier.verify(&token).await?;
    let device = match event.query_string_parameters.first("device_id") {
        // Checked by `$connect`, which can say what is wrong with it.
        Some(given) => given.chars().take(256).collect(),
        None => Uuid::now_v7().simple().to_string(),
    };
    let origin = event.headers.get(ORIGIN).map(|o| o.to_str().unwrap_or_default());
    let allowed = authorizer.origins.allow(origin);
    let mut statement = IamPolicyStatement::default();
    statement.action = vec!["execute-api:Invoke".to_owned()];
    statement.effect = if allowed { IamPolicyEffect::Allow } else { IamPolicyEffect::Deny };
    statement.resource = event.method_arn.into_iter().collect();
    let mut response = ApiGatewayCustomAuthorizerResponse::default();
    response.principal_id = Some(user.to_string());
    response.policy_document.version = Some("2012-10-17".to_owned());
    response.policy_document.statement = vec![statement];
    response.context = json!({ USER: user, DEVICE: device });
    Ok(response)
}

/// Takes note of a decision.
pub fn note(metrics: &dyn Metrics, decided: &Result<ApiGatewayCustomAuthorizerResponse>) {
    let denied = |statement: &IamPolicyStatement| matches!(statement.effect, IamPolicyEffect::Deny);
    match decided {
        Ok(response) if response.policy_document.statement.iter().any(denied) => {
            metrics.count(Count::Refused, 1);
        }
        Ok(_) => {}
        Err(error) if error.kind == ErrorKind::Unauthenticated => metrics.count(Count::Refused, 1),
        Err(_) => {
            metrics.count(Count::Busy, 1);
            metrics.count(Count::Failures, 1);
        }
    }
}

/// The error as the runtime passes it on to the gateway.
pub fn failure(error: Error) -> lambda_runtime::Error {
    if error.kind == ErrorKind::Unauthenticated {
        // The one text that API Gateway turns into a 401.
        "Unauthorized".into()
    } else {
        tracing::error!(error = error.with_causes(), "no decision");
        error.into()
    }
}

/// The token: from the subprotocol (browsers), the query (tools) or the header everyone knows. Two that differ are none:
/// whatever stands between could look at one and we at the other.
fn token(event: &ApiGatewayCustomAuthorizerRequestTypeRequest) -> Option<String> {
    let mut given: BTreeSet<String> =
        event::subprotocols(&event.headers, &event.multi_value_headers)
            .filter_map(|p| p.strip_prefix(BEARER_PROTOCOL))
            .map(str::to_owned)
            .collect();
    let last = event.query_string_parameters.all("token");
    let all = event.multi_value_query_string_parameters.all("token").or(last);
    given.extend(all.unwrap_or_default().into_iter().map(str::to_owned));
    let lines = event::lines(&event.headers, &event.multi_value_headers, AUTHORIZATION);
    // RFC 9110: the scheme's case does not matter.
    let bearer = |(scheme, _): &(&str, &str)| scheme.eq_ignore_ascii_case("Bearer");
    let tokens = lines.filter_map(|line| line.split_once(' ')).filter(bearer);
    given.extend(tokens.map(|(_, token)| token.to_owned()));
    if given.len() == 1 { given.pop_first() } else { None }
}
