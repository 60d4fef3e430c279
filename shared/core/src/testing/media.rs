//! Uploads and their bytes, over one lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;

use crate::error::Result;
use crate::ids::{MediaId, UserId};
use crate::media::{Keep, Upload, UploadState};
use crate::ports::{Files, SignedRequest, Uploads};

#[derive(Default)]
struct State {
    uploads: BTreeMap<MediaId, Upload>,
    loans: BTreeMap<(MediaId, UserId), u64>,
    stored: BTreeSet<(UserId, MediaId)>,
}

/// Uploads and files, in memory.
#[derive(Default)]
pub struct MemoryMedia(Mutex<State>);

impl MemoryMedia {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A client has stored the bytes.
    pub fn store(&self, owner: &UserId, id: &MediaId) {
        self.state().stored.insert((owner.clone(), id.clone()));
    }

    /// Whether the bytes are there.
    pub fn holds(&self, owner: &UserId, id: &MediaId) -> bool {
        self.state().stored.contains(&(owner.clone(), id.clone()))
    }

    /// Forgets every upload whose end has come by now (s since 1970), as DynamoDB does some time later, and returns those.
    pub fn sweep(&self, now_s: u64) -> Vec<Upload> {
        let mut state = self.state();
        let is_over = |u: &Upload| u.expires_at_s.is_some_and(|end| end <= now_s);
        let over: Vec<Upload> = state.uploads.values().filter(|u| is_over(u)).cloned().collect();
        state.uploads.retain(|_, upload| !is_over(upload));
        over
    }
}

#[async_trait]
impl Uploads for MemoryMedia {
    async fn announce(&self, upload: &Upload) -> Result<()> {
        self.state().uploads.insert(upload.id.clone(), upload.clone());
        Ok(())
    }

    async fn upload(&self, id: &MediaId) -> Result<Option<Upload>> {
        Ok(self.state().uploads.get(id).cloned())
    }

    async fn set_state(
        &self,
        owner: &UserId,
        id: &MediaId,
        from: &[UploadState],
        to: UploadState,
    ) -> Result<bool> {
        let mut state = self.state();
        let upload =
            state.uploads.get_mut(id).filter(|u| u.owner == *owner && from.contains(&u.state));
        Ok(upload.map(|upload| upload.state = to).is_some())
    }

    async fn keep(&self, owner: &UserId, id: &MediaId, now_s: u64, keep: Keep) -> Result<bool> {
        let mut state = self.state();
        let Some(upload) = state.uploads.get_mut(id).filter(|u| u.owner == *owner) else {
            return Ok(false);
        };
        let over = upload.expires_at_s.is_some_and(|end| end <= now_s);
        if over || upload.state == UploadState::Blocked {
            return Ok(false);
        }
        match keep {
            Keep::Until(end) => upload.expires_at_s = upload.expires_at_s.map(|e| e.max(end)),
            Keep::Shown => (upload.expires_at_s, upload.avatar) = (None, true),
        }
        Ok(true)
    }

    async fn forget(&self, owner: &UserId, id: &MediaId) -> Result<()> {
        self.state().uploads.retain(|_, u| u.owner != *owner || u.id != *id);
        Ok(())
    }

    async fn lend(&self, id: &MediaId, user: &UserId, until_s: u64) -> Result<()> {
        self.state().loans.insert((id.clone(), user.clone()), until_s);
        Ok(())
    }

    async fn lent(&self, id: &MediaId, user: &UserId) -> Result<Option<u64>> {
        Ok(self.state().loans.get(&(id.clone(), user.clone())).copied())
    }
}

#[async_trait]
impl Files for MemoryMedia {
    async fn to_put(&self, upload: &Upload, _: u64) -> Result<SignedRequest> {
        let url = format!("memory:put/{}/{}", upload.owner, upload.id);
        Ok(SignedRequest { url, headers: vec![] })
    }

    async fn to_get(&self, upload: &Upload, _: u64) -> Result<SignedRequest> {
        let url = format!("memory:get/{}/{}", upload.owner, upload.id);
        Ok(SignedRequest { url, headers: vec![] })
    }

    async fn stored(&self, owner: &UserId, id: &MediaId) -> Result<bool> {
        Ok(self.holds(owner, id))
    }

    async fn remove(&self, owner: &UserId, id: &MediaId) -> Result<()> {
        self.state().stored.remove(&(owner.clone(), id.clone()));
        Ok(())
    }

    async fn of(
        &self,
        owner: &UserId,
        page: Option<&MediaId>,
        limit: usize,
    ) -> Result<Vec<MediaId>> {
        let state = self.state();
        let ids = state.stored.iter().filter(|(user, _)| user == owner).map(|(_, id)| id);
        Ok(ids.filter(|id| page.is_none_or(|page| *id > page)).take(limit).cloned().collect())
    }
}
