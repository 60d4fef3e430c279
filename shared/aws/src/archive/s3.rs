//! Objects of cold history in a bucket: `<conversation>/<last seq in 20 digits>.zst`, so that they are named in order.

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConversationId, Seq};
use petrel_core::message::Entry;
use petrel_core::ports::{Archive, Object, Precondition, Version};

use super::object::{self, MAX_STORED_BYTES};
use crate::calls::{LIMIT, within};
use crate::files::whole;
use crate::keys;

/// Names in one answer to ListObjectsV2.
const PAGE: usize = 1_000;
/// What S3 says when a precondition does not hold: another object is there, one is being written, or none is there to replace.
const REFUSED: [&str; 3] = ["PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"];

/// The archive in a bucket.
#[derive(Clone, Debug)]
pub struct S3 {
    client: Client,
    bucket: String,
}

impl S3 {
    /// The archive in this bucket.
    pub fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket }
    }
}

/// The error of an object that cannot be read: it names the object, for whoever has to look at it.
pub(crate) fn damaged(name: &str, reason: &object::Damaged) -> Error {
    Error::port(format!("the archive's object {name} is damaged: {reason}"))
}

#[async_trait]
impl Archive for S3 {
    async fn put(&self, stretch: &[Entry], only_if: &Precondition) -> Result<bool> {
        let bytes = object::encode(stretch).map_err(Error::port)?;
        let last = stretch.last().ok_or_else(|| Error::port("an empty stretch"))?;
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(keys::object(&last.conversation_id, last.seq))
            .content_type("application/zstd")
            .body(ByteStream::from(bytes));
        let put = match only_if {
            Precondition::Absent => put.if_none_match("*"),
            Precondition::Is(Version(etag)) => put.if_match(etag),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code().is_some_and(|code| REFUSED.contains(&code)) => Ok(false),
            Err(error) => Err(Error::port(error)),
        }
    }

    async fn get(&self, of: &ConversationId, last: Seq) -> Result<Option<Object>> {
        within(LIMIT, async {
            let key = keys::object(of, last);
            let found = self.client.get_object().bucket(&self.bucket).key(&key).send().await;
            let mut found = match found {
                Ok(found) => found,
                Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
                Err(error) => return Err(Error::port(error)),
            };
            let version = found.e_tag().ok_or_else(|| Error::port("an object without an ETag"))?;
            let version = Version(version.to_owned());
            let mut bytes = vec![];
            while let Some(part) = found.body.try_next().await.map_err(Error::port)? {
                bytes.extend_from_slice(&part);
                if bytes.len() > MAX_STORED_BYTES {
                    return Err(damaged(&key, &object::Damaged::TooLarge));
                }
            }
            let entries =
                object::decode(of, last, &bytes).map_err(|reason| damaged(&key, &reason))?;
            Ok(Some(Object { version, entries }))
        })
        .await
    }

    async fn list(&self, of: &ConversationId, from: Seq, limit: usize) -> Result<Vec<Seq>> {
        within(LIMIT, async {
            let mut found: Vec<Seq> = vec![];
            while found.len() < limit {
                let after = found.last().copied().unwrap_or(from.prev());
                let wanted = (limit - found.len()).min(PAGE);
                let page = self
                    .client
                    .list_objects_v2()
                    .bucket(&self.bucket)
                    .prefix(keys::objects(of))
                    .start_after(keys::object(of, after))
                    .max_keys(i32::try_from(wanted).unwrap_or(i32::MAX))
                    .send()
                    .await
                    .map_err(Error::port)?;
                whole(&page)?;
                for object in page.contents() {
                    let key = object.key().unwrap_or_default();
                    let seq = keys::read_object(of, key);
                    found.push(
                        seq.ok_or_else(|| Error::port(format!("not an object of ours: {key}")))?,
                    );
                }
                if page.is_truncated() != Some(true) {
                    break;
                }
                if page.contents().is_empty() {
                    return Err(Error::port("a list of objects that goes on and holds none"));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn delete(&self, of: &ConversationId, last: Seq) -> Result<()> {
        let key = keys::object(of, last);
        let delete = self.client.delete_object().bucket(&self.bucket).key(key);
        delete.send().await.map_err(Error::port)?;
        Ok(())
    }
}
