//! What operators ask over HTTP. The gateway lets only tokens with their scope through, and each request looks once more.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::{delete, get, post, put};
use petrel_core::ids::{DeviceId, UserId};
use petrel_core::ports::mint;
use petrel_core::services::{ErasurePage, NewGroup};
use petrel_core::wire::ServerFrame;
use petrel_core::wire::rest::{
    AccountAnswer, ChangeAnswer, ClosedAnswer, ErasureAnswer, PostConversationFor, PostErasure,
    PostNotice,
};
use petrel_core::{App, Error, ErrorKind};

use crate::api::{Answer, Body, In, MAX_GROUP_BYTES, Named, claims};

/// Their routes.
pub(crate) fn router() -> Router<App> {
    let founding = post(create).layer(DefaultBodyLimit::max(MAX_GROUP_BYTES));
    Router::new()
        .route("/api/admin/conversations", founding)
        .route("/api/admin/conversations/{id}/notices", post(notice))
        .route("/api/admin/users/{user}", get(account))
        .route("/api/admin/users/{user}/disabled", put(disable).delete(enable))
        .route("/api/admin/users/{user}/erasure", post(erase))
        .route("/api/admin/users/{user}/connections", delete(cut))
        .route("/api/admin/users/{user}/devices/{device}", delete(sign_out))
}

/// An operator: who has a token with their scope.
struct Operator(String);

impl FromRequestParts<App> for Operator {
    type Rejection = crate::api::Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let claims = claims(parts)?;
        if !scopes(claims).any(|scope| scope == app.settings.operator_scope) {
            let words = "this is for operators: the token lacks their scope";
            return Err(Error::new(ErrorKind::Forbidden, words).into());
        }
        let operator = claims.get("sub").cloned().unwrap_or_default();
        // A program may have a name that no user can have; then nobody has disabled it.
        if let Ok(user) = UserId::parse(&operator) {
            app.check_enabled(&user).await?;
        }
        Ok(Self(operator))
    }
}

/// The scopes of a token, in `scope` or in `scp`, with blanks between them. Of a claim that is a list the gateway makes
/// `[one two]`.
fn scopes(claims: &HashMap<String, String>) -> impl Iterator<Item = &str> {
    let scp = claims
        .get("scp")
        .map(|all| all.strip_prefix('[').and_then(|all| all.strip_suffix(']')).unwrap_or(all));
    let named = claims.get("scope").map(String::as_str).into_iter().chain(scp);
    named.flat_map(|all| all.split(' '))
}

impl Operator {
    /// Whoever is disabled must not undo it, and whoever disables himself by mistake could not.
    fn is_another(&self, user: &UserId) -> Result<(), Error> {
        if self.0 == user.as_str() {
            let words = "an operator does not enable, disable or erase himself";
            return Err(Error::new(ErrorKind::Forbidden, words));
        }
        Ok(())
    }

    /// Leaves a line in the log: who did what to whom.
    fn did(&self, what: &str, whom: &impl std::fmt::Display) {
        tracing::info!(operator = self.0, %whom, "operator: {what}");
    }
}

/// A user that the path names.
struct About(UserId);

impl<S: Send + Sync> FromRequestParts<S> for About {
    type Rejection = crate::api::Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let Named(user) = Named::<String>::from_request_parts(parts, state).await?;
        let user = UserId::parse(&user)?;
        user.check_person()?;
        Ok(Self(user))
    }
}

async fn create(
    State(app): State<App>,
    operator: Operator,
    Body(body): Body<PostConversationFor>,
) -> Answer<(StatusCode, axum::Json<ChangeAnswer>)> {
    let group = NewGroup { name: body.name, members: body.member_ids, request_id: body.request_id };
    let entry = app.create_group_for(body.owner_id, group).await?;
    operator.did("founded", &entry.conversation_id);
    let answer = ChangeAnswer::new(entry.conversation_id.clone(), Some(&entry));
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

async fn notice(
    State(app): State<App>,
    operator: Operator,
    In(id): In,
    Body(body): Body<PostNotice>,
) -> Answer<(StatusCode, axum::Json<ServerFrame>)> {
    let message_id = body.message_id.unwrap_or_else(|| mint(&*app.world));
    let sent = app.post_notice(id.clone(), message_id, body.text).await?;
    operator.did("wrote a notice", &id);
    let status = if sent.duplicate { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, axum::Json(ServerFrame::send_result(id, &Ok(sent)))))
}

async fn account(
    State(app): State<App>,
    _: Operator,
    About(user): About,
) -> Answer<axum::Json<AccountAnswer>> {
    let account = app.account(&user).await?;
    Ok(axum::Json(AccountAnswer::new(user, &account)))
}

async fn disable(
    State(app): State<App>,
    operator: Operator,
    About(user): About,
) -> Answer<axum::Json<ClosedAnswer>> {
    operator.is_another(&user)?;
    operator.did("disables", &user);
    let closed = app.disable(&user).await?;
    Ok(axum::Json(ClosedAnswer { closed }))
}

async fn enable(
    State(app): State<App>,
    operator: Operator,
    About(user): About,
) -> Answer<StatusCode> {
    operator.is_another(&user)?;
    operator.did("enables", &user);
    app.enable(&user).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn erase(
    State(app): State<App>,
    operator: Operator,
    About(user): About,
    Body(body): Body<PostErasure>,
) -> Answer<axum::Json<ErasureAnswer>> {
    operator.did("erases", &user);
    let page = body.page.as_deref().map(ErasurePage::parse).transpose()?;
    if body.conversation_id.is_none() {
        operator.is_another(&user)?;
    }
    let erased = match body.conversation_id {
        None => app.erase(&user, page).await?,
        Some(of) => app.erase_in(&user, &of, page).await?,
    };
    Ok(axum::Json(ErasureAnswer::from(erased)))
}

async fn cut(
    State(app): State<App>,
    operator: Operator,
    About(user): About,
) -> Answer<axum::Json<ClosedAnswer>> {
    operator.did("cuts the connections of", &user);
    let closed = app.cut(&user).await?;
    Ok(axum::Json(ClosedAnswer { closed }))
}

async fn sign_out(
    State(app): State<App>,
    operator: Operator,
    Named((user, device)): Named<(String, String)>,
) -> Answer<StatusCode> {
    let (user, device) = (UserId::parse(&user)?, DeviceId::parse(&device)?);
    operator.did("signs a device out of", &user);
    app.sign_out(&user, &device).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_found_wherever_a_provider_writes_them() {
        for (name, claim) in [
            ("scope", "openid petrel/admin"),
            ("scope", "petrel/admin"),
            ("scp", "petrel/admin openid"),
            ("scp", "[openid petrel/admin]"),
        ] {
            let claims = HashMap::from([(name.to_owned(), claim.to_owned())]);
            assert!(scopes(&claims).any(|s| s == "petrel/admin"), "{name} {claim}");
        }
        for (name, claim) in [
            ("scope", "petrel/administrator"),
            ("scp", "[a b]"),
            ("scope", "[petrel/admin]"),
            ("scp", "petrel/admin,openid"),
            ("aud", "petrel/admin"),
        ] {
            let claims = HashMap::from([(name.to_owned(), claim.to_owned())]);
            assert!(!scopes(&claims).any(|s| s == "petrel/admin"), "{name} {claim}");
        }
    }
}
