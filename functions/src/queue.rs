//! The functions behind the queues: each job on its own, so that one that fails does not bring the others back.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use petrel_core::ports::Job;
use petrel_core::{App, Error, Result};
use tracing::Instrument;
use tracing::field::Empty;

/// Runs the jobs of a batch at once and names those that must come again.
pub async fn handle(app: &App, event: SqsEvent) -> SqsBatchResponse {
    let runs = event.records.into_iter().map(|message| {
        let job = message.message_id.as_deref();
        let span = tracing::error_span!("job", job, conversation = Empty, seq = Empty);
        let run = async move {
            let failed = run(app, &message).await.err()?;
            app.failed(&failed);
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = message.message_id.unwrap_or_default();
            Some(failure)
        };
        run.instrument(span)
    });
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures =
        futures::future::join_all(runs).await.into_iter().flatten().collect();
    response
}

async fn run(app: &App, message: &SqsMessage) -> Result<()> {
    let body = message.body.as_deref().unwrap_or_default();
    // Only where it went wrong: the error's own words may quote the message.
    let unreadable = |e: serde_json::Error| {
        Error::port(format!("not a job: line {}, column {}", e.line(), e.column()))
    };
    match serde_json::from_str(body).map_err(unreadable)? {
        Job::FanOut { entry, to, except, attempt } => {
            app.deliver_chunk(&entry, to, except, attempt).await
        }
        Job::Presence { user } => app.settle_presence(&user).await,
        Job::Push { to, conversation, seq, attempt } => {
            app.push(to, &conversation, seq, attempt).await
        }
        Job::Webhook { event, attempt } => app.tell(event, attempt).await,
    }
}
