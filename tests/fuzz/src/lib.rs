#![doc = include_str!("../README.md")]
#![warn(missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what it finds it reports by panicking"
)]

mod scene;
mod seeds;
mod targets;

use peak_alloc::PeakAlloc;

pub use seeds::seeds;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Most bytes that one input may have allocated at the same time. An input has up to 64 KiB, and the largest thing that any is
/// answered with is a sync of about 1 MiB.
pub const MAX_BYTES: usize = 24 * 1024 * 1024;
/// Longest input that is looked at: twice a frame.
pub const MAX_INPUT: usize = 64 * 1024;

/// What is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Frames of several clients, through `App::handle`.
    Frames,
    /// HTTP requests of several clients, through the router.
    Requests,
    /// API Gateway's and SQS' events, through the handlers.
    Events,
    /// Tokens and key sets, through the verifier.
    Tokens,
    /// DynamoDB's answers, through the adapters.
    Items,
    /// Ids, contents and jobs, by themselves.
    Ids,
    /// Objects of cold history, as they are read.
    Archive,
    /// Presigned requests, as they arrive at the embedded S3.
    Presigned,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Frames,
        Self::Requests,
        Self::Events,
        Self::Tokens,
        Self::Items,
        Self::Ids,
        Self::Archive,
        Self::Presigned,
    ];

    /// Its name, and the folder of its corpus.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frames => "frames",
            Self::Requests => "requests",
            Self::Events => "events",
            Self::Tokens => "tokens",
            Self::Items => "items",
            Self::Ids => "ids",
            Self::Archive => "archive",
            Self::Presigned => "presigned",
        }
    }

    /// The target of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }

    /// Runs it on one input. `planted` plants a panic that no seed reaches, to see that it is found.
    ///
    /// # Panics
    /// When something is wrong.
    pub fn run(self, input: &[u8], planted: bool) {
        if input.len() > MAX_INPUT {
            return;
        }
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        match self {
            Self::Frames => targets::frames::run(input, planted),
            Self::Requests => targets::requests::run(input),
            Self::Events => targets::events::run(input),
            Self::Tokens => targets::tokens::run(input),
            Self::Items => targets::items::run(input),
            Self::Ids => targets::ids::run(input),
            Self::Archive => targets::archive::run(input),
            Self::Presigned => targets::presigned::run(input),
        }
        let most = MEMORY.peak_usage().saturating_sub(before);
        assert!(most <= MAX_BYTES, "an input of {} bytes took {most}", input.len());
    }
}
