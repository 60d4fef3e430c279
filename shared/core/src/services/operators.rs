//! What an operator does about users and conversations. Whoever calls this has made sure that an operator asks.

use futures::future::join_all;

use super::{App, Caller, NewGroup, Outgoing, SendRequest, Sent};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{ConversationId, DeviceId, MessageId, UserId};
use crate::message::{Content, Entry};
use crate::mutants::mutant;
use crate::ports::{Account, Connection, Posted};

/// A socket younger than this may answer 410 because its `$connect` has not returned, and open after that, ms.
const YOUNG_MS: u64 = 60_000;

impl App {
    /// Writes a notice into a conversation, which comes into being by it if it is direct and was not there. The same
    /// `message_id` again is the same notice, as far back as 100 entries.
    ///
    /// # Errors
    /// `not_found` for a group that is not there; `bad_request`, `too_large`; `busy`.
    pub async fn post_notice(
        &self,
        conversation: ConversationId,
        message_id: MessageId,
        text: String,
    ) -> Result<Sent> {
        let messages = vec![Outgoing { message_id, content: Content::Notice { text } }];
        let send = SendRequest { conversation, seen: None, messages };
        let sent = self.send(&Caller::server(), send).await.map_err(|error| match error.kind {
            ErrorKind::NotAMember => Error::new(ErrorKind::NotFound, "no such conversation"),
            _ => error,
        })?;
        let sent = sent.into_iter().next().ok_or_else(|| Error::port("a send without a result"))?;
        sent.map_err(|(_, error)| match error.kind {
            // A server has nothing to sync; the same again reads the log anew.
            ErrorKind::SyncRequired => {
                let words = "the conversation is being changed; send the same again";
                Error { source: Some(error.into()), ..Error::new(ErrorKind::Busy, words) }
            }
            _ => error,
        })
    }

    /// Founds a group that belongs to `owner`, as if he had asked.
    ///
    /// # Errors
    /// As [`Self::create_group`].
    pub async fn create_group_for(&self, owner: UserId, group: NewGroup) -> Result<Entry> {
        self.create(&Caller::http(owner), group, false).await
    }

    /// What is known of a user.
    ///
    /// # Errors
    /// `busy`.
    pub async fn account(&self, user: &UserId) -> Result<Account> {
        self.connections.account(user).await
    }

    /// Refuses a user who is disabled.
    ///
    /// # Errors
    /// `disabled`, `busy`.
    pub async fn check_enabled(&self, user: &UserId) -> Result<()> {
        if self.connections.is_disabled(user).await? { Err(Error::disabled()) } else { Ok(()) }
    }

    /// Disables a user: from now on no socket of his opens, no request of his is answered, nothing is sent to him; then
    /// his sockets are closed. Returns how many were. His tokens are as good as before: to the identity provider he is
    /// who he was.
    ///
    /// # Errors
    /// `busy` when a socket may be open still: ask again. He is disabled by then, unless the words say otherwise.
    pub async fn disable(&self, user: &UserId) -> Result<usize> {
        if mutant!(CutBeforeMark) {
            let before = self.connections.account(user).await?;
            let closed = self.close_all(&before.devices.connections).await?;
            self.connections.set_disabled(user, Some(self.world.now_ms())).await?;
            return Ok(closed);
        }
        // The mark first: whatever is registered later meets it, and whatever was before stands in the answer.
        let account = self.connections.set_disabled(user, Some(self.world.now_ms())).await?;
        self.close_all(&account.devices.connections).await
    }

    /// Enables a user again.
    ///
    /// # Errors
    /// `busy`.
    pub async fn enable(&self, user: &UserId) -> Result<()> {
        self.connections.set_disabled(user, None).await.map(drop)
    }

    /// Closes every socket of a user, and returns how many there were. His devices may connect again.
    ///
    /// # Errors
    /// `busy` when one may be open still: ask again.
    pub async fn cut(&self, user: &UserId) -> Result<usize> {
        let account = self.connections.account(user).await?;
        self.close_all(&account.devices.connections).await
    }

    /// Signs a device out: it gets no more pushes, the push service forgets it if it can be reached, and its socket is
    /// closed. With a token that still holds it may connect again: the identity provider has to end that first.
    ///
    /// # Errors
    /// `busy`: ask again.
    pub async fn sign_out(&self, user: &UserId, device: &DeviceId) -> Result<()> {
        let account = self.connections.account(user).await?;
        let endpoints = account.devices.endpoints.iter().filter(|e| e.device == *device);
        for endpoint in endpoints.filter(|_| !mutant!(SignedOutStays)) {
            self.take_endpoint_off(endpoint).await?;
        }
        let mut sockets = account.devices.connections;
        sockets.retain(|c| c.device == *device);
        self.close_all(&sockets).await.map(drop)
    }

    /// Closes these and removes their rows; a row stays as long as its socket may be open, so that the next call finds it.
    pub(super) async fn close_all(&self, sockets: &[Connection]) -> Result<usize> {
        let now = self.world.now_ms();
        let closing = sockets.iter().map(async |socket| {
            let opens = now.saturating_sub(socket.connected_at) < YOUNG_MS;
            match self.gateway.close(&socket.id).await {
                Posted::Later => Err("the gateway did not close a socket; ask again"),
                Posted::Gone if opens && !mutant!(GoneIsClosed) => {
                    Err("a socket may be opening; ask again")
                }
                Posted::Accepted | Posted::Gone => {
                    // Left for `$disconnect` if it fails.
                    let removed = self.forget(&socket.user, &socket.device, &socket.id);
                    drop(removed.await);
                    Ok(())
                }
            }
        });
        let closed: Result<Vec<()>, &str> = join_all(closing).await.into_iter().collect();
        closed.map(|closed| closed.len()).map_err(|words| Error::new(ErrorKind::Busy, words))
    }
}
