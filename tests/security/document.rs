//! Holds `docs/security.md` to its word: each test, check and resource that it names is there.

use std::fs;
use std::path::Path;

fn read(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)).ok()
}

/// What stands between backquotes on a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn what_the_document_names_is_there() {
    let document = read("docs/security.md").unwrap();
    let (mut tests, mut resources) = (0, 0);
    for quote in document.lines().flat_map(quoted) {
        if let Some((file, name)) = quote.split_once("::").filter(|(file, _)| file.contains('.')) {
            let text = read(file).unwrap_or_else(|| panic!("no file {file}"));
            let begins = if file.ends_with(".py") { "\ndef " } else { "fn " };
            assert!(text.contains(&format!("{begins}{name}(")), "no {name} in {file}");
            if file.ends_with(".rs") {
                let (before, _) = text.split_once(&format!("fn {name}(")).unwrap();
                let last = before.rsplit("\n\n").next().unwrap();
                assert!(
                    last.contains("test]") || last.contains("#[tokio::test"),
                    "{name} is no test"
                );
            }
            tests += 1;
        } else if let Some(place) = quote.strip_prefix("template.yaml: ") {
            let template = read("template.yaml").unwrap();
            let (resource, property) = place.split_once('.').unwrap();
            let (_, after) = template.split_once(&format!("\n  {resource}:\n")).unwrap();
            let end = after.find("\n\n").unwrap_or(after.len());
            assert!(after[..end].contains(property), "no {property} in {resource}");
            resources += 1;
        } else if quote.contains('/') && !quote.contains([' ', '{', '<']) && quote.contains('.') {
            assert!(read(quote).is_some() || quote.starts_with('/'), "no file {quote}");
        }
    }
    assert!(tests > 30 && resources > 5, "{tests} tests and {resources} lines of the template");
}

/// A row of the table of what is protected names what holds it.
#[test]
fn every_claim_names_what_holds_it() {
    let document = read("docs/security.md").unwrap();
    let (_, section) = document.split_once("## What is protected by what").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows: Vec<&str> =
        section.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| ---")).collect();
    assert!(rows.len() > 10, "{}", rows.len());
    for row in rows.iter().filter(|row| !row.contains("| held by |")) {
        assert!(row.contains("::") || row.contains("template.yaml: "), "{row}");
    }
}
