//! Sockets on which nothing goes on, and what they cost the server.

use std::time::{Duration, Instant};

use clap::Args;
use futures::stream::{self, StreamExt, TryStreamExt};
use petrel_test_client::frames;
use petrel_test_client::process::resident_bytes;
use serde_json::json;

use super::progress;
use crate::Result;
use crate::device::{Checked, Device};
use crate::report::{Outcome, Row};
use crate::target::Target;

/// Sockets that are asked at the same time whether they live.
const AT_ONCE: usize = 32;

/// What the memory is read from.
pub const NEEDS: &str = "it needs Linux's /proc, and the server's process on this machine (--pid)";

/// How to load.
#[derive(Args, Clone, Debug)]
pub struct IdleArgs {
    /// Sockets, each of another user
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub connections: u64,
    /// How long they stand still before the server is measured
    #[arg(long, default_value_t = 2, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=540))]
    pub settle: u64,
}

/// Runs the load.
pub async fn run(target: &Target, args: &IdleArgs) -> Result<Outcome> {
    let IdleArgs { connections, settle } = *args;
    let settings = format!("{connections} connections");
    // The first socket brings in code and buffers that every server has.
    let _first = Device::connect(target, &target.user("f", 0)).await?;
    let before = resident(target)?;
    progress(&format!("idle: {connections} sockets open"));
    let users: Vec<_> = (0..usize::try_from(connections)?).map(|n| target.user("i", n)).collect();
    let began = Instant::now();
    let devices = Device::connect_all(target, &users).await?;
    let opening = began.elapsed();
    tokio::time::sleep(Duration::from_secs(settle)).await;
    let after = resident(target)?;

    progress("idle: every socket is asked whether it lives");
    let asking: Vec<_> = devices
        .into_iter()
        .map(|mut device| async move {
            device.send(&frames::sync(&json!({}))).await?;
            device.wait_for("synced", |_| {}).await.map(drop)
        })
        .collect();
    stream::iter(asking).buffer_unordered(AT_ONCE).try_collect::<()>().await?;

    let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    let each = after.saturating_sub(before) as f64 / connections as f64 / 1024.0;
    let rows = vec![
        Row::one("memory of the server for each", "KiB", each),
        Row::one("memory of the server before", "MiB", mib(before)),
        Row::one("memory of the server with all of them", "MiB", mib(after)),
        Row::one("opened", "connections/s", connections as f64 / opening.as_secs_f64()),
    ];
    Ok(Outcome { load: "idle", settings, rows, checked: Checked::default(), problems: vec![] })
}

/// Bytes of the server that are in memory.
pub fn resident(target: &Target) -> Result<u64> {
    target.pid.and_then(resident_bytes).ok_or_else(|| NEEDS.into())
}
