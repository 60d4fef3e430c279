//! Uploads and their bytes.

use async_trait::async_trait;
use petrel_core::error::Result;
use petrel_core::ids::{MediaId, UserId};
use petrel_core::media::{Keep, Upload, UploadState};
use petrel_core::ports::{Files, SignedRequest, Uploads};

use super::Ports;
use crate::faults::Fault;
use crate::truth::{Write, Wrote};

#[async_trait]
impl Uploads for Ports {
    async fn announce(&self, upload: &Upload) -> Result<()> {
        let what = format!("uploads.announce {}", upload.id);
        self.write(&what, Write::Announce(Box::new(upload.clone()))).await.map(drop)
    }

    async fn upload(&self, id: &MediaId) -> Result<Option<Upload>> {
        let what = format!("uploads.upload {id}");
        self.read(&what, |core| core.truth.media.uploads.get(id).cloned()).await
    }

    async fn set_state(
        &self,
        owner: &UserId,
        id: &MediaId,
        from: &[UploadState],
        to: UploadState,
    ) -> Result<bool> {
        let write = Write::SetUploadState(owner.clone(), id.clone(), from.to_vec(), to);
        Ok(self.write(&format!("uploads.set_state {id} {to:?}"), write).await? == Wrote::Yes)
    }

    async fn keep(&self, owner: &UserId, id: &MediaId, now_s: u64, keep: Keep) -> Result<bool> {
        let write = Write::KeepUpload(owner.clone(), id.clone(), now_s, keep);
        Ok(self.write(&format!("uploads.keep {id} {keep:?}"), write).await? == Wrote::Yes)
    }

    async fn forget(&self, owner: &UserId, id: &MediaId) -> Result<()> {
        let write = Write::ForgetUpload(owner.clone(), id.clone());
        self.write(&format!("uploads.forget {id}"), write).await.map(drop)
    }

    async fn lend(&self, id: &MediaId, user: &UserId, until_s: u64) -> Result<()> {
        let write = Write::Lend(id.clone(), user.clone(), until_s);
        self.write(&format!("uploads.lend {id} {user}"), write).await.map(drop)
    }

    async fn lent(&self, id: &MediaId, user: &UserId) -> Result<Option<u64>> {
        let loan = (id.clone(), user.clone());
        self.read("uploads.lent", |core| core.truth.media.loans.get(&loan).copied()).await
    }
}

impl Ports {
    /// Whether the bucket of files can be reached.
    fn bucket_is_up(&self) -> Result<()> {
        let out = {
            let mut core = self.hub.lock();
            let core = &mut *core;
            core.faults.is_out(Fault::FilesOut)
        };
        if out { self.failed_in_s3("the bucket of files is out") } else { Ok(()) }
    }
}

/// Signing is done without a call.
fn signed(verb: &str, upload: &Upload) -> SignedRequest {
    SignedRequest { url: format!("sim:{verb}/{}/{}", upload.owner, upload.id), headers: vec![] }
}

#[async_trait]
impl Files for Ports {
    async fn to_put(&self, upload: &Upload, _: u64) -> Result<SignedRequest> {
        Ok(signed("put", upload))
    }

    async fn to_get(&self, upload: &Upload, _: u64) -> Result<SignedRequest> {
        Ok(signed("get", upload))
    }

    async fn stored(&self, owner: &UserId, id: &MediaId) -> Result<bool> {
        self.bucket_is_up()?;
        let place = (owner.clone(), id.clone());
        self.read(&format!("files.stored {id}"), |core| core.truth.media.bytes.contains(&place))
            .await
    }

    async fn remove(&self, owner: &UserId, id: &MediaId) -> Result<()> {
        self.bucket_is_up()?;
        let write = Write::RemoveFile(owner.clone(), id.clone());
        self.write(&format!("files.remove {id}"), write).await.map(drop)
    }

    async fn of(
        &self,
        owner: &UserId,
        page: Option<&MediaId>,
        limit: usize,
    ) -> Result<Vec<MediaId>> {
        self.bucket_is_up()?;
        self.read("files.of", |core| {
            let all = core.truth.media.bytes.iter().filter(|(user, _)| user == owner);
            let all = all.map(|(_, id)| id).filter(|id| page.is_none_or(|page| *id > page));
            all.take(limit).cloned().collect()
        })
        .await
    }
}
