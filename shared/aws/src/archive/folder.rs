//! Objects of cold history as files: a folder a conversation. Each appears whole or not at all, and is on the disk when
//! its put returns.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConversationId, Seq};
use petrel_core::message::Entry;
use petrel_core::ports::{Archive, Object, Precondition, Version};

use super::object::{self, MAX_STORED_BYTES};
use super::s3::damaged;
use crate::keys;

/// The archive in a folder of this machine. Calls run on the caller's thread, as those of the embedded database do.
#[derive(Clone, Debug)]
pub struct Folder {
    folder: PathBuf,
    /// Held from the look at what is there to the write.
    writing: Arc<Mutex<()>>,
}

impl Folder {
    /// The archive in this folder, which is made when the first object is stored.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), writing: Arc::default() }
    }

    /// No user id holds a `/`, and none begins so that a name could be `..`: ids begin with `d:` or `g:`.
    fn file(&self, of: &ConversationId, last: Seq) -> PathBuf {
        self.folder.join(keys::object(of, last))
    }

    /// The bytes of an object, but no more than any has.
    fn read(&self, of: &ConversationId, last: Seq) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.file(of, last)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = vec![];
        file.take(MAX_STORED_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn write(&self, of: &ConversationId, last: Seq, bytes: &[u8]) -> io::Result<()> {
        let file = self.file(of, last);
        let folder = self.folder.join(keys::objects(of));
        fs::create_dir_all(&folder)?;
        let part = file.with_extension("part");
        let mut out = File::create(&part)?;
        out.write_all(bytes)?;
        out.sync_all()?;
        fs::rename(&part, &file)?;
        // The names too: that of the object, and that of a new folder.
        File::open(&folder)?.sync_all()?;
        File::open(&self.folder)?.sync_all()
    }
}

/// What stands for S3's ETag: a hash of the bytes. Two objects of one name never differ by chance in less than 2^64 cases.
fn version(bytes: &[u8]) -> Version {
    let mut hash = DefaultHasher::new();
    bytes.hash(&mut hash);
    Version(format!("{}-{:016x}", bytes.len(), hash.finish()))
}

#[async_trait]
impl Archive for Folder {
    async fn put(&self, stretch: &[Entry], only_if: &Precondition) -> Result<bool> {
        let bytes = object::encode(stretch).map_err(Error::port)?;
        let last = stretch.last().ok_or_else(|| Error::port("an empty stretch"))?;
        let of = &last.conversation_id;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = self.read(of, last.seq).map_err(Error::port)?;
        let holds = match only_if {
            Precondition::Absent => stands.is_none(),
            Precondition::Is(it) => stands.is_some_and(|bytes| version(&bytes) == *it),
        };
        if holds {
            self.write(of, last.seq, &bytes).map_err(Error::port)?;
        }
        Ok(holds)
    }

    async fn get(&self, of: &ConversationId, last: Seq) -> Result<Option<Object>> {
        let Some(bytes) = self.read(of, last).map_err(Error::port)? else { return Ok(None) };
        let key = keys::object(of, last);
        let entries = object::decode(of, last, &bytes).map_err(|reason| damaged(&key, &reason))?;
        Ok(Some(Object { version: version(&bytes), entries }))
    }

    async fn list(&self, of: &ConversationId, from: Seq, limit: usize) -> Result<Vec<Seq>> {
        let folder = match fs::read_dir(self.folder.join(keys::objects(of))) {
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
