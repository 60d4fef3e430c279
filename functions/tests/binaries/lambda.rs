//! The Lambda runtime's interface, as a binary sees it: it asks for the next event and posts what it answers.

use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;
use tempfile::NamedTempFile;
use tokio::sync::{Mutex, Notify, mpsc};

type Outcome = Result<Value, Value>;

struct Interface {
    events: Mutex<mpsc::Receiver<Value>>,
    outcomes: mpsc::Sender<Outcome>,
    asked: Notify,
    invocations: AtomicU64,
}

/// The trace that every event belongs to.
pub const TRACE: &str = "1-5759e988-bd862e3fe1be46a994272793";
/// Longest wait for a function to answer or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running function.
pub struct Lambda {
    process: Child,
    events: mpsc::Sender<Value>,
    outcomes: Mutex<mpsc::Receiver<Outcome>>,
    interface: Arc<Interface>,
    out: NamedTempFile,
    err: NamedTempFile,
}

impl Drop for Lambda {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Lambda {
    /// Starts a binary with these variables and nothing else of this process's environment.
    pub async fn start(binary: &str, env: &[(String, String)]) -> Self {
        let (events, next) = mpsc::channel(1);
        let (answer, outcomes) = mpsc::channel(1);
        let interface = Arc::new(Interface {
            events: Mutex::new(next),
            outcomes: answer,
            asked: Notify::new(),
            invocations: AtomicU64::new(0),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(take))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answered))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failed))
            .route("/2018-06-01/runtime/init/error", post(failed_to_start))
            .with_state(interface.clone());
        let (out, err) = (NamedTempFile::new().unwrap(), NamedTempFile::new().unwrap());
        let address = crate::aws::serve(router).await;
        let process = Command::new(binary)
            .env_clear()
            .envs(env.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .stdout(out.reopen().unwrap())
            .stderr(err.reopen().unwrap())
            .spawn()
            .unwrap();
        Self { process, events, outcomes: Mutex::new(outcomes), interface, out, err }
    }

    /// Waits until the function asks for its first event, or reports that it cannot start.
    pub async fn started(&self) -> Result<(), Value> {
        let mut outcomes = self.outcomes.lock().await;
        let started = async {
            tokio::select! {
                () = self.interface.asked.notified() => Ok(()),
                failed = outcomes.recv() => Err(failed.unwrap().unwrap_err()),
            }
        };
        tokio::time::timeout(PATIENCE, started).await.unwrap()
    }

    /// Waits until the process ends by itself and returns its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let ended = async {
            loop {
                if let Some(status) = self.process.try_wait().unwrap() {
                    return status.code();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.unwrap()
    }

    /// Every line that it wrote to standard output so far; each must be a JSON object.
    pub fn log(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.out.path()).unwrap();
        let line = |line| match serde_json::from_str(line) {
            Ok(value @ Value::Object(_)) => value,
            other => panic!("{line:?} is {other:?}"),
        };
        text.lines().map(line).collect()
    }

    /// What it wrote to standard output so far.
    pub fn text(&self) -> String {
        std::fs::read_to_string(self.out.path()).unwrap()
    }

    /// What it wrote to standard error so far.
    pub fn errors(&self) -> String {
        std::fs::read_to_string(self.err.path()).unwrap()
    }

    /// Hands over one event and waits for what the function answers.
    pub async fn invoke(&self, event: &Value) -> Outcome {
        self.events.send(event.clone()).await.unwrap();
        let mut outcomes = self.outcomes.lock().await;
        let waited = tokio::time::timeout(PATIENCE, outcomes.recv());
        waited.await.unwrap().unwrap()
    }
}

async fn take(State(interface): State<Arc<Interface>>) -> (HeaderMap, Json<Value>) {
    interface.asked.notify_one();
    let event = interface.events.lock().await.recv().await.unwrap_or_default();
    let request = format!("request-{}", interface.invocations.fetch_add(1, Ordering::Relaxed) + 1);
    let trace = format!("Root={TRACE};Parent=53995c3f42cd8ad8;Sampled=1");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("lambda-runtime-aws-request-id", request.as_str()),
        ("lambda-runtime-trace-id", trace.as_str()),
        ("lambda-runtime-deadline-ms", "4102444800000"),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:1:function:f"),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    (headers, Json(event))
}

async fn answered(State(interface): State<Arc<Interface>>, body: String) -> StatusCode {
    interface.outcomes.send(Ok(serde_json::from_str(&body).unwrap())).await.unwrap();
    StatusCode::ACCEPTED
}

async fn failed(
    State(interface): State<Arc<Interface>>,
    Path(_): Path<String>,
    body: String,
) -> StatusCode {
    interface.outcomes.send(Err(serde_json::from_str(&body).unwrap())).await.unwrap();
    StatusCode::ACCEPTED
}

async fn failed_to_start(State(interface): State<Arc<Interface>>, body: String) -> StatusCode {
    interface.outcomes.send(Err(serde_json::from_str(&body).unwrap())).await.unwrap();
    StatusCode::ACCEPTED
}
