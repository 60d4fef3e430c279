//! `petrel-fire`; everything is in the library, so that a test can run it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    petrel_fire::run(std::env::args_os(), &mut std::io::stdout())
}
