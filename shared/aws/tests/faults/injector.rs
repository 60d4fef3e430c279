//! AWS as it may behave on a bad day, behind the unmodified clients: DynamoDB and S3 are embedded, the others write down
//! what they get, and a plan says which request meets which fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use futures::{StreamExt, stream};
use http_body::Frame;
use http_body_util::StreamBody;

use crate::answers::{cancelled, operation, refusal, response, text, xml};
use crate::fault::{Fault, applies, service};

/// Less than an attempt has, and more than a function has for many of them.
const A_WHILE: Duration = Duration::from_secs(2);

/// What a plan knows of a request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What is asked for.
    pub operation: String,
    /// The how manieth of all requests, from 0.
    pub number: usize,
    /// How many faults the same request has met in a row.
    pub met: u32,
}

type Plan = Box<dyn FnMut(&Asked) -> Option<Fault> + Send>;

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    asked: Vec<Request>,
    met: BTreeMap<u64, u32>,
    injected: usize,
    taken: BTreeSet<String>,
}

/// A request that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What was asked for.
    pub operation: String,
    /// Its body, if that is text; of one without a body, the URI.
    pub words: String,
}

/// Where requests go that are really done.
#[derive(Clone, Debug)]
pub struct Backends {
    pub database: SharedHttpConnector,
    pub buckets: SharedHttpConnector,
}

/// The client that the SDK is given.
#[derive(Clone)]
pub struct Injector {
    backends: Backends,
    /// What another object holds.
    other: Arc<[u8]>,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Injector")
    }
}

impl Injector {
    pub fn new(backends: Backends, other: Arc<[u8]>) -> Self {
        Self { backends, other, state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on requests meet what the plan says; counting starts anew.
    pub fn plan(&self, plan: impl FnMut(&Asked) -> Option<Fault> + Send + 'static) {
        let mut state = self.state();
        state.plan = Some(Box::new(plan));
        state.asked.clear();
        state.met.clear();
        state.injected = 0;
    }

    /// From now on all is well; counting starts anew.
    pub fn heal(&self) {
        self.plan(|_| None);
    }

    /// The requests that were made since.
    pub fn asked(&self) -> Vec<Request> {
        self.state().asked.clone()
    }

    /// How many faults were met since.
    pub fn injected(&self) -> usize {
        self.state().injected
    }

    /// Everything that the queues, the sockets, the phones and the receivers were given, each once.
    pub fn taken(&self) -> BTreeSet<String> {
        self.state().taken.clone()
    }

    /// Writes down what someone was given; whether it is new.
    pub fn take(&self, what: String) -> bool {
        self.state().taken.insert(what)
    }

    pub fn backends(&self) -> &Backends {
        &self.backends
    }

    fn next(&self, operation: &str, request: &HttpRequest) -> Option<Fault> {
        let mut state = self.state();
        let mut hasher = DefaultHasher::new();
        (operation, request.uri(), request.body().bytes()).hash(&mut hasher);
        let same = hasher.finish();
        let asked = Asked {
            operation: operation.to_owned(),
            number: state.asked.len(),
            met: state.met.get(&same).copied().unwrap_or_default(),
        };
        let words = text(request);
        let words = if words.is_empty() { request.uri().to_owned() } else { words };
        state.asked.push(Request { operation: operation.to_owned(), words });
        let fault = state.plan.as_mut().and_then(|plan| plan(&asked));
        match fault {
            Some(fault) if applies(fault, operation) => {
                state.injected += 1;
                *state.met.entry(same).or_default() += 1;
                Some(fault)
            }
            _ => {
                state.met.remove(&same);
                None
            }
        }
    }

    async fn meet(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let operation = operation(&request);
        let fault = self.next(&operation, &request);
        let service = service(&operation);
        let actions = text(&request).matches("TableName").count();
        let cut = || ConnectorError::io("the connection was reset".into());
        let done = self.done(&operation, request.try_clone().unwrap());
        match fault {
            None => done.await,
            Some(Fault::Slow) => {
                tokio::time::sleep(Duration::from_millis(600)).await;
                done.await
            }
            Some(Fault::Silent) => std::future::pending().await,
            Some(Fault::SilentAfter) => {
                done.await?;
                std::future::pending().await
            }
            Some(Fault::Late) => {
                let (this, operation) = (self.clone(), operation.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    let _ = this.done(&operation, request).await;
                });
                std::future::pending().await
            }
            Some(Fault::CutBefore) => Err(cut()),
            Some(Fault::CutAfter) => {
                done.await?;
                Err(cut())
            }
            Some(Fault::CutWithin) => Ok(broken_off(done.await?, true)),
            Some(Fault::Stalled) => Ok(broken_off(done.await?, false)),
            Some(Fault::Status(status)) => Ok(response(status, String::new())),
            Some(Fault::StatusAfter(status)) => {
                done.await?;
                Ok(response(status, String::new()))
            }
            Some(Fault::Refused(code)) => Ok(response(400, refusal(service, code))),
            Some(Fault::S3(status, _)) if operation == "HeadObject" => {
                Ok(response(status, String::new()))
            }
            Some(Fault::S3(status, code)) => Ok(response(status, xml(code))),
            Some(Fault::Cancelled(reason)) => {
                Ok(response(400, cancelled(&operation, reason, actions)))
            }
            Some(Fault::Garbage(answer)) => {
                let status = done.await?.status().as_u16();
                Ok(response(status, answer.to_owned()))
            }
            Some(Fault::Truncated) => {
                let mut answer = done.await?;
                let whole = answer.body().bytes().unwrap();
                // Of an empty answer there is no half.
                let half = if whole.is_empty() { b"{" } else { &whole[..whole.len() / 2] };
                *answer.body_mut() = SdkBody::from(half.to_vec());
                Ok(answer)
            }
            Some(Fault::WrongType) => {
                let mut answer = done.await?;
                answer.headers_mut().insert("content-type", "text/html");
                Ok(answer)
            }
            Some(Fault::Flipped) => {
                let mut answer = done.await?;
                let mut body = answer.body().bytes().unwrap().to_vec();
                let middle = body.len() / 2;
                body[middle] ^= 1;
                *answer.body_mut() = SdkBody::from(body);
                Ok(answer)
            }
            Some(Fault::Other) => {
                let mut answer = done.await?;
                *answer.body_mut() = SdkBody::from(self.other.to_vec());
                Ok(answer)
            }
            Some(Fault::Partial) => self.half(&operation, &request).await,
            Some(Fault::SlowPartial) => {
                tokio::time::sleep(A_WHILE).await;
                self.half(&operation, &request).await
            }
            Some(Fault::SlowConflict) => {
                tokio::time::sleep(A_WHILE).await;
                Ok(response(400, cancelled(&operation, "TransactionConflict", actions)))
            }
        }
    }

    /// The way for what is no client of AWS.
    pub fn connector(&self) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// The first half of the answer, and then the end of the connection or nothing.
fn broken_off(mut answer: HttpResponse, cut: bool) -> HttpResponse {
    let whole = answer.body().bytes().unwrap();
    let half = Frame::data(whole[..whole.len() / 2].to_vec().into());
    let end = if cut {
        stream::iter([Err(io::Error::from(ErrorKind::ConnectionReset))]).left_stream()
    } else {
        stream::pending().right_stream()
    };
    let body = StreamBody::new(stream::iter([Ok(half)]).chain(end));
    *answer.body_mut() = SdkBody::from_body_1_x(body);
    answer
}

impl HttpConnector for Injector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().meet(request))
    }
}

impl HttpClient for Injector {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.connector()
    }
}
