//! What a function writes to standard output, which is its log: one JSON object a line. Errors and warnings come as they
//! happen; what an invocation was about and its metrics come in one line before its answer.

use std::env;
use std::future::Future;
use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::Arc;

use lambda_runtime::Context;
use lambda_runtime::tracing::subscriber::filter::{LevelFilter, Targets, filter_fn};
use lambda_runtime::tracing::subscriber::layer::SubscriberExt;
use lambda_runtime::tracing::subscriber::util::SubscriberInitExt;
use petrel_aws::settings::{Env, SettingsError};
use petrel_aws::{Emf, Invocation};
use petrel_core::metrics::{Count, Metrics, NoMetrics};
use tracing::{Instrument, Level, Metadata};

/// Writes what is logged from now on, at the level that Lambda's logging configuration asks for (`AWS_LAMBDA_LOG_LEVEL`,
/// else `RUST_LOG`, else `INFO`). Each line has a time: Lambda believes the level of a line only with one.
pub(crate) fn start_log() {
    let level = env::var("AWS_LAMBDA_LOG_LEVEL").or_else(|_| env::var("RUST_LOG"));
    let level: LevelFilter = level.ok().and_then(|l| l.parse().ok()).unwrap_or(LevelFilter::INFO);
    // Not `EnvFilter`, which brings regular expressions: size is time at the start.
    let asked: Targets = env::var("RUST_LOG").ok().and_then(|r| r.parse().ok()).unwrap_or_default();
    let level = asked.default_level().unwrap_or(level);
    // The hook below says it, and says where.
    let quiet = "lambda_runtime::layers::panic";
    let filter = asked.with_default(level).with_target(quiet, LevelFilter::OFF);
    let lines = json_subscriber::layer()
        .with_target(false)
        .flatten_event(true)
        .with_current_span(false)
        .flatten_span_list_on_top_level(true);
    lambda_runtime::tracing::subscriber::registry()
        .with(filter)
        .with(filter_fn(says_nothing_of_content))
        .with(lines)
        .init();
    std::panic::set_hook(Box::new(panicked));
}

/// Below INFO the runtime and the SDK write whole events and requests, with tokens and messages in them. So nobody but
/// Petrel is asked for that, whatever the level is set to.
fn says_nothing_of_content(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || metadata.target().starts_with("petrel")
}

/// The words of a panic may quote a message; where it happened says enough.
fn panicked(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    tracing::error!(location, "panicked");
}

/// The metrics of a function.
#[derive(Clone)]
pub(crate) struct Telemetry(Option<Arc<Emf>>);

impl Telemetry {
    /// The metrics that these variables ask for.
    pub(crate) fn read(env: Env<'_>) -> Result<Self, SettingsError> {
        Ok(Self(Emf::read(env)?.map(Arc::new)))
    }

    /// Where the core notes what happens.
    pub(crate) fn metrics(&self) -> Arc<dyn Metrics> {
        match &self.0 {
            Some(emf) => emf.clone(),
            None => Arc::new(NoMetrics),
        }
    }

    /// Runs the work of one invocation: its log lines name the request, and its own line is written before this returns,
    /// for after the answer Lambda freezes the process.
    pub(crate) async fn invocation<T>(
        &self,
        context: &Context,
        connection: Option<&str>,
        work: impl Future<Output = T>,
    ) -> T {
        let trace = Trace::of(context);
        let _last = LastLine {
            emf: self.0.as_deref(),
            invocation: Invocation {
                request_id: &context.request_id,
                trace_id: trace.id.filter(|_| trace.sampled),
                connection,
            },
            out: std::io::stdout(),
        };
        let request = context.request_id.as_str();
        let span = tracing::error_span!("invocation", requestId = request, xrayTraceId = trace.id);
        work.instrument(span).await
    }
}

/// Writes the invocation's line when it goes, also when the work panicked.
struct LastLine<'a, W: Write> {
    emf: Option<&'a Emf>,
    invocation: Invocation<'a>,
    out: W,
}

impl<W: Write> Drop for LastLine<'_, W> {
    fn drop(&mut self) {
        let Some(emf) = self.emf else { return };
        if std::thread::panicking() {
            emf.count(Count::Failures, 1);
        }
        emf.write(self.invocation, &mut self.out);
    }
}

/// The X-Ray trace of an invocation: `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`.
struct Trace<'a> {
    id: Option<&'a str>,
    sampled: bool,
}

impl<'a> Trace<'a> {
    fn of(context: &'a Context) -> Self {
        let header = context.xray_trace_id.as_deref().unwrap_or_default();
        let id = header.split(';').find_map(|part| part.trim().strip_prefix("Root="));
        Self { id, sampled: header.split(';').any(|part| part.trim() == "Sampled=1") }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

    use std::panic::{AssertUnwindSafe, catch_unwind};

    use serde_json::{Value, json};

    use super::*;

    fn emf() -> Emf {
        let env = |name: &str| (name == "PETREL_METRICS_NAMESPACE").then(|| "Petrel/p".to_owned());
        Emf::read(&env).unwrap().unwrap()
    }

    #[test]
    fn an_invocation_that_panics_leaves_its_line_and_counts_as_a_failure() {
        let (emf, mut out) = (emf(), vec![]);
        let invocation = Invocation { request_id: "r", ..Invocation::default() };
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _last = LastLine { emf: Some(&emf), invocation, out: &mut out };
            emf.count(Count::Messages, 1);
            panic!("as the test wants it");
        }));
        assert!(panicked.is_err());
        let line: Value = serde_json::from_slice(&out).unwrap();
        let said = json!([line["Failures"], line["Messages"], line["requestId"]]);
        assert_eq!(said, json!([1, 1, "r"]));
    }

    #[test]
    fn the_trace_is_the_headers_root() {
        let read = |header: Option<&str>| {
            let mut context = Context::default();
            context.xray_trace_id = header.map(str::to_owned);
            let trace = Trace::of(&context);
            (trace.id.map(str::to_owned), trace.sampled)
        };
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let root = Some("1-5759e988-bd862e3fe1be46a994272793".to_owned());
        assert_eq!(read(Some(header)), (root.clone(), true));
        assert_eq!(read(Some(&header.replace("Sampled=1", "Sampled=0"))), (root, false));
        for none in [None, Some(""), Some("Parent=53995c3f42cd8ad8")] {
            assert_eq!(read(none), (None, false));
        }
    }
}
