//! The server: the real binary, started, stopped and killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use petrel_test_client::client::PATIENCE;
use petrel_test_client::server::Server as Process;
use petrel_test_client::{Client, Login};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{interval, timeout};

use crate::rest::{Answer, Call};
use crate::tokens::Token;

/// So many user ids.
pub fn crowd(size: usize) -> Vec<String> {
    (0..size).map(|n| format!("user{n:03}")).collect()
}

/// A `petrel` that is not running yet.
pub fn petrel(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_petrel"));
    command.env("PETREL_DATA", data).env("RUST_LOG", "warn").kill_on_drop(true);
    command
}

/// The emulator of AWS that every server of this run stands on; without one, on what it has embedded.
pub fn endpoint() -> Option<String> {
    std::env::var("PETREL_TEST_ENDPOINT").ok()
}

/// Begins the names of what a server has at the endpoint: its own, as its data are.
pub fn prefix_of(data: &Path) -> String {
    let name = data.file_name().unwrap().to_string_lossy();
    format!("t-{}", name.replace(|c: char| !c.is_ascii_alphanumeric(), "").to_lowercase())
}

/// Runs a `petrel` to its end.
pub async fn run(data: &Path, args: &[&str]) -> Output {
    timeout(PATIENCE, petrel(data).args(args).output()).await.unwrap().unwrap()
}

/// A running server. It dies with its value.
pub struct Server {
    process: Process,
    addr: String,
    args: Vec<String>,
    data: TempDir,
    level: String,
}

impl Server {
    /// A server with data on disk.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A server with these arguments.
    pub async fn with(args: &[&str]) -> Self {
        Self::on(tempfile::tempdir().unwrap(), args).await
    }

    /// A server that logs at this level.
    pub async fn with_log(level: &str, args: &[&str]) -> Self {
        Self::on_with_log(tempfile::tempdir().unwrap(), level, args).await
    }

    /// A server with data in this folder, or at the endpoint, where nothing is in memory.
    pub async fn on(data: TempDir, args: &[&str]) -> Self {
        Self::on_with_log(data, "warn", args).await
    }

    async fn on_with_log(data: TempDir, level: &str, args: &[&str]) -> Self {
        let mut args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
        if let Some(url) = endpoint() {
            args.retain(|arg| arg != "--memory");
            let prefix = prefix_of(data.path());
            let on = ["--endpoint-url", &url, "--prefix", &prefix, "--make-platforms"];
            args.extend(on.map(str::to_owned));
        }
        let (process, addr) = spawn(data.path(), level, &args).await;
        Self { process, addr, args, data, level: level.to_owned() }
    }

    /// Starts it again, after it ended, with the same arguments and data.
    pub async fn start_again(&mut self) {
        assert!(!self.process.runs(), "it still runs");
        (self.process, self.addr) = spawn(self.data.path(), &self.level, &self.args).await;
    }

    /// Kills it: no code of it runs after this.
    pub async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    /// Tells it to stop with this signal and waits until it has.
    pub async fn stop(&mut self, signal: Signal) -> ExitStatus {
        self.process.signal(signal).unwrap();
        timeout(PATIENCE, self.process.wait()).await.unwrap().unwrap()
    }

    /// The folder with its data.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Host and port.
    pub fn addr(&self) -> &str {
        &self.addr
    }

    /// Where sockets open.
    pub fn ws(&self) -> String {
        format!("ws://{}/ws", self.addr)
    }

    /// The next line that it prints.
    pub async fn next_line(&mut self) -> Option<String> {
        self.process.next_line().await.unwrap()
    }

    /// The key that it signs with.
    pub fn key(&self) -> Vec<u8> {
        fs::read(self.data().join("key")).unwrap()
    }

    /// A good token.
    pub fn token(&self, user: &str) -> String {
        Token::of(user).signed(&self.key())
    }

    /// A request of an operator.
    pub async fn operate(&self, method: &str, path: &str, body: &Value) -> Answer {
        let token = Token::of("root").claim("scope", "petrel/admin").signed(&self.key());
        self.request(method, path).token(&token).json(body).send().await
    }

    /// How this user connects.
    pub fn login(&self, user: &str) -> Login {
        Login::new(&self.ws(), &self.token(user))
    }

    /// A socket of this user, on a device without a name.
    pub async fn connect(&self, user: &str) -> Client {
        open(&self.login(user)).await
    }

    /// A socket of this device of the user.
    pub async fn connect_device(&self, user: &str, device: &str) -> Client {
        open(&self.login(user).device(device)).await
    }

    /// A socket of each of these users.
    pub async fn connect_all(&self, users: &[String]) -> Vec<Client> {
        let sockets: Vec<_> = users.iter().map(|user| self.connect(user)).collect();
        stream::iter(sockets).buffered(50).collect().await
    }

    /// A request without a token.
    pub fn request(&self, method: &str, path: &str) -> Call {
        Call::new(method, format!("http://{}{path}", self.addr))
    }

    /// A request of this user.
    pub fn request_as(&self, user: &str, method: &str, path: &str) -> Call {
        self.request(method, path).token(&self.token(user))
    }

    pub async fn get(&self, user: &str, path: &str) -> Answer {
        self.request_as(user, "GET", path).send().await
    }

    pub async fn post(&self, user: &str, path: &str, body: &Value) -> Answer {
        self.request_as(user, "POST", path).json(body).send().await
    }

    /// Founds a group and returns its id.
    pub async fn found(&self, creator: &str, others: &[String]) -> String {
        let group = json!({"name": "crew", "member_ids": others});
        let made = self.post(creator, "/api/conversations", &group).await.expect(201);
        made["conversation_id"].as_str().unwrap().to_owned()
    }

    /// Waits until every message that was queued for delivery has been posted.
    pub async fn fanned_out(&self) {
        let empty = |state: &Value| state["queues"]["fanout"]["messages"] == 0;
        self.wait_until("everything is fanned out", empty).await;
    }

    /// Waits until every push that was queued, also those with a delay, has been sent or skipped.
    pub async fn pushed_out(&self) -> Vec<Value> {
        self.fanned_out().await;
        let empty = |state: &Value| state["queues"]["push"]["messages"] == 0;
        let state = self.wait_until("every push is out", empty).await;
        state["pushes"].as_array().unwrap().clone()
    }

    /// What goes on inside.
    pub async fn state(&self) -> Value {
        self.request("GET", "/local/state").send().await.expect(200)
    }

    /// Waits until what goes on inside is so. There is nothing else to wait for when it is no client that is told.
    pub async fn wait_until(&self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let looking = async {
            let mut again = interval(Duration::from_millis(10));
            loop {
                again.tick().await;
                last = self.state().await;
                if so(&last) {
                    return;
                }
            }
        };
        let became = timeout(PATIENCE, looking).await;
        assert!(became.is_ok(), "waited until {what}; it is {last}");
        last
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It goes with the child handle; what it had to say stays behind only for a test that failed.
        if std::thread::panicking() {
            let log = fs::read_to_string(log_of(self.data.path())).unwrap_or_default();
            eprintln!("the server's log:\n{log}");
        }
    }
}

/// Opens a socket as a client does: only what it syncs after that, and what is posted to it from then on, is complete.
async fn open(login: &Login) -> Client {
    let mut client = Client::connect(login).await.unwrap();
    client.sync(&json!({})).await;
    client
}

fn log_of(data: &Path) -> PathBuf {
    data.join("log")
}

async fn spawn(data: &Path, level: &str, args: &[String]) -> (Process, String) {
    let log = File::options().create(true).append(true).open(log_of(data)).unwrap();
    let mut command = petrel(data);
    command.env("RUST_LOG", level).args(["serve", "--addr", "127.0.0.1:0"]).args(args).stderr(log);
    let mut process = Process::spawn(command).unwrap();
    match process.listening().await {
        Ok(addr) => (process, addr),
        Err(error) => {
            let log = fs::read_to_string(log_of(data)).unwrap();
            panic!("{error}; its log is\n{log}")
        }
    }
}
