//! How much may be done in a while: leaky buckets, counted in the time that they take to run empty. Pure arithmetic and
//! a bounded memory; what a refusal is called, and who is asked, the services know.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use crate::ids::UserId;

/// Users of whom something is remembered at the same time. Beyond, those whose buckets are empty are forgotten, and if
/// that frees nothing, all: a limit errs on the side of who asks.
const MAX_REMEMBERED: usize = 20_000;

/// So many at once, and as many again spread over each period. 0 of them: there is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    count: u32,
    period_s: u32,
}

/// A limit is `<count>/<seconds>`, or `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a limit is <count>/<seconds>, such as 600/60 (at most 999999 and 99999), or 0 for none")]
pub struct BadLimit;

impl Limit {
    /// No limit.
    pub const OFF: Self = Self { count: 0, period_s: 0 };

    /// `count` in `period_s` seconds.
    pub const fn new(count: u32, period_s: u32) -> Self {
        Self { count, period_s }
    }

    /// So many at once.
    pub const fn count(self) -> u32 {
        self.count
    }

    /// And as many again in so many seconds.
    pub const fn period_s(self) -> u32 {
        self.period_s
    }

    /// Whether there is one.
    pub const fn is_on(self) -> bool {
        self.count > 0
    }

    const fn capacity_us(self) -> u64 {
        self.period_s as u64 * 1_000_000
    }

    /// How full the bucket is (µs until it is empty) once `count` more are in it, if it was at `level` `elapsed_ms` ago.
    /// Of more than fit at all, as many as fit are counted: a large request has to be possible from an empty bucket.
    ///
    /// # Errors
    /// Ms until it has room for them.
    pub fn take(self, level: u64, elapsed_ms: u64, count: u64) -> Result<u64, u64> {
        if !self.is_on() {
            return Ok(0);
        }
        let left = self.left(level, elapsed_ms);
        let count = count.min(self.count.into());
        let wanted = left + (self.capacity_us() * count).div_ceil(self.count.into());
        // What rounding adds must not cost the last one its place.
        let room = self.capacity_us() + u64::from(self.count);
        if wanted <= room { Ok(wanted) } else { Err((wanted - room).div_ceil(1_000)) }
    }

    /// How full it is still, after so long. Never more than full: the limit may have been another one then.
    pub fn left(self, level: u64, elapsed_ms: u64) -> u64 {
        let room = self.capacity_us() + u64::from(self.count);
        level.min(room).saturating_sub(elapsed_ms.saturating_mul(1_000))
    }
}

impl FromStr for Limit {
    type Err = BadLimit;

    fn from_str(text: &str) -> Result<Self, BadLimit> {
        if text == "0" {
            return Ok(Self::OFF);
        }
        let (count, period_s) = text.split_once('/').ok_or(BadLimit)?;
        let number = |text: &str, most: u32| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let number = text.parse().ok().filter(|n| digits && (1..=most).contains(n));
            number.ok_or(BadLimit)
        };
        Ok(Self { count: number(count, 999_999)?, period_s: number(period_s, 99_999)? })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_on() {
            true => write!(f, "{}/{}", self.count, self.period_s),
            false => f.write_str("0"),
        }
    }
}

/// What is limited of one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// Messages that are stored, in all conversations together.
    Messages,
    /// Frames and requests other than those that store a message.
    Requests,
    /// Members that are added or removed, and invites that are made.
    Members,
    /// Sockets that are opened.
    Sockets,
    /// Messages that are reported.
    Reports,
}

/// All limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries that people write into one conversation. Exact: the state stands in the log itself.
    pub conversation: Limit,
    /// [`Use::Messages`].
    pub messages: Limit,
    /// [`Use::Requests`].
    pub requests: Limit,
    /// [`Use::Members`].
    pub members: Limit,
    /// [`Use::Sockets`].
    pub sockets: Limit,
    /// [`Use::Reports`].
    pub reports: Limit,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // 100 a second, and as much at once as two members may send.
            conversation: Limit::new(2_400, 24),
            // At once half of what fits into one conversation, and over time a fifth: one member leaves room for others.
            messages: Limit::new(1_200, 60),
            requests: Limit::new(3_000, 60),
            members: Limit::new(20_000, 3_600),
            sockets: Limit::new(120, 60),
            reports: Limit::new(30, 3_600),
        }
    }
}

impl Limits {
    /// None at all.
    pub const OFF: Self = Self {
        conversation: Limit::OFF,
        messages: Limit::OFF,
        requests: Limit::OFF,
        members: Limit::OFF,
        sockets: Limit::OFF,
        reports: Limit::OFF,
    };

    const NAMES: [&'static str; 6] =
        ["conversation", "messages", "requests", "members", "sockets", "reports"];

    fn by_name(&mut self, name: &str) -> Option<&mut Limit> {
        Some(match name {
            "conversation" => &mut self.conversation,
            "messages" => &mut self.messages,
            "requests" => &mut self.requests,
            "members" => &mut self.members,
            "sockets" => &mut self.sockets,
            "reports" => &mut self.reports,
            _ => return None,
        })
    }

    /// Sets some of them by what an operator writes: `messages=600/60,sockets=0`; `all` is each of them.
    ///
    /// # Errors
    /// For a name or a limit that there is not.
    pub fn set(&mut self, text: &str) -> Result<(), BadLimit> {
        for part in text.split(',') {
            let (name, limit) = part.split_once('=').ok_or(BadLimit)?;
            let limit = limit.parse()?;
            match name {
                "all" => Self::NAMES.iter().for_each(|name| {
                    if let Some(of_name) = self.by_name(name) {
                        *of_name = limit;
                    }
                }),
                name => *self.by_name(name).ok_or(BadLimit)? = limit,
            }
        }
        Ok(())
    }

    const fn of(&self, what: Use) -> Limit {
        match what {
            Use::Messages => self.messages,
            Use::Requests => self.requests,
            Use::Members => self.members,
            Use::Sockets => self.sockets,
            Use::Reports => self.reports,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: u64,
    at_ms: u64,
}

/// What users did of late, as far as this process has seen it: all of it where there is one process. On AWS each function
/// environment counts by itself, so that a user may have as much as there are environments that meet him.
#[derive(Debug, Default)]
pub struct Usage(Mutex<HashMap<(UserId, Use), Bucket>>);

impl Usage {
    /// Whether the user may do one more of something at `now_ms`. Notes nothing.
    ///
    /// # Errors
    /// Ms until he may.
    pub fn check(&self, limits: &Limits, user: &UserId, what: Use, now_ms: u64) -> Result<(), u64> {
        let buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bucket) = buckets.get(&(user.clone(), what)) else { return Ok(()) };
        let elapsed_ms = now_ms.saturating_sub(bucket.at_ms);
        limits.of(what).take(bucket.level, elapsed_ms, 1).map(drop)
    }

    /// Notes that the user does `count` of something at `now_ms`.
    ///
    /// # Errors
    /// Ms until he may.
    pub fn spend(
        &self,
        limits: &Limits,
        user: &UserId,
        what: Use,
        count: u64,
        now_ms: u64,
    ) -> Result<(), u64> {
        let limit = limits.of(what);
        if !limit.is_on() {
            return Ok(());
        }
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (user.clone(), what);
        let bucket = buckets.get(&key).copied().unwrap_or(Bucket { level: 0, at_ms: now_ms });
        let level = limit.take(bucket.level, now_ms.saturating_sub(bucket.at_ms), count)?;
        if buckets.len() >= MAX_REMEMBERED && !buckets.contains_key(&key) {
            let full = |of: Use, b: &Bucket| {
                limits.of(of).left(b.level, now_ms.saturating_sub(b.at_ms)) > 0
            };
            buckets.retain(|(_, of), bucket| full(*of, bucket));
            if buckets.len() >= MAX_REMEMBERED {
                buckets.clear();
            }
        }
        buckets.insert(key, Bucket { level, at_ms: now_ms.max(bucket.at_ms) });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_are_allowed_at_once_and_then_one_at_a_time() {
        for limit in [Limit::new(3, 1), Limit::new(7, 10), Limit::new(1_000, 10), Limit::new(1, 5)]
        {
            let mut level = 0;
            for _ in 0..limit.count {
                level = limit.take(level, 0, 1).unwrap();
            }
            let wait = limit.take(level, 0, 1).unwrap_err();
            let one = (u64::from(limit.period_s) * 1_000).div_ceil(limit.count.into());
            assert!((1..=one).contains(&wait), "{limit}: {wait}");
            assert!(limit.take(level, wait - 1, 1).is_err(), "{limit}");
            assert!(limit.take(level, wait, 1).is_ok(), "{limit}");
            assert_eq!(limit.left(level, u64::from(limit.period_s) * 1_001), 0, "{limit}");
        }
    }

    #[test]
    fn what_is_more_than_fits_is_possible_from_an_empty_bucket_only() {
        let limit = Limit::new(100, 10);
        let level = limit.take(0, 0, 1_000).unwrap();
        assert!(limit.take(level, 5_000, 1_000).is_err());
        assert!(limit.take(level, 5_000, 50).is_ok());
        assert!(limit.take(level, 10_000, 1_000).is_ok());
    }

    #[test]
    fn another_limit_than_before_keeps_nobody_waiting_for_longer_than_its_own_period() {
        let level = Limit::new(10, 3_600).take(0, 0, 10).unwrap();
        assert!(Limit::new(10, 1).take(level, 0, 1).unwrap_err() <= 1_000);
        assert_eq!(Limit::OFF.take(level, 0, 9), Ok(0));
    }

    #[test]
    fn a_limit_is_read_as_it_is_written() {
        for text in ["600/60", "1/99999", "999999/1", "0"] {
            assert_eq!(text.parse::<Limit>().unwrap().to_string(), text);
        }
        for bad in [
            "",
            "/",
            "5",
            "5/",
            "/5",
            "0/5",
            "5/0",
            "-1/5",
            "+1/5",
            "1/100000",
            "1000000/1",
            "1/5/9",
            " 1/5",
        ] {
            assert_eq!(bad.parse::<Limit>(), Err(BadLimit), "{bad}");
        }
    }

    #[test]
    fn limits_are_set_by_name() {
        let mut limits = Limits::default();
        limits.set("messages=5/1,sockets=0").unwrap();
        assert_eq!(
            limits,
            Limits { messages: Limit::new(5, 1), sockets: Limit::OFF, ..Limits::default() }
        );
        limits.set("all=0").unwrap();
        assert_eq!(limits, Limits::OFF);
        for bad in ["", "messages", "messages=", "nothing=5/1", "messages=5/1,", "messages=5"] {
            assert_eq!(limits.set(bad), Err(BadLimit), "{bad}");
        }
    }

    #[test]
    fn everyone_has_a_share_of_his_own_and_memory_is_bounded() {
        let limits = Limits { sockets: Limit::new(2, 60), ..Limits::OFF };
        let user = |n: usize| UserId::parse(&format!("u{n}")).unwrap();
        let usage = Usage::default();
        let open = |n, now| usage.spend(&limits, &user(n), Use::Sockets, 1, now);
        assert_eq!((open(0, 5), open(0, 5)), (Ok(()), Ok(())));
        assert!(open(0, 5).unwrap_err() <= 30_000);
        assert_eq!(open(1, 5), Ok(()));
        // A clock that goes back neither fills nor empties.
        assert!(open(0, 1).is_err());
        assert_eq!(open(0, 30_005), Ok(()));
        for n in 2..MAX_REMEMBERED + 10 {
            open(n, 100_000).unwrap();
        }
        assert!(usage.0.lock().unwrap().len() <= MAX_REMEMBERED);
        assert_eq!(usage.spend(&Limits::OFF, &user(0), Use::Sockets, 99, 5), Ok(()));
    }
}
