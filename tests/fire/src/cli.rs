//! The command line.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::full::{self, FullArgs};
use crate::kills::{self, KillsArgs};
use crate::overload::{self, OverloadArgs};
use crate::report::Report;
use crate::site::Site;
use crate::soak::{self, SoakArgs};
use crate::{Result, progress};

/// Puts the real petrel under fire, and looks for what it lost.
///
/// Starts a server of its own, with data in a folder that goes afterwards, and people who keep to the protocol. In the end,
/// everything that anyone was told and everything that any device holds is compared with the log. If a promise was not kept,
/// or a run cannot be carried out, the exit code is 1. The report goes to stdout, the rest to stderr.
#[derive(Parser)]
#[command(name = "petrel-fire", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    run: Run,
    /// Repeats the plan of a run: who writes what to whom, and when the server dies [default: a new one]
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// The server to start [default: petrel beside this program]
    #[arg(long, global = true, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Where to put the folder with its data [default: the system's folder for that]
    #[arg(long, global = true, value_name = "DIR")]
    temp: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo build -p petrel -p petrel-fire
  target/debug/petrel-fire kills --times 50 --seed 1
  target/debug/petrel-fire kills --times 10 --sabotage     must end with 1
  target/debug/petrel-fire soak --seconds 1800
  target/debug/petrel-fire overload
  target/debug/petrel-fire full                            on Linux";

#[derive(Subcommand)]
enum Run {
    /// Kill the server with SIGKILL at random moments while people write, and start it again
    Kills(KillsArgs),
    /// Let the server's disk become full while people write, kill it there, and give the space back
    ///
    /// Mounts a small tmpfs in a mount namespace of its own: needs Linux, and root or user namespaces.
    Full(FullArgs),
    /// Mixed load for a long time: memory, open files, sockets and rows must stay level
    ///
    /// A crowd writes; `--others` people beside it use the rest of the API, and every answer must be a documented one.
    Soak(SoakArgs),
    /// More at the same time than the server handles: it must say `busy` and until when, and answer everyone afterwards
    Overload(OverloadArgs),
}

/// Does what the command line says, and prints the report to `out`.
pub fn run(args: impl IntoIterator<Item = OsString>, out: &mut dyn Write) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(usage) => {
            // Help goes to stdout and is no error; clap knows which is which.
            let _ = usage.print();
            return u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    match carry_out(&cli).and_then(|report| print(&report, cli.json, out).map(|()| report)) {
        Ok(report) if report.is_good() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            progress(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn print(report: &Report, json: bool, out: &mut dyn Write) -> Result<()> {
    let text = if json { serde_json::to_string_pretty(report)? + "\n" } else { report.text() };
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn carry_out(cli: &Cli) -> Result<Report> {
    // A socket is a file, and many systems give a process few by default.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        progress(&format!("the limit of open files stays as it is: {error}"));
    }
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..));
    progress(&format!("seed {seed}"));
    let site = Site::new(cli.server.as_deref(), cli.temp.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match &cli.run {
            Run::Kills(args) => kills::run(&site, args, seed).await,
            Run::Full(args) => full::run(&site, args, seed).await,
            Run::Soak(args) => soak::run(&site, args, seed).await,
            Run::Overload(args) => overload::run(&site, args, seed).await,
        }
    })
}
