//! The data folder: one server at a time, and a database that is whole. What is damaged is left as it was found, and the
//! server does not start on it: it would answer as if the messages had never been.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use petrel_aws::embedded::s3::S3;
use petrel_aws::embedded::{self, Unusable};

use crate::cli::Failure;

/// What lies in the folder is damaged (`EX_DATAERR` of sysexits.h): starting again does not help.
const DAMAGED: u8 = 65;
/// The folder cannot be read or written (`EX_IOERR`).
const INACCESSIBLE: u8 = 74;

/// Why the data cannot be used. Each is one line.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// It is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// It cannot be read or written.
    #[error("{0}")]
    Inaccessible(String),
}

/// How the process ends with this error.
pub fn exit_code(error: &(dyn std::error::Error + Send + Sync + 'static)) -> ExitCode {
    match error.downcast_ref() {
        Some(DataError::Damaged(_)) => DAMAGED.into(),
        Some(DataError::Inaccessible(_)) => INACCESSIBLE.into(),
        None => ExitCode::FAILURE,
    }
}

/// The database's file.
pub fn database(folder: &Path) -> PathBuf {
    folder.join("petrel.db")
}

/// The folder of cold history.
pub fn archive(folder: &Path) -> PathBuf {
    folder.join("archive")
}

/// The folder of the embedded buckets.
fn uploads(folder: &Path) -> PathBuf {
    folder.join("buckets")
}

/// Says that the database was made, so that one that is gone is not taken for a new one.
fn made(folder: &Path) -> PathBuf {
    folder.join("made")
}

/// Keeps a second server away from the same database, as long as the file is open.
pub fn lock(folder: &Path) -> Result<File, Failure> {
    let name = folder.join("lock");
    let inaccessible = |what: String| DataError::Inaccessible(what);
    let closed = |folder: &Path, e: io::Error| {
        inaccessible(format!("cannot write to the data folder {}: {e}", folder.display()))
    };
    let file = File::options().create(true).truncate(false).write(true).open(&name);
    let file = file.map_err(|e| closed(folder, e))?;
    match file.try_lock() {
        Ok(()) => {
            // All the files may be there and open to us, and a folder closed to new ones: cold history would go nowhere.
            let parts = [folder.to_owned(), archive(folder), uploads(folder)];
            for part in parts.iter().filter(|part| part.exists()) {
                may_be_written(part).map_err(|e| closed(part, e))?;
            }
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => Err(format!(
            "another petrel serves from {}; stop it, or choose another --data",
            folder.display()
        )
        .into()),
        Err(TryLockError::Error(e)) => {
            Err(inaccessible(format!("cannot lock {}: {e}", name.display())).into())
        }
    }
}

/// Makes a file in the folder, and takes it away again.
fn may_be_written(folder: &Path) -> io::Result<()> {
    let probe = folder.join(".petrel-probe");
    match File::create_new(&probe) {
        // Left by one that died here.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        made => drop(made?),
    }
    fs::remove_file(&probe)
}

/// Whether the database, if there is one, can be used. Reads all of it.
pub fn check(folder: &Path) -> Result<(), Failure> {
    let made = made(folder);
    let checked = embedded::check(&database(folder), made.exists());
    let start = format!("cannot open the database in {}", folder.display());
    checked.map_err(|unusable| match unusable {
        Unusable::Damaged(_) => DataError::Damaged(format!(
            "{start}: {unusable}. Nothing was changed: put back a copy, or move {} and petrel.db* away to begin anew",
            made.display()
        ))
        .into(),
        Unusable::Inaccessible(_) => DataError::Inaccessible(format!("{start}: {unusable}")).into(),
        Unusable::Other(_) => format!("{start}: {unusable}").into(),
    })
}

/// A database that passed the check, and could not be opened nevertheless: a new one on a full disk, say.
pub fn unusable(folder: &Path, reason: String) -> Failure {
    let reason = reason.replace('\n', " ");
    let what = format!("cannot open the database in {}: {reason}", folder.display());
    DataError::Inaccessible(what).into()
}

/// The buckets in the folder.
pub fn buckets(folder: &Path, names: &[&str]) -> Result<S3, Failure> {
    let folder = uploads(folder);
    S3::on(&folder, names).map_err(|e| {
        let what = format!("cannot open the buckets in {}: {e}", folder.display());
        if e.kind() == io::ErrorKind::InvalidData {
            DataError::Damaged(what).into()
        } else {
            DataError::Inaccessible(what).into()
        }
    })
}

/// The database is there from now on.
pub fn note_made(folder: &Path) -> Result<(), Failure> {
    let made = made(folder);
    if made.exists() {
        return Ok(());
    }
    let words = "petrel.db was made; without it, petrel does not start here as long as this file is here.\n";
    fs::write(&made, words)
        .map_err(|e| DataError::Inaccessible(format!("cannot write {}: {e}", made.display())))?;
    Ok(())
}
