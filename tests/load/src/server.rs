//! A server of our own, with data in a folder that goes when it does.

use std::path::Path;

use petrel_test_client::server;
use tempfile::TempDir;

use crate::Result;

/// More than any load has under way: a load measures how fast the server is, not where it turns people away.
const CONCURRENCY: &str = "100000";

/// A running server. It dies with its value.
#[derive(Debug)]
pub struct Server {
    server: server::Server,
    data: TempDir,
    base: String,
}

impl Server {
    /// Starts `binary` with data in a new folder in `folder`.
    pub async fn start(binary: &Path, folder: &Path, memory: bool) -> Result<Self> {
        let data = tempfile::Builder::new()
            .prefix("petrel-load-")
            .tempdir_in(folder)
            .map_err(|e| format!("cannot make a folder in {}: {e}", folder.display()))?;
        let mut command = server::serve(binary, data.path());
        command.args(["--concurrency", CONCURRENCY, "--limit", "all=0"]);
        if memory {
            command.arg("--memory");
        }
        let mut server = server::Server::spawn(command)?;
        let base = format!("http://{}", server.listening().await?);
        Ok(Self { server, data, base })
    }

    /// Where it is: `http://host:port`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The folder with its data.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        Some(self.server.pid())
    }

    /// Ends it. What it stored goes with it.
    pub async fn stop(mut self) -> Result<()> {
        self.server.kill().await
    }
}

/// Whether a folder lies in memory, so that nothing there waits for a disk.
pub fn in_memory(folder: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        /// `TMPFS_MAGIC` of statfs(2).
        const TMPFS: i64 = 0x0102_1994;
        #[allow(clippy::useless_conversion, reason = "the field is narrower on some machines")]
        rustix::fs::statfs(folder).is_ok_and(|fs| i64::from(fs.f_type) == TMPFS)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        false
    }
}
