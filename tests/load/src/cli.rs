//! The command line.

use std::env::consts::{ARCH, OS};
use std::ffi::OsString;
use std::io::Write;
use std::iter;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::Result;
use crate::device::Checked;
use crate::loads::catchup::{self, CatchupArgs};
use crate::loads::fanout::{self, FanoutArgs};
use crate::loads::idle::{self, IdleArgs};
use crate::loads::latency::{self, LatencyArgs};
use crate::loads::progress;
use crate::loads::throughput::{self, ThroughputArgs};
use crate::report::{Outcome, Report};
use crate::target::{Target, TargetArgs};

/// Puts a Petrel server under load: how fast it delivers, and whether all of it arrives.
///
/// Starts a server of its own for each load, with data in a folder that goes afterwards; or takes the one at --url.
/// Every load compares what came with what was acknowledged: each message once, in its place, no place empty. If that
/// does not hold, or a load cannot be carried out, the exit code is 1. The table goes to stdout, the rest to stderr.
#[derive(Parser)]
#[command(name = "petrel-load", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    target: TargetArgs,
}

const EXAMPLES: &str = "\
Examples:
  cargo build --profile server -p petrel -p petrel-load
  target/server/petrel-load all                     everything, each write synced to the disk
  target/server/petrel-load all --memory            the same without a disk
  target/server/petrel-load latency --rate 1000 --seconds 30
  target/server/petrel-load throughput --window 10 --json
  target/server/petrel-load fanout --url ws://127.0.0.1:8080/ws --key .petrel/key
  target/server/petrel-load idle --url ws://127.0.0.1:8080/ws --pid 4711 \\
      --token-command 'petrel token {user}'

Times hold what the load tool itself takes on the same cores; measure on a machine that does nothing else.";

#[derive(Subcommand)]
enum Command {
    /// Every load once, throughput with windows of 1 and 10
    All(AllArgs),
    #[command(flatten)]
    One(Load),
}

#[derive(Subcommand, Clone)]
enum Load {
    /// Time from when a message was due until the other has it, at a steady rate (open loop)
    Latency(LatencyArgs),
    /// Messages per second that are stored and delivered (closed loop)
    Throughput(ThroughputArgs),
    /// Time until the first, the median and the last member of a group has a message
    Fanout(FanoutArgs),
    /// Time until a device that comes back has everything
    Catchup(CatchupArgs),
    /// Memory of the server for each idle connection (on Linux only, from /proc)
    Idle(IdleArgs),
}

/// What all loads may be cut down to; the rest is as each of them has it.
#[derive(Args, Clone, Debug)]
struct AllArgs {
    /// How long latency and throughput run
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Members of the group of fanout
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(2..=1_000))]
    members: u64,
    /// Messages that wait in catchup
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    messages: u64,
    /// Connections of idle
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    connections: u64,
}

impl AllArgs {
    /// Each load with its own defaults, but for these.
    fn loads(&self) -> Result<Vec<Load>> {
        let AllArgs { seconds, members, messages, connections } = self;
        let words = [
            format!("latency --seconds {seconds}"),
            format!("throughput --window 1 --seconds {seconds}"),
            format!("throughput --window 10 --seconds {seconds}"),
            format!("fanout --members {members}"),
            format!("catchup --messages {messages}"),
            format!("idle --connections {connections}"),
        ];
        let parse = |words: &String| match Cli::try_parse_from(
            iter::once("petrel-load").chain(words.split(' ')),
        )?
        .command
        {
            Command::One(load) => Ok(vec![load]),
            Command::All(all) => all.loads(),
        };
        Ok(words.iter().map(parse).collect::<Result<Vec<_>>>()?.concat())
    }
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
    match measure(&cli).and_then(|report| print(&report, cli.json, out).map(|()| report)) {
        Ok(report) if report.is_good() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            progress(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn print(report: &Report, json: bool, out: &mut dyn Write) -> Result<()> {
    let text = if json { serde_json::to_string_pretty(report)? + "\n" } else { report.table() };
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn measure(cli: &Cli) -> Result<Report> {
    if cfg!(debug_assertions) {
        progress("built without optimisation: the figures say little");
    }
    // A socket is a file, and many systems give a process few by default.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        progress(&format!("the limit of open files stays as it is: {error}"));
    }
    let (loads, all) = match &cli.command {
        Command::All(all) => (all.loads()?, true),
        Command::One(load) => (vec![load.clone()], false),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut report = Report {
            cores: std::thread::available_parallelism()?.get(),
            machine: format!("{ARCH}, {OS}"),
            server: String::new(),
            storage: "",
            loads: vec![],
        };
        for load in &loads {
            // A server for each: what one load leaves behind must not weigh on the next.
            let target = Target::open(&cli.target).await?;
            report.server = target.version().await?;
            report.storage = target.storage;
            if all && matches!(load, Load::Idle(_)) && idle::resident(&target).is_err() {
                // Asked for by itself, it fails.
                progress(&format!("idle is left out: {}", idle::NEEDS));
            } else {
                report.loads.push(carry_out(load, &target).await);
            }
            target.close().await?;
        }
        Ok(report)
    })
}

/// Runs one load. That it could not be finished is a problem like any other: the rest is worth a look all the same.
async fn carry_out(load: &Load, target: &Target) -> Outcome {
    let (name, outcome) = match load {
        Load::Latency(args) => ("latency", latency::run(target, args).await),
        Load::Throughput(args) => ("throughput", throughput::run(target, args).await),
        Load::Fanout(args) => ("fanout", fanout::run(target, args).await),
        Load::Catchup(args) => ("catchup", catchup::run(target, args).await),
        Load::Idle(args) => ("idle", idle::run(target, args).await),
    };
    outcome.unwrap_or_else(|error| Outcome {
        load: name,
        settings: "not finished".to_owned(),
        rows: vec![],
        checked: Checked::default(),
        problems: vec![error.to_string()],
    })
}
