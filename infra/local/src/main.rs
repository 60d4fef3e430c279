#![doc = include_str!("../README.md")]

mod admission;
mod backend;
mod buckets;
mod cli;
mod consumer;
mod data;
mod events;
mod http;
mod key;
mod media;
mod pushes;
mod queues;
mod reports;
mod serve;
mod socket;
mod sockets;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("petrel: {error}");
            data::exit_code(&*error)
        }
    }
}
