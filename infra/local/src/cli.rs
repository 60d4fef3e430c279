//! The command line.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::Uri;
use clap::{Args, Parser, Subcommand, ValueEnum};
use petrel_aws::server::Endpoint;
use petrel_aws::{HttpWebhook, Reach, Signer};
use petrel_core::ids::UserId;
use petrel_core::limits::{BadLimit, Limits};
use petrel_core::ports::Platform;
use petrel_core::services::{Keeping, Settings};
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::backend;
use crate::events;
use crate::key;
use crate::serve;

/// What a command may end with.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A chat backend: the whole of it, on this machine.
///
/// `petrel` alone is `petrel serve`. Messages lie in DIR/petrel.db and survive a restart, also a crash: what was
/// acknowledged is on the disk. Tokens are signed with DIR/key, which is made on first use.
#[derive(Parser)]
#[command(name = "petrel", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

const EXAMPLES: &str = "\
Examples:
  petrel                              serve on http://127.0.0.1:8080, data in ./.petrel
  petrel serve --addr 127.0.0.1:0     a free port; the first line on stdout names it
  petrel serve --memory               nothing is kept
  petrel serve --endpoint-url http://127.0.0.1:4566
                                      tables, queues and pushes of an emulator of AWS
  petrel token ana                    a token for ana, to connect with:
  wscat -c \"ws://127.0.0.1:8080/ws?token=$(petrel token ana)\"

Environment:
  PETREL_DATA   the default of --data
  RUST_LOG      what is logged (to stderr), for example debug or petrel_core=debug,info;
                of libraries never more than info: below, they write messages and tokens

Exit codes:
  0    it was told to stop
  2    the command line makes no sense
  65   what lies in DIR is damaged: it is left as it was found
  74   DIR cannot be read or written
  1    anything else";

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one")]
enum Command {
    /// Serve WebSocket (/ws), HTTP API (/api) and a chat page (/) on one port
    Serve(Serve),
    /// Print a token for a user, and nothing else
    ///
    /// Works with the server running, stopped or never started.
    Token(Token),
}

/// Where the data lies.
#[derive(Args, Clone)]
struct Data {
    /// Folder for the database and the key; made if absent
    #[arg(long, value_name = "DIR", env = "PETREL_DATA", default_value = "./.petrel")]
    data: PathBuf,
}

#[derive(Args, Clone)]
struct Serve {
    /// Where to listen; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    addr: SocketAddr,
    #[command(flatten)]
    data: Data,
    /// Keep everything in memory; DIR then holds the key only
    #[arg(long)]
    memory: bool,
    #[command(flatten)]
    endpoint: On,
    /// Close a socket on which nothing moved for so long, as API Gateway does
    #[arg(long, default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    idle_timeout: u64,
    /// Close a socket after so long, as API Gateway does
    #[arg(long, default_value_t = 7200, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=7200))]
    lifetime: u64,
    /// Frames and requests that are handled at the same time, as Lambda's concurrency bounds them; beyond, `busy`
    ///
    /// A client that is told `busy` is told as well when to come again (`retry_after_ms`; over HTTP 503 and Retry-After).
    /// The default is Lambda's for an account. Jobs off the queues do not count.
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: u32,
    /// Seconds until a phone whose socket took a message is pushed to as well, unless it acknowledged
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=900))]
    push_delay: u32,
    /// Seconds after which a message may move from the database to DIR/archive; readers see no difference
    ///
    /// The newest 100 of each conversation stay. Less than a day is for trying it out: a message can be edited for half of that
    /// at most.
    #[arg(long, default_value_t = 30 * 86_400, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    hot: u64,
    /// Seconds that a message is kept; after that nobody can read it, and it is deleted
    ///
    /// Less than a day is for trying it out: what a caller without state repeats later than that is stored twice.
    #[arg(long, default_value_t = 365 * 86_400, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    retention: u64,
    /// Most days for which a conversation may have its messages kept by a rule of its own
    #[arg(long, default_value_t = 3_650, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3_650))]
    max_retention_days: u32,
    /// Pushes do not say how much their user has not read
    #[arg(long)]
    no_push_badge: bool,
    /// Pushes do not carry the first words of the message
    #[arg(long)]
    no_push_preview: bool,
    /// Seconds in which a message can be edited, at most half of `--hot`, which is what 0 means
    #[arg(long, default_value_t = 900, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=31_536_000))]
    edit_window: u32,
    /// How much may be done in a while; beyond, `rate_limited` (repeatable; NAME=0 is no limit)
    ///
    /// `conversation`: messages in one conversation. Of one user, `messages`: in all conversations; `requests`: all other
    /// frames and requests; `members`: whom they add to and remove from groups; `sockets`: that are opened; `reports`.
    /// `all`: each of them. The defaults: conversation=2400/24, messages=1200/60, requests=3000/60, members=20000/3600,
    /// sockets=120/60, reports=30/3600.
    #[arg(long, value_name = "NAME=COUNT/SECONDS", value_parser = limit)]
    limit: Vec<String>,
    /// Tell this URL of every message, change of a group and report, signed (docs/webhooks.md)
    ///
    /// `https` anywhere, or `http` on this machine's loopback interface. Told until it answers 2xx, for about a day.
    #[arg(long, value_name = "URL", requires = "webhook_secret", value_parser = receiver)]
    webhook_url: Option<String>,
    /// What that is signed with: whsec_ and 24 to 64 bytes in base64 (twice, while a receiver changes over)
    #[arg(long, value_name = "SECRET", env = "PETREL_WEBHOOK_SECRETS", hide_env_values = true, value_delimiter = ',', value_parser = secret, requires = "webhook_url")]
    webhook_secret: Vec<String>,
    #[command(flatten)]
    media: Media,
    /// A web page's origin that may use this server from a browser (repeatable; `*` is any). Its own page always may
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// Give no tokens to the page, not even on the loopback interface
    ///
    /// Without this, whoever reaches the server on the loopback interface may be anyone. A request that came through a
    /// proxy is refused in any case, as far as the proxy says that it is one.
    #[arg(long)]
    no_login: bool,
    /// How logs are written
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

/// A megabyte, as file sizes are given.
const MB: u64 = 1_000_000;

/// What holds for media.
#[derive(Args, Clone)]
#[command(next_help_heading = "Media")]
struct Media {
    /// Where clients reach this server, if not at its own address: begins the URLs of uploads and downloads
    #[arg(long, value_name = "URL", value_parser = url)]
    public_url: Option<String>,
    /// The largest picture that may be uploaded, MB of 1,000,000 bytes
    #[arg(long, default_value_t = 25, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=5000))]
    max_photo: u64,
    /// The largest of all other files, MB of 1,000,000 bytes
    #[arg(long, default_value_t = 100, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=5000))]
    max_file: u64,
    /// Let nobody read an upload before a scanner has said that it is clean
    ///
    /// It says so by posting an event to /local/events, on the loopback interface.
    #[arg(long)]
    scan: bool,
}

/// What the gateway stands on, if not on what is embedded.
#[derive(Args, Clone)]
#[command(next_help_heading = "On an AWS endpoint")]
struct On {
    /// Use the DynamoDB, S3, SQS and SNS that answer here (LocalStack, say) in place of the embedded ones
    ///
    /// Sockets, HTTP API, page and tokens stay in this process, and DIR holds the key only. The three tables, the two
    /// queues with their dead-letter queues and the bucket of media are made where they are absent; what is there is used as it is. One server
    /// to a prefix: another one does not have its sockets.
    ///
    /// Region and credentials come from AWS_REGION (or AWS_DEFAULT_REGION), AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    /// AWS_PROFILE and so on; us-east-1, and `test` for both keys, where none is set.
    #[arg(long, value_name = "URL", value_parser = url, conflicts_with = "memory")]
    endpoint_url: Option<String>,
    /// Begins the name of each table and queue: NAME-messages and so on
    #[arg(long, value_name = "NAME", default_value = "petrel", value_parser = prefix, requires = "endpoint_url")]
    prefix: String,
    /// The SNS platform application of Apple [env: PETREL_APNS_ARN]
    #[arg(long, value_name = "ARN", requires = "endpoint_url")]
    apns_arn: Option<String>,
    /// That of Apple's development builds [env: PETREL_APNS_SANDBOX_ARN]
    #[arg(long, value_name = "ARN", requires = "endpoint_url")]
    apns_sandbox_arn: Option<String>,
    /// That of Firebase Cloud Messaging [env: PETREL_FCM_ARN]
    #[arg(long, value_name = "ARN", requires = "endpoint_url")]
    fcm_arn: Option<String>,
    /// Make the platform applications that are not named, without credentials of a push service: an emulator takes them
    #[arg(long, requires = "endpoint_url")]
    make_platforms: bool,
}

impl On {
    /// What to stand on.
    fn backend(self, memory: bool, data: &Path, origins: Vec<String>) -> backend::Options {
        let Some(url) = self.endpoint_url else {
            return if memory {
                backend::Options::InMemory
            } else {
                backend::Options::OnDisk(data.to_owned())
            };
        };
        let platforms = [
            (Platform::Apns, self.apns_arn),
            (Platform::ApnsSandbox, self.apns_sandbox_arn),
            (Platform::Fcm, self.fcm_arn),
        ];
        let platforms = platforms.into_iter().filter_map(|(p, arn)| Some((p, arn?))).collect();
        let (prefix, make_platforms) = (self.prefix, self.make_platforms);
        backend::Options::Endpoint(Endpoint { url, prefix, make_platforms, origins }, platforms)
    }
}

/// An `http` or `https` URL without a path.
fn url(text: &str) -> Result<String, &'static str> {
    let bad = "not a URL such as http://127.0.0.1:4566";
    let url: Uri = text.parse().map_err(|_| bad)?;
    let scheme = matches!(url.scheme_str(), Some("http" | "https"));
    let bare = url.path_and_query().is_none_or(|rest| rest.as_str() == "/");
    if scheme && bare { Ok(text.trim_end_matches('/').to_owned()) } else { Err(bad) }
}

/// Where events are told.
fn receiver(text: &str) -> Result<String, &'static str> {
    let may = HttpWebhook::may_call(text, Reach::Anywhere);
    may.then(|| text.to_owned()).ok_or("an https URL, or an http one of the loopback interface")
}

/// What they are signed with. The error does not quote it.
fn secret(text: &str) -> Result<String, &'static str> {
    let good = Signer::parse(text).is_some();
    good.then(|| text.to_owned()).ok_or("whsec_ and 24 to 64 bytes in base64")
}

/// A limit, or several.
fn limit(text: &str) -> Result<String, BadLimit> {
    Limits::default().set(text)?;
    Ok(text.to_owned())
}

/// The defaults, with these in their place.
fn limits(set: &[String]) -> Result<Limits, BadLimit> {
    let mut limits = Limits::default();
    set.iter().try_for_each(|text| limits.set(text))?;
    Ok(limits)
}

/// What may begin a bucket's name, whose rule is the narrowest of all: 63 characters, none of them a capital.
fn prefix(text: &str) -> Result<String, &'static str> {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let allowed = text.chars().all(|c| word(c) || c == '-');
    if (1..=48).contains(&text.len()) && allowed && text.starts_with(word) {
        return Ok(text.to_owned());
    }
    Err("1 to 48 of a-z 0-9 -, and no - at the start")
}

#[derive(Args)]
struct Token {
    /// The user's id: 1 to 64 of A-Z a-z 0-9 _ . | @ -
    user: String,
    #[command(flatten)]
    data: Data,
    /// Also let it ask what is for operators (/api/admin): its scope is petrel/admin
    #[arg(long)]
    admin: bool,
    /// How long it is valid
    #[arg(long, default_value_t = 7 * 86_400, value_name = "SECONDS")]
    expires_in: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Parses the command line and does what it says.
pub fn run() -> Result<(), Failure> {
    let cli = Cli::parse();
    match cli.command {
        None => run_server(cli.serve),
        Some(Command::Serve(serve)) => run_server(serve),
        Some(Command::Token(token)) => print_token(&token),
    }
}

fn print_token(args: &Token) -> Result<(), Failure> {
    let user = UserId::parse(&args.user)
        .map_err(|_| format!("{:?} is no user id: 1 to 64 of A-Z a-z 0-9 _ . | @ -", args.user))?;
    let key = key::load_or_make(&args.data.data)?;
    let scope = args.admin.then_some(key::OPERATOR);
    let lifetime = Duration::from_secs(args.expires_in);
    let token = key::sign(&key, &user, events::now_ms(), lifetime, scope)?;
    writeln!(std::io::stdout(), "{token}")?;
    Ok(())
}

fn run_server(args: Serve) -> Result<(), Failure> {
    // What people write is nobody else's to read.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .from_env_lossy();
    // Below INFO the libraries write whole frames and requests, with tokens and messages in them.
    let ours = filter_fn(|m| *m.level() <= Level::INFO || m.target().starts_with("petrel"));
    let logs = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let filtered = tracing_subscriber::registry().with(filter).with(ours);
    match args.log_format {
        LogFormat::Text => filtered.with(logs).init(),
        LogFormat::Json => filtered.with(logs.json().flatten_event(true)).init(),
    }
    // A socket is a file: many systems give a process few by default and more when it asks.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    let options = serve::Options {
        addr: args.addr,
        backend: args.endpoint.backend(args.memory, &args.data.data, args.allow_origin.clone()),
        data: args.data.data,
        idle_timeout: Duration::from_secs(args.idle_timeout),
        lifetime: Duration::from_secs(args.lifetime),
        concurrency: args.concurrency,
        settings: Settings {
            push_delay_s: args.push_delay,
            keeping: Keeping { hot_s: args.hot, retention_s: args.retention, ..Keeping::default() },
            push_badge: !args.no_push_badge,
            push_preview: !args.no_push_preview,
            edit_window_s: args.edit_window,
            max_retention_days: args.max_retention_days,
            max_photo_bytes: args.media.max_photo * MB,
            max_file_bytes: args.media.max_file * MB,
            scan: args.media.scan,
            limits: limits(&args.limit)?,
            operator_scope: key::OPERATOR.to_owned(),
            webhook: args.webhook_url.is_some(),
        },
        webhook: args.webhook_url.map(|url| (url, args.webhook_secret.join(","))),
        public_url: args.media.public_url,
        origins: args.allow_origin,
        login: !args.no_login,
    };
    // The embedded database works on the thread that calls it and waits for the disk there: a few threads more than
    // cores, so that a write does not hold up the sockets.
    let threads = std::thread::available_parallelism().map_or(4, |n| n.get() + 2);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()?
        .block_on(serve::run(options))
}
