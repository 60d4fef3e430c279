//! That no method of a port is forgotten: the ports are read as they are written, and each of their methods must be among
//! the calls.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::ops::{self, LOCAL};
use crate::world::World;

/// Not on AWS: the clock, the ids and the dice of the machine.
const NOT_ON_AWS: &str = "World::";

/// The methods of the traits in a source file, as `Trait::method`. Each trait begins and ends at the edge, as rustfmt has it.
fn methods(source: &str) -> Vec<String> {
    let name = |text: &str| {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        text[..end].to_owned()
    };
    let mut found = vec![];
    let mut within = None;
    for line in source.lines() {
        if let Some(rest) = line.strip_prefix("pub trait ") {
            within = Some(name(rest));
        } else if line == "}" {
            within = None;
        } else if let Some(port) = &within
            && let Some(line) = line.strip_prefix("    ")
            && let Some(rest) = line.strip_prefix("async fn ").or(line.strip_prefix("fn "))
        {
            found.push(format!("{port}::{}", name(rest)));
        }
    }
    found
}

/// All methods of all ports.
fn of_ports() -> BTreeSet<String> {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    let more = fs::read_dir(core.join("ports")).unwrap().map(|file| file.unwrap().path());
    let files = more.chain([core.join("ports.rs")]);
    let found: BTreeSet<_> =
        files.flat_map(|file| methods(&fs::read_to_string(file).unwrap())).collect();
    found.into_iter().filter(|method| !method.starts_with(NOT_ON_AWS)).collect()
}

#[test]
fn every_method_of_every_port_is_called() {
    let called: BTreeSet<_> = ops::all().chain(LOCAL).map(|op| op.method.to_owned()).collect();
    let ports = of_ports();
    let forgotten: Vec<_> = ports.difference(&called).collect();
    assert!(forgotten.is_empty(), "no call in ops/ of {forgotten:?}");
    let gone: Vec<_> = called.difference(&ports).collect();
    assert!(gone.is_empty(), "calls in ops/ of what no port has: {gone:?}");
    println!("{} calls of {} methods", ops::all().count(), ports.len());
}

#[test]
fn a_method_is_found_as_it_is_written() {
    let source = "pub trait Log: Send {\n    /// async fn no(\n    async fn put(&self) -> X;\n    \
                  async fn after(\n        &self,\n    ) -> X {\n        fn_no()\n    }\n}\n\
                  impl Log for X {\n    async fn other() {}\n}\n";
    assert_eq!(methods(source), ["Log::put", "Log::after"]);
}

#[tokio::test]
async fn what_is_signed_here_asks_nobody() {
    let (injector, app) = World::empty().await.product();
    for op in LOCAL {
        (op.call)(&app).await.unwrap();
        assert_eq!(injector.asked(), [], "{op:?}");
    }
}
