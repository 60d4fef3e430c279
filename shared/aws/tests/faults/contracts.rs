//! The core's contract suites over the product on AWS, where request after request meets a fault that does no harm: each
//! contract must hold as if there were none.

use petrel_core::App;
use petrel_core::testing::{self, contract};

use crate::fault::{Fault, HARMLESS, applies};
use crate::injector::Injector;
use crate::world::World;

/// Every so manieth request meets a fault.
const EVERY: [usize; 3] = [2, 3, 7];
/// Which fault, and which request first.
const SEEDS: u64 = 3;

/// The product over nothing, and its faults.
async fn product(every: usize, seed: u64) -> (Injector, App) {
    let (injector, app) = World::empty().await.product();
    let mut random = fastrand::Rng::with_seed(seed);
    let first = random.usize(..every);
    injector.plan(move |asked| {
        let fits = |fault: &Fault| applies(*fault, &asked.operation);
        let faults: Vec<_> = HARMLESS.iter().copied().filter(fits).collect();
        let fault = random.choice(faults);
        fault.filter(|_| asked.number % every == first)
    });
    (injector, app)
}

/// Runs a suite under each plan.
async fn hold(what: &str, suite: impl AsyncFn(&App)) {
    let (mut requests, mut faults) = (0, 0);
    for every in EVERY {
        for seed in 0..SEEDS {
            let (injector, app) = product(every, seed).await;
            println!("{what}: every {every}, seed {seed}");
            suite(&app).await;
            requests += injector.asked().len();
            faults += injector.injected();
        }
    }
    println!("{what}: {faults} of {requests} requests met a fault");
    assert!(faults * 5 > requests, "{what}: {faults} of {requests}");
}

#[tokio::test(start_paused = true)]
async fn log() {
    hold("log", async |app: &App| contract::log(&*app.log).await).await;
}

#[tokio::test(start_paused = true)]
async fn conversations() {
    let suite = async |app: &App| contract::conversations(&*app.log, &*app.conversations).await;
    hold("conversations", suite).await;
}

#[tokio::test(start_paused = true)]
async fn people() {
    let suite = async |app: &App| contract::people(&*app.conversations, &*app.people).await;
    hold("people", suite).await;
}

#[tokio::test(start_paused = true)]
async fn connections() {
    hold("connections", async |app: &App| contract::connections(&*app.connections).await).await;
}

#[tokio::test(start_paused = true)]
async fn cold() {
    hold("cold", async |app: &App| contract::cold(&*app.log, &*app.cold).await).await;
}

#[tokio::test(start_paused = true)]
async fn archive() {
    hold("archive", async |app: &App| contract::archive(&*app.archive).await).await;
}

#[tokio::test(start_paused = true)]
async fn uploads() {
    hold("uploads", async |app: &App| testing::uploads(&*app.uploads).await).await;
}
