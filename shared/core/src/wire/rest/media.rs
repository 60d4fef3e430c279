//! Files: uploads, and how they are read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::MediaId;
use crate::media::{ContentType, File, Sha256, UploadState};
use crate::ports::SignedRequest;
use crate::services::{Download, Ticket};

/// `POST /api/media`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostMedia {
    /// What the bytes are.
    pub content_type: ContentType,
    /// How many they are.
    pub size: u64,
    /// Their SHA-256, in base64.
    pub sha256: Sha256,
}

/// The answer to it: an upload, and how to store its bytes.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MediaAnswer {
    /// The upload.
    pub media_id: MediaId,
    /// How to store the bytes.
    pub upload: UploadRequest,
    /// From when on the upload is gone unless it was sent or shown by then, ms since 1970.
    pub expires_at: u64,
}

/// A request that a client makes to the store of files, without a token of its own.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UploadRequest {
    /// Always `PUT`.
    pub method: &'static str,
    /// Where to. A secret: whoever has it may do the same.
    pub url: String,
    /// Headers that it must have, exactly so, besides `Content-Length`.
    pub headers: BTreeMap<String, String>,
    /// From when on it is void, ms since 1970.
    pub expires_at: u64,
}

/// `POST /api/media/{media_id}/complete`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompleteAnswer {
    /// The upload.
    pub media_id: MediaId,
    /// How far it is.
    pub state: UploadState,
}

/// `POST /api/conversations/{id}/messages/{seq}/forward`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ForwardAnswer {
    /// What the caller may send from now on, for a week.
    pub media_id: MediaId,
}

/// How to read media.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DownloadAnswer {
    /// The upload.
    pub media_id: MediaId,
    /// What the bytes are.
    #[serde(flatten)]
    pub file: File,
    /// Where to `GET` them, without a token. A secret: whoever has it may do the same.
    pub url: String,
    /// From when on it is void, ms since 1970.
    pub expires_at: u64,
}

impl From<Ticket> for MediaAnswer {
    fn from(ticket: Ticket) -> Self {
        let SignedRequest { url, headers } = ticket.put;
        let headers = headers.into_iter().collect();
        let upload = UploadRequest { method: "PUT", url, headers, expires_at: ticket.put_until };
        Self { media_id: ticket.id, upload, expires_at: ticket.expires_at }
    }
}

impl From<Download> for DownloadAnswer {
    fn from(download: Download) -> Self {
        let Download { id, file, get, get_until } = download;
        Self { media_id: id, file, url: get.url, expires_at: get_until }
    }
}
