//! Reporting a message to whoever moderates. What goes there is what the reporter may read, and nothing else.

use uuid::Uuid;

use super::{App, Caller, Range};
use crate::error::{Error, ErrorKind, Result};
use crate::events::{Event, Reason, Report};
use crate::ids::{ConversationId, Seq};
use crate::limits::Use;
use crate::message::Content;
use crate::metrics::Count;
use crate::ports::Job;

/// Entries before the reported one, and after it, that go along.
const CONTEXT: usize = 5;
/// Longest comment, bytes.
const MAX_COMMENT_BYTES: usize = 1_000;

impl App {
    /// Reports an entry that the caller may read and somebody wrote. Returns the report's id, the same for the same caller
    /// and entry.
    ///
    /// # Errors
    /// `not_a_member`, `not_found`, `too_large`, `rate_limited`; `busy`: report the same again.
    pub async fn report(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
        seq: Seq,
        reason: Reason,
        comment: Option<String>,
    ) -> Result<Uuid> {
        if comment.as_ref().is_some_and(|c| c.len() > MAX_COMMENT_BYTES) {
            let words = format!("comment is at most {MAX_COMMENT_BYTES} bytes");
            return Err(Error::new(ErrorKind::TooLarge, words));
        }
        self.spend(&caller.user, Use::Reports, 1)?;
        // As the reporter reads: each checks that he belongs, before and after. Two reads, since one is cut to its size on
        // the side of the older.
        let before = Range::Before(Seq::new(seq.get().saturating_add(1)));
        let mut context = self.history(caller, conversation, before, CONTEXT + 1).await?.messages;
        let message = context
            .pop()
            .filter(|e| e.seq == seq && !matches!(e.content, Content::System { .. }))
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "no such message"))?;
        let after = self.history(caller, conversation, Range::After(seq), CONTEXT).await?;
        context.extend(after.messages);
        let report_id = Report::id(conversation, seq, &caller.user);
        let report = Report {
            report_id,
            conversation_id: conversation.clone(),
            reporter_id: caller.user.clone(),
            reported_at: self.world.now_ms(),
            reason,
            comment,
            message,
            context,
        };
        self.about(conversation, Some(seq));
        self.moderation.report(&report).await?;
        if self.settings.webhook {
            let event = Event::Reported(Box::new(report));
            self.jobs.enqueue(vec![Job::Webhook { event, attempt: 0 }], 0).await?;
        }
        self.metrics.count(Count::Reports, 1);
        Ok(report_id)
    }
}
