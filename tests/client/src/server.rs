//! The local server as a process: the real binary, started, waited for, told to stop, killed.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::Failure;

/// Most time for the server to say where it listens.
const START: Duration = Duration::from_secs(60);
/// What it says before its address.
const LISTENING: &str = "petrel listening on http://";

/// A server's process. It dies with its value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    /// Kept, for the child has gone when one wants to know which it was.
    pid: u32,
}

/// `petrel serve` on a free port of the loopback interface, with data in this folder; more can be added to it.
pub fn serve(binary: impl AsRef<OsStr>, data: &Path) -> Command {
    let mut command = Command::new(binary);
    command.args(["serve", "--addr", "127.0.0.1:0", "--data"]).arg(data);
    if env::var_os("RUST_LOG").is_none() {
        command.env("RUST_LOG", "warn");
    }
    command
}

impl Server {
    /// Starts the command. It may take a while until it listens.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn(mut command: Command) -> Result<Self, Failure> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("cannot start {command:?}: {e}"))?;
        let pid = child.id().ok_or("a server without a process")?;
        let stdout = child.stdout.take().ok_or("a server without stdout")?;
        // Held open: the server must not meet a closed pipe.
        Ok(Self { child, stdout: BufReader::new(stdout).lines(), pid })
    }

    /// Waits until it listens, and returns host and port.
    ///
    /// # Errors
    /// If it ends or says something else instead.
    pub async fn listening(&mut self) -> Result<String, Failure> {
        let first = timeout(START, self.stdout.next_line()).await;
        let first = first.map_err(|_| "the server does not say that it listens")??;
        let addr = first.as_deref().and_then(|line| line.strip_prefix(LISTENING));
        let addr = addr.ok_or_else(|| format!("the server did not start; it said {first:?}"))?;
        Ok(addr.to_owned())
    }

    /// The next line that it prints.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn next_line(&mut self) -> Result<Option<String>, Failure> {
        Ok(self.stdout.next_line().await?)
    }

    /// Its process, also when that has ended.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it has not been seen to end.
    pub fn runs(&self) -> bool {
        self.child.id().is_some()
    }

    /// Kills it: no code of it runs after this.
    ///
    /// # Errors
    /// If that is not allowed.
    pub async fn kill(&mut self) -> Result<(), Failure> {
        Ok(self.child.kill().await?)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// If there is no such process any more.
    pub fn signal(&self, signal: Signal) -> Result<(), Failure> {
        let pid = i32::try_from(self.child.id().ok_or("the server has ended")?)?;
        let pid = Pid::from_raw(pid).ok_or("no process has this number")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// If it is not this process's child any more.
    pub async fn wait(&mut self) -> Result<ExitStatus, Failure> {
        Ok(self.child.wait().await?)
    }
}

/// The server's binary where it lies after a build: beside this program, or one folder up (tests lie in `deps`).
///
/// # Errors
/// If it is not there.
pub fn find() -> Result<PathBuf, Failure> {
    let name = format!("petrel{}", env::consts::EXE_SUFFIX);
    let own = env::current_exe()?;
    let found = own.ancestors().skip(1).take(2).map(|d| d.join(&name)).find(|f| f.is_file());
    found.ok_or_else(|| {
        format!(
            "there is no {name} beside {}: build it with `cargo build -p petrel` and the same profile, or name it with --server",
            own.display()
        )
        .into()
    })
}
