//! What TTL and its stream do on AWS: from time to time looks for timers that have run out, and hands them to the
//! archiver's handler as the stream would.

use std::sync::Arc;
use std::time::Duration;

use petrel_aws::Dynamo;
use petrel_core::{App, Result};
use petrel_functions::archive::{self, StreamEvent};
use tokio_util::sync::CancellationToken;

use crate::events;

/// Timers that are handed on at once.
const BATCH: usize = 10;

/// Runs until the server stops.
pub async fn run(tables: Arc<Dynamo>, app: App, every: Duration, stop: CancellationToken) {
    while tokio::time::timeout(every, stop.cancelled()).await.is_err() {
        if let Err(error) = sweep(&tables, &app, &stop).await {
            tracing::error!(error = error.with_causes(), "timers cannot be read");
        }
    }
}

async fn sweep(tables: &Dynamo, app: &App, stop: &CancellationToken) -> Result<()> {
    let expired = tables.expired_timers(app.world.now_ms(), usize::MAX).await?;
    for batch in expired.chunks(BATCH) {
        if stop.is_cancelled() {
            return Ok(());
        }
        match serde_json::from_value::<StreamEvent>(events::timers(batch)) {
            // What failed is in the log, and its timer is set again or is found the next time.
            Ok(event) => drop(archive::handle(app, event).await),
            Err(error) => tracing::error!(%error, "an event that no handler can read"),
        }
    }
    Ok(())
}
