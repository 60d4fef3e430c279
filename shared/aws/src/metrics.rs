//! Metrics in CloudWatch's embedded metric format (EMF): one line of the log an invocation, which CloudWatch takes the
//! metrics from and which says what the invocation was about. Nothing is sent, so nothing waits and nothing can fail.

use std::borrow::Cow;
use std::io::Write;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format as TimeFormat;
use metrique_writer_core::format::Format;
use metrique_writer_core::unit::{NegativeScale, Unit};
use metrique_writer_core::value::{FlagConstructor, MetricFlags};
use metrique_writer_core::{
    Entry, EntryWriter, MetricValue, Observation, Value, ValueWriter, unit,
};
use metrique_writer_format_emf::{Emf as EmfFormat, NoMetricCtor};
use petrel_core::ids::{ConversationId, Seq};
use petrel_core::metrics::{Count, Metrics, Timing};

use crate::settings::{self, Env, SettingsError};

/// Most values of one metric in a line: CloudWatch takes no more. One invocation delivers at most 10 entries to 10
/// chunks each.
const MAX_VALUES: usize = 100;
/// Most entries that a line names: a `send` holds 10 messages, a queue hands out 10 jobs.
const MAX_SUBJECTS: usize = 32;

/// The invocation that a line is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Invocation<'a> {
    /// Lambda's id of the request.
    pub request_id: &'a str,
    /// The X-Ray trace, if there is one.
    pub trace_id: Option<&'a str>,
    /// The socket that the event came over.
    pub connection: Option<&'a str>,
}

/// What was noted since the last line.
#[derive(Default)]
struct Notes {
    counts: [u64; Count::ALL.len()],
    times: [Vec<u64>; Timing::ALL.len()],
    subjects: Vec<(ConversationId, Option<Seq>)>,
}

/// Notes what happens and writes it as one line an invocation.
pub struct Emf {
    notes: Mutex<Notes>,
    format: Mutex<EmfFormat>,
    /// What the line calls its level, so that Lambda does not drop it.
    level: &'static str,
}

impl Emf {
    /// The metrics in the namespace that these variables name; `None` if they name none.
    ///
    /// # Errors
    /// For a namespace that CloudWatch does not take.
    pub fn read(env: Env<'_>) -> Result<Option<Self>, SettingsError> {
        let namespace = settings::checked(env, settings::METRICS_NAMESPACE)?;
        let level = settings::log_level(env);
        // One empty set of dimensions: each metric is the whole deployment's. Names are checked by this crate's tests.
        let format = |namespace| EmfFormat::no_validations(namespace, vec![vec![]]);
        Ok(namespace.map(|namespace| Self {
            notes: Mutex::default(),
            format: Mutex::new(format(namespace)),
            level,
        }))
    }

    /// Writes what was noted since the last time as one line, if anything was. Lambda freezes the process after the
    /// answer, so this comes before it. A line that cannot be written is lost.
    pub fn write(&self, invocation: Invocation<'_>, out: &mut impl Write) {
        let notes = mem::take(&mut *lock(&self.notes));
        if notes.counts.iter().all(|n| *n == 0) && notes.times.iter().all(Vec::is_empty) {
            return;
        }
        let line = Line { notes: &notes, invocation, level: self.level };
        // In one write: standard output may be shared with the log.
        let mut bytes = Vec::with_capacity(1024);
        if lock(&self.format).format(&line, &mut bytes).is_ok() {
            let _ = out.write_all(&bytes).and_then(|()| out.flush());
        }
    }
}

impl Metrics for Emf {
    fn count(&self, what: Count, n: u64) {
        if let Some(count) = lock(&self.notes).counts.get_mut(what as usize) {
            *count += n;
        }
    }

    fn time(&self, what: Timing, ms: u64) {
        if let Some(times) = lock(&self.notes).times.get_mut(what as usize)
            && times.len() < MAX_VALUES
        {
            times.push(ms);
        }
    }

    fn about(&self, conversation: &ConversationId, seq: Option<Seq>) {
        let subjects = &mut lock(&self.notes).subjects;
        // First comes the conversation, then, when it is known, the entry.
        let same = |s: &&mut (ConversationId, Option<Seq>)| {
            s.0 == *conversation && (s.1.is_none() || seq.is_none() || s.1 == seq)
        };
        if let Some(known) = subjects.iter_mut().find(same) {
            known.1 = known.1.or(seq);
        } else if subjects.len() < MAX_SUBJECTS {
            subjects.push((conversation.clone(), seq));
        }
    }
}

/// What a panic left behind is still good: every change is one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One line.
struct Line<'a> {
    notes: &'a Notes,
    invocation: Invocation<'a>,
    level: &'static str,
}

impl Entry for Line<'_> {
    fn write<'a>(&'a self, line: &mut impl EntryWriter<'a>) {
        let now = SystemTime::now();
        line.timestamp(now);
        for (what, n) in Count::ALL.iter().zip(self.notes.counts).filter(|(_, n)| *n > 0) {
            line.value(what.name(), &n.with_unit::<unit::Count>());
        }
        for (what, times) in Timing::ALL.iter().zip(&self.notes.times) {
            if !times.is_empty() {
                line.value(what.name(), &Milliseconds(times));
            }
        }
        if self.level != settings::INFO {
            // Lambda believes the level of a line only if that has a time.
            let time = DateTime::from(now).fmt(TimeFormat::DateTime).unwrap_or_default();
            line.value("timestamp", time.as_str());
        }
        line.value("level", self.level);
        line.value("requestId", self.invocation.request_id);
        if let Some(id) = self.invocation.trace_id {
            line.value("xrayTraceId", id);
        }
        if let Some(id) = self.invocation.connection {
            line.value("connection", id);
        }
        match self.notes.subjects.as_slice() {
            [] => {}
            [(conversation, seq)] => {
                line.value("conversation", conversation.as_str());
                if let Some(seq) = seq {
                    line.value("seq", &Plain(seq.get()));
                }
            }
            several => line.value("entries", listed(several).as_ref()),
        }
    }
}

/// `<conversation>#<seq>` for each, with blanks between them.
fn listed(subjects: &[(ConversationId, Option<Seq>)]) -> Cow<'static, str> {
    let name = |(conversation, seq): &(ConversationId, Option<Seq>)| match seq {
        Some(seq) => format!("{conversation}#{seq}"),
        None => conversation.to_string(),
    };
    subjects.iter().map(name).collect::<Vec<_>>().join(" ").into()
}

/// The values of one metric, ms.
struct Milliseconds<'a>(&'a [u64]);

impl Value for Milliseconds<'_> {
    fn write(&self, value: impl ValueWriter) {
        let observed = self.0.iter().map(|ms| Observation::Unsigned(*ms));
        value.metric(observed, Unit::Second(NegativeScale::Milli), [], MetricFlags::empty());
    }
}

/// A number that is no metric.
struct Plain(u64);

impl Value for Plain {
    fn write(&self, value: impl ValueWriter) {
        let observed = [Observation::Unsigned(self.0)];
        value.metric(observed, Unit::None, [], NoMetricCtor::construct());
    }
}
