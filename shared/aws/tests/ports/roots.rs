//! The roots that are built in: those of AWS that Mozilla publishes, as of the crate `webpki-root-certs` in Cargo.lock.

use std::fmt::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// What the names of the roots begin with that AWS asks its clients to trust.
const NAMES: [&str; 2] = ["Amazon Root CA ", "Starfield Services Root Certificate Authority"];

/// The name and the bytes of each root, by name.
fn published() -> Vec<(String, &'static [u8])> {
    let of_aws = |der: &'static [u8]| {
        let find = |name: &str| der.windows(name.len()).position(|w| w == name.as_bytes());
        let start = NAMES.iter().find_map(|name| find(name))?;
        // Before the text stands its length.
        let end = start + usize::from(der[start - 1]);
        Some((String::from_utf8(der[start..end].to_vec()).unwrap(), der))
    };
    let mut roots: Vec<_> = TLS_SERVER_ROOT_CERTS.iter().filter_map(|der| of_aws(der)).collect();
    roots.sort();
    roots
}

#[test]
fn the_roots_are_those_that_mozilla_publishes() {
    let mut pem = String::new();
    for (name, der) in published() {
        let text = STANDARD.encode(der);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        let lines = lines.join("\n");
        let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
        writeln!(pem, "# {name}\n{begin}\n{lines}\n{end}").unwrap();
    }
    if pem != include_str!("../../src/roots.pem") {
        let wanted = Path::new(env!("CARGO_TARGET_TMPDIR")).join("roots.pem");
        std::fs::write(&wanted, pem).unwrap();
        panic!("the roots of AWS have changed: cp {} shared/aws/src/roots.pem", wanted.display());
    }
}

/// Fixed dates, so that no build fails because time has passed: the README says when to look.
#[test]
fn the_first_root_to_expire_does_so_in_2037() {
    // A validity is two times: a sequence (0x30) of 30 bytes, each of 13 characters (0x0d) with a year of two digits.
    let expires = |der: &[u8]| {
        let validity = der.windows(4).position(|w| w == [0x30, 0x1e, 0x17, 0x0d]).unwrap();
        let not_after = validity + 4 + 13 + 2;
        String::from_utf8(der[not_after..not_after + 13].to_vec()).unwrap()
    };
    let dates: Vec<_> = published().iter().map(|(_, der)| expires(der)).collect();
    assert_eq!(dates.len(), 5);
    assert_eq!(dates.iter().min().unwrap(), "371231235959Z");
}
