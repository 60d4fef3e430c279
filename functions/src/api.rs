//! The HTTP API: everything that needs no socket. The gateway has checked the token; its claims come with the event.

mod media;
mod people;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use lambda_http::RequestExt;
use lambda_http::request::RequestContext;
use petrel_aws::token::is_access;
use petrel_core::dispatch::{DEFAULT_PAGE, MAX_FRAME_BYTES, address, range};
use petrel_core::ids::{ConversationId, DeviceId, InviteCode, InviteId, MessageId, Seq, UserId};
use petrel_core::ports::mint;
use petrel_core::services::{
    Ack, DEFAULT_LIMIT, Intent, NewGroup, NewInvite, Outgoing, SendRequest, SyncRequest,
};
use petrel_core::wire::query::{ExportQuery, ListQuery, MessagesQuery, ReceiptsQuery};
use petrel_core::wire::rest::{
    ChangeAnswer, ConversationList, GroupAnswer, HealthAnswer, InviteAnswer, InviteList, Messages,
    PatchGroup, PatchMember, PatchState, PostAck, PostGroup, PostInvite, PostMembers, PostMessage,
    PostReport, PostSync, PreviewAnswer, PutPush, ReceiptsAnswer, ReportAnswer, StateAnswer,
    SyncAnswer, UnreadAnswer,
};
use petrel_core::wire::{EntryFrame, ServerFrame};
use petrel_core::{App, Caller, Error, ErrorKind};
use serde::de::DeserializeOwned;
use tracing::Instrument;
use tracing::field::Empty;

use crate::admin;

/// Most bytes of a request for a group: 1000 user ids of up to 64 bytes, written as JSON.
pub(crate) const MAX_GROUP_BYTES: usize = 128 * 1024;

/// The routes, all below `/api`.
pub fn router(app: App) -> Router {
    let founding = post(create).layer(DefaultBodyLimit::max(MAX_GROUP_BYTES));
    Router::new()
        .route("/api/health", get(health))
        .route("/api/messages", post(send))
        .route("/api/sync", post(sync))
        .route("/api/conversations", get(list).merge(founding))
        .route("/api/conversations/{id}", get(group).patch(update))
        .route("/api/conversations/{id}/messages", get(messages))
        .route("/api/conversations/{id}/export", get(export))
        .route("/api/conversations/{id}/messages/{seq}/report", post(report))
        .route("/api/conversations/{id}/messages/{seq}/media", get(media::read))
        .route("/api/conversations/{id}/messages/{seq}/forward", post(media::forward))
        .route("/api/conversations/{id}/receipts", get(receipts))
        .route("/api/conversations/{id}/ack", post(ack))
        .route("/api/conversations/{id}/state", patch(set_state))
        .route("/api/unread", get(unread))
        .route("/api/conversations/{id}/members", post(add))
        .route("/api/conversations/{id}/members/{user}", delete(remove).patch(set_role))
        .route("/api/conversations/{id}/invites", get(invites).post(invite))
        .route("/api/conversations/{id}/invites/{invite}", delete(revoke))
        .route("/api/invites/{code}", get(preview).post(join))
        .route("/api/media", post(media::announce))
        .route("/api/media/{media}/complete", post(media::complete))
        .route("/api/media/{media}/avatar", get(media::avatar))
        .route("/api/devices/{device}/push", put(set_push).delete(remove_push))
        .merge(admin::router())
        .merge(people::routes())
        .fallback(|| async { Refusal::from(Error::new(ErrorKind::NotFound, "no such resource")) })
        .method_not_allowed_fallback(|| async {
            Refusal::from(Error::new(ErrorKind::NotFound, "no such method here"))
        })
        .layer(DefaultBodyLimit::max(MAX_FRAME_BYTES))
        .layer(from_fn_with_state(app.clone(), note))
        .with_state(app)
}

/// What the log says of a request's work, and the note of the error that it ends in.
async fn note(State(app): State<App>, request: Request, next: Next) -> Response {
    let noted = async {
        let mut response = next.run(request).await;
        if let Some(error) = response.extensions_mut().remove::<Arc<Error>>() {
            app.refused(&error);
        }
        // What somebody wrote is for who asked: no cache keeps it, and no browser takes it for anything but JSON.
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    };
    noted.instrument(tracing::error_span!("request", conversation = Empty, seq = Empty)).await
}

/// An error as a response, and the message that it answers.
pub(crate) struct Refusal(Error, Option<MessageId>);

pub(crate) type Answer<T> = Result<T, Refusal>;

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error, None)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(error, message_id) = self;
        let status = StatusCode::from_u16(error.kind.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let action = message_id.map(|_| "send");
        let frame = ServerFrame::error(&error, action, message_id);
        let mut response = (status, axum::Json(frame)).into_response();
        if let Some(ms) = error.retry_after_ms {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)));
        }
        response.extensions_mut().insert(Arc::new(error));
        response
    }
}

/// Who asks, by the claims that the gateway has checked.
struct Who(Caller);

fn unknown() -> Error {
    Error::new(ErrorKind::Unauthenticated, "the request has no valid token")
}

/// What the token says.
pub(crate) fn claims(parts: &Parts) -> Result<&HashMap<String, String>, Error> {
    let context = parts.extensions.request_context_ref().ok_or_else(unknown)?;
    let RequestContext::ApiGatewayV2(context) = context else { return Err(unknown()) };
    let jwt = context.authorizer.as_ref().and_then(|a| a.jwt.as_ref());
    let claims = &jwt.ok_or_else(unknown)?.claims;
    // The gateway checks the issuer and the audience, and not what the token is for.
    if !is_access(claims.get("token_use").map(String::as_str)) {
        return Err(unknown());
    }
    Ok(claims)
}

impl FromRequestParts<App> for Who {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let sub = claims(parts)?.get("sub").ok_or_else(unknown)?;
        let user = UserId::parse(sub).ok().filter(|user| !user.is_system()).ok_or_else(unknown)?;
        app.check_enabled(&user).await?;
        Ok(Self(Caller::http(user)))
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Answer<Self> {
        let bytes =
            Bytes::from_request(request, state).await.map_err(|rejection| match rejection {
                BytesRejection::FailedToBufferBody(_) => {
                    Error::new(ErrorKind::TooLarge, "the body is larger than this request takes")
                }
                other => Error::unreadable(other.body_text()),
            })?;
        // A list would do for a struct whose fields it holds in order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(Error::bad_request("the body is no JSON object").into());
        }
        let body = serde_json::from_slice(&bytes).map_err(Error::unreadable)?;
        Ok(Self(body))
    }
}

/// The query.
struct Params<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(Error::unreadable(rejection.body_text()).into()),
        }
    }
}

/// What the path names.
pub(crate) struct Named<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(Self(named)),
            Err(rejection) => Err(Error::unreadable(rejection.body_text()).into()),
        }
    }
}

/// A conversation that the path names.
pub(crate) struct In(pub(crate) ConversationId);

impl<S: Send + Sync> FromRequestParts<S> for In {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Answer<Self> {
        let Named(id) = Named::<String>::from_request_parts(parts, state).await?;
        Ok(Self(ConversationId::parse(&id)?))
    }
}

async fn health() -> axum::Json<HealthAnswer> {
    axum::Json(HealthAnswer {
        version: env!("CARGO_PKG_VERSION"),
        revision: std::env::var("PETREL_REVISION").ok(),
    })
}

async fn send(
    State(app): State<App>,
    Who(caller): Who,
    Body(body): Body<PostMessage>,
) -> Answer<(StatusCode, axum::Json<ServerFrame>)> {
    let message_id = body.message_id.unwrap_or_else(|| mint(&*app.world));
    // Also where the server has minted the id: whoever repeats the request with it cannot store it twice.
    let refuse = |error| Refusal(error, Some(message_id));
    let conversation = address(&caller, body.conversation_id, body.to_user_id).map_err(refuse)?;
    let messages = vec![Outgoing { message_id, content: body.content }];
    let request = SendRequest { conversation: conversation.clone(), seen: body.seen, messages };
    let mut results = app.send(&caller, request).await.map_err(refuse)?;
    let result = results.pop().ok_or_else(|| Error::port("a send without a result"))?;
    let sent = result.map_err(|(_, error)| refuse(error))?;
    let status = if sent.duplicate { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, axum::Json(ServerFrame::send_result(conversation, &Ok(sent)))))
}

async fn sync(
    State(app): State<App>,
    Who(caller): Who,
    Body(body): Body<PostSync>,
) -> Answer<axum::Json<SyncAnswer>> {
    let request = SyncRequest {
        cursors: body.cursors,
        limit: body.limit.unwrap_or(DEFAULT_LIMIT),
        tail: body.tail,
        page: body.page,
    };
    Ok(axum::Json((&app.sync(&caller, &request).await?).into()))
}

async fn list(
    State(app): State<App>,
    Who(caller): Who,
    Params(params): Params<ListQuery>,
) -> Answer<axum::Json<ConversationList>> {
    Ok(axum::Json((&app.overview(&caller, params.page.as_ref()).await?).into()))
}

async fn set_state(
    State(app): State<App>,
    Who(caller): Who,
    In(id): In,
    Body(body): Body<PatchState>,
) -> Answer<axum::Json<StateAnswer>> {
    let state = app.set_own(&caller, &id, body.into()).await?;
    Ok(axum::Json(StateAnswer::new(id, state)))
}

async fn unread(State(app): State<App>, Who(caller): Who) -> Answer<axum::Json<UnreadAnswer>> {
    Ok(axum::Json(app.unread(&caller).await?.into()))
}

async fn create(
    State(app): State<App>,
    Who(caller): Who,
    Body(body): Body<PostGroup>,
) -> Answer<(StatusCode, axum::Json<ChangeAnswer>)> {
    let group = NewGroup { name: body.name, members: body.member_ids, request_id: body.request_id };
    let entry = app.create_group(&caller, group).await?;
    let answer = ChangeAnswer::new(entry.conversation_id.clone(), Some(&entry));
    Ok((StatusCode::CREATED, axum::Json(answer)))
}

async fn group(
    State(app): State<App>,
    Who(caller): Who,
    In(id): In,
) -> Answer<axum::Json<GroupAnswer>> {
    let group = app.group(&caller, &id).await?;
    Ok(axum::Json(GroupAnswer::new(id, group)))
}

async fn messages(
    State(app): State<App>,
    Who(caller): Who,
    In(id): In,
    Params(params): Params<MessagesQuery>,
) -> Answer<axum::Json<Messages>> {
    let range = range(params.before, params.after, params.around)?;
    let page = app.history(&caller, &id, range, params.limit.unwrap_or(DEFAULT_PAGE)).await?;
    Ok(axum::Json((&page).into()))
}

/// One line of JSON an entry. An answer without a line is the end.
async fn export(
    State(app): State<App>,
    Who(caller): Who,
    In(id): In,
    Params(params): Params<ExportQuery>,
) -> Answer<Response> {
    let mut lines = vec![];
    for entry in app.export(&caller, &id, params.after).await? {
        serde_json::to_writer(&mut lines, &EntryFrame::from(&entry)).map_err(Error::port)?;
        lines.push(b'\n');
    }
    let kind = HeaderValue::from_static("application/x-ndjson");
    Ok(([(header::CONTENT_TYPE, kind)], lines).into_response())
}

async fn report(
    State(app): State<App>,
    Who(caller): Who,
    Named((id, seq)): Named<(String, Seq)>,
    Body(body): Body<PostReport>,
) -> Answer<(StatusCode, axum::Json<ReportAnswer>)> {
    let id = ConversationId::parse(&id)?;
    let report_id = app.report(&caller, &id, seq, body.reason, body.comment).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(ReportAnswer { report_id: report_id.to_string() })))
}

async fn receipts(
    State(app): State<App>,
    Who(caller): Who,
    In(id): In,
    Params(params): Params<ReceiptsQuery>,
) -> Answer<axum::Json<ReceiptsAnswer>> {
    let receipts = app.receipts(&caller, &id, params.seq, params.page.as_ref()).await?;
    Ok(axum::Json(ReceiptsAnswer::new(id, params.seq, receipts)))
}

async fn ack(
    State(app): State<App>,
    Who(caller): Who,
    In(conversation): In,
    Body(body): Body<PostAck>,
) -> Answer<StatusCode> {
    let ack = Ack { conversation, delivered: body.delivered, read: body.read };
    app.ack(&caller, &ack).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn add(
    State(app): State<App>,
    Who(caller): Who,
    In(id): In,
    Body(body): Body<PostMembers>,
) -> Answer<axum::Json<ChangeAnswer>> {
    let entry = app.add_members(&caller, &id, &body.user_ids).await?;
    Ok(axum::Json(ChangeAnswer::new(id, entry.as_ref())))
}

async fn remove(
    State(app): State<App>,
    Who(caller): Who,
    Named((id, user)): Named<(String, String)>,
) -> Answer<axum::Json<ChangeAnswer>> {
    let (id, user) = (ConversationId::parse(&id)?, UserId::parse(&user)?);
    let entry = app.remove_members(&caller, &id, &[user]).await?;
    Ok(axum::Json(ChangeAnswer::new(id, entry.as_ref())))
}

async fn update(
    State(app): State<App>,
    Who(caller): Who,
    In(id): In,
    Body(body): Body<PatchGroup>,
) -> Answer<axum::Json<ChangeAnswer>> {
    let PatchGroup { name, post, add, avatar, retention_days } = body;
    let intent = Intent::Update { name, post, add, avatar, retention_days };
    let entry = app.change(&caller, &id, &intent).await?;
    Ok(axum::Json(ChangeAnswer::new(id, entry.as_ref())))
}

async fn set_role(
    State(app): State<App>,
    Who(caller): Who,
    Named((id, user)): Named<(String, String)>,
    Body(body): Body<PatchMember>,
) -> Answer<axum::Json<ChangeAnswer>> {
    let (id, user) = (ConversationId::parse(&id)?, UserId::parse(&user)?);
    let entry = app.change(&caller, &id, &Intent::SetRole(user, body.role)).await?;
    Ok(axum::Json(ChangeAnswer::new(id, entry.as_ref())))
}

async fn invite(
    State(app): State<App>,
    Who(caller): Who,
    In(id): In,
    Body(body): Body<PostInvite>,
) -> Answer<(StatusCode, axum::Json<InviteAnswer>)> {
    let new = NewInvite { expires_in_s: body.expires_in_s };
    let invite = app.create_invite(&caller, &id, new).await?;
    Ok((StatusCode::CREATED, axum::Json(invite.into())))
}

async fn invites(
    State(app): State<App>,
    Who(caller): Who,
    In(id): In,
) -> Answer<axum::Json<InviteList>> {
    let invites = app.invites(&caller, &id).await?;
    Ok(axum::Json(InviteList { invites: invites.into_iter().map(Into::into).collect() }))
}

async fn revoke(
    State(app): State<App>,
    Who(caller): Who,
    Named((id, invite)): Named<(String, String)>,
) -> Answer<StatusCode> {
    let (id, invite) = (ConversationId::parse(&id)?, InviteId::parse(&invite)?);
    app.revoke_invite(&caller, &id, &invite).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn preview(
    State(app): State<App>,
    Who(caller): Who,
    Named(code): Named<String>,
) -> Answer<axum::Json<PreviewAnswer>> {
    Ok(axum::Json(app.preview(&caller, &InviteCode::parse(&code)?).await?.into()))
}

async fn join(
    State(app): State<App>,
    Who(caller): Who,
    Named(code): Named<String>,
) -> Answer<axum::Json<ChangeAnswer>> {
    let code = InviteCode::parse(&code)?;
    let entry = app.join(&caller, &code).await?;
    Ok(axum::Json(ChangeAnswer::new(code.group, entry.as_ref())))
}

async fn set_push(
    State(app): State<App>,
    Who(caller): Who,
    Named(device): Named<String>,
    Body(body): Body<PutPush>,
) -> Answer<StatusCode> {
    app.set_push(&caller, DeviceId::parse(&device)?, body.platform, &body.token).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_push(
    State(app): State<App>,
    Who(caller): Who,
    Named(device): Named<String>,
) -> Answer<StatusCode> {
    app.remove_push(&caller, &DeviceId::parse(&device)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
