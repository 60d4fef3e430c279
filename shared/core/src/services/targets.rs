//! What a message names: the one that it replies to, reacts to, edits or deletes.

use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::group::{Member, Role};
use crate::ids::{ConversationId, Seq};
use crate::message::{Content, Entry};
use crate::mutants::mutant;
use crate::ports::{Floor, MAX_EDITS};

impl App {
    /// An entry that names another must name one that the sender can read; edits are the author's, deletes the
    /// author's or an admin's. Returns what is named.
    pub(super) async fn check_target(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
        content: &Content,
        member: &Member,
        head: Seq,
    ) -> Result<Option<Entry>> {
        let Some(target) = content.target() else { return Ok(None) };
        let not_found =
            || Error::new(ErrorKind::NotFound, "the target is not in this conversation");
        if target < member.joined || target > head {
            return Err(not_found());
        }
        let found = self.read_at(conversation, target).await?;
        // Only what a person wrote can be changed: never a system entry, nor a change itself. What is sealed may be either, and
        // can be taken back.
        let unsaid = matches!(content, Content::Delete { .. });
        let may_be =
            |e: &Entry| e.content.counts() || unsaid && matches!(e.content, Content::Sealed { .. });
        let found = found.filter(may_be).ok_or_else(not_found)?;
        if self.is_expired(&found).await? && !mutant!(ExpiredIsNamed) {
            return Err(not_found());
        }
        // What an operator had written stands.
        let changes = matches!(content, Content::Edit { .. } | Content::Delete { .. });
        if changes && matches!(found.content, Content::Notice { .. }) {
            return Err(Error::new(ErrorKind::Forbidden, "a notice stands as it is"));
        }
        let author = &found.sender_id;
        let allowed = match content {
            Content::Edit { .. } => *author == caller.user,
            Content::Delete { .. } => *author == caller.user || member.role >= Role::Admin,
            _ => true,
        };
        if !allowed {
            return Err(Error::new(ErrorKind::Forbidden, "only the author may do this"));
        }
        if let Content::Edit { .. } = content {
            // What may be archived is edited no more, whatever the window is.
            let settled_ms = self.settings.keeping.settled_ms();
            let window_ms = match u64::from(self.settings.edit_window_s) * 1_000 {
                0 => settled_ms,
                window_ms => window_ms.min(settled_ms),
            };
            let age_ms = self.world.now_ms().saturating_sub(found.sent_at);
            if age_ms > window_ms && !mutant!(EditAnyTime) {
                return Err(Error::new(
                    ErrorKind::Forbidden,
                    "it is too late to edit this message",
                ));
            }
            if found.edits.len() >= MAX_EDITS {
                let words = format!("a message takes at most {MAX_EDITS} edits");
                return Err(Error::new(ErrorKind::Forbidden, words));
            }
        }
        Ok(Some(found))
    }

    /// The floor, for a delete of what may be archived.
    pub(super) async fn fence(&self, content: &Content, target: &Entry) -> Result<Option<Floor>> {
        let deletes = matches!(content, Content::Delete { .. }) && !mutant!(DeletedStays);
        if !deletes || !self.settings.keeping.may_be_old(target.sent_at, self.world.now_ms()) {
            return Ok(None);
        }
        self.cold.floor(&target.conversation_id).await.map(Some)
    }
}
