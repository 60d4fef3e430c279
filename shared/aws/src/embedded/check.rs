//! Whether a database's file can be used, asked before anything opens it for good: SQLite would pass over some damage in
//! silence, and notice other only when somebody reads there.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{beside, mark, wal};

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// What lies there is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It cannot be read, or not be written.
    #[error("it cannot be read or written: {0}")]
    Inaccessible(String),
    /// Whatever else.
    #[error("{0}")]
    Other(String),
}

impl From<rusqlite::Error> for Unusable {
    fn from(error: rusqlite::Error) -> Self {
        let reason = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(reason),
            Some(
                ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure,
            ) => Self::Inaccessible(reason),
            _ => Self::Other(reason),
        }
    }
}

/// Reads all of the database once, and changes nothing that is in it. A file that is absent or empty is a new database,
/// unless `made` says that there must be one.
///
/// Found are a log that is damaged or ends before what was acknowledged, pages that are none, trees that do not hang
/// together, tables that are gone, keys that differ between a table and its index. A byte that changed in what is no key,
/// inside a text say, is not: SQLite keeps no sum of its pages.
///
/// # Errors
/// Why it cannot be used.
pub fn check(file: &Path, made: bool) -> Result<(), Unusable> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let length = match std::fs::metadata(file) {
        Ok(metadata) => metadata.len(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => 0,
        Err(e) => return Err(Unusable::Inaccessible(e.to_string())),
    };
    let acknowledged = mark::read(file)
        .map_err(|e| Unusable::Inaccessible(format!("{name}{}: {e}", mark::SUFFIX)))?;
    let log = beside(file, "-wal");
    let log_name = format!("{name}-wal");
    if length == 0 {
        let log_is_there = std::fs::metadata(&log).is_ok_and(|m| m.len() > 0);
        return match made || log_is_there || acknowledged.frames > 0 {
            true => Err(Unusable::Damaged(format!("{name} is gone or empty"))),
            false => Ok(()),
        };
    }
    match wal::damage(&log, acknowledged) {
        Ok(None) => {}
        Ok(Some(reason)) => return Err(Unusable::Damaged(format!("{log_name}: {reason}"))),
        Err(e) => return Err(Unusable::Inaccessible(format!("{log_name}: {e}"))),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(file, flags)?;
    // What is damaged is left as it was found.
    database.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // A `quick_check` does not hold an index to its table: the place of a message whose key changed would look free.
    let found: String = database.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(Unusable::Damaged(found.replace('\n', " ")));
    }
    let tables: u64 = database.query_row("SELECT count(*) FROM sqlite_master", [], |r| r.get(0))?;
    if made && tables == 0 {
        return Err(Unusable::Damaged("its tables are gone".to_owned()));
    }
    // Whoever may not write is told now, and not at the first message. A file that is closed to writing SQLite opens for
    // reading, and begins no more than that below.
    if database.is_readonly(rusqlite::MAIN_DB)? {
        return Err(Unusable::Inaccessible(format!("{name} may not be written")));
    }
    database.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?;
    Ok(())
}
