//! Every method of every port that asks AWS for something, with what it must come to.

mod archive;
mod cold;
mod connections;
mod conversations;
mod log;
mod media;
mod outside;
mod people;

use std::fmt::{self, Debug};
use std::time::Duration;

use futures::future::BoxFuture;
use petrel_core::App;
use petrel_core::error::Result;

/// The calls, by port.
pub const OPS: &[&[Op]] = &[
    log::OPS,
    conversations::OPS,
    people::OPS,
    connections::OPS,
    cold::OPS,
    archive::OPS,
    media::OPS,
    outside::OPS,
];

/// Methods that ask nobody, and cannot fail for it.
pub const LOCAL: &[Op] = media::LOCAL;

/// All of [`OPS`].
pub fn all() -> impl Iterator<Item = &'static Op> {
    OPS.iter().flat_map(|ops| ops.iter())
}

/// Makes the call; what it came to, in words.
type Call = for<'a> fn(&'a App) -> BoxFuture<'a, Result<String>>;

fn said<T: Debug>(done: Result<T>) -> Result<String> {
    done.map(|done| format!("{done:?}"))
}

/// A call.
#[derive(Clone, Copy)]
pub struct Op {
    /// Port and method.
    pub method: &'static str,
    /// Which of the method's calls.
    case: &'static str,
    pub call: Call,
    /// Whether it only reads.
    pub reads: bool,
    /// Whether it makes several writes, so that one that fails may have done some of them.
    pub has_steps: bool,
    /// How often the client of AWS asks.
    pub tries: u32,
    /// How often we do, for what was left out of a batch or met another write.
    rounds: u32,
    /// What it may take at most, with all its requests, their attempts and the pauses between them.
    pub limit: Duration,
    /// What it may answer when it finds its own effect there, or another's way: that it is not to be done now, or no more.
    pub stood: &'static [&'static str],
    /// Whether an empty answer is the service's way of saying that nothing stands there; TLS and the length keep another from
    /// becoming it.
    pub empty_says_nothing: bool,
    /// What it answers instead of an error.
    pub fails_as: Option<&'static str>,
}

impl Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.method, self.case)
    }
}

impl Op {
    const fn new(method: &'static str, call: Call, reads: bool) -> Self {
        Self {
            method,
            case: "",
            call,
            reads,
            has_steps: false,
            tries: 3,
            rounds: 1,
            limit: Duration::from_secs(6),
            stood: &[],
            empty_says_nothing: false,
            fails_as: None,
        }
    }

    const fn read(method: &'static str, call: Call) -> Self {
        Self::new(method, call, true)
    }

    const fn write(method: &'static str, call: Call) -> Self {
        Self::new(method, call, false)
    }

    const fn case(self, case: &'static str) -> Self {
        Self { case, ..self }
    }

    const fn in_steps(self) -> Self {
        Self { has_steps: true, ..self }
    }

    const fn stood(self, stood: &'static [&'static str]) -> Self {
        Self { stood, ..self }
    }

    const fn empty_says_nothing(self) -> Self {
        Self { empty_says_nothing: true, ..self }
    }

    const fn rounds(self, rounds: u32) -> Self {
        Self { rounds, ..self }
    }

    const fn within_ms(self, ms: u64) -> Self {
        Self { limit: Duration::from_millis(ms), ..self }
    }

    const fn fails_as(self, answer: &'static str) -> Self {
        Self { fails_as: Some(answer), ..self }
    }

    /// A request that many wait for: two attempts of a second.
    const fn short(self) -> Self {
        Self { tries: 2, ..self.within_ms(2_200) }
    }

    /// A request that is made once.
    const fn once(self) -> Self {
        Self { tries: 1, ..self }
    }

    /// How often each request may be made at most.
    pub const fn attempts(&self) -> u32 {
        self.tries * self.rounds
    }
}
