//! The bodies of webhooks and of reports, as receivers read them. Their version changes when a field goes or means
//! something else; fields may be added.

use serde::Serialize;

use super::EntryFrame;
use crate::events::{Event, Reason, Report};
use crate::ids::{ConversationId, UserId};

/// The version of these shapes.
pub const VERSION: u32 = 1;

/// An entry, and where it stands.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoredFrame {
    conversation_id: ConversationId,
    #[serde(flatten)]
    entry: EntryFrame,
}

/// A report: what goes to the moderation topic.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportFrame {
    version: u32,
    report_id: String,
    conversation_id: ConversationId,
    reporter_id: UserId,
    /// Ms since 1970.
    reported_at: u64,
    reason: Reason,
    comment: Option<String>,
    message: EntryFrame,
    /// Up to 5 entries before it and 5 after, oldest first, which the reporter may read.
    context: Vec<EntryFrame>,
}

impl From<&Report> for ReportFrame {
    fn from(report: &Report) -> Self {
        Self {
            version: VERSION,
            report_id: report.report_id.to_string(),
            conversation_id: report.conversation_id.clone(),
            reporter_id: report.reporter_id.clone(),
            reported_at: report.reported_at,
            reason: report.reason,
            comment: report.comment.clone(),
            message: (&report.message).into(),
            context: report.context.iter().map(EntryFrame::from).collect(),
        }
    }
}

impl ReportFrame {
    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What an event is about.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "it lives for the moment in which it is written")]
pub enum EventData {
    /// Of `message.created` and `conversation.changed`.
    Stored(StoredFrame),
    /// Of `message.reported`.
    Reported(ReportFrame),
}

/// The body of a webhook.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventFrame {
    /// `message.created`, `conversation.changed` or `message.reported`.
    #[serde(rename = "type")]
    kind: &'static str,
    version: u32,
    /// When it happened, ms since 1970.
    timestamp: u64,
    data: EventData,
}

impl From<&Event> for EventFrame {
    fn from(event: &Event) -> Self {
        let data = match event {
            Event::Stored(entry) => EventData::Stored(StoredFrame {
                conversation_id: entry.conversation_id.clone(),
                entry: entry.into(),
            }),
            Event::Reported(report) => EventData::Reported((&**report).into()),
        };
        Self { kind: event.kind(), version: VERSION, timestamp: event.at(), data }
    }
}

impl EventFrame {
    /// As JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}
