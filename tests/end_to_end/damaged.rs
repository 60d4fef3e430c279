//! Data that is damaged, gone, or not to be written: the server says so in one line, ends with an exit code that names the
//! kind, and leaves everything as it was found. When the cause is gone, all that was acknowledged is there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use petrel_test_client::client::PATIENCE;
use petrel_test_client::server::Server as Process;
use petrel_test_client::{Client, Login, Replica, frames};
use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::media::{fetch, upload};
use crate::process::ends_with;
use crate::server::{Server, petrel, run};
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

/// Changes the last byte of the newest message's key where it stands in the table, followed by the item, or in the index.
fn flip_newest_key(data: &Path, in_index: bool) {
    /// Of a place as it is written there, so that it sorts as it counts.
    const LENGTH: usize = 45;
    let start = format!("S:{OF}N:");
    change(&data.join("petrel.db"), |bytes| {
        let found = bytes.windows(start.len()).enumerate().filter(|(_, w)| *w == start.as_bytes());
        let places: Vec<usize> = found.map(|(at, _)| at + start.len()).collect();
        let newest = places.iter().map(|&at| &bytes[at..][..LENGTH]).max().unwrap();
        let of_newest = places.iter().filter(|&&at| bytes[at..].starts_with(newest));
        let ends = of_newest.map(|at| at + LENGTH).filter(|&end| (bytes[end] != b'{') == in_index);
        let ends: Vec<usize> = ends.collect();
        assert_eq!(ends.len(), 1, "where the newest key stands");
        bytes[ends[0] - 1] ^= 1;
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

const HARMS: [Harm; 23] = [
    harm("its first page", false, |d| invert(d, 0), "file is not a database"),
    harm("its second page", false, |d| invert(d, 1), ""),
    harm("a page in the middle", false, |d| invert(d, 7), ""),
    harm("its last page", false, |d| invert(d, usize::MAX), ""),
    harm("the newest key in the index", false, |d| flip_newest_key(d, true), ""),
    harm("the newest key in the table", false, |d| flip_newest_key(d, false), "missing from index"),
    harm("cut in the middle", false, |d| cut(d, |n| n / 2), ""),
    harm("cut within a page", false, |d| cut(d, |n| n - 1_000), ""),
    harm("cut within its header", false, |d| cut(d, |_| 50), ""),
    harm("cut to nothing", false, |d| cut(d, |_| 0), "petrel.db is gone or empty"),
    harm("gone", false, |d| remove(d, &["petrel.db"]), "petrel.db is gone or empty"),
    harm("gone, with the log", true, |d| remove(d, &["petrel.db", "petrel.db-wal"]), "is gone"),
    harm("gone, without the log", true, |d| remove(d, &["petrel.db"]), "is gone or empty"),
    harm("gone, with the note", true, |d| remove(d, &["petrel.db", "made"]), "is gone or empty"),
    harm("nothing but the mark", true, |d| remove(d, &ALL_BUT_THE_MARK), "petrel.db is gone"),
    harm("its log is gone", true, |d| remove(d, &["petrel.db-wal"]), ENDS_EARLY),
    harm("its log and its mark", true, |d| remove(d, &LOG_AND_MARK), "its tables are gone"),
    harm("the log is emptied", true, |d| change(&log_of(d), Vec::clear), ENDS_EARLY),
    harm("the log without its last transaction", true, |d| cut_log(d, 1), ENDS_EARLY),
    harm("the log without its last two", true, |d| cut_log(d, 2), ENDS_EARLY),
    harm("the log's last byte", true, flip_at_the_end_of_the_log, ENDS_EARLY),
    harm("the log's header", true, |d| flip_in_log(d, |_| 9), "petrel.db-wal: its header is none"),
    harm("the log in its middle", true, |d| flip_in_log(d, |n| n / 2), "and more follows"),
];

const ALL_BUT_THE_MARK: [&str; 3] = ["made", "petrel.db", "petrel.db-wal"];
const LOG_AND_MARK: [&str; 2] = ["petrel.db-wal", "petrel.db-mark"];
const ENDS_EARLY: &str = "petrel.db-wal: it ends before what was acknowledged";

fn log_of(data: &Path) -> PathBuf {
    data.join("petrel.db-wal")
}

fn flip_in_log(data: &Path, at: impl FnOnce(usize) -> usize) {
    change(&log_of(data), |bytes| {
        let at = at(bytes.len());
        bytes[at] ^= 0x10;
    });
}

/// Where the transactions in a log end. Behind the last may be frames of the log before it.
fn ends(log: &[u8]) -> Vec<usize> {
    let (header, frames) = log.split_at(32);
    let page = u32::from_be_bytes(header[8..12].try_into().unwrap());
    let frame = 24 + usize::try_from(page).unwrap();
    let ours = frames.chunks_exact(frame).take_while(|f| f[8..16] == header[16..24]);
    let ends = ours.enumerate().filter(|(_, f)| f[4..8] != [0; 4]);
    ends.map(|(n, _)| 32 + (n + 1) * frame).collect()
}

/// Cuts the last transactions off.
fn cut_log(data: &Path, transactions: usize) {
    change(&log_of(data), |bytes| {
        let ends = ends(bytes);
        bytes.truncate(ends[ends.len() - 1 - transactions]);
    });
}

fn flip_at_the_end_of_the_log(data: &Path) {
    change(&log_of(data), |bytes| {
        let end = *ends(bytes).last().unwrap();
        bytes[end - 1] ^= 1;
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

#[tokio::test]
async fn whatever_kills_leave_is_no_damage_and_a_stop_leaves_no_mark() {
    let mut server = Server::start().await;
    let mark = server.data().join("petrel.db-mark");
    let mut seen = 0;
    for round in 0..10 {
        let mut ana = server.connect("ana").await;
        for _ in 0..12 {
            ana.say(OF, seen, &"more ".repeat(1_000)).await;
            seen += 1;
        }
        server.kill().await;
        assert!(mark.exists());
        // Killed again while it starts, and once it has. How far a start comes in that time is not looked at: all that is
        // asked holds after any of them, also if it has not begun or serves by then.
        for tenth in 0..4 {
            let mut command = petrel(server.data());
            command.args(SERVE).stderr(Stdio::null());
            let mut starting = Process::spawn(command).unwrap();
            sleep(Duration::from_millis(round * 7 + tenth * 20)).await;
            starting.kill().await.unwrap();
        }
        server.start_again().await;
        server.kill().await;
        server.start_again().await;
    }
    assert!(server.stop(Signal::TERM).await.success());
    assert!(!mark.exists() && !log_of(server.data()).exists());
    serves_all_of(copy(server.data()), seen).await;
}

#[tokio::test]
async fn a_mark_that_does_not_add_up_stops_nobody() {
    let killed = written(true).await;
    let harms: [fn(&mut Vec<u8>); 4] =
        [|m| m[17] ^= 1, Vec::clear, |m| m.fill(0), |m| m.extend([0; 9])];
    for harm in harms {
        let data = copy(killed.path());
        change(&data.path().join("petrel.db-mark"), harm);
        serves_all_of(data, MESSAGES).await;
    }
}

#[tokio::test]
async fn a_file_that_was_changed_is_cut_off_and_one_without_its_end_is_named_at_the_start() {
    let mut server = Server::start().await;
    let id = upload(&server, "ana", "image/png", "not much of a picture").await;
    let content = json!({"type": "media", "media_id": id});
    let body = json!({"to_user_id": "bo", "content": content});
    server.post("ana", "/api/messages", &body).await.expect(201);
    let path = format!("/api/conversations/{OF}/messages/1/media");
    let download = server.get("bo", &path).await.expect(200);
    fetch(&download).await.expect(200);
    let file = fs::read_dir(server.data().join("buckets")).unwrap().next().unwrap().unwrap().path();
    let written = fs::read(&file).unwrap();
    change(&file, |bytes| bytes[5] ^= 1);
    let (_, asked) = download["url"].as_str().unwrap().split_once(server.addr()).unwrap();
    let mut socket = TcpStream::connect(server.addr()).await.unwrap();
    let request =
        format!("GET {asked} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", server.addr());
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![];
    // Whether the end of the connection comes in order says nothing.
    let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.is_empty() || answer.ends_with("\r\n\r\n"), "{answer}");
    let log = fs::read_to_string(server.data().join("log")).unwrap();
    let said: Vec<_> = log.lines().filter(|l| l.contains("is not what was written")).collect();
    assert!(said.len() == 1 && said[0].contains(&file.display().to_string()), "{log}");
    assert!(server.stop(Signal::TERM).await.success());
    fs::write(&file, &written[..written.len() - 1]).unwrap();
    let before = contents(server.data());
    for _ in 0..2 {
        let said = ends_with(DAMAGED, &run(server.data(), &SERVE).await);
        assert!(said.starts_with("petrel: cannot open the buckets in "), "{said}");
        assert!(said.contains(" is not what was written: its end is missing"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(contents(server.data()) == before, "something was changed");
    }
    fs::write(&file, written).unwrap();
    server.start_again().await;
    let download = server.get("bo", &path).await.expect(200);
    fetch(&download).await.expect(200);
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
        ("petrel.db-mark", 0o400, true, "petrel.db-mark: "),
        ("petrel.db-mark", 0o000, true, "petrel.db-mark: "),
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
