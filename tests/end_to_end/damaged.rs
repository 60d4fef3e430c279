//! Data that is damaged, gone, or not to be written: the server says so in one line, ends with an exit code that names the
//! kind, and leaves everything as it was found. When the cause is gone, all that was acknowledged is there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use petrel_test_client::client::PATIENCE;
use petrel_test_client::server::Server as Process;
use petrel_test_client::{Client, Login, Replica, frames};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::process::ends_with;
use crate::server::{Server, run};
use crate::tokens::Token;

/// Messages that were acknowledged before anything happens.
const MESSAGES: u64 = 60;
const OF: &str = "d:ana:bo";
const SERVE: [&str; 3] = ["serve", "--addr", "127.0.0.1:0"];
/// What is damaged, and what cannot be read or written, as `petrel --help` has it.
const DAMAGED: i32 = 65;
const INACCESSIBLE: i32 = 74;
/// Whoever tests as root drops to this user, for nothing is closed to root.
const NOBODY: u32 = 65_534;

/// The data that a server leaves behind which was killed, or told to stop: then everything lies in the database's file.
async fn written(killed: bool) -> TempDir {
    let mut server = Server::start().await;
    let mut ana = server.connect("ana").await;
    for seen in 0..MESSAGES {
        ana.say(OF, seen, &"kept ".repeat(100)).await;
    }
    if killed {
        server.kill().await;
    } else {
        assert!(server.stop(Signal::TERM).await.success());
    }
    let log_has_something =
        fs::metadata(server.data().join("petrel.db-wal")).is_ok_and(|m| m.len() > 0);
    assert_eq!(log_has_something, killed);
    copy(server.data())
}

/// A folder with the same in it.
fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy_into(from, to.path());
    to
}

fn copy_into(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = to.join(file.file_name());
        if file.file_type().unwrap().is_dir() {
            fs::create_dir_all(&name).unwrap();
            copy_into(&file.path(), &name);
        } else if file.file_name() != "log" {
            fs::copy(file.path(), name).unwrap();
        }
    }
}

/// Every file below and its bytes. SQLite's index of its log is none of the data: it is made anew from the log. Nor is a log
/// with nothing in it, which SQLite leaves when it has looked.
fn contents(of: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for file in fs::read_dir(of).unwrap().map(Result::unwrap) {
        if file.file_type().unwrap().is_dir() {
            all.extend(contents(&file.path()));
            continue;
        }
        let (name, bytes) = (file.file_name(), fs::read(file.path()).unwrap());
        let nothing = name == "petrel.db-wal" && bytes.is_empty();
        if name != "petrel.db-shm" && name != "lock" && !nothing {
            all.insert(file.path(), bytes);
        }
    }
    all
}

/// A server on this data has everything that was acknowledged, and goes on.
async fn serves_all_of(data: TempDir, expected: u64) {
    let server = Server::on(data, &[]).await;
    let mut device = Replica::new();
    let mut bo = server.connect("bo").await;
    while device.last(OF) < expected {
        let (batches, _) = bo.sync(&device.cursors()).await;
        assert!(!batches.is_empty(), "the log ends at {} of {expected}", device.last(OF));
        batches.iter().for_each(|batch| device.apply(batch));
    }
    server.connect("ana").await.say(OF, expected, "and on").await;
}

fn change(file: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    how(&mut bytes);
    fs::write(file, bytes).unwrap();
}

/// Inverts a page, counted from 0; beyond the end it is the last.
fn invert(data: &Path, page: usize) {
    change(&data.join("petrel.db"), |bytes| {
        let size = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
        let page = page.min(bytes.len() / size - 1);
        bytes[page * size..][..size].iter_mut().for_each(|b| *b = !*b);
    });
}

fn cut(data: &Path, length: impl FnOnce(usize) -> usize) {
    change(&data.join("petrel.db"), |bytes| bytes.truncate(length(bytes.len())));
}

fn remove(data: &Path, names: &[&str]) {
    names.iter().for_each(|name| fs::remove_file(data.join(name)).unwrap());
}

/// What was done to the data, whether a kill left it, what the server says of it.
struct Harm {
    name: &'static str,
    killed: bool,
    harm: fn(&Path),
    says: &'static str,
}

const fn harm(name: &'static str, killed: bool, harm: fn(&Path), says: &'static str) -> Harm {
    Harm { name, killed, harm, says }
}

const HARMS: [Harm; 15] = [
    harm("its first page", false, |d| invert(d, 0), "file is not a database"),
    harm("its second page", false, |d| invert(d, 1), ""),
    harm("a page in the middle", false, |d| invert(d, 7), ""),
    harm("its last page", false, |d| invert(d, usize::MAX), ""),
    harm("cut in the middle", false, |d| cut(d, |n| n / 2), ""),
    harm("cut within a page", false, |d| cut(d, |n| n - 1_000), ""),
    harm("cut within its header", false, |d| cut(d, |_| 50), ""),
    harm("cut to nothing", false, |d| cut(d, |_| 0), "petrel.db is gone or empty"),
    harm("gone", false, |d| remove(d, &["petrel.db"]), "petrel.db is gone or empty"),
    harm("gone, with the log", true, |d| remove(d, &["petrel.db", "petrel.db-wal"]), "is gone"),
    harm("gone, without the log", true, |d| remove(d, &["petrel.db"]), "is gone or empty"),
    harm("gone, with the mark", true, |d| remove(d, &["petrel.db", "made"]), "is gone or empty"),
    harm("its log is gone", true, |d| remove(d, &["petrel.db-wal"]), "its tables are gone"),
    harm("the log's header", true, |d| flip_in_log(d, |_| 9), "petrel.db-wal: its header is none"),
    harm("the log in its middle", true, |d| flip_in_log(d, |n| n / 2), "and more follows"),
];

fn flip_in_log(data: &Path, at: impl FnOnce(usize) -> usize) {
    change(&data.join("petrel.db-wal"), |bytes| {
        let at = at(bytes.len());
        bytes[at] ^= 0x10;
    });
}

#[tokio::test]
async fn what_is_damaged_is_named_and_left_as_it_was_found_and_a_copy_that_is_put_back_serves() {
    let (stopped, killed) = (written(false).await, written(true).await);
    for Harm { name, killed: was_killed, harm, says } in HARMS {
        let sound = if was_killed { &killed } else { &stopped };
        let data = copy(sound.path());
        harm(data.path());
        let before = contents(data.path());
        // Twice: the first look must not heal or hide anything.
        for _ in 0..2 {
            let said = ends_with(DAMAGED, &run(data.path(), &SERVE).await);
            let start = format!(
                "petrel: cannot open the database in {}: it is damaged: ",
                data.path().display()
            );
            assert!(said.starts_with(&start) && said.contains(says), "{name}: {said}");
            assert!(said.contains(". Nothing was changed: put back a copy"), "{name}: {said}");
            assert_eq!(said.lines().count(), 1, "{name}: {said}");
            assert!(contents(data.path()) == before, "{name}: something was changed");
        }
        copy_into(sound.path(), data.path());
        serves_all_of(data, MESSAGES).await;
    }
}

/// A way to run the server as someone to whom files can be closed.
struct Plain {
    /// Who, if not whoever tests.
    user: Option<u32>,
    binary: PathBuf,
    _place: TempDir,
}

impl Plain {
    fn new() -> Self {
        let user = rustix::process::geteuid().is_root().then_some(NOBODY);
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // Where it was built, others may have no way to it.
        let binary = place.path().join("petrel");
        let built = env!("CARGO_BIN_EXE_petrel");
        fs::hard_link(built, &binary).or_else(|_| fs::copy(built, &binary).map(|_| ())).unwrap();
        Self { user, binary, _place: place }
    }

    fn owns(&self, path: &Path) {
        let Some(user) = self.user else { return };
        chown(path, Some(user), Some(user)).unwrap();
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|file| self.owns(&file.unwrap().path()));
        }
    }

    /// How the server ends, if it does.
    async fn serve(&self, data: &Path) -> Option<Output> {
        let mut command = Command::new(&self.binary);
        command.args(SERVE).env("PETREL_DATA", data).env("RUST_LOG", "warn").kill_on_drop(true);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        timeout(PATIENCE, command.output()).await.ok().map(Result::unwrap)
    }
}

#[tokio::test]
async fn what_cannot_be_read_or_written_is_named_and_nothing_is_lost_by_it() {
    let (stopped, killed) = (written(false).await, written(true).await);
    let plain = Plain::new();
    let table = [
        ("", 0o500, false, "cannot write to the data folder"),
        ("", 0o500, true, "cannot write to the data folder"),
        ("", 0o000, false, "cannot use the key"),
        ("key", 0o000, false, "cannot use the key"),
        ("lock", 0o400, false, "cannot write to the data folder"),
        ("petrel.db", 0o400, false, "cannot open the database in"),
        ("petrel.db", 0o000, true, "cannot open the database in"),
        ("petrel.db-wal", 0o400, true, "cannot open the database in"),
        ("petrel.db-wal", 0o000, true, "cannot open the database in"),
        ("buckets", 0o000, false, "cannot write to the data folder"),
        ("buckets", 0o500, false, "cannot write to the data folder"),
    ];
    for (name, mode, was_killed, says) in table {
        let sound = if was_killed { &killed } else { &stopped };
        let data = copy(sound.path());
        plain.owns(data.path());
        let before = contents(data.path());
        let closed = data.path().join(name);
        let open = fs::metadata(&closed).unwrap().mode();
        fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
        let output = plain.serve(data.path()).await;
        fs::set_permissions(&closed, fs::Permissions::from_mode(open)).unwrap();
        let output = output.unwrap_or_else(|| panic!("{name:?} with {mode:o}: it serves"));
        let said = ends_with(INACCESSIBLE, &output);
        let what = format!("{name:?} with {mode:o}: {said}");
        assert!(said.starts_with("petrel: ") && said.contains(says), "{what}");
        assert!(said.contains(&data.path().display().to_string()), "{what}");
        assert_eq!(said.lines().count(), 1, "{what}");
        assert!(contents(data.path()) == before, "{what}");
        serves_all_of(data, MESSAGES).await;
    }
}

/// A server whose files may not grow beyond so many blocks of 512 bytes (by POSIX; some shells count 1024).
fn limited(data: &Path, blocks: u64) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f \"$0\" && exec \"$@\"", &blocks.to_string()]);
    command.arg(env!("CARGO_BIN_EXE_petrel")).args(SERVE);
    command.env("PETREL_DATA", data).env("RUST_LOG", "warn").kill_on_drop(true);
    command
}

#[tokio::test]
async fn where_no_file_may_grow_the_server_says_so_and_ends() {
    let (stopped, killed) = (written(false).await, written(true).await);
    let fresh = tempfile::tempdir().unwrap();
    for (sound, says) in [(&fresh, "cannot use the key"), (&stopped, "cannot"), (&killed, "cannot")]
    {
        let data = copy(sound.path());
        let before = contents(data.path());
        let output = timeout(PATIENCE, limited(data.path(), 0).output()).await.unwrap().unwrap();
        let said = ends_with(INACCESSIBLE, &output);
        assert!(said.starts_with("petrel: ") && said.contains(says), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(contents(data.path()) == before, "{said}");
        if !before.is_empty() {
            serves_all_of(data, MESSAGES).await;
        }
    }
}

#[tokio::test]
async fn where_files_stop_growing_what_is_sent_is_answered_busy_and_stands_once_when_they_grow_again()
 {
    let sound = written(true).await;
    let data = copy(sound.path());
    let log = fs::metadata(data.path().join("petrel.db-wal")).unwrap().len();
    let mut command = limited(data.path(), log / 512 + 200);
    command.stderr(Stdio::null());
    let mut process = Process::spawn(command).unwrap();
    let addr = process.listening().await.unwrap();
    let token = Token::of("ana").signed(&fs::read(data.path().join("key")).unwrap());
    let login = Login::new(&format!("ws://{addr}/ws"), &token);
    let mut ana = Client::connect(&login).await.unwrap();
    ana.sync(&json!({})).await;
    let mut seen = MESSAGES;
    let refused = loop {
        let frame = frames::send(OF, seen, &frames::new_id(), frames::text(&"more ".repeat(500)));
        let answer = ana.ask(&frame).await;
        if answer["type"] != "sent" {
            assert_eq!(answer["code"], "busy", "{answer}");
            assert!(answer["retry_after_ms"].is_u64(), "{answer}");
            break frame;
        }
        seen += 1;
        assert_eq!(answer["seq"], seen, "{answer}");
        assert!(seen < 10 * MESSAGES, "the file grows without end");
    };
    process.kill().await.unwrap();
    let server = Server::on(data, &[]).await;
    let mut ana = server.connect("ana").await;
    let answer = ana.ask(&refused).await;
    // A `busy` does not say whether it was stored.
    assert_eq!(answer["seq"], seen + 1, "{answer}");
    let mut device = Replica::new();
    while device.last(OF) < seen + 1 {
        let (batches, _) = ana.sync(&device.cursors()).await;
        assert!(!batches.is_empty(), "the log ends at {} of {}", device.last(OF), seen + 1);
        batches.iter().for_each(|batch| device.apply(batch));
    }
}
