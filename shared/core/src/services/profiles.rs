//! What users show of themselves. A name is looked up by whoever shows it, so that changing it tells nobody.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::deliver::CHUNK;
use super::{App, Caller};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::limits::Use;
use crate::people::{Profile, ProfileChange};

/// Chunks of profiles read at the same time.
const CONCURRENT_READS: usize = 4;

impl App {
    /// The caller's own profile, with what he has chosen.
    ///
    /// # Errors
    /// `busy`.
    pub async fn own_profile(&self, caller: &Caller) -> Result<Profile> {
        self.spend(&caller.user, Use::Requests, 1)?;
        let found = self.people.profiles(std::slice::from_ref(&caller.user)).await?;
        Ok(found.into_iter().next().map(|(_, profile)| profile).unwrap_or_default())
    }

    /// Changes the caller's own profile and returns it as it stands then. May be repeated.
    ///
    /// # Errors
    /// `bad_request` for a change of nothing; as [`use_as_avatar`](Self::use_as_avatar); `busy`.
    pub async fn set_profile(&self, caller: &Caller, change: &ProfileChange) -> Result<Profile> {
        self.spend(&caller.user, Use::Requests, 1)?;
        if change.is_empty() {
            return Err(Error::bad_request(
                "nothing to change: name, avatar, hide_read_receipts, presence or hide_previews is needed",
            ));
        }
        // Before it stands in the profile: whoever reads it there can look at it.
        if let Some(Some(avatar)) = &change.avatar {
            self.use_as_avatar(caller, avatar).await?;
        }
        self.people.set_profile(&caller.user, change).await
    }

    /// As [`Self::profiles`], for someone who asks.
    ///
    /// # Errors
    /// `rate_limited`, and as there.
    pub async fn show_profiles(
        &self,
        caller: &Caller,
        users: &[UserId],
    ) -> Result<BTreeMap<UserId, Profile>> {
        self.spend(&caller.user, Use::Requests, 1)?;
        self.profiles(users).await
    }

    /// The profiles of these users, each once and in the order of their ids; the default of who has set none, and so of who
    /// does not exist. Names and pictures are for everyone who knows the id: whoever writes to someone shows them too.
    ///
    /// # Errors
    /// `bad_request` unless 1 to 100 users are named; `busy`.
    pub async fn profiles(&self, users: &[UserId]) -> Result<BTreeMap<UserId, Profile>> {
        if users.is_empty() || users.len() > CHUNK {
            return Err(Error::bad_request(format!("name 1 to {CHUNK} users")));
        }
        self.recent_profiles_of(users).await
    }

    /// As [`Self::profiles`], of any number of users. What is to be hidden from now on is.
    pub(super) async fn profiles_of(&self, users: &[UserId]) -> Result<BTreeMap<UserId, Profile>> {
        let reads: Vec<_> = users.chunks(CHUNK).map(|c| self.people.profiles(c)).collect();
        Self::whole(users, reads).await
    }

    /// As [`Self::profiles_of`], for names and pictures, which may be a moment old: half the price.
    pub(super) async fn recent_profiles_of(
        &self,
        users: &[UserId],
    ) -> Result<BTreeMap<UserId, Profile>> {
        let reads: Vec<_> = users.chunks(CHUNK).map(|c| self.people.recent_profiles(c)).collect();
        Self::whole(users, reads).await
    }

    async fn whole(
        users: &[UserId],
        reads: Vec<impl Future<Output = Result<Vec<(UserId, Profile)>>>>,
    ) -> Result<BTreeMap<UserId, Profile>> {
        let found: Vec<Vec<_>> =
            stream::iter(reads).buffer_unordered(CONCURRENT_READS).try_collect().await?;
        let mut profiles: BTreeMap<UserId, Profile> =
            users.iter().map(|user| (user.clone(), Profile::default())).collect();
        profiles.extend(found.into_iter().flatten());
        Ok(profiles)
    }
}
