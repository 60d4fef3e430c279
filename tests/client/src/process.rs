//! What a process takes, as Linux tells it under `/proc`. Elsewhere there is nothing to read, and the figures are left
//! out.

use std::fs;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;

/// Bytes of a process that are in memory (`VmRSS`).
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Files that a process has open, and how many of them are sockets.
pub fn open_files(pid: u32) -> Option<(usize, usize)> {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    // One may have gone before it was looked at.
    let names: Vec<_> = files.flatten().filter_map(|f| fs::read_link(f.path()).ok()).collect();
    let sockets = names.iter().filter(|n| n.to_string_lossy().starts_with("socket:"));
    Some((names.len(), sockets.count()))
}

/// Processor time that a process has used.
fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything; what follows it is counted from field 3.
    let (_, fields) = stat.rsplit_once(") ")?;
    let field = |number: usize| fields.split(' ').nth(number - 3)?.parse::<u64>().ok();
    let (user, system) = (field(14)?, field(15)?);
    Some(Duration::from_secs(user + system).div_f64(clock_ticks_per_second() as f64))
}

/// Measures how much of a core the server and this process use from now on.
pub struct CpuMeter {
    began: Instant,
    server: Option<(u32, Duration)>,
    client: Option<Duration>,
}

impl CpuMeter {
    /// Begins now. Without a `server` that runs here, only this process is measured.
    pub fn start(server: Option<u32>) -> Self {
        Self {
            began: Instant::now(),
            server: server.and_then(|pid| Some((pid, cpu_time(pid)?))),
            client: cpu_time(std::process::id()),
        }
    }

    /// Percent of one core since then: of the server, and of this process.
    pub fn percent(&self) -> (Option<f64>, Option<f64>) {
        let wall = self.began.elapsed().as_secs_f64();
        let share = |pid, before| Some((cpu_time(pid)? - before).as_secs_f64() / wall * 100.0);
        let server = self.server.and_then(|(pid, before)| share(pid, before));
        (server, self.client.and_then(|before| share(std::process::id(), before)))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_memory_and_time() {
        let me = std::process::id();
        assert!(resident_bytes(me).unwrap() > 100 * 1024);
        let meter = CpuMeter::start(Some(me));
        let spinning = Instant::now();
        while spinning.elapsed() < Duration::from_millis(200) {
            std::hint::spin_loop();
        }
        let (server, client) = meter.percent();
        assert!(server.unwrap() > 10.0 && client.unwrap() > 10.0, "{server:?} {client:?}");
        assert_eq!(resident_bytes(u32::MAX), None);
        let _socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (files, sockets) = open_files(me).unwrap();
        assert!(files > sockets && sockets >= 1, "{files} {sockets}");
    }
}
