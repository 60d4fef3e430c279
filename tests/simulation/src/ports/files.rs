//! Uploads and their bytes, as far as erasing a user goes: what he has is there from the beginning. All else of them has a story
//! of its own (`tests/media.rs`).

use async_trait::async_trait;
use petrel_core::error::{Error, Result};
use petrel_core::ids::{MediaId, UserId};
use petrel_core::media::{Keep, Upload, UploadState};
use petrel_core::ports::{Files, SignedRequest, Uploads};

use super::Ports;
use crate::truth::Write;

/// Nobody asks for it here.
fn never<T>() -> Result<T> {
    Err(Error::port("never"))
}

#[async_trait]
impl Uploads for Ports {
    async fn announce(&self, _: &Upload) -> Result<()> {
        never()
    }

    async fn upload(&self, _: &MediaId) -> Result<Option<Upload>> {
        never()
    }

    async fn set_state(
        &self,
        _: &UserId,
        _: &MediaId,
        _: &[UploadState],
        _: UploadState,
    ) -> Result<bool> {
        never()
    }

    async fn keep(&self, _: &UserId, _: &MediaId, _: u64, _: Keep) -> Result<bool> {
        never()
    }

    async fn forget(&self, owner: &UserId, id: &MediaId) -> Result<()> {
        let write = Write::ForgetUpload(owner.clone(), id.clone());
        self.write("uploads.forget", write).await.map(drop)
    }

    async fn lend(&self, _: &MediaId, _: &UserId, _: u64) -> Result<()> {
        never()
    }

    async fn lent(&self, _: &MediaId, _: &UserId) -> Result<Option<u64>> {
        never()
    }
}

#[async_trait]
impl Files for Ports {
    async fn to_put(&self, _: &Upload, _: u64) -> Result<SignedRequest> {
        never()
    }

    async fn to_get(&self, _: &Upload, _: u64) -> Result<SignedRequest> {
        never()
    }

    async fn stored(&self, _: &UserId, _: &MediaId) -> Result<bool> {
        never()
    }

    async fn remove(&self, owner: &UserId, id: &MediaId) -> Result<()> {
        let write = Write::RemoveFile(owner.clone(), id.clone());
        self.write("files.remove", write).await.map(drop)
    }

    async fn of(
        &self,
        owner: &UserId,
        page: Option<&MediaId>,
        limit: usize,
    ) -> Result<Vec<MediaId>> {
        self.read("files.of", |core| {
            let all = core.truth.uploads.get(owner).into_iter().flatten();
            let stored = all.filter(|(_, stored)| **stored).map(|(id, _)| id);
            stored.filter(|id| page.is_none_or(|page| *id > page)).take(limit).cloned().collect()
        })
        .await
    }
}
