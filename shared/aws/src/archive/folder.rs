//! Objects of cold history as files: a folder a conversation. Each appears whole or not at all, and is on the disk when
//! its put returns.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConversationId, Seq};
use petrel_core::message::Entry;
use petrel_core::ports::Archive;

use super::object::{self, MAX_STORED_BYTES};
use super::s3::damaged;
use crate::keys;

/// The archive in a folder of this machine. Calls run on the caller's thread, as those of the embedded database do.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// The archive in this folder, which is made when the first object is stored.
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// No user id holds a `/`, and none begins so that a name could be `..`: ids begin with `d:` or `g:`.
    fn file(&self, of: &ConversationId, last: Seq) -> PathBuf {
        self.0.join(keys::object(of, last))
    }

    fn write(&self, of: &ConversationId, last: Seq, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(of, last);
        let folder = self.0.join(keys::objects(of));
        fs::create_dir_all(&folder)?;
        let part = file.with_extension("part");
        let mut out = File::create(&part)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        fs::rename(&part, &file)?;
        // The names too: that of the object, and that of a new folder.
        File::open(&folder)?.sync_all()?;
        File::open(&self.0)?.sync_all()
    }
}

#[async_trait]
impl Archive for Folder {
    async fn put(&self, stretch: &[Entry]) -> Result<()> {
        let bytes = object::encode(stretch).map_err(Error::port)?;
        let last = stretch.last().ok_or_else(|| Error::port("an empty stretch"))?;
        self.write(&last.conversation_id, last.seq, &bytes).map_err(Error::port)
    }

    async fn get(&self, of: &ConversationId, last: Seq) -> Result<Option<Vec<Entry>>> {
        let file = match File::open(self.file(of, last)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::port(error)),
        };
        let mut bytes = vec![];
        file.take(MAX_STORED_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(Error::port)?;
        let key = keys::object(of, last);
        object::decode(of, last, &bytes).map(Some).map_err(|reason| damaged(&key, &reason))
    }

    async fn list(&self, of: &ConversationId, from: Seq, limit: usize) -> Result<Vec<Seq>> {
        let folder = match fs::read_dir(self.0.join(keys::objects(of))) {
            Ok(folder) => folder,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
            Err(error) => return Err(Error::port(error)),
        };
        let mut found = vec![];
        for file in folder {
            let name = file.map_err(Error::port)?.file_name();
            let key = format!("{}{}", keys::objects(of), name.to_string_lossy());
            // A part is what a crash left of a put.
            found.extend(keys::read_object(of, &key).filter(|seq| *seq >= from));
        }
        found.sort_unstable();
        found.truncate(limit);
        Ok(found)
    }

    async fn delete(&self, of: &ConversationId, last: Seq) -> Result<()> {
        match fs::remove_file(self.file(of, last)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::port(error)),
            _ => Ok(()),
        }
    }
}
