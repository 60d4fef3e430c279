//! The contracts of [`crate::ports`] as a suite. Each function takes fresh, empty ports and panics where an
//! implementation breaks its word.

mod connections;
mod conversations;
mod history;
mod people;

use crate::ids::{ConversationId, MessageId, Seq, UserId};
use crate::message::{Content, Entry};
use uuid::Uuid;

pub use connections::connections;
pub use conversations::conversations;
pub use history::{archive, cold, log};
pub use people::people;

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn group() -> ConversationId {
    ConversationId::group(Uuid::from_u128(7))
}

fn entry(conversation: &ConversationId, seq: u64, text: &str) -> Entry {
    Entry {
        conversation_id: conversation.clone(),
        seq: Seq::new(seq),
        ordinal: seq,
        message_id: MessageId::minted(Uuid::from_u128(u128::from(seq) | 7 << 76 | 2 << 62)),
        sender_id: user("ana"),
        sent_at: 1_000 + seq,
        content: Content::text(text),
        level: seq,
        edits: vec![],
    }
}

fn seqs(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|e| e.seq.get()).collect()
}
