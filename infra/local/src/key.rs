//! The key that signs this server's tokens: made on first use, readable by its owner only.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use petrel_aws::token::{self, LocalKey};
use petrel_core::ids::UserId;

use crate::cli::Failure;
use crate::data::DataError;

/// Who issues the tokens of a local server.
pub const ISSUER: &str = "petrel-local";
/// Whom they are for.
pub const AUDIENCE: &str = "petrel";
/// The scope of an operator's token.
pub const OPERATOR: &str = "petrel/admin";
/// Bytes of a key.
const BYTES: usize = 32;

/// Reads the key in this folder, or makes both. Of several processes that make one at once, all get the same.
pub fn load_or_make(folder: &Path) -> Result<LocalKey, Failure> {
    // What people write is nobody else's to read.
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|e| format!("cannot make the data folder {}: {e}", folder.display()))
        .map_err(DataError::Inaccessible)?;
    let file = folder.join("key");
    let explain = |e: std::io::Error| {
        DataError::Inaccessible(format!("cannot use the key {}: {e}", file.display()))
    };
    match fs::metadata(&file).map(|m| m.permissions().mode()) {
        Ok(mode) if mode & 0o077 != 0 => {
            let name = file.display();
            return Err(format!(
                "others may read the key {name}; chmod 600 it, or remove it if they did"
            )
            .into());
        }
        _ => {}
    }
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            // Whole or not at all: written beside (mode 0600), then given its name unless that is taken.
            let mut fresh = tempfile::NamedTempFile::new_in(folder).map_err(explain)?;
            let mut bytes = [0; BYTES];
            getrandom::fill(&mut bytes)?;
            fresh.write_all(&bytes).map_err(explain)?;
            fresh.as_file().sync_all().map_err(explain)?;
            match fresh.persist_noclobber(&file) {
                Ok(_) => {}
                Err(e) if e.error.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(explain(e.error).into()),
            }
            fs::read(&file).map_err(explain)?
        }
        Err(e) => return Err(explain(e).into()),
    };
    if bytes.len() < BYTES {
        let name = file.display();
        let words = format!("the key {name} is damaged; remove it, and every token with it");
        return Err(DataError::Damaged(words).into());
    }
    Ok(LocalKey::new(bytes)?)
}

/// A token for a user, with these scopes.
pub fn sign(
    key: &LocalKey,
    user: &UserId,
    now_ms: u64,
    lifetime: Duration,
    scope: Option<&str>,
) -> Result<String, Failure> {
    Ok(token::sign(key, user, ISSUER, AUDIENCE, now_ms, lifetime, scope)?)
}
