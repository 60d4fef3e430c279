//! Uploads and downloads: the bytes themselves go by, between clients and the store.

use axum::extract::State;
use axum::http::StatusCode;
use petrel_core::App;
use petrel_core::ids::{ConversationId, MediaId, Seq};
use petrel_core::services::NewUpload;
use petrel_core::wire::rest::{
    CompleteAnswer, DownloadAnswer, ForwardAnswer, MediaAnswer, PostMedia,
};

use super::{Answer, Body, Named, Who};

pub(super) async fn announce(
    State(app): State<App>,
    Who(caller): Who,
    Body(body): Body<PostMedia>,
) -> Answer<(StatusCode, axum::Json<MediaAnswer>)> {
    let PostMedia { content_type, size, sha256 } = body;
    let ticket = app.new_upload(&caller, NewUpload { content_type, size, sha256 }).await?;
    Ok((StatusCode::CREATED, axum::Json(ticket.into())))
}

pub(super) async fn complete(
    State(app): State<App>,
    Who(caller): Who,
    Named(media): Named<String>,
) -> Answer<axum::Json<CompleteAnswer>> {
    let media_id = MediaId::parse(&media)?;
    let state = app.complete_upload(&caller, &media_id).await?;
    Ok(axum::Json(CompleteAnswer { media_id, state }))
}

pub(super) async fn avatar(
    State(app): State<App>,
    Who(caller): Who,
    Named(media): Named<String>,
) -> Answer<axum::Json<DownloadAnswer>> {
    Ok(axum::Json(app.avatar(&caller, &MediaId::parse(&media)?).await?.into()))
}

pub(super) async fn read(
    State(app): State<App>,
    Who(caller): Who,
    Named((id, seq)): Named<(String, Seq)>,
) -> Answer<axum::Json<DownloadAnswer>> {
    let id = ConversationId::parse(&id)?;
    Ok(axum::Json(app.media(&caller, &id, seq).await?.into()))
}

pub(super) async fn forward(
    State(app): State<App>,
    Who(caller): Who,
    Named((id, seq)): Named<(String, Seq)>,
) -> Answer<axum::Json<ForwardAnswer>> {
    let id = ConversationId::parse(&id)?;
    Ok(axum::Json(ForwardAnswer { media_id: app.borrow_media(&caller, &id, seq).await? }))
}
