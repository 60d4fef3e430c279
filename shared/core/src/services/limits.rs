//! Who does too much. A conversation's measure stands in its log: the writer has read the newest entry anyhow. A user's is
//! in memory, so that it costs no call.

use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::UserId;
use crate::limits::Use;
use crate::message::Entry;
use crate::mutants::mutant;

/// How far a log may be ahead of the clock that looks at it, ms. Beyond, the clock says nothing of how long ago its newest
/// entry was, and nobody is kept waiting for it.
const MAX_AHEAD_MS: u64 = 5_000;
/// Most ms that are added to a wait, so that not all who were refused come again at the same moment.
const SPREAD_MS: u64 = 250;

impl App {
    /// Notes that the user does `count` of something.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(super) fn spend(&self, user: &UserId, what: Use, count: usize) -> Result<()> {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let now = self.world.now_ms();
        let spent = self.usage.spend(&self.settings.limits, user, what, count, now);
        spent.map_err(|ms| self.too_much(what, ms))
    }

    fn too_much(&self, what: Use, ms: u64) -> Error {
        let words = match what {
            Use::Messages => "you send too much; the message is not stored; send the same later",
            Use::Requests => "you ask too much; ask the same later",
            Use::Members => "you change groups too often; ask the same later",
            Use::Sockets => "you connect too often; connect later",
            Use::Reports => "you report too much; report the same later",
        };
        self.later(ms, words)
    }

    /// Notes one request more, unless it is the server that asks.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(super) fn spend_request(&self, caller: &Caller) -> Result<()> {
        if caller.is_server() { Ok(()) } else { self.spend(&caller.user, Use::Requests, 1) }
    }

    /// Refuses who could not ask anything else now, and notes nothing.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(super) fn check_requests(&self, caller: &Caller) -> Result<()> {
        if caller.is_server() {
            return Ok(());
        }
        let now = self.world.now_ms();
        let may = self.usage.check(&self.settings.limits, &caller.user, Use::Requests, now);
        may.map_err(|ms| self.too_much(Use::Requests, ms))
    }

    fn later(&self, ms: u64, words: &str) -> Error {
        let retry_after_ms = Some(ms + self.world.jitter(SPREAD_MS));
        Error { retry_after_ms, ..Error::new(ErrorKind::RateLimited, words) }
    }

    /// Lets one more message into the conversation, and returns how full its bucket is then. The server's own entries pass;
    /// so does what may be `stored` already by a put whose answer was lost.
    ///
    /// # Errors
    /// `rate_limited`; nothing is stored.
    pub(super) fn admit(
        &self,
        caller: &Caller,
        previous: Option<&Entry>,
        now: u64,
        stored: bool,
        admitted: &mut bool,
    ) -> Result<u64> {
        let carried = self.level_carried(previous, now);
        if caller.is_server() {
            return Ok(carried);
        }
        let limit = self.settings.limits.conversation;
        let level = match limit.take(carried, 0, 1) {
            Ok(level) => level,
            Err(ms) => {
                // Nothing drains until the clock has come to where the log is.
                let ahead = previous.map_or(0, |e| e.sent_at.saturating_sub(now));
                if !(stored || ahead > MAX_AHEAD_MS || mutant!(LimitIgnored)) {
                    let words =
                        "too much is written here; the message is not stored; send the same later";
                    return Err(self.later(ms + ahead, words));
                }
                carried
            }
        };
        if !*admitted {
            self.spend(&caller.user, Use::Messages, 1)?;
            *admitted = true;
        }
        Ok(level)
    }

    /// How full the conversation's bucket is still when nothing is added. Membership changes and what else the server
    /// writes are not counted: whoever may change a group is limited by [`Use::Members`].
    pub(super) fn level_carried(&self, previous: Option<&Entry>, now: u64) -> u64 {
        let Some(previous) = previous else { return 0 };
        let limit = self.settings.limits.conversation;
        limit.left(previous.level, now.saturating_sub(previous.sent_at))
    }
}
