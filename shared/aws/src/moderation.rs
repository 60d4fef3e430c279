//! Reports, published to an SNS topic.

use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use petrel_core::error::{Error, Result};
use petrel_core::events::Report;
use petrel_core::ports::Moderation;
use petrel_core::wire::webhook::ReportFrame;

/// The topic of reports.
#[derive(Clone, Debug)]
pub struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    /// The port over this topic.
    pub fn new(client: Client, arn: String) -> Self {
        Self { client, arn }
    }
}

#[async_trait]
impl Moderation for Topic {
    async fn report(&self, report: &Report) -> Result<()> {
        // A subscription can filter by it.
        let reason = serde_json::to_value(report.reason).map_err(Error::port)?;
        let reason = MessageAttributeValue::builder()
            .data_type("String")
            .string_value(reason.as_str().unwrap_or_default())
            .build()
            .map_err(Error::port)?;
        let publish = self.client.publish().topic_arn(&self.arn);
        publish
            .message(ReportFrame::from(report).to_json())
            .message_attributes("reason", reason)
            .send()
            .await
            .map(drop)
            .map_err(Error::port)
    }
}
