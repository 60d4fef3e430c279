//! The objects: in memory, or each in one file, whose end says what it is. A file is complete or absent: it gets its name
//! when its last byte is on the disk.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use ring::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::signature::hex;

/// Ends every file: what says that the end is one, and how long the note before it is.
const END: &[u8; 8] = b"petrelS3";
/// Begins the name of a file that is being written.
const UNFINISHED: &str = "unfinished-";
/// The longest note, bytes: no file is taken for one of ours that is not.
const LONGEST_NOTE: u64 = 64 * 1024;

/// What is known of an object besides its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) size: u64,
    /// Of its bytes, hex.
    pub(crate) sha256: String,
    /// When it was stored, seconds since 1970.
    pub(crate) modified: u64,
    pub(crate) content_type: Option<String>,
    /// `x-amz-meta-*`, without that.
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Note {
    /// Says that it is the same object still. S3's own is another hash, and means no more.
    pub(crate) fn tag(&self) -> String {
        format!("\"{}\"", self.sha256.get(..32).unwrap_or_default())
    }
}

#[derive(Debug)]
enum Place {
    Memory(Arc<[u8]>),
    File(PathBuf),
}

#[derive(Debug)]
struct Stored {
    note: Note,
    place: Place,
}

/// An object as it stood when it was asked for. Stays readable if it is replaced or deleted meanwhile.
pub(crate) struct Object {
    pub(crate) note: Note,
    pub(crate) bytes: Opened,
}

pub(crate) enum Opened {
    Memory(Arc<[u8]>),
    File(File, PathBuf),
}

impl Opened {
    /// The bytes from there on. Read from the first to the last, those of a file must be what was written: the read that
    /// takes the last of them fails otherwise.
    pub(crate) fn read(self, note: &Note, from: u64) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::Memory(bytes) => {
                let mut bytes = io::Cursor::new(bytes);
                bytes.set_position(from);
                Ok(Box::new(bytes))
            }
            Self::File(file, path) if from == 0 => Ok(Box::new(Checked {
                bytes: file.take(note.size),
                sha256: Context::new(&SHA256),
                expected: note.sha256.clone(),
                path,
            })),
            Self::File(mut file, _) => {
                file.seek(SeekFrom::Start(from))?;
                Ok(Box::new(file))
            }
        }
    }
}

/// Bytes that must have a SHA-256.
struct Checked {
    bytes: io::Take<File>,
    sha256: Context,
    /// Hex.
    expected: String,
    path: PathBuf,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.sha256.update(&buffer[..read]);
        if self.bytes.limit() == 0 && hex(self.sha256.clone().finish().as_ref()) != self.expected {
            let words = format!("{} is not what was written", self.path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        Ok(read)
    }
}

/// What must stand under a name for a put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Whatever.
    None,
    /// Nothing.
    Absent,
    /// The object with this tag.
    Is(String),
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// The object has its name.
    Stored,
    /// Something else stands there than must; nothing is stored.
    Refused,
    /// Nothing stands there that could be replaced; nothing is stored.
    Missing,
}

/// Bucket and key.
type Name = (String, String);

/// All objects. What is known of them is in memory, so that a list reads no file.
#[derive(Debug)]
pub(crate) struct Store {
    folder: Option<PathBuf>,
    objects: RwLock<BTreeMap<Name, Stored>>,
}

impl Store {
    /// Nothing is kept.
    pub(crate) fn in_memory() -> Self {
        Self { folder: None, objects: RwLock::default() }
    }

    /// Kept in this folder, which is made if it is absent.
    pub(crate) fn on(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut objects = BTreeMap::new();
        for file in fs::read_dir(folder)? {
            let path = file?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(UNFINISHED) {
                fs::remove_file(&path)?;
                continue;
            }
            let note = read_note(&path).map_err(|e| {
                io::Error::new(e.kind(), format!("{} is not what was written: {e}", path.display()))
            })?;
            let name = (note.bucket.clone(), note.key.clone());
            objects.insert(name, Stored { note, place: Place::File(path) });
        }
        Ok(Self { folder: Some(folder.to_owned()), objects: RwLock::new(objects) })
    }

    fn objects(&self) -> RwLockReadGuard<'_, BTreeMap<Name, Stored>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, bucket: &str, key: &str) -> io::Result<Option<Object>> {
        // Held until the file is open: another must not have its name by then.
        let objects = self.objects();
        let Some(stored) = objects.get(&(bucket.to_owned(), key.to_owned())) else {
            return Ok(None);
        };
        let bytes = match &stored.place {
            Place::Memory(bytes) => Opened::Memory(bytes.clone()),
            Place::File(path) => Opened::File(File::open(path)?, path.clone()),
        };
        Ok(Some(Object { note: stored.note.clone(), bytes }))
    }

    /// What is known of the objects whose key begins so and lies after another, in the order of the keys, at most `limit`.
    pub(crate) fn list(&self, bucket: &str, prefix: &str, after: &str, limit: usize) -> Vec<Note> {
        let start = if after > prefix { after } else { prefix };
        let from = (bucket.to_owned(), start.to_owned());
        let objects = self.objects();
        let range = objects.range(from..);
        let within = range.take_while(|((b, key), _)| b == bucket && key.starts_with(prefix));
        let later = within.filter(|((_, key), _)| after.is_empty() || key.as_str() > after);
        later.take(limit).map(|(_, object)| object.note.clone()).collect()
    }

    /// Removes an object, if it is there.
    pub(crate) fn delete(&self, bucket: &str, key: &str) -> io::Result<()> {
        let name = (bucket.to_owned(), key.to_owned());
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(Place::File(path)) = objects.get(&name).map(|object| &object.place) {
            fs::remove_file(path)?;
            self.sync()?;
        }
        objects.remove(&name);
        Ok(())
    }

    /// Begins an object.
    pub(crate) fn begin(&self) -> io::Result<Unfinished> {
        let bytes = match &self.folder {
            None => Bytes::Memory(vec![]),
            Some(folder) => {
                let path = folder.join(format!("{UNFINISHED}{}", Uuid::new_v4().simple()));
                let file = File::options().write(true).create_new(true).open(&path)?;
                Bytes::File(file, path)
            }
        };
        Ok(Unfinished { bytes, size: 0, sha256: Context::new(&SHA256) })
    }

    /// Gives an object its name, if the condition holds at that moment.
    pub(crate) fn finish(
        &self,
        object: Written,
        note: Note,
        only_if: &Condition,
    ) -> io::Result<Finished> {
        let name = (note.bucket.clone(), note.key.clone());
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        match (only_if, objects.get(&name)) {
            (Condition::Absent, Some(_)) => return Ok(Finished::Refused),
            (Condition::Is(_), None) => return Ok(Finished::Missing),
            (Condition::Is(tag), Some(stands)) if stands.note.tag() != *tag => {
                return Ok(Finished::Refused);
            }
            _ => {}
        }
        let place = match (object.0, &self.folder) {
            (Kept::File(unfinished), Some(folder)) => {
                let mut file = File::options().append(true).open(&unfinished.0)?;
                let json = serde_json::to_vec(&note)?;
                file.write_all(&json)?;
                file.write_all(&(json.len() as u64).to_be_bytes())?;
                file.write_all(END)?;
                file.sync_all()?;
                let full = format!("{}/{}", note.bucket, note.key);
                let path = folder.join(hex(digest(&SHA256, full.as_bytes()).as_ref()));
                fs::rename(&unfinished.0, &path)?;
                self.sync()?;
                Place::File(path)
            }
            (Kept::Memory(bytes), _) => Place::Memory(bytes),
            (Kept::File(_), None) => return Err(io::ErrorKind::NotFound.into()),
        };
        objects.insert(name, Stored { note, place });
        Ok(Finished::Stored)
    }

    /// Puts names on the disk.
    fn sync(&self) -> io::Result<()> {
        self.folder.as_ref().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

#[derive(Debug)]
enum Bytes {
    Memory(Vec<u8>),
    File(File, PathBuf),
}

/// An object that is being written. Gone when it is dropped.
pub(crate) struct Unfinished {
    bytes: Bytes,
    size: u64,
    sha256: Context,
}

/// A file without a name of its own, which goes unless it gets one.
struct Nameless(PathBuf);

impl Drop for Nameless {
    fn drop(&mut self) {
        // It has another name by then, or nobody asks for it any more; the next start would find it too.
        let _ = fs::remove_file(&self.0);
    }
}

enum Kept {
    Memory(Arc<[u8]>),
    File(Nameless),
}

/// An object with its bytes, and no name yet.
pub(crate) struct Written(Kept);

impl Unfinished {
    pub(crate) fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.size += chunk.len() as u64;
        self.sha256.update(chunk);
        match &mut self.bytes {
            Bytes::Memory(bytes) => bytes.extend_from_slice(chunk),
            Bytes::File(file, _) => file.write_all(chunk)?,
        }
        Ok(())
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// The bytes, and their SHA-256.
    pub(crate) fn end(mut self) -> (Written, Vec<u8>) {
        let sha256 = self.sha256.clone().finish().as_ref().to_vec();
        let kept = match std::mem::replace(&mut self.bytes, Bytes::Memory(vec![])) {
            Bytes::Memory(bytes) => Kept::Memory(bytes.into()),
            Bytes::File(_, path) => Kept::File(Nameless(path)),
        };
        (Written(kept), sha256)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Bytes::File(_, path) = &self.bytes {
            let _ = fs::remove_file(path);
        }
    }
}

fn read_note(path: &Path) -> io::Result<Note> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "its end is missing");
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut end = [0; 16];
    file.seek(SeekFrom::Start(length.checked_sub(16).ok_or_else(malformed)?))?;
    file.read_exact(&mut end)?;
    let (size, mark) = end.split_at(8);
    let size = u64::from_be_bytes(size.try_into().map_err(|_| malformed())?);
    if mark != END || size > LONGEST_NOTE {
        return Err(malformed());
    }
    let start = length.checked_sub(16 + size).ok_or_else(malformed)?;
    file.seek(SeekFrom::Start(start))?;
    let mut json = vec![];
    file.take(size).read_to_end(&mut json)?;
    let note: Note = serde_json::from_slice(&json)
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))?;
    if note.size != start {
        return Err(malformed());
    }
    Ok(note)
}
