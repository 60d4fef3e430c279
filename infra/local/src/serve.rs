//! Puts the whole of Petrel together in this process, and takes it apart again.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use petrel_aws::embedded::s3::S3;
use petrel_aws::token::{Expected, Verifier};
use petrel_aws::{HttpWebhook, Origins, Reach};
use petrel_core::App;
use petrel_core::services::Settings;
use petrel_functions::authorizer::Authorizer;
use rustix::process::Signal;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::admission::Admission;
use crate::backend::{self, Backend, MEDIA_BUCKET};
use crate::cli::Failure;
use crate::consumer::{self, Queue};
use crate::data;
use crate::http;
use crate::key;
use crate::media;
use crate::pushes::Recorder;
use crate::reports::Reports;
use crate::sockets::Sockets;

/// Most time for open sockets to say goodbye.
const GRACE: Duration = Duration::from_secs(5);
/// Most time for jobs that were taken off a queue: what a batch may take, and a poll of the queue. One that is cut off
/// comes again, but only when its time out of sight is over.
const JOBS_GRACE: Duration = Duration::from_secs(70);

/// How to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen.
    pub addr: SocketAddr,
    /// The folder with the key.
    pub data: PathBuf,
    /// What it stands on.
    pub backend: backend::Options,
    /// How long a socket may be still.
    pub idle_timeout: Duration,
    /// How long a socket may be open.
    pub lifetime: Duration,
    /// Invocations that may be under way at the same time.
    pub concurrency: u32,
    /// What the core takes.
    pub settings: Settings,
    /// Who is told of events, and what they are signed with.
    pub webhook: Option<(String, String)>,
    /// Where clients reach this server; by default at its own address.
    pub public_url: Option<String>,
    /// Origins of web pages besides the server's own.
    pub origins: Vec<String>,
    /// Whether the page may make tokens for whoever asks on the loopback interface.
    pub login: bool,
}

/// The running server.
pub struct Server {
    /// The product.
    pub app: App,
    /// Whose tokens are good, and which pages may open a socket.
    pub authorizer: Authorizer,
    /// Who is turned away when there is too much to do.
    pub admission: Admission,
    /// The open sockets.
    pub sockets: Arc<Sockets>,
    /// The queues, by name.
    pub queues: Vec<(&'static str, Arc<dyn Queue>)>,
    /// What was pushed to phones.
    pub pushes: Arc<Recorder>,
    /// What was reported.
    pub reports: Arc<Reports>,
    /// The embedded buckets.
    pub s3: Option<S3>,
    /// Signs the page's tokens.
    pub key: petrel_aws::token::LocalKey,
    /// Whether the page may make tokens for whoever asks: on the loopback interface only.
    pub open_login: bool,
    /// How it was started.
    pub options: Options,
    /// Ends when the server stops.
    pub stop: CancellationToken,
    /// The sockets, each until its `$disconnect` is done.
    pub connections: TaskTracker,
    /// Everything that must end before the process does.
    pub running: TaskTracker,
}

/// Serves until the process is told to stop.
pub async fn run(options: Options) -> Result<(), Failure> {
    // Where a file may not grow (`ulimit -f`), writing to it fails as on a full disk, and does not end the process.
    let _grown = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?;
    let key = key::load_or_make(&options.data)?;
    // Held as long as the server runs.
    let _lock = match options.backend {
        backend::Options::InMemory => None,
        _ => Some(data::lock(&options.data)?),
    };
    let sockets = Arc::new(Sockets::default());
    let settings = options.settings.clone();
    let receiver = options.webhook.as_ref();
    let receiver = receiver.map(|(url, secrets)| HttpWebhook::new(url, secrets, Reach::Anywhere));
    let receiver = receiver.transpose()?;
    // First, for media has the address in its URLs. Who connects before it is served waits.
    let listener = TcpListener::bind(options.addr)
        .await
        .map_err(|e| format!("cannot listen on {}: {e}; choose another --addr", options.addr))?;
    let addr = listener.local_addr()?;
    let url = options.public_url.clone().unwrap_or_else(|| format!("http://{addr}"));
    let backend =
        Backend::open(&options.backend, &url, sockets.clone(), settings, receiver).await?;

    let stop = CancellationToken::new();
    let jobs = TaskTracker::new();
    let mut queues = vec![("fanout", backend.fan_out), ("push", backend.push)];
    queues.extend(backend.webhook.map(|queue| ("webhook", queue)));
    for (_, queue) in &queues {
        let app = backend.app.clone();
        jobs.spawn(consumer::run(queue.clone(), app, stop.clone(), jobs.clone()));
    }
    if let Some(s3) = &backend.s3 {
        let created = s3.watch(MEDIA_BUCKET);
        jobs.spawn(media::watch(created, backend.app.clone(), stop.clone()));
    }
    if let Some(tables) = backend.uploads {
        jobs.spawn(media::sweep(tables, backend.app.clone(), stop.clone()));
    }
    let expected = Expected {
        issuer: Some(key::ISSUER.to_owned()),
        audiences: vec![key::AUDIENCE.to_owned()],
    };
    let server = Arc::new(Server {
        app: backend.app,
        authorizer: Authorizer {
            verifier: Verifier::local(&key, expected),
            origins: origins(&options.origins),
        },
        admission: Admission::new(usize::try_from(options.concurrency)?),
        sockets,
        queues,
        pushes: backend.pushes,
        reports: backend.reports,
        s3: backend.s3,
        key,
        open_login: addr.ip().is_loopback() && options.login,
        options,
        stop: stop.clone(),
        connections: TaskTracker::new(),
        running: TaskTracker::new(),
    });

    // Before the line that says so, so that a signal that follows it is not missed.
    let told = told_to_stop()?;
    welcome(addr, &server.options);
    tracing::info!(%addr, data = %server.options.data.display(), on = ?server.options.backend, "serving");
    let router = http::router(server.clone());
    let stopped = stop.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(stopped.cancelled_owned());
    tokio::spawn(async move {
        told.await;
        tracing::info!("stopping; once more stops at once");
        stop.cancel();
        if let Ok(again) = told_to_stop() {
            again.await;
            std::process::exit(130);
        }
    });
    let late = async {
        server.stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let all = async {
        serving.into_future().await?;
        server.running.close();
        server.running.wait().await;
        Ok::<_, std::io::Error>(())
    };
    tokio::select! {
        served = all => served?,
        () = late => tracing::warn!("some clients did not let go in time"),
    }
    jobs.close();
    if tokio::time::timeout(JOBS_GRACE, jobs.wait()).await.is_err() {
        tracing::warn!("some jobs did not end in time");
    }
    tracing::info!("stopped");
    Ok(())
}

/// The pages that were named. The server's own needs no naming.
fn origins(named: &[String]) -> Origins {
    if named.iter().any(|o| o == "*") { Origins::Any } else { Origins::These(named.to_vec()) }
}

/// Resolves when a signal tells the process to stop.
fn told_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Says where the server is, and how to try it. Nobody may read it, and that is no reason to stop.
fn welcome(addr: SocketAddr, options: &Options) {
    let program = std::env::current_exe().unwrap_or_else(|_| "petrel".into());
    let (program, data) = (program.display(), options.data.display());
    let words = format!(
        "petrel listening on http://{addr}

Open http://{addr} in two browser tabs and chat. Or from a terminal:
  npx --yes wscat -c \"ws://{addr}/ws?token=$({program} token ana --data {data})\"
  {{\"action\":\"send\",\"to_user_id\":\"bo\",\"message_id\":\"{id}\",\"content\":{{\"type\":\"text\",\"text\":\"hi\"}}}}
Ctrl-C stops.
",
        id = Uuid::now_v7(),
    );
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(words.as_bytes()).and_then(|()| out.flush());
}
