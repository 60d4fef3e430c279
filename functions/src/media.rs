//! The function behind the media bucket: bytes that arrived, what a scanner says of them, and uploads that ran out. Each
//! event may come more than once, late, and in another order than things happened.

use std::collections::BTreeMap;

use petrel_aws::keys;
use petrel_core::ids::{MediaId, UserId};
use petrel_core::services::Verdict;
use petrel_core::{App, Error, Result};
use serde::{Deserialize, Serialize};

/// One of the two: records of the conversations table's stream, or an event of EventBridge.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Event {
    /// Of the stream.
    Records {
        /// At least one.
        #[serde(rename = "Records")]
        records: Vec<Record>,
    },
    /// Of the bucket or of a scanner.
    Told {
        /// Who says so.
        source: String,
        /// What.
        detail: Detail,
    },
}

/// Something happened to an item.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Only `REMOVE` means something here.
    event_name: String,
    /// Which item.
    dynamodb: Change,
    /// DynamoDB itself, when it was its TTL.
    user_identity: Option<Identity>,
}

/// Which item changed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Change {
    keys: BTreeMap<String, BTreeMap<String, String>>,
    sequence_number: String,
}

/// Who changed it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    principal_id: String,
}

/// What the bucket says, and what a scanner does: GuardDuty in its own words, any other in ours.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Detail {
    /// An object came to be.
    Created {
        /// Which.
        object: Object,
    },
    /// GuardDuty's Malware Protection for S3.
    #[serde(rename_all = "camelCase")]
    GuardDuty {
        /// Of what.
        s3_object_details: GuardDutyObject,
        /// What.
        scan_result_details: GuardDutyResult,
    },
    /// Any other.
    Own {
        /// The object's key.
        key: String,
        /// What it is.
        verdict: OwnVerdict,
    },
}

/// An object of the bucket.
#[derive(Debug, Deserialize)]
pub struct Object {
    key: String,
}

/// What GuardDuty has scanned.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardDutyObject {
    object_key: String,
}

/// What it found.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GuardDutyResult {
    scan_result_status: String,
}

/// What another scanner found.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnVerdict {
    /// It can be read.
    Clean,
    /// Nobody may read it.
    Blocked,
}

/// Which records of a stream must come again; the other callers do not look at it.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    batch_item_failures: Vec<Failed>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed {
    item_identifier: String,
}

/// Handles one event.
///
/// # Errors
/// If a port fails, for an event that comes again as a whole.
pub async fn handle(app: &App, event: Event) -> Result<Answer> {
    let mut answer = Answer::default();
    match event {
        Event::Records { records } => {
            for record in records {
                if let Err(error) = run(app, &record).await {
                    app.failed(&error);
                    // A shard goes on only behind what succeeded: what follows comes again with it.
                    let item_identifier = record.dynamodb.sequence_number;
                    answer.batch_item_failures.push(Failed { item_identifier });
                    break;
                }
            }
        }
        // Not a scanner, whatever its words look like.
        Event::Told { source, detail: Detail::Created { object } } if source == "aws.s3" => {
            let (owner, id) = named(&object.key)?;
            app.uploaded(&owner, &id).await?;
        }
        Event::Told { source, detail } => judge(app, &source, detail).await?,
    }
    Ok(answer)
}

async fn run(app: &App, record: &Record) -> Result<()> {
    let by_ttl = record.user_identity.as_ref();
    let by_ttl = by_ttl.is_some_and(|by| by.principal_id == "dynamodb.amazonaws.com");
    let key = |name: &str| record.dynamodb.keys.get(name).and_then(|value| value.get("S"));
    let upload = key(keys::PK).zip(key(keys::SK)).and_then(|(pk, sk)| keys::read_upload(pk, sk));
    match upload {
        Some((owner, id)) if by_ttl && record.event_name == "REMOVE" => {
            app.upload_expired(&owner, &id).await
        }
        _ => Ok(()),
    }
}

async fn judge(app: &App, source: &str, detail: Detail) -> Result<()> {
    let (key, verdict) = match detail {
        Detail::Created { .. } => return Err(Error::port("not an event of the bucket's")),
        Detail::Own { key, verdict: OwnVerdict::Clean } => (key, Verdict::Clean),
        Detail::Own { key, verdict: OwnVerdict::Blocked } => (key, Verdict::Blocked),
        Detail::GuardDuty { s3_object_details, scan_result_details } => {
            let key = s3_object_details.object_key;
            match scan_result_details.scan_result_status.as_str() {
                "NO_THREATS_FOUND" => (key, Verdict::Clean),
                "THREATS_FOUND" => (key, Verdict::Blocked),
                // It stays closed. Who knows better says so by an event of their own.
                status => {
                    tracing::warn!(status, key, "the scanner does not say what an upload is");
                    return Ok(());
                }
            }
        }
    };
    let (owner, id) = named(&key)?;
    if verdict == Verdict::Blocked {
        tracing::warn!(%owner, media = %id, source, "an upload is blocked");
    }
    app.judge(&owner, &id, verdict).await
}

fn named(key: &str) -> Result<(UserId, MediaId)> {
    keys::read_file(key).ok_or_else(|| Error::port(format!("no upload of ours: {key:?}")))
}
