//! What S3, the table's stream and EventBridge tell the media function on AWS.

use std::sync::Arc;
use std::time::Duration;

use petrel_aws::Dynamo;
use petrel_aws::embedded::s3::Created;
use petrel_core::{App, Error, Result};
use petrel_functions::media::{self, Event};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use crate::events;

/// How often the table is searched for uploads that ran out. On AWS it takes up to some days.
const SWEEP: Duration = Duration::from_secs(600);

/// Hands an event to the function.
pub async fn handle(app: &App, event: Value) -> Result<()> {
    let event: Event = serde_json::from_value(event).map_err(Error::unreadable)?;
    media::handle(app, event).await.map(drop)
}

/// Hands on what was put into the bucket until the server stops. What is lost by a crash its owner's `complete` makes up
/// for.
pub async fn watch(mut created: UnboundedReceiver<Created>, app: App, stop: CancellationToken) {
    loop {
        let object = tokio::select! {
            object = created.recv() => object,
            () = stop.cancelled() => None,
        };
        let Some(object) = object else { return };
        if let Err(error) = handle(&app, events::created(&object)).await {
            app.failed(&error);
        }
    }
}

/// Hands on what ran out, now and from time to time, until the server stops.
pub async fn sweep(tables: Arc<Dynamo>, app: App, stop: CancellationToken) {
    loop {
        if let Err(error) = sweep_once(&tables, &app).await {
            app.failed(&error);
        }
        if tokio::time::timeout(SWEEP, stop.cancelled()).await.is_ok() {
            return;
        }
    }
}

async fn sweep_once(tables: &Dynamo, app: &App) -> Result<()> {
    for (owner, id) in tables.expired_uploads(app.world.now_ms() / 1000).await? {
        handle(app, events::expired(&owner, &id)).await?;
    }
    Ok(())
}
