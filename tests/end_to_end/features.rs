//! Holds `docs/features.md` to its word: each row names a test, and each test is there.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn each_feature_names_a_test_that_is_there() {
    let document = read("docs/features.md");
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| ---");
    let rows = document.lines().filter(is_row).filter(|row| !row.starts_with("| feature |"));
    let mut count = 0;
    for row in rows {
        let quotes = row.split('`').skip(1).step_by(2);
        let tests: Vec<_> = quotes.filter_map(|quote| quote.split_once("::")).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        for (file, name) in tests {
            let text = read(file);
            let (before, _) = text
                .split_once(&format!("fn {name}("))
                .unwrap_or_else(|| panic!("no {name} in {file}"));
            let last = before.rsplit("\n\n").next().unwrap();
            assert!(last.contains("test]") || last.contains("#[tokio::test"), "{name} is no test");
        }
        count += 1;
    }
    assert!(count > 30, "{count} features");
}
