//! Every call of every port under every fault, at every request it makes. Whatever happens: it ends within its attempts and
//! its time, a success is true, a failure says that it is not known what happened, and a repeat comes to what was meant.

use std::collections::BTreeSet;
use std::time::Duration;

use petrel_core::ErrorKind;
use tokio::time::Instant;

use crate::fault::{Fault, HARMFUL, HARMLESS, Service, applies, service};
use crate::injector::{Asked, Injector, Request};
use crate::ops::{self, Op};
use crate::world::{Stored, World};

/// What timers are late by.
const TICK: Duration = Duration::from_millis(5);
/// Requests more for a batch or a query that is answered in halves: each is another one.
const HALVES: usize = 24;

/// Which requests meet the fault.
#[derive(Clone, Copy, Debug)]
enum When {
    /// The first so many attempts at each request.
    Attempts(u32),
    /// This request alone.
    Request(usize),
}

impl When {
    fn is(self, asked: &Asked) -> bool {
        match self {
            Self::Attempts(attempts) => asked.met < attempts,
            Self::Request(number) => asked.number == number,
        }
    }
}

/// What is stored, and what the others were given.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    stored: Stored,
    taken: BTreeSet<String>,
}

/// Operations that change nothing.
const READING: [&str; 6] =
    ["Query", "GetItem", "BatchGetItem", "GetObject", "HeadObject", "ListObjectsV2"];

impl Look {
    async fn at(world: &World, injector: &Injector) -> Self {
        Self { stored: world.look().await, taken: injector.taken() }
    }

    /// Looks at what a call may have changed that has made these requests, where there was this before.
    async fn after(
        requests: &[Request],
        before: &Stored,
        world: &World,
        injector: &Injector,
    ) -> Self {
        let mut stored = before.clone();
        let changing = |of: Service| {
            let writes = requests.iter().filter(|r| !READING.contains(&r.operation.as_str()));
            writes.filter(move |r| service(&r.operation) == of)
        };
        let names = |table: &str| {
            let name = format!("\"{table}\"");
            changing(Service::DynamoDb).any(|request| request.words.contains(&name))
        };
        world.look_at_items(&mut stored, names).await;
        if changing(Service::S3).next().is_some() {
            world.look_at_objects(&mut stored).await;
        }
        Self { stored, taken: injector.taken() }
    }
}

/// What the call answers and asks when all is well, and what there is before it and after.
pub struct Meant {
    answer: String,
    pub asked: Vec<Request>,
    before: Look,
    after: Look,
}

/// Makes the call where all is well.
pub async fn meant(op: &Op, world: &World) -> Meant {
    let (injector, app) = world.product();
    let before = Look::at(world, &injector).await;
    injector.heal();
    let answer = (op.call)(&app).await.unwrap();
    let asked = injector.asked();
    let after = Look::at(world, &injector).await;
    assert!(!op.reads || before == after, "{op:?} writes");
    world.restore(&after.stored, &before.stored).await;
    assert_eq!(world.look().await, before.stored, "{op:?}");
    Meant { answer, asked, before, after }
}

/// Makes the call under the fault and checks all that must hold; tells whether it succeeded, or ran out of its time. `None`
/// if the fault was not met.
async fn check(op: &Op, meant: &Meant, world: &World, fault: Fault, when: When) -> Option<bool> {
    let says_nothing = op.empty_says_nothing && matches!(fault, Fault::Garbage("" | "{}"));
    if says_nothing || !meant.asked.iter().any(|request| applies(fault, &request.operation)) {
        return None;
    }
    let (injector, app) = world.product();
    injector.plan(move |asked| when.is(asked).then_some(fault));
    let started = Instant::now();
    let answer = (op.call)(&app).await;
    let elapsed = started.elapsed();
    let (requests, injected) = (injector.asked(), injector.injected());
    let before = &meant.before.stored;
    let now = Look::after(&requests, before, world, &injector).await;
    if injected == 0 {
        world.restore(&now.stored, before).await;
        return None;
    }
    let names: Vec<_> = requests.iter().map(|request| &request.operation).collect();
    let label = format!("{op:?}, {fault:?} at {when:?}: {answer:?} after {names:?}");

    let is_half = matches!(fault, Fault::Partial | Fault::SlowPartial);
    let halves = if is_half { HALVES } else { 0 };
    let attempts = usize::try_from(op.attempts()).unwrap();
    assert!(requests.len() <= attempts * meant.asked.len() + halves, "{label}");
    assert!(elapsed <= op.limit + TICK, "{label}: {elapsed:?}");
    let whole = now == meant.before || now == meant.after;
    let stood = |answer: &str| op.stood.contains(&answer);
    match &answer {
        Ok(answer) if *answer == meant.answer => assert_eq!(now, meant.after, "{label}"),
        // Not done, or done by an attempt whose answer was lost: the services read what stands there.
        Ok(answer) if stood(answer) => assert!(whole, "{label}"),
        Ok(answer) => assert_eq!(Some(answer.as_str()), op.fails_as, "{label}"),
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Busy, "{label}");
            assert!(error.source.is_some() && error.retry_after_ms.is_some(), "{label}");
            assert_eq!(error.message, "the service is busy; send the same again", "{label}");
        }
    }
    assert!(op.has_steps || whole, "{label}");

    // What was on its way arrives, and the same again comes to what was meant.
    injector.heal();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let again = (op.call)(&app).await.unwrap();
    assert!(again == meant.answer || stood(&again), "{label}: {again}");
    // What came late, too.
    let all: Vec<_> = requests.into_iter().chain(injector.asked()).collect();
    let end = Look::after(&all, before, world, &injector).await;
    assert_eq!(end, meant.after, "{label}: {again}");
    world.restore(&end.stored, before).await;
    Some(elapsed >= op.limit || answer.is_ok_and(|answer| answer == meant.answer))
}

/// Each call under each of the faults, at each of its requests; how many cases there were.
async fn check_all(ops: impl Iterator<Item = &'static Op>, faults: &[Fault]) -> usize {
    let mut cases = 0;
    let world = World::staged().await;
    for op in ops {
        let meant = meant(op, &world).await;
        // What comes twice is survived, or is no other than what comes always.
        let twice = faults == HARMLESS;
        let attempts = [1, 2, u32::MAX].into_iter().filter(|n| twice || *n != 2);
        let attempts = attempts.map(When::Attempts);
        for when in attempts.chain((1..meant.asked.len()).map(When::Request)) {
            for &fault in faults {
                let Some(succeeded) = check(op, &meant, &world, fault, when).await else {
                    continue;
                };
                cases += 1;
                // What did nothing, and is asked again, is not noticed.
                let survived = match when {
                    When::Attempts(attempts) => attempts < op.tries,
                    When::Request(_) => op.tries > 1,
                };
                // A batch that shrinks is another request each time, and each of these is halved: more often than it is asked.
                let halved = fault == Fault::Partial && matches!(when, When::Attempts(_));
                if survived && !halved && HARMLESS.contains(&fault) {
                    assert!(succeeded, "{op:?} must survive {fault:?} at {when:?}");
                }
            }
        }
    }
    cases
}

#[track_caller]
fn at_least(least: usize, cases: usize, what: &str) {
    println!("{cases} cases: {what}");
    assert!(cases >= least, "{what}: {cases} cases only");
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_again_is_not_noticed() {
    let cases = check_all(ops::all(), HARMLESS).await;
    at_least(500, cases, "what is asked again is not noticed");
}

#[tokio::test(start_paused = true)]
async fn reads_tell_the_truth_or_fail() {
    let cases = check_all(ops::all().filter(|op| op.reads), HARMFUL).await;
    at_least(400, cases, "reads tell the truth or fail");
}

#[tokio::test(start_paused = true)]
async fn writes_tell_the_truth_or_fail() {
    let cases = check_all(ops::all().filter(|op| !op.reads), HARMFUL).await;
    at_least(700, cases, "writes tell the truth or fail");
}
