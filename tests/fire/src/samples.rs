//! What a server takes, looked at from time to time.

use petrel_test_client::process::{open_files, resident_bytes};
use serde::Serialize;

use crate::Result;
use crate::site::state;

/// What a server takes at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Seconds since the beginning.
    pub at_s: f64,
    /// Memory, MiB.
    pub rss_mib: f64,
    /// Open files.
    pub files: usize,
    /// Of these, sockets.
    pub sockets: usize,
    /// Sockets of people, as the server counts them.
    pub connections: u64,
    /// Jobs in its queues.
    pub jobs: u64,
    /// Jobs that were given up.
    pub dead_jobs: u64,
    /// Bytes that wait for readers.
    pub waiting_bytes: u64,
    /// Invocations under way.
    pub under_way: u64,
    /// Messages acknowledged so far.
    pub acknowledged: u64,
}

/// Takes one.
pub async fn sample(pid: u32, addr: &str, at_s: f64, acknowledged: u64) -> Result<Sample> {
    let rss = resident_bytes(pid).ok_or("memory is read from Linux's /proc")?;
    let (files, sockets) = open_files(pid).ok_or("files are counted in Linux's /proc")?;
    let state = state(addr).await?;
    let number = |place: &str| state.pointer(place).and_then(|v| v.as_u64()).unwrap_or_default();
    Ok(Sample {
        at_s: (at_s * 10.0).round() / 10.0,
        rss_mib: mib(rss),
        files,
        sockets,
        connections: number("/connections"),
        jobs: number("/queues/fanout/messages") + number("/queues/push/messages"),
        dead_jobs: number("/queues/fanout/dead") + number("/queues/push/dead"),
        waiting_bytes: number("/waiting_bytes"),
        under_way: number("/invocations/under_way"),
        acknowledged,
    })
}

fn mib(bytes: u64) -> f64 {
    (bytes as f64 / (1024.0 * 1024.0) * 10.0).round() / 10.0
}

/// How fast memory grows over these samples, MiB per hour: the slope of the line of least squares.
pub fn slope(samples: &[Sample]) -> f64 {
    let count = samples.len().max(1) as f64;
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (at, rss) = (mean(|s| s.at_s), mean(|s| s.rss_mib));
    let spread: f64 = samples.iter().map(|s| (s.at_s - at).powi(2)).sum();
    let together: f64 = samples.iter().map(|s| (s.at_s - at) * (s.rss_mib - rss)).sum();
    if spread == 0.0 { 0.0 } else { together / spread * 3_600.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_a_line_and_nothing_of_a_level() {
        let sample = |at_s: f64, rss_mib: f64| Sample {
            at_s,
            rss_mib,
            files: 0,
            sockets: 0,
            connections: 0,
            jobs: 0,
            dead_jobs: 0,
            waiting_bytes: 0,
            under_way: 0,
            acknowledged: 0,
        };
        let line: Vec<Sample> =
            (0..10).map(|n| sample(f64::from(n) * 60.0, f64::from(n))).collect();
        assert!((slope(&line) - 60.0).abs() < 1e-6, "{}", slope(&line));
        let level: Vec<Sample> = (0..10).map(|n| sample(f64::from(n), 80.0)).collect();
        assert!(slope(&level).abs() < 1e-6);
        assert!(slope(&[]).abs() < 1e-6);
    }
}
