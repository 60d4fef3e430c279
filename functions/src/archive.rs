//! The function behind the stream of the conversations table: for each timer that has vanished, the archiver.

use std::collections::BTreeMap;

use petrel_aws::keys;
use petrel_core::ids::ConversationId;
use petrel_core::{App, Error, Result};
use serde::{Deserialize, Serialize};
use tracing::Instrument;
use tracing::field::Empty;

/// Records of a DynamoDB stream that shows keys only: as much of each as is needed here.
#[derive(Debug, Deserialize)]
pub struct StreamEvent {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    event_name: String,
    dynamodb: Change,
    user_identity: Option<Identity>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    keys: BTreeMap<String, BTreeMap<String, String>>,
    sequence_number: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    #[serde(rename = "type")]
    kind: String,
    principal_id: String,
}

/// From which record on the shard must come again; empty if none.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamAnswer {
    batch_item_failures: Vec<Failed>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failed {
    item_identifier: String,
}

impl Record {
    /// The conversation whose timer DynamoDB's TTL has deleted; `None` for whatever else the table went through.
    fn timer(&self) -> Result<Option<ConversationId>> {
        let key = |name: &str| self.dynamodb.keys.get(name).and_then(|value| value.get("S"));
        let by_ttl = self
            .user_identity
            .as_ref()
            .is_some_and(|by| by.kind == "Service" && by.principal_id == "dynamodb.amazonaws.com");
        if self.event_name != "REMOVE"
            || !by_ttl
            || key(keys::SK).is_none_or(|sk| sk != keys::TIMER)
        {
            return Ok(None);
        }
        let of = key(keys::PK).and_then(|pk| keys::read_timer(pk));
        of.map(Some).ok_or_else(|| Error::port("not the key of a timer"))
    }
}

/// Runs the archiver for each timer of a batch. A shard goes on only behind what succeeded, so the first that failed is
/// named; what comes again with it does no harm.
pub async fn handle(app: &App, event: StreamEvent) -> StreamAnswer {
    let runs = event.records.iter().map(|record| {
        let number = record.dynamodb.sequence_number.as_str();
        let span = tracing::error_span!("timer", record = number, conversation = Empty);
        let run = async move {
            let failed = run(app, record).await.err()?;
            app.failed(&failed);
            Some(Failed { item_identifier: number.to_owned() })
        };
        run.instrument(span)
    });
    let failed = futures::future::join_all(runs).await.into_iter().flatten().next();
    StreamAnswer { batch_item_failures: failed.into_iter().collect() }
}

async fn run(app: &App, record: &Record) -> Result<()> {
    let Some(of) = record.timer()? else { return Ok(()) };
    let done = app.archive(&of).await?;
    if done.moved + done.expired > 0 {
        tracing::info!(moved = done.moved, expired = done.expired, "archived");
    }
    Ok(())
}
