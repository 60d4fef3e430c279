//! Uploads: what is known of them, and their bytes.

use async_trait::async_trait;

use crate::error::Result;
use crate::ids::{MediaId, UserId};
use crate::media::{Keep, Upload, UploadState};

/// What is known of uploads. The bytes lie in [`Files`].
#[async_trait]
pub trait Uploads: Send + Sync {
    /// Writes down an upload that is to come. Ids are never used twice.
    async fn announce(&self, upload: &Upload) -> Result<()>;

    /// An upload, also if its time is over; none when nothing is known of it any more. Must be strongly consistent.
    async fn upload(&self, id: &MediaId) -> Result<Option<Upload>>;

    /// Sets the state if it is one of `from`, and returns whether it was. `false` also if nothing is known of it.
    async fn set_state(
        &self,
        owner: &UserId,
        id: &MediaId,
        from: &[UploadState],
        to: UploadState,
    ) -> Result<bool>;

    /// Puts its end off to what `keep` says, if it has not come by `now_s` (s since 1970) and it is not blocked; never
    /// brings it nearer, and never takes back that it is shown. Returns whether it is kept so now; `false` also if
    /// nothing is known of it. May be repeated.
    async fn keep(&self, owner: &UserId, id: &MediaId, now_s: u64, keep: Keep) -> Result<bool>;

    /// Forgets an upload, if it is there.
    async fn forget(&self, owner: &UserId, id: &MediaId) -> Result<()>;

    /// Lets a user who does not own the upload send it, until `until_s` (s since 1970).
    async fn lend(&self, id: &MediaId, user: &UserId, until_s: u64) -> Result<()>;

    /// Until when the user may send it, s since 1970. Must be strongly consistent.
    async fn lent(&self, id: &MediaId, user: &UserId) -> Result<Option<u64>>;
}

/// A request that a client makes to the store of files by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    /// Where to. Good for itself, until it expires.
    pub url: String,
    /// Headers that it must have, by name.
    pub headers: Vec<(String, String)>,
}

/// The bytes of uploads. They never pass through a service.
#[async_trait]
pub trait Files: Send + Sync {
    /// A `PUT` by which a client stores the bytes. The store must refuse it for anything but this id, and bytes of this
    /// size, type and SHA-256, and after `life_s` seconds.
    async fn to_put(&self, upload: &Upload, life_s: u64) -> Result<SignedRequest>;

    /// A `GET` by which a client reads the bytes, for `life_s` seconds. The answer says their type, and a browser must
    /// not show it by itself unless the type [is shown](crate::media::ContentType::is_shown).
    async fn to_get(&self, upload: &Upload, life_s: u64) -> Result<SignedRequest>;

    /// Whether the bytes are there: all of them, or it is `false`.
    async fn stored(&self, owner: &UserId, id: &MediaId) -> Result<bool>;

    /// Removes the bytes, if they are there.
    async fn remove(&self, owner: &UserId, id: &MediaId) -> Result<()>;

    /// The ids of what a user has stored, after `page`, in order, at most `limit` (1 to 1000).
    async fn of(
        &self,
        owner: &UserId,
        page: Option<&MediaId>,
        limit: usize,
    ) -> Result<Vec<MediaId>>;
}
