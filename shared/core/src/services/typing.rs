//! Who types. Never stored, never pushed, never retried: a lost one does no harm.

use super::{App, Caller};
use crate::error::{Error, Result};
use crate::ids::{ConversationId, UserId};
use crate::limits::Use;
use crate::mutants::mutant;
use crate::ports::Posted;
use crate::wire::{Composing, ServerFrame};

impl App {
    /// Tells the others who are online that the caller types or records, or has stopped.
    ///
    /// # Errors
    /// `not_a_member`; `bad_request` in a conversation of more than 32 members; `busy`.
    pub async fn typing(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
        active: bool,
        kind: Option<Composing>,
    ) -> Result<()> {
        self.spend(&caller.user, Use::Requests, 1)?;
        self.about(conversation, None);
        self.check_blocks(caller, conversation).await?;
        if !mutant!(TypingByStrangers) {
            self.readable(&caller.user, conversation).await?;
        }
        let members = self.read_few_members(conversation).await?.ok_or_else(|| {
            Error::bad_request("typing is for conversations of at most 32 members")
        })?;
        if members.get(&caller.user).is_none() && !mutant!(TypingByStrangers) {
            return Err(Error::not_a_member());
        }
        let others: Vec<UserId> = members.users().filter(|u| **u != caller.user).cloned().collect();
        let frame = ServerFrame::Typing {
            conversation_id: conversation.clone(),
            user_id: caller.user.clone(),
            active,
            kind,
        }
        .to_json();
        let connections = self.connections.of(&others).await?.connections;
        futures::future::join_all(connections.iter().map(|c| async {
            let _: Posted = self.gateway.post(&c.id, &frame).await;
        }))
        .await;
        Ok(())
    }
}
