//! The server under load, and the people on it.

use std::env;
use std::path::PathBuf;

use clap::Args;
use petrel_test_client::{Login, Rest, frames, server};
use serde_json::Value;

use crate::Result;
use crate::server::Server;
use crate::tokens::Tokens;

/// Which server to put under load.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub struct TargetArgs {
    /// The server to start [default: petrel beside this program]
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "url")]
    server: Option<PathBuf>,
    /// Start it with everything in memory; otherwise every write waits for the disk
    #[arg(long, global = true, conflicts_with = "url")]
    memory: bool,
    /// Where to put the folder with its data, which goes afterwards [default: the system's folder for that]
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "url")]
    temp: Option<PathBuf>,
    /// Take a server that runs already, at ws://HOST:PORT/ws
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// Where the HTTP API of that server is [default: http://HOST:PORT]
    #[arg(long, global = true, value_name = "URL", requires = "url")]
    api: Option<String>,
    /// Sign tokens with this key of that server: `key` in its data folder
    #[arg(long, global = true, value_name = "FILE", requires = "url")]
    key: Option<PathBuf>,
    /// Or get tokens from a shell command that prints one for {user}
    #[arg(long, global = true, value_name = "COMMAND", requires = "url", conflicts_with = "key")]
    token_command: Option<String>,
    /// Process of that server if it runs here, to see what it takes
    #[arg(long, global = true, value_name = "PID", requires = "url")]
    pid: Option<u32>,
}

/// The server under load.
#[derive(Debug)]
pub struct Target {
    ws: String,
    /// Its HTTP API.
    pub rest: Rest,
    tokens: Tokens,
    /// Keeps the people of this load apart from those of the last.
    run: String,
    /// Its process, if it runs here.
    pub pid: Option<u32>,
    /// What a stored message outlives, as a report says it.
    pub storage: &'static str,
    server: Option<Server>,
}

impl Target {
    /// Starts the server, or takes the one that runs.
    pub async fn open(args: &TargetArgs) -> Result<Self> {
        let run = frames::new_id().chars().rev().take(8).collect();
        if let Some(ws) = &args.url {
            let tokens = match (&args.key, &args.token_command) {
                (Some(key), _) => Tokens::of_key_file(key)?,
                (None, Some(command)) => Tokens::Command(command.clone()),
                (None, None) => return Err("--url needs --key or --token-command".into()),
            };
            let base = args.api.clone().or_else(|| api_beside(ws));
            let base = base.ok_or_else(|| format!("{ws} does not begin with ws://"))?;
            let storage = "kept by a server of another's: ask there whether writes wait for a disk";
            let (ws, rest) = (ws.clone(), Rest::new(&base));
            return Ok(Self { ws, rest, tokens, run, pid: args.pid, storage, server: None });
        }
        let binary = args.server.clone().map_or_else(server::find, Ok)?;
        let folder = args.temp.clone().unwrap_or_else(env::temp_dir);
        let server = Server::start(&binary, &folder, args.memory).await?;
        let storage = if args.memory {
            "in memory: nothing is kept"
        } else if crate::server::in_memory(server.data()) {
            "on a tmpfs: every write is synced, to memory; name a disk with --temp"
        } else {
            "on disk: every write waits for fsync"
        };
        Ok(Self {
            ws: format!("{}/ws", server.base().replacen("http", "ws", 1)),
            rest: Rest::new(server.base()),
            tokens: Tokens::of_key_file(&server.data().join("key"))?,
            run,
            pid: server.pid(),
            storage,
            server: Some(server),
        })
    }

    /// The id of the `n`th person with this part in the load.
    pub fn user(&self, part: &str, n: usize) -> String {
        format!("load-{}-{part}{n}", self.run)
    }

    /// A token for a person.
    pub async fn token(&self, user: &str) -> Result<String> {
        self.tokens.of(user).await
    }

    /// How a person's device connects.
    pub async fn login(&self, user: &str) -> Result<Login> {
        Ok(Login::new(&self.ws, &self.token(user).await?).device("load"))
    }

    /// Which server it says it is.
    pub async fn version(&self) -> Result<String> {
        let health = self.rest.get("/api/health").await?;
        let word = |name: &str| health[name].as_str().unwrap_or("unknown").to_owned();
        Ok(match &health["revision"] {
            Value::Null => format!("petrel {}", word("version")),
            _ => format!("petrel {} ({})", word("version"), word("revision")),
        })
    }

    /// Ends the server if it was started here.
    pub async fn close(self) -> Result<()> {
        match self.server {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }
}

/// `ws://host:port/ws` serves its API at `http://host:port`.
fn api_beside(ws: &str) -> Option<String> {
    let host = ws.strip_prefix("ws://")?.split('/').next()?;
    Some(format!("http://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_lies_beside_the_socket() {
        assert_eq!(api_beside("ws://127.0.0.1:8080/ws").unwrap(), "http://127.0.0.1:8080");
        assert_eq!(api_beside("http://127.0.0.1:8080"), None);
    }
}
