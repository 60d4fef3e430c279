//! Profiles and blocks.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use petrel_core::App;
use petrel_core::ids::UserId;
use petrel_core::wire::people::{BlockList, OwnProfile, PatchProfile, PostProfiles, ProfileList};
use petrel_core::wire::query::BlocksQuery;

use super::{Answer, Body, Named, Params, Who};

/// The routes.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/api/profile", get(profile).patch(set_profile))
        .route("/api/profiles", post(profiles))
        .route("/api/blocks", get(blocked))
        .route("/api/blocks/{user}", put(block).delete(unblock))
}

async fn profile(State(app): State<App>, Who(caller): Who) -> Answer<Json<OwnProfile>> {
    let profile = app.own_profile(&caller).await?;
    Ok(Json(OwnProfile::new(caller.user, profile)))
}

async fn set_profile(
    State(app): State<App>,
    Who(caller): Who,
    Body(body): Body<PatchProfile>,
) -> Answer<Json<OwnProfile>> {
    let profile = app.set_profile(&caller, &body.into()).await?;
    Ok(Json(OwnProfile::new(caller.user, profile)))
}

async fn profiles(
    State(app): State<App>,
    Who(caller): Who,
    Body(body): Body<PostProfiles>,
) -> Answer<Json<ProfileList>> {
    Ok(Json(app.show_profiles(&caller, &body.user_ids).await?.into()))
}

async fn blocked(
    State(app): State<App>,
    Who(caller): Who,
    Params(params): Params<BlocksQuery>,
) -> Answer<Json<BlockList>> {
    Ok(Json(app.blocked(&caller, params.page.as_ref()).await?.into()))
}

async fn block(
    State(app): State<App>,
    Who(caller): Who,
    Named(user): Named<String>,
) -> Answer<StatusCode> {
    app.block(&caller, &UserId::parse(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn unblock(
    State(app): State<App>,
    Who(caller): Who,
    Named(user): Named<String>,
) -> Answer<StatusCode> {
    app.unblock(&caller, &UserId::parse(&user)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
