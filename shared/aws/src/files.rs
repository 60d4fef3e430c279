//! The bytes of media in a bucket, and the client of S3. What a client may do with the bucket is signed here, and S3 holds
//! it to that: the key, the type, the length and the SHA-256 of a put are all in the signature.

use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::operation::head_object::HeadObjectError;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_types::service_config::ServiceConfigKey;
use petrel_core::error::{Error, Result};
use petrel_core::ids::{MediaId, UserId};
use petrel_core::media::{File, Upload};
use petrel_core::ports::{Files, SignedRequest};

use crate::keys;

/// A client with what this configuration has in common with the others.
pub fn s3_client(config: &SdkConfig) -> Client {
    let key = ServiceConfigKey::builder()
        .service_id("s3")
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build();
    let named = key.ok().and_then(|key| config.service_config()?.load_config(key));
    let own_endpoint = config.endpoint_url().is_some() || named.is_some();
    // An endpoint of one's own has no name for each bucket.
    Client::from_conf(checked(Builder::from(config).force_path_style(own_endpoint)).build())
}

/// Checksums only where a call names one. A body is in memory and its hash is signed, so S3 checks it anyway; the SDK's
/// own way sends it in signed pieces, to no gain.
pub(crate) fn checked(config: Builder) -> Builder {
    config
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
}

/// Fails for a list that was cut off: the SDK takes it for a whole one.
pub(crate) fn whole(list: &ListObjectsV2Output) -> Result<()> {
    let named = usize::try_from(list.key_count().unwrap_or(-1)).ok();
    let whole = named == Some(list.contents().len()) && list.is_truncated().is_some();
    whole.then_some(()).ok_or_else(|| Error::port("a list of objects is not whole"))
}

/// The bucket of media.
#[derive(Clone, Debug)]
pub struct MediaBucket {
    client: Client,
    bucket: String,
}

impl MediaBucket {
    /// The port over this bucket. What it signs is signed with the client's credentials, for the client's endpoint.
    pub fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket }
    }
}

fn life(life_s: u64) -> Result<PresigningConfig> {
    PresigningConfig::expires_in(Duration::from_secs(life_s)).map_err(Error::port)
}

fn signed(request: &PresignedRequest) -> SignedRequest {
    // Every client sets these two by itself, and a browser lets nobody else set them.
    let by_itself = |name: &str| name == "host" || name == "content-length";
    let headers = request.headers().filter(|(name, _)| !by_itself(name));
    SignedRequest {
        url: request.uri().to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
    }
}

#[async_trait]
impl Files for MediaBucket {
    async fn to_put(&self, upload: &Upload, life_s: u64) -> Result<SignedRequest> {
        let File { content_type, size, sha256 } = &upload.file;
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(keys::file(&upload.owner, &upload.id))
            .content_type(content_type.as_str())
            .content_length(i64::try_from(*size).map_err(Error::port)?)
            .checksum_sha256(sha256.as_str())
            // Once: the bucket keeps what is replaced, and somebody pays for it.
            .if_none_match("*");
        let request = put.presigned(life(life_s)?).await.map_err(Error::port)?;
        Ok(signed(&request))
    }

    async fn to_get(&self, upload: &Upload, life_s: u64) -> Result<SignedRequest> {
        let content_type = &upload.file.content_type;
        let mut get = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(keys::file(&upload.owner, &upload.id))
            .response_content_type(content_type.as_str())
            // Whoever stored it may have said that it is packed, unsigned: then a browser would show other bytes than were checked.
            .response_content_encoding("identity")
            // For this reader, and never again under this URL once it is void.
            .response_cache_control(format!("private, max-age={life_s}, immutable"));
        if !content_type.is_shown() {
            get = get.response_content_disposition("attachment");
        }
        let request = get.presigned(life(life_s)?).await.map_err(Error::port)?;
        Ok(signed(&request))
    }

    async fn stored(&self, owner: &UserId, id: &MediaId) -> Result<bool> {
        let head = self.client.head_object().bucket(&self.bucket).key(keys::file(owner, id));
        match head.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => {
                Ok(false)
            }
            Err(error) => Err(Error::port(error)),
        }
    }

    async fn remove(&self, owner: &UserId, id: &MediaId) -> Result<()> {
        let delete = self.client.delete_object().bucket(&self.bucket).key(keys::file(owner, id));
        delete.send().await.map_err(Error::port)?;
        Ok(())
    }

    async fn of(
        &self,
        owner: &UserId,
        page: Option<&MediaId>,
        limit: usize,
    ) -> Result<Vec<MediaId>> {
        let prefix = keys::files(owner);
        let mut list = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(&prefix)
            .max_keys(i32::try_from(limit).map_err(Error::port)?);
        if let Some(page) = page {
            list = list.start_after(keys::file(owner, page));
        }
        let found = list.send().await.map_err(Error::port)?;
        whole(&found)?;
        let keys = found.contents().iter().filter_map(|object| object.key());
        keys.map(|key| {
            let id = key.strip_prefix(&prefix).unwrap_or_default();
            MediaId::parse(id).map_err(|_| Error::port(format!("not a media's key: {key}")))
        })
        .collect()
    }
}
