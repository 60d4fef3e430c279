//! Runs seeds, and shows what broke.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use petrel_simulation::{Fault, Mutant, Options, Total, many, run};

/// Runs the whole product under a seeded scheduler, with faults.
#[derive(Debug, Parser)]
struct Cli {
    /// Runs this one seed and prints all that happens.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs so many seeds, from `--from` on.
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Seeds that run at the same time.
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// Things that people do in a run; by default each seed chooses.
    #[arg(long)]
    steps: Option<u64>,
    /// Turns a fault: `name=n`, of 10,000 chances. May be repeated; `--dial all=0` turns all off first.
    #[arg(long, value_parser = dial)]
    dial: Vec<(Option<Fault>, u32)>,
    /// Runs a broken variant.
    #[arg(long, value_parser = mutant)]
    mutant: Option<Mutant>,
}

fn dial(text: &str) -> Result<(Option<Fault>, u32), String> {
    let (name, rate) = text.split_once('=').ok_or("name=n")?;
    let rate = rate.parse().map_err(|_| "n is 0 to 10000")?;
    if name == "all" {
        return Ok((None, rate));
    }
    let names: Vec<_> = Fault::ALL.iter().map(|f| f.name()).collect();
    let fault = Fault::ALL.iter().find(|f| f.name() == name);
    let fault = fault.ok_or_else(|| format!("the faults are: {}", names.join(", ")))?;
    Ok((Some(*fault), rate))
}

fn mutant(name: &str) -> Result<Mutant, String> {
    let all = Mutant::all();
    let names: Vec<_> = all.iter().map(|m| m.name()).collect();
    let found = all.iter().find(|m| m.name() == name).copied();
    found.ok_or_else(|| format!("the mutants are: {}", names.join(", ")))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut dials = vec![];
    for (fault, rate) in &cli.dial {
        match fault {
            Some(fault) => dials.push((*fault, *rate)),
            None => dials.extend(Fault::ALL.iter().map(|f| (*f, *rate))),
        }
    }
    let options = Options { dials, acts: cli.steps, mutant: cli.mutant, traced: false };
    match cli.seed {
        Some(seed) => one(seed, &options),
        None => several(&cli, &options),
    }
}

fn one(seed: u64, options: &Options) -> ExitCode {
    let outcome = run(seed, &Options { traced: true, ..options.clone() });
    print!("{}", outcome.trace);
    println!("\n{}", outcome.counts);
    match outcome.broken {
        Some(rule) => {
            println!("seed {seed} broke: {rule}");
            ExitCode::FAILURE
        }
        None => {
            println!("seed {seed} held");
            ExitCode::SUCCESS
        }
    }
}

fn several(cli: &Cli, options: &Options) -> ExitCode {
    let begun = Instant::now();
    let progress = |total: &Total| {
        if total.counts.seeds.is_multiple_of(10_000) {
            let s = begun.elapsed().as_secs_f64();
            eprintln!("{} seeds in {s:.0} s, {} broken", total.counts.seeds, total.broken.len());
        }
    };
    let Total { counts, broken } = many(cli.from, cli.seeds, cli.threads, options, &progress);
    println!("{counts}in {:.1} s", begun.elapsed().as_secs_f64());
    let missing = counts.missing();
    if !missing.is_empty() {
        println!("never happened: {}", missing.join(", "));
    }
    for (seed, rule) in &broken {
        println!("seed {seed} broke: {rule}");
    }
    match broken.first() {
        None => {
            println!("all held");
            ExitCode::SUCCESS
        }
        Some((seed, _)) => {
            println!("see it with the same options and --seed {seed}");
            ExitCode::FAILURE
        }
    }
}
