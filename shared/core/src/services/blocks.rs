//! Blocking: who is blocked writes no direct message, shows no typing there, sees no presence and adds to no group. What
//! he is told is what a stranger is told.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::deliver::CHUNK;
use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::UserId;
use crate::limits::Use;
use crate::mutants::mutant;

/// Most users that one user blocks.
pub const MAX_BLOCKS: usize = 1000;
/// Blocked users in one answer.
const PAGE: usize = 100;
/// Chunks of users read at the same time.
const CONCURRENT_READS: usize = 4;

/// Some of those whom a user blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockPage {
    /// In the order of their ids.
    pub users: Vec<UserId>,
    /// The last of them, if there are more.
    pub page: Option<UserId>,
}

impl App {
    /// The caller blocks this user. May be repeated.
    ///
    /// # Errors
    /// `bad_request` for oneself, and past [`MAX_BLOCKS`] (two at once may pass it by one); `busy`.
    pub async fn block(&self, caller: &Caller, other: &UserId) -> Result<()> {
        self.spend(&caller.user, Use::Requests, 1)?;
        other.check_person()?;
        if *other == caller.user {
            return Err(Error::bad_request("nobody blocks himself"));
        }
        let blocked = self.people.blocked(&caller.user, None, MAX_BLOCKS).await?;
        if blocked.len() == MAX_BLOCKS && !blocked.contains(other) {
            return Err(Error::bad_request(format!("at most {MAX_BLOCKS} users are blocked")));
        }
        self.people.block(&caller.user, other).await
    }

    /// The caller blocks this user no more. May be repeated.
    ///
    /// # Errors
    /// `busy`.
    pub async fn unblock(&self, caller: &Caller, other: &UserId) -> Result<()> {
        self.spend(&caller.user, Use::Requests, 1)?;
        self.people.unblock(&caller.user, other).await
    }

    /// Whom the caller blocks, after `page`. Nobody else can ask.
    ///
    /// # Errors
    /// `busy`.
    pub async fn blocked(&self, caller: &Caller, page: Option<&UserId>) -> Result<BlockPage> {
        self.spend(&caller.user, Use::Requests, 1)?;
        let mut users = self.people.blocked(&caller.user, page, PAGE + 1).await?;
        let more = users.len() > PAGE;
        users.truncate(PAGE);
        let page = users.last().filter(|_| more).cloned();
        Ok(BlockPage { users, page })
    }

    /// Refuses to add someone who blocks the caller to a group, whoever of them it is.
    pub(super) async fn check_addable(&self, caller: &Caller, users: &[UserId]) -> Result<()> {
        let others: Vec<UserId> = users.iter().filter(|u| **u != caller.user).cloned().collect();
        let reads: Vec<_> =
            others.chunks(CHUNK).map(|c| self.people.blockers(c, &caller.user)).collect();
        let blockers: Vec<BTreeSet<UserId>> =
            stream::iter(reads).buffer_unordered(CONCURRENT_READS).try_collect().await?;
        if blockers.iter().all(BTreeSet::is_empty) || mutant!(BlockedAdds) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Forbidden, "you cannot add one of these users"))
    }
}
