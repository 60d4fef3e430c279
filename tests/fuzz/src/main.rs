//! The target that `PETREL_FUZZ_TARGET` names, under libFuzzer. `tests/fuzz/run` builds and runs it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use petrel_fuzz::Target;

fuzz_target!(|input: &[u8]| {
    let name = std::env::var("PETREL_FUZZ_TARGET").unwrap_or_default();
    let planted = std::env::var_os("PETREL_FUZZ_PLANTED").is_some();
    match Target::named(&name) {
        Some(target) => target.run(input, planted),
        None => std::process::exit(2),
    }
});
