//! Every call of every port under every fault, at every request it makes. Whatever happens: it ends within its attempts and
//! its time, a success is true, a failure says that it is not known what happened, and a repeat comes to what was meant.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use petrel_core::ErrorKind;
use tokio::time::Instant;

use crate::injector::{Asked, Fault, HARMFUL, HARMLESS};
use crate::ops::{Look, OPS, Op, Stage};
use crate::world::World;

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

/// What the call answers and asks when all is well, and what there is before it and after.
struct Meant {
    answer: String,
    asked: usize,
    before: Look,
    after: Look,
}

/// The region makes the SDK forget how often it had to ask again.
fn region() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("calls-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

async fn meant(op: Op) -> Meant {
    let world = World::new().await;
    Stage.set(&world.truth).await;
    let (injector, app) = world.product(&region());
    let before = Stage.look(&world.truth, &injector).await;
    injector.heal();
    let answer = Stage.call(op, &app).await.unwrap();
    let asked = injector.asked().len();
    Meant { answer, asked, before, after: Stage.look(&world.truth, &injector).await }
}

/// Whether a write says that what it asks for is no longer to be done.
fn stood(op: Op, answer: &str) -> bool {
    !op.reads() && ["Taken", "false", "None"].contains(&answer)
}

/// Makes the call under the fault and checks all that must hold; tells whether it succeeded, or `None` if the fault was
/// not met.
async fn check(op: Op, meant: &Meant, fault: Fault, when: When) -> Option<bool> {
    let world = World::new().await;
    Stage.set(&world.truth).await;
    let (injector, app) = world.product(&region());

    injector.plan(move |asked| when.is(asked).then_some(fault));
    let started = Instant::now();
    let answer = Stage.call(op, &app).await;
    let elapsed = started.elapsed();
    let (requests, injected) = (injector.asked(), injector.injected());
    if injected == 0 {
        return None;
    }
    let now = Stage.look(&world.truth, &injector).await;
    let label = format!("{op:?}, {fault:?} at {when:?}: {answer:?} after {requests:?}");

    assert!(requests.len() <= op.attempts() * meant.asked, "{label}");
    let most = op.time() * u32::try_from(meant.asked).unwrap();
    assert!(elapsed <= most, "{label}: {elapsed:?}");
    let whole = now == meant.before || now == meant.after;
    match &answer {
        Ok(answer) if *answer == meant.answer => assert_eq!(now, meant.after, "{label}"),
        // Not done, or done by an attempt whose answer was lost: the services read what stands there.
        Ok(answer) if stood(op, answer) => assert!(whole, "{label}"),
        Ok(answer) => assert_eq!(answer, "Later", "{label}"),
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::Busy, "{label}");
            assert!(error.source.is_some() && error.retry_after_ms.is_some(), "{label}");
            assert_eq!(error.message, "the service is busy; send the same again", "{label}");
            assert!(op.has_steps() || whole, "{label}");
        }
    }

    // What was on its way arrives, and the same again comes to what was meant.
    injector.heal();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let again = Stage.call(op, &app).await.unwrap();
    assert!(again == meant.answer || stood(op, &again), "{label}: {again}");
    let end = Stage.look(&world.truth, &injector).await;
    assert_eq!(end, meant.after, "{label}: {again}");
    Some(answer.is_ok_and(|answer| answer == meant.answer))
}

/// Each call under each of the faults, at each of its requests.
async fn check_all(ops: &[Op], faults: &[Fault]) -> usize {
    let mut cases = 0;
    for &op in ops {
        let meant = meant(op).await;
        let attempts = [1, 2, u32::MAX].map(When::Attempts);
        for when in attempts.into_iter().chain((1..meant.asked).map(When::Request)) {
            for &fault in faults {
                let Some(succeeded) = check(op, &meant, fault, when).await else { continue };
                cases += 1;
                // What did nothing, and is asked again, is not noticed.
                let tries = if op.attempts() % 3 == 0 && op != Op::Enqueue { 3 } else { 2 };
                let survived = match when {
                    When::Attempts(attempts) => attempts < tries,
                    When::Request(_) => true,
                };
                // A batch that shrinks is another request each time, and each of these is halved: more often than it is asked.
                let halved = matches!(op, Op::Enqueue | Op::Regards) && fault == Fault::Partial;
                if survived && !halved && HARMLESS.contains(&fault) {
                    assert!(succeeded, "{op:?} must survive {fault:?} at {when:?}");
                }
            }
        }
    }
    cases
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_again_is_not_noticed() {
    assert!(check_all(OPS, HARMLESS).await > 500);
}

#[tokio::test(start_paused = true)]
async fn reads_tell_the_truth_or_fail() {
    let reads: Vec<Op> = OPS.iter().copied().filter(|op| op.reads()).collect();
    assert!(check_all(&reads, HARMFUL).await > 400);
}

#[tokio::test(start_paused = true)]
async fn writes_tell_the_truth_or_fail() {
    let writes: Vec<Op> = OPS.iter().copied().filter(|op| !op.reads()).collect();
    assert!(check_all(&writes, HARMFUL).await > 700);
}
