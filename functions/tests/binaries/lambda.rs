//! The Lambda runtime's interface, as a binary sees it: it asks for the next event and posts what it answers.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;
use tokio::sync::{Mutex, mpsc};

type Outcome = Result<Value, Value>;

struct Interface {
    events: Mutex<mpsc::Receiver<Value>>,
    outcomes: mpsc::Sender<Outcome>,
}

/// A running function.
pub struct Lambda {
    process: Child,
    events: mpsc::Sender<Value>,
    outcomes: Mutex<mpsc::Receiver<Outcome>>,
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
        let interface = Arc::new(Interface { events: Mutex::new(next), outcomes: answer });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(take))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(answered))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(failed))
            .route("/2018-06-01/runtime/init/error", post(failed_to_start))
            .with_state(interface);
        let address = crate::aws::serve(router).await;
        let process = Command::new(binary)
            .env_clear()
            .envs(env.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "function")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { process, events, outcomes: Mutex::new(outcomes) }
    }

    /// Hands over one event and waits for what the function answers.
    pub async fn invoke(&self, event: &Value) -> Outcome {
        self.events.send(event.clone()).await.unwrap();
        let mut outcomes = self.outcomes.lock().await;
        let waited = tokio::time::timeout(std::time::Duration::from_secs(60), outcomes.recv());
        waited.await.unwrap().unwrap()
    }
}

async fn take(State(interface): State<Arc<Interface>>) -> (HeaderMap, Json<Value>) {
    let event = interface.events.lock().await.recv().await.unwrap_or_default();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("lambda-runtime-aws-request-id", "request"),
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
