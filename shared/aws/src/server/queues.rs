//! The queues, as template.yaml makes them, and the way in which a server takes jobs from one: what Lambda's event source
//! does on AWS.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageSystemAttributeName, QueueAttributeName,
};
use petrel_core::error::{Error, Result};
use serde_json::json;

use super::{Endpoint, SetupError};
use crate::https::CONNECT_TIMEOUT;

/// How long a received message stays hidden: six times what its function may take, as in template.yaml.
pub(super) const FAN_OUT: Duration = Duration::from_secs(360);
/// The same for pushes.
pub(super) const PUSH: Duration = Duration::from_secs(180);
/// The same for webhooks.
pub(super) const WEBHOOK: Duration = Duration::from_secs(360);
/// A message that was received so often goes to the dead-letter queue.
const MAX_RECEIVES: u32 = 5;
/// How long a message is kept.
const RETENTION_S: u32 = 345_600;
/// How long a dead letter is kept, from when the message was first sent.
const DEAD_RETENTION_S: u32 = 1_209_600;
/// Messages in one batch, the most that SQS takes.
const BATCH: i32 = 10;
/// How long SQS waits for a message until it answers with none. A server that stops waits for that answer, since what it
/// brings is hidden from everyone else; so it is not the 20 s that SQS would wait.
const WAIT: Duration = Duration::from_secs(1);
/// What an answer may take beyond that.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A message that was received and is hidden for a while.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its id.
    pub id: String,
    /// What it is deleted by.
    pub handle: String,
    /// The job as JSON.
    pub body: String,
    /// How often it was received, this time included.
    pub receives: u32,
}

/// How full a queue is; SQS counts approximately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages that wait, are under way, come again or are delayed.
    pub messages: usize,
    /// Dead letters.
    pub dead: usize,
}

/// A queue that a server takes jobs from.
#[derive(Clone, Debug)]
pub struct Source {
    client: Client,
    url: String,
    dead_url: String,
    arn: String,
}

impl Source {
    /// The queue of this name and its dead-letter queue, made if absent.
    pub(super) async fn create(
        config: &SdkConfig,
        endpoint: &Endpoint,
        name: &str,
        hidden: Duration,
    ) -> Result<Self, SetupError> {
        use QueueAttributeName::{MessageRetentionPeriod, RedrivePolicy, VisibilityTimeout};
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(WAIT + ANSWER_TIMEOUT)
            .build();
        let config = aws_sdk_sqs::config::Builder::from(config).timeout_config(timeouts).build();
        let making = Making { client: Client::from_conf(config), endpoint };

        let name = format!("{}-{name}", endpoint.prefix);
        let dead = [(MessageRetentionPeriod, DEAD_RETENTION_S.to_string())];
        let (dead_url, dead_arn) = making.queue(&format!("{name}-dead"), &dead).await?;
        let redrive = json!({ "deadLetterTargetArn": dead_arn, "maxReceiveCount": MAX_RECEIVES });
        let attributes = [
            (VisibilityTimeout, hidden.as_secs().to_string()),
            (MessageRetentionPeriod, RETENTION_S.to_string()),
            (RedrivePolicy, redrive.to_string()),
        ];
        let (url, arn) = making.queue(&name, &attributes).await?;
        Ok(Self { client: making.client, url, dead_url, arn })
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its ARN.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Up to ten messages, as soon as there is one, or none after a second. A caller who gives up waiting may leave
    /// messages behind that stay hidden until their time is over.
    ///
    /// # Errors
    /// If SQS does not answer.
    pub async fn receive(&self) -> Result<Vec<Received>> {
        let count = MessageSystemAttributeName::ApproximateReceiveCount;
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH)
            .wait_time_seconds(i32::try_from(WAIT.as_secs()).map_err(Error::port)?)
            .message_system_attribute_names(count.clone())
            .send()
            .await
            .map_err(Error::port)?;
        let received = answer.messages.unwrap_or_default().into_iter().map(|message| {
            let receives = message.attributes.as_ref().and_then(|a| a.get(&count)?.parse().ok());
            Received {
                id: message.message_id.unwrap_or_default(),
                handle: message.receipt_handle.unwrap_or_default(),
                body: message.body.unwrap_or_default(),
                receives: receives.unwrap_or(1),
            }
        });
        Ok(received.collect())
    }

    /// Deletes messages of one batch.
    ///
    /// # Errors
    /// If one is not deleted: it will come again.
    pub async fn delete(&self, messages: &[&Received]) -> Result<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let mut delete = self.client.delete_message_batch().queue_url(&self.url);
        for (place, message) in messages.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .receipt_handle(&message.handle)
                .build()
                .map_err(Error::port)?;
            delete = delete.entries(entry);
        }
        let deleted = delete.send().await.map_err(Error::port)?;
        match deleted.failed.first() {
            None => Ok(()),
            Some(first) => Err(Error::port(format!(
                "{} messages are not deleted: {}",
                deleted.failed.len(),
                first.code
            ))),
        }
    }

    /// How full it is.
    ///
    /// # Errors
    /// If SQS does not answer.
    pub async fn depth(&self) -> Result<Depth> {
        Ok(Depth {
            messages: self.count(&self.url).await?,
            dead: self.count(&self.dead_url).await?,
        })
    }

    async fn count(&self, url: &str) -> Result<usize> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed,
            ApproximateNumberOfMessagesNotVisible,
        };
        let counts = [
            ApproximateNumberOfMessages,
            ApproximateNumberOfMessagesDelayed,
            ApproximateNumberOfMessagesNotVisible,
        ];
        let ask = self.client.get_queue_attributes().queue_url(url);
        let answer = ask.set_attribute_names(Some(counts.to_vec())).send().await;
        let attributes = answer.map_err(Error::port)?.attributes.unwrap_or_default();
        let mut sum = 0;
        for count in &counts {
            let value = attributes.get(count).ok_or_else(|| Error::port("a queue has no count"))?;
            sum += value.parse::<usize>().map_err(Error::port)?;
        }
        Ok(sum)
    }
}

/// Makes queues.
struct Making<'a> {
    client: Client,
    endpoint: &'a Endpoint,
}

impl Making<'_> {
    /// URL and ARN of the queue of this name. One that is there stays as it is, also if its operator has changed it.
    async fn queue(
        &self,
        name: &str,
        attributes: &[(QueueAttributeName, String)],
    ) -> Result<(String, String), SetupError> {
        let what = format!("the queue {name}");
        let at = &self.endpoint.url;
        let found = match self.client.get_queue_url().queue_name(name).send().await {
            Ok(found) => found.queue_url,
            Err(error) if error.as_service_error().is_some_and(|e| e.is_queue_does_not_exist()) => {
                let attributes = attributes.iter().cloned().collect();
                let create = self.client.create_queue().queue_name(name);
                let made = create.set_attributes(Some(attributes)).send().await;
                made.map_err(|error| SetupError::of(at, &what, &error))?.queue_url
            }
            Err(error) => return Err(SetupError::of(at, &what, &error)),
        };
        let url = found.ok_or_else(|| SetupError::failed(&what, "it has no URL"))?;
        let ask = self.client.get_queue_attributes().queue_url(&url);
        let described = ask.attribute_names(QueueAttributeName::QueueArn).send().await;
        let described = described.map_err(|error| SetupError::of(at, &what, &error))?;
        let arn = described.attributes.and_then(|mut a| a.remove(&QueueAttributeName::QueueArn));
        Ok((url, arn.ok_or_else(|| SetupError::failed(&what, "it has no ARN"))?))
    }
}
