//! A server of our own: the real binary as a child process, with data in a folder that goes when it does.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::Result;

/// Most time for the server to say where it listens.
const START: Duration = Duration::from_secs(30);
/// What it says before its address.
const LISTENING: &str = "petrel listening on ";

/// A running server. It dies with its value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Held open: the server must not meet a closed pipe.
    _stdout: Lines<BufReader<ChildStdout>>,
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
        let mut command = Command::new(binary);
        command.args(["serve", "--addr", "127.0.0.1:0", "--data"]).arg(data.path());
        if memory {
            command.arg("--memory");
        }
        if env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "warn");
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("cannot start {}: {e}", binary.display()))?;
        let stdout = child.stdout.take().ok_or("the server has no stdout")?;
        let mut stdout = BufReader::new(stdout).lines();
        let first = timeout(START, stdout.next_line()).await;
        let first = first.map_err(|_| "the server does not say that it listens")??;
        let base = first.as_deref().and_then(|line| line.strip_prefix(LISTENING));
        let base = base.ok_or_else(|| format!("the server did not start; it said {first:?}"))?;
        let base = base.to_owned();
        Ok(Self { child, _stdout: stdout, data, base })
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
        self.child.id()
    }

    /// Ends it. What it stored goes with it.
    pub async fn stop(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// The server's binary where it lies after a build: beside this program, or one folder up (tests lie in `deps`).
pub fn find() -> Result<PathBuf> {
    let name = format!("petrel{}", env::consts::EXE_SUFFIX);
    let own = env::current_exe()?;
    let found = own.ancestors().skip(1).take(2).map(|d| d.join(&name)).find(|f| f.is_file());
    found.ok_or_else(|| {
        format!(
            "there is no {name} beside {}: build it with `cargo build --profile server -p petrel`, or name it with --server",
            own.display()
        )
        .into()
    })
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
