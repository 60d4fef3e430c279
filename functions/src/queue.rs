//! The functions behind the queues: each job on its own, so that one that fails does not bring the others back.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use petrel_core::ports::Job;
use petrel_core::{App, Error, Result};

/// Runs the jobs of a batch at once and names those that must come again.
pub async fn handle(app: &App, event: SqsEvent) -> SqsBatchResponse {
    let runs = event.records.into_iter().map(|message| async move {
        let failed = run(app, &message).await.err()?;
        let id = message.message_id.unwrap_or_default();
        tracing::error!(error = failed.with_causes(), message = id, "job failed");
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        Some(failure)
    });
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures =
        futures::future::join_all(runs).await.into_iter().flatten().collect();
    response
}

async fn run(app: &App, message: &SqsMessage) -> Result<()> {
    let body = message.body.as_deref().unwrap_or_default();
    match serde_json::from_str(body).map_err(Error::port)? {
        Job::FanOut { entry, to, except, attempt } => {
            app.deliver_chunk(&entry, to, except, attempt).await
        }
        Job::Push { to, conversation, seq, attempt } => {
            app.push(to, &conversation, seq, attempt).await
        }
    }
}
