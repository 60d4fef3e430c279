//! Stands where a port is not configured: a function gets only the variables that it needs, and says at its start which
//! those are. Should it use another port after all, that fails and names the variable.

use std::collections::BTreeSet;

use async_trait::async_trait;
use petrel_core::error::{Error, Result};
use petrel_core::events::Report;
use petrel_core::group::{GroupInfo, Invite, Role, Roster};
use petrel_core::ids::{ConnectionId, ConversationId, DeviceId, InviteId, MediaId, Seq, UserId};
use petrel_core::media::{Keep, Upload, UploadState};
use petrel_core::message::{Entry, Why};
use petrel_core::people::{Profile, ProfileChange};
use petrel_core::ports::{
    Account, Archive, Change, Cold, Connection, Connections, Conversations, Delivery, Devices,
    Endpoint, Files, Floor, Gateway, Hooked, Log, Moderation, Object, OwnState, People, Posted,
    Precondition, Put, Regard, Registered, SignedRequest, Sockets, Uploads, UserConversation,
    Watermarks, Webhook,
};

use crate::settings::SettingsError;

/// A port that lacks this variable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unset(pub(crate) &'static str);

impl Unset {
    fn fail<T>(self) -> Result<T> {
        Err(Error::port(self.reason()))
    }

    fn reason(self) -> String {
        SettingsError::Missing(self.0).to_string()
    }
}

#[async_trait]
impl Log for Unset {
    async fn newest(
        &self,
        _: &ConversationId,
        _: Seq,
        _: Option<Seq>,
        _: usize,
    ) -> Result<Vec<Entry>> {
        self.fail()
    }

    async fn after(&self, _: &ConversationId, _: Seq, _: usize) -> Result<Vec<Entry>> {
        self.fail()
    }

    async fn put(&self, _: &Entry) -> Result<Put> {
        self.fail()
    }

    async fn put_changing(&self, _: &Entry) -> Result<Put> {
        self.fail()
    }
}

#[async_trait]
impl Cold for Unset {
    async fn floor(&self, _: &ConversationId) -> Result<Floor> {
        self.fail()
    }

    async fn move_floor(&self, _: &ConversationId, _: &Floor, _: &Floor) -> Result<bool> {
        self.fail()
    }

    async fn put_delete(&self, _: &Entry, _: &Entry, _: &Floor) -> Result<Put> {
        self.fail()
    }

    async fn erase(&self, _: &ConversationId, _: &[Entry], _: &Floor) -> Result<bool> {
        self.fail()
    }

    async fn redactions(&self, _: &ConversationId, _: Seq, _: Seq, _: usize) -> Result<Vec<Seq>> {
        self.fail()
    }

    async fn remove_redactions(&self, _: &ConversationId, _: &[Seq]) -> Result<()> {
        self.fail()
    }

    async fn set_timer(&self, _: &ConversationId, _: u64) -> Result<()> {
        self.fail()
    }

    async fn keep_timer(&self, _: &ConversationId, _: u64) -> Result<()> {
        self.fail()
    }

    async fn remove(&self, _: &ConversationId, _: Seq, _: Seq) -> Result<()> {
        self.fail()
    }

    async fn empty(&self, _: &ConversationId, _: Seq, _: Why) -> Result<()> {
        self.fail()
    }
}

#[async_trait]
impl Archive for Unset {
    async fn put(&self, _: &[Entry], _: &Precondition) -> Result<bool> {
        self.fail()
    }

    async fn get(&self, _: &ConversationId, _: Seq) -> Result<Option<Object>> {
        self.fail()
    }

    async fn list(&self, _: &ConversationId, _: Seq, _: usize) -> Result<Vec<Seq>> {
        self.fail()
    }

    async fn delete(&self, _: &ConversationId, _: Seq) -> Result<()> {
        self.fail()
    }
}

#[async_trait]
impl Conversations for Unset {
    async fn roster(&self, _: &ConversationId, _: usize) -> Result<Roster> {
        self.fail()
    }

    async fn open(&self, _: &ConversationId, _: &[UserId]) -> Result<()> {
        self.fail()
    }

    async fn found(&self, _: &ConversationId, _: &GroupInfo, _: &[(UserId, Role)]) -> Result<Put> {
        self.fail()
    }

    async fn change(&self, _: &Change) -> Result<Put> {
        self.fail()
    }

    async fn set_invite(&self, _: &Invite) -> Result<()> {
        self.fail()
    }

    async fn invite(&self, _: &ConversationId, _: &InviteId) -> Result<Option<Invite>> {
        self.fail()
    }

    async fn invites(&self, _: &ConversationId, _: usize) -> Result<Vec<Invite>> {
        self.fail()
    }

    async fn remove_invite(&self, _: &ConversationId, _: &InviteId) -> Result<()> {
        self.fail()
    }

    async fn row(&self, _: &UserId, _: &ConversationId) -> Result<Option<UserConversation>> {
        self.fail()
    }

    async fn rows(
        &self,
        _: &UserId,
        _: Option<&ConversationId>,
        _: usize,
    ) -> Result<Vec<UserConversation>> {
        self.fail()
    }

    async fn advance(
        &self,
        _: &UserId,
        _: &ConversationId,
        _: Watermarks,
        _: Watermarks,
    ) -> Result<bool> {
        self.fail()
    }

    async fn set_own(&self, _: &UserId, _: &ConversationId, _: u64, _: OwnState) -> Result<bool> {
        self.fail()
    }

    async fn rows_of(
        &self,
        _: &ConversationId,
        _: &[UserId],
    ) -> Result<Vec<(UserId, UserConversation)>> {
        self.fail()
    }

    async fn blocks(&self, _: &UserId, _: &UserId) -> Result<bool> {
        self.fail()
    }

    async fn note_left(&self, _: &ConversationId, _: &[UserId]) -> Result<()> {
        self.fail()
    }

    async fn left(&self, _: &UserId, _: usize) -> Result<Vec<ConversationId>> {
        self.fail()
    }

    async fn forget_left(&self, _: &UserId, _: &ConversationId) -> Result<()> {
        self.fail()
    }
}

#[async_trait]
impl People for Unset {
    async fn profiles(&self, _: &[UserId]) -> Result<Vec<(UserId, Profile)>> {
        self.fail()
    }

    async fn set_profile(&self, _: &UserId, _: &ProfileChange) -> Result<Profile> {
        self.fail()
    }

    async fn row_and_profile(
        &self,
        _: &UserId,
        _: &ConversationId,
    ) -> Result<(Option<UserConversation>, Profile)> {
        self.fail()
    }

    async fn block(&self, _: &UserId, _: &UserId) -> Result<()> {
        self.fail()
    }

    async fn unblock(&self, _: &UserId, _: &UserId) -> Result<()> {
        self.fail()
    }

    async fn blocked(&self, _: &UserId, _: Option<&UserId>, _: usize) -> Result<Vec<UserId>> {
        self.fail()
    }

    async fn regards(&self, _: &[(UserId, UserId)]) -> Result<Vec<Regard>> {
        self.fail()
    }

    async fn watch(&self, _: &UserId, _: &UserId, _: u64) -> Result<()> {
        self.fail()
    }

    async fn watchers(&self, _: &UserId, _: u64, _: usize) -> Result<Vec<UserId>> {
        self.fail()
    }

    async fn erase(&self, _: &UserId, _: usize) -> Result<bool> {
        self.fail()
    }

    async fn blockers(&self, _: &[UserId], _: &UserId) -> Result<BTreeSet<UserId>> {
        self.fail()
    }
}

#[async_trait]
impl Connections for Unset {
    async fn register(&self, _: &Connection) -> Result<Option<Registered>> {
        self.fail()
    }

    async fn remove(
        &self,
        _: &UserId,
        _: &DeviceId,
        _: &ConnectionId,
        _: u64,
    ) -> Result<Option<Sockets>> {
        self.fail()
    }

    async fn sockets(&self, _: &[UserId]) -> Result<Vec<(UserId, Sockets)>> {
        self.fail()
    }

    async fn watched(&self, _: &UserId, _: u64) -> Result<Sockets> {
        self.fail()
    }

    async fn set_away(&self, _: &UserId, _: bool) -> Result<Sockets> {
        self.fail()
    }

    async fn of(&self, _: &[UserId]) -> Result<Devices> {
        self.fail()
    }

    async fn set_endpoint(&self, _: &Endpoint) -> Result<Option<Endpoint>> {
        self.fail()
    }

    async fn remove_endpoint(&self, _: &Endpoint) -> Result<()> {
        self.fail()
    }

    async fn set_disabled(&self, _: &UserId, _: Option<u64>) -> Result<Account> {
        self.fail()
    }

    async fn account(&self, _: &UserId) -> Result<Account> {
        self.fail()
    }

    async fn is_disabled(&self, _: &UserId) -> Result<bool> {
        self.fail()
    }
}

#[async_trait]
impl Gateway for Unset {
    async fn post(&self, to: &ConnectionId, _: &str) -> Posted {
        tracing::error!(%to, reason = self.reason(), "a post failed");
        Posted::Later
    }

    async fn close(&self, connection: &ConnectionId) -> Posted {
        self.post(connection, "").await
    }
}

#[async_trait]
impl Webhook for Unset {
    async fn deliver(&self, delivery: &Delivery) -> Hooked {
        tracing::error!(id = delivery.id, reason = self.reason(), "an event was not told");
        Hooked::Refused { retry_after_s: None }
    }
}

#[async_trait]
impl Moderation for Unset {
    async fn report(&self, _: &Report) -> Result<()> {
        self.fail()
    }
}

#[async_trait]
impl Uploads for Unset {
    async fn announce(&self, _: &Upload) -> Result<()> {
        self.fail()
    }

    async fn upload(&self, _: &MediaId) -> Result<Option<Upload>> {
        self.fail()
    }

    async fn set_state(
        &self,
        _: &UserId,
        _: &MediaId,
        _: &[UploadState],
        _: UploadState,
    ) -> Result<bool> {
        self.fail()
    }

    async fn keep(&self, _: &UserId, _: &MediaId, _: u64, _: Keep) -> Result<bool> {
        self.fail()
    }

    async fn forget(&self, _: &UserId, _: &MediaId) -> Result<()> {
        self.fail()
    }

    async fn lend(&self, _: &MediaId, _: &UserId, _: u64) -> Result<()> {
        self.fail()
    }

    async fn lent(&self, _: &MediaId, _: &UserId) -> Result<Option<u64>> {
        self.fail()
    }
}

#[async_trait]
impl Files for Unset {
    async fn to_put(&self, _: &Upload, _: u64) -> Result<SignedRequest> {
        self.fail()
    }

    async fn to_get(&self, _: &Upload, _: u64) -> Result<SignedRequest> {
        self.fail()
    }

    async fn stored(&self, _: &UserId, _: &MediaId) -> Result<bool> {
        self.fail()
    }

    async fn remove(&self, _: &UserId, _: &MediaId) -> Result<()> {
        self.fail()
    }

    async fn of(&self, _: &UserId, _: Option<&MediaId>, _: usize) -> Result<Vec<MediaId>> {
        self.fail()
    }
}
