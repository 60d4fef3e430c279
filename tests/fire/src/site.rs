//! The server under fire and its data, which go with the value.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use petrel_aws::embedded;
use petrel_test_client::server::{self, Server};
use petrel_test_client::{Rest, Token};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::Result;

/// Most time for a server to stop when it is told to.
const STOP: Duration = Duration::from_secs(90);
/// What the database's files begin with.
const DATABASE: &str = "petrel.db";

/// A place for a server.
#[derive(Debug)]
pub struct Site {
    binary: PathBuf,
    data: TempDir,
}

impl Site {
    /// With data in a new folder in `folder`.
    pub fn new(binary: Option<&Path>, folder: Option<&Path>) -> Result<Self> {
        let binary = binary.map_or_else(server::find, |file| Ok(file.to_owned()))?;
        let folder = folder.map_or_else(std::env::temp_dir, Path::to_owned);
        let data = tempfile::Builder::new()
            .prefix("petrel-fire-")
            .tempdir_in(&folder)
            .map_err(|e| format!("cannot make a folder in {}: {e}", folder.display()))?;
        Ok(Self { binary, data })
    }

    /// The server's binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The folder with its data.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Starts the server. It may take a while until it listens.
    pub fn start(&self) -> Result<Server> {
        self.start_with(&[])
    }

    /// The same with these arguments.
    pub fn start_with(&self, args: &[&str]) -> Result<Server> {
        let mut command = server::serve(&self.binary, self.data());
        // In the end one reads everything there is, as fast as he can.
        command.args(["--limit", "requests=0"]).args(args);
        Server::spawn(command)
    }

    /// Signs tokens, once the server has made its key.
    pub fn key(&self) -> Result<Key> {
        Key::read(self.data())
    }

    /// Copies the database to another folder.
    pub fn copy_to(&self, folder: &Path) -> Result<()> {
        copy(self.data(), folder)
    }

    /// Puts the database back as it was copied.
    pub fn put_back(&self, folder: &Path) -> Result<()> {
        for file in database_in(self.data())? {
            fs::remove_file(file)?;
        }
        copy(folder, self.data())
    }

    /// Devices that the database has for connected, when no server runs.
    pub async fn connection_rows(&self) -> Result<usize> {
        let client = embedded::client_on(&self.data().join(DATABASE))?;
        let rows = client.scan().table_name("connections").send().await?;
        let attributes = rows.items().iter().flat_map(|row| row.keys());
        Ok(attributes.filter(|name| name.starts_with("d#")).count())
    }
}

fn database_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    let ours = |f: &fs::DirEntry| f.file_name().to_string_lossy().starts_with(DATABASE);
    Ok(files.iter().filter(|f| ours(f)).map(fs::DirEntry::path).collect())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in database_in(from)? {
        fs::copy(&file, to.join(file.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

/// Tells a server to stop and waits until it has.
pub async fn stop(mut server: Server) -> Result<()> {
    server.signal(Signal::TERM)?;
    let ended = timeout(STOP, server.wait()).await;
    let ended = ended.map_err(|_| "the server does not stop when it is told to")??;
    if ended.success() { Ok(()) } else { Err(format!("the server ended with {ended}").into()) }
}

/// What the server says goes on inside.
pub async fn state(addr: &str) -> Result<Value> {
    Rest::new(&format!("http://{addr}")).get("/local/state").await
}

/// Signs tokens.
#[derive(Clone, Debug)]
pub struct Key(Vec<u8>);

impl Key {
    /// That of the server with data in this folder.
    pub fn read(folder: &Path) -> Result<Self> {
        Ok(Self(fs::read(folder.join("key"))?))
    }

    /// One for this user.
    pub fn token(&self, user: &str) -> String {
        Token::of(user).signed(&self.0)
    }
}
