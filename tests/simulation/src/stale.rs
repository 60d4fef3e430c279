//! Reads that need not be strongly consistent: `Connections::is_disabled`, `Conversations::recent_rows_of` and
//! `People::recent_profiles` may find what was a moment ago. That these are all in the product, `tests/stale.rs` holds.

use std::collections::BTreeMap;

use petrel_core::ids::{ConversationId, UserId};
use petrel_core::people::Profile;
use petrel_core::ports::UserConversation;

use crate::core::Core;
use crate::faults::Fault;
use crate::truth::{Own, Write};

/// How old an answer may be that is not strongly consistent, ms.
pub const STALE_MS: u64 = 1_000;

/// What stood before the last change, and until when, ms since 1970.
#[derive(Clone, Debug, Default)]
pub struct Before {
    rows: BTreeMap<(UserId, ConversationId), (Option<UserConversation>, u64)>,
    profiles: BTreeMap<UserId, (Option<Profile>, u64)>,
}

impl Core {
    /// Keeps what a write is about to change, for those who will read it as it was.
    pub fn remember(&mut self, write: &Write) {
        match write {
            Write::Advance(user, of, ..) | Write::Own(user, of, ..) | Write::Open(of, user) => {
                self.remember_row(user, of);
            }
            Write::Found(of, _, user, _) => self.remember_row(user, of),
            Write::Change(change) => {
                let of = &change.entry.conversation_id;
                for user in change.added.iter().chain(&change.removed) {
                    self.remember_row(user, of);
                }
            }
            Write::SetProfile(user, _) => self.remember_profile(user),
            Write::EraseOwn(user, items) => {
                for item in items {
                    match item {
                        Own::Row(of) => self.remember_row(user, of),
                        Own::Profile => self.remember_profile(user),
                        Own::Block(_) | Own::Watcher(_) => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn remember_row(&mut self, user: &UserId, of: &ConversationId) {
        let row = self.truth.row(user, of).cloned();
        self.truth.before.rows.insert((user.clone(), of.clone()), (row, self.now));
    }

    fn remember_profile(&mut self, user: &UserId) {
        let profile = self.truth.profiles.get(user).cloned();
        self.truth.before.profiles.insert(user.clone(), (profile, self.now));
    }

    /// Whether an answer is from before a change of that time.
    pub fn is_stale(&mut self, changed: u64) -> bool {
        self.now.saturating_sub(changed) < STALE_MS && self.strikes(Fault::StaleRead)
    }

    /// A row as it is, or was a moment ago.
    pub fn recent_row(&mut self, user: &UserId, of: &ConversationId) -> Option<UserConversation> {
        let key = (user.clone(), of.clone());
        match self.truth.before.rows.get(&key).cloned() {
            Some((row, changed)) if self.is_stale(changed) => row,
            _ => self.truth.row(user, of).cloned(),
        }
    }

    /// A profile as it is, or was a moment ago.
    pub fn recent_profile(&mut self, user: &UserId) -> Option<Profile> {
        match self.truth.before.profiles.get(user).cloned() {
            Some((profile, changed)) if self.is_stale(changed) => profile,
            _ => self.truth.profiles.get(user).cloned(),
        }
    }
}
