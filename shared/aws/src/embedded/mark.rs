//! A mark beside a database: how far its log reached when something was last acknowledged. SQLite takes wherever the log
//! stops for its end, and cannot know that more of it was there.
//!
//! It is written after a commit, which waited for the disk, and is not waited for itself. So it is never ahead of the log:
//! a process that is killed leaves one that is exact, a machine that loses its power at worst one that says less.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::beside;
use super::wal::{Position, sum};

/// What it ends in.
pub const SUFFIX: &str = "-mark";
const MAGIC: [u8; 8] = *b"petrelM1";
const LENGTH: usize = 32;
/// One of the two copies of what begins SQLite's index of a log: <https://www.sqlite.org/walformat.html#walidxfmt>.
const INDEX_HEADER: usize = 48;
/// How often the index is read, and how long is waited in between, until it is not just being written.
const TRIES: u32 = 1_000;
const BETWEEN_TRIES: Duration = Duration::from_micros(100);

/// The mark of a database that is open.
#[derive(Debug)]
pub struct Mark {
    name: PathBuf,
    file: File,
    /// Not closed before the database is: that would take SQLite's locks on it away, which are the process's.
    index: File,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    position: Position,
    /// The last attempt came to nothing.
    failing: bool,
}

impl Mark {
    /// Makes it, or brings it up to date, and waits for the disk: whatever it said of an earlier log is over. Somebody must
    /// hold the database open.
    ///
    /// # Errors
    /// If it cannot be written. It says what it said then.
    pub fn on(database: &Path) -> io::Result<Self> {
        let name = beside(database, SUFFIX);
        let index = File::open(beside(database, "-shm"))?;
        let file = File::options().create(true).truncate(false).write(true).open(&name)?;
        let position = position(&index)?;
        file.write_all_at(&encoded(position), 0)?;
        file.set_len(LENGTH as u64)?;
        // All its space is taken from now on: a disk that becomes full does not keep it from being written.
        file.sync_all()?;
        sync_folder_of(&name)?;
        let noted = Mutex::new(Noted { position, failing: false });
        Ok(Self { name, file, index, noted })
    }

    /// Notes how far the log reaches now. What was written is on the disk whatever comes of this, so that it is
    /// acknowledged all the same: an older mark notices less, and says nothing that is not so. The operator is told once.
    pub fn note(&self) {
        // Held over both, for an older position must not come after a newer one.
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let written = position(&self.index).and_then(|now| {
            if now != noted.position || noted.failing {
                self.file.write_all_at(&encoded(now), 0)?;
            }
            noted.position = now;
            Ok(())
        });
        let failed = written.is_err();
        match written {
            Err(error) if !noted.failing => tracing::error!(
                %error,
                file = %self.name.display(),
                "how far the log reaches cannot be noted: if its end is lost, that is not noticed"
            ),
            Ok(()) if noted.failing => tracing::info!("how far the log reaches is noted again"),
            _ => {}
        }
        noted.failing = failed;
    }

    /// Takes it away, before the database is closed and with it the log removed. Where that cannot be done, SQLite cannot
    /// remove the log either.
    pub fn remove(&self) {
        let removed = fs::remove_file(&self.name).and_then(|()| sync_folder_of(&self.name));
        if let Err(error) = removed {
            tracing::error!(%error, file = %self.name.display(), "cannot be removed");
        }
    }
}

/// What the mark of a database says; nothing if there is none.
///
/// Nor does one that does not add up say anything: a machine that lost its power may leave it so, with data that are
/// whole. The operator is told, for what is missing at the log's end is not noticed then.
///
/// # Errors
/// If it cannot be read, or not be written: later it must be.
pub fn read(database: &Path) -> io::Result<Position> {
    let name = beside(database, SUFFIX);
    let mut bytes = [0; LENGTH];
    let file = match File::options().read(true).write(true).open(&name) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Position::default()),
        Err(e) => return Err(e),
    };
    let whole = match file.read_exact_at(&mut bytes, 0) {
        Ok(()) => file.metadata()?.len() == LENGTH as u64,
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => false,
        Err(e) => return Err(e),
    };
    let position = decoded(&bytes).filter(|_| whole);
    if position.is_none() {
        tracing::warn!(
            file = %name.display(),
            "does not add up, and is passed over: if the end of the log is lost, that is not noticed"
        );
    }
    Ok(position.unwrap_or_default())
}

fn encoded(position: Position) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&position.salts);
    bytes[16..20].copy_from_slice(&position.frames.to_be_bytes());
    let sum = sum(true, &bytes[..24]);
    bytes[24..28].copy_from_slice(&sum.0.to_be_bytes());
    bytes[28..].copy_from_slice(&sum.1.to_be_bytes());
    bytes
}

fn decoded(bytes: &[u8; LENGTH]) -> Option<Position> {
    let position = Position {
        salts: bytes[8..16].try_into().unwrap_or_default(),
        frames: u32::from_be_bytes(bytes[16..20].try_into().unwrap_or_default()),
    };
    (encoded(position) == *bytes).then_some(position)
}

/// How far the log reaches, by SQLite's index of it, which names a transaction when that is on the disk. It is mapped into
/// memory there, and may be written at this moment: what begins it is there twice, written from the second to the first.
fn position(index: &File) -> io::Result<Position> {
    let mut both = [0; 2 * INDEX_HEADER];
    for _ in 0..TRIES {
        index.read_exact_at(&mut both, 0)?;
        let (first, second) = both.split_at(INDEX_HEADER);
        let number =
            |at: usize| u32::from_ne_bytes(first[at..][..4].try_into().unwrap_or_default());
        let sum = sum(cfg!(target_endian = "big"), &first[..40]);
        if first == second && sum == (number(40), number(44)) {
            let salts = first[32..40].try_into().unwrap_or_default();
            return Ok(Position { salts, frames: number(16) });
        }
        thread::sleep(BETWEEN_TRIES);
    }
    Err(io::Error::other("the index of the log does not add up"))
}

/// A name that was made or removed is so after a loss of power, too.
fn sync_folder_of(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use aws_sdk_dynamodb::types::AttributeValue;
    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::*;
    use crate::embedded::{Client, check, client_on, create_tables};
    use crate::keys::Tables;

    const NAMES: [&str; 3] = ["petrel.db", "petrel.db-wal", "petrel.db-mark"];

    async fn open(folder: &Path) -> Client {
        let client = client_on(&folder.join("petrel.db")).unwrap();
        let tables = Tables {
            messages: "messages".to_owned(),
            conversations: "conversations".to_owned(),
            connections: "connections".to_owned(),
        };
        create_tables(&client, &tables).await.unwrap();
        client
    }

    async fn put(client: &Client, n: usize, bytes: usize) {
        let text = |text: String| AttributeValue::S(text);
        let item = HashMap::from([
            ("user_id".to_owned(), text(format!("user{n}"))),
            ("v".to_owned(), text("v".repeat(bytes))),
        ]);
        client.put_item().table_name("connections").set_item(Some(item)).send().await.unwrap();
    }

    /// What is there when the process is killed now.
    fn killed(folder: &Path) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for name in NAMES {
            if let Ok(bytes) = fs::read(folder.join(name)) {
                fs::write(copy.path().join(name), bytes).unwrap();
            }
        }
        copy
    }

    fn marked(folder: &Path) -> Position {
        read(&folder.join("petrel.db")).unwrap()
    }

    fn checked(folder: &Path) -> Result<(), String> {
        check(&folder.join("petrel.db"), true).map_err(|e| e.to_string())
    }

    #[test]
    fn one_that_does_not_add_up_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("petrel.db-mark");
        assert_eq!(marked(folder.path()), Position::default());
        let position = Position { salts: *b"saltsalt", frames: 77 };
        let bytes = encoded(position);
        fs::write(&file, bytes).unwrap();
        assert_eq!(marked(folder.path()), position);
        for at in 0..bytes.len() {
            let mut changed = bytes;
            changed[at] ^= 0x10;
            fs::write(&file, changed).unwrap();
            assert_eq!(marked(folder.path()), Position::default(), "byte {at}");
        }
        for other in [&[][..], &bytes[..31], &[0; LENGTH], &[bytes, bytes].concat()] {
            fs::write(&file, other).unwrap();
            assert_eq!(marked(folder.path()), Position::default());
        }
    }

    /// The connection of the embedded database is out of reach; nothing that it runs when it is opened changes this.
    #[test]
    fn sqlite_waits_for_the_disk_at_each_commit() {
        let folder = tempfile::tempdir().unwrap();
        let database = Connection::open(folder.path().join("petrel.db")).unwrap();
        database.pragma_update(None, "journal_mode", "WAL").unwrap();
        let full: u32 = database.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap();
        assert_eq!(full, 2);
    }

    #[tokio::test]
    async fn it_is_there_before_the_answer_and_gone_with_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let client = open(folder.path()).await;
        let mut last = marked(folder.path());
        assert!(last.frames > 0, "tables were made");
        for n in 0..20 {
            put(&client, n, 100).await;
            let now = marked(folder.path());
            assert!(now.salts == last.salts && now.frames > last.frames, "{last:?}, {now:?}");
            let left = killed(folder.path());
            let log = left.path().join("petrel.db-wal");
            let bytes = fs::read(&log).unwrap();
            fs::write(&log, &bytes[..bytes.len() - 1]).unwrap();
            assert!(checked(left.path()).unwrap_err().contains("before what was acknowledged"));
            fs::write(&log, bytes).unwrap();
            assert_eq!(checked(left.path()), Ok(()));
            last = now;
        }
        drop(client);
        assert!(!folder.path().join("petrel.db-mark").exists());
        assert!(!folder.path().join("petrel.db-wal").exists());
        assert_eq!(checked(folder.path()), Ok(()));
    }

    #[tokio::test]
    async fn a_log_that_is_begun_again_is_fine_and_the_one_before_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let client = open(folder.path()).await;
        let (mut begun_again, mut before) = (0, killed(folder.path()));
        for n in 0..40 {
            put(&client, n % 7, 390_000).await;
            let left = killed(folder.path());
            if marked(before.path()).salts != marked(left.path()).salts {
                begun_again += 1;
                assert_eq!(checked(left.path()), Ok(()), "at {n}");
                let copy = |from: &TempDir, name: &str| {
                    fs::copy(from.path().join(name), left.path().join(name)).unwrap();
                };
                let mark = fs::read(left.path().join("petrel.db-mark")).unwrap();
                copy(&before, "petrel.db-mark");
                assert_eq!(checked(left.path()), Ok(()), "at {n}: a mark that is older");
                fs::write(left.path().join("petrel.db-mark"), mark).unwrap();
                copy(&before, "petrel.db-wal");
                let found = checked(left.path()).unwrap_err();
                assert!(found.contains("before what was acknowledged"), "{found}");
            }
            before = left;
        }
        assert!(begun_again > 1, "the log was begun again {begun_again} times");
    }

    #[tokio::test]
    async fn no_kill_and_no_start_is_taken_for_damage() {
        let mut folder = tempfile::tempdir().unwrap();
        let mut dice = fastrand::Rng::with_seed(7);
        for round in 0..12 {
            let client = open(folder.path()).await;
            assert_eq!(checked(killed(folder.path()).path()), Ok(()), "{round}: at once");
            for n in 0..dice.usize(..8) {
                put(&client, n, dice.usize(..200_000)).await;
            }
            let left = killed(folder.path());
            drop(client);
            assert_eq!(checked(left.path()), Ok(()), "round {round}");
            folder = left;
        }
    }

    /// It would be closed, its log with it removed, and the mark would be of a log that is gone.
    #[tokio::test]
    async fn a_database_that_cannot_be_opened_keeps_its_log_and_its_mark() {
        let folder = tempfile::tempdir().unwrap();
        let client = open(folder.path()).await;
        put(&client, 1, 100).await;
        let left = killed(folder.path());
        // A table of what a later version of the embedded database would be.
        let file = left.path().join("petrel.db");
        let database = Connection::open(&file).unwrap();
        database
            .set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .unwrap();
        database
            .execute_batch("UPDATE _config SET value = '999999' WHERE key = 'schema_version'")
            .unwrap();
        drop(database);
        let before = NAMES.map(|name| fs::read(left.path().join(name)).unwrap());
        assert!(client_on(&file).is_err());
        let after = NAMES.map(|name| fs::read(left.path().join(name)).unwrap());
        assert!(before[..2] == after[..2]);
        assert!(marked(left.path()).frames > 0);
        assert_eq!(checked(left.path()), Ok(()));
    }
}
