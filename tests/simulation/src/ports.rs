//! The ports, as one invocation of a function sees them. Each call has two scheduling points, one before its effect and
//! one after, and may fail at either. This is the only place where an `App` is made.

mod connections;
mod conversations;
mod files;
mod history;
mod outside;
mod people;

use crate::core::{Core, Event, Hub, Invocation};
use crate::faults::{Fault, Path};
use crate::invocation::Notes;
use crate::truth::{Write, Wrote};
use petrel_core::App;
use petrel_core::error::{Error, Result};
use petrel_core::metrics::NoMetrics;
use petrel_core::services::Settings;
use std::sync::Arc;

/// The ports of one invocation.
pub struct Ports {
    hub: Arc<Hub>,
    invocation: Invocation,
    /// How far the function's clock is ahead, ms.
    skew: i64,
}

/// The product, for one invocation.
pub fn app(hub: &Arc<Hub>, invocation: Invocation, skew: i64) -> App {
    let ports = Arc::new(Ports { hub: hub.clone(), invocation, skew });
    let (limits, webhook, usage, keeping, scan) = {
        let core = hub.lock();
        (core.limits, core.webhook, core.usage.clone(), core.keeping.clone(), core.scan)
    };
    App {
        log: ports.clone(),
        cold: ports.clone(),
        archive: ports.clone(),
        conversations: ports.clone(),
        people: ports.clone(),
        connections: ports.clone(),
        gateway: ports.clone(),
        jobs: ports.clone(),
        notifier: ports.clone(),
        webhook: ports.clone(),
        moderation: ports.clone(),
        uploads: ports.clone(),
        files: ports.clone(),
        world: ports,
        metrics: Arc::new(NoMetrics),
        usage,
        settings: Settings { limits, webhook, keeping, scan, ..Settings::default() },
    }
}

impl Ports {
    async fn turn(&self) {
        let ms = {
            let mut core = self.hub.lock();
            if core.is_erasure(self.invocation) && core.strikes(Fault::ErasureSlow) {
                core.dice.between(1_000, 7_000)
            } else {
                core.latency()
            }
        };
        self.hub.turn(self.invocation, ms).await;
    }

    /// A call that changes nothing.
    async fn read<T>(&self, what: &str, effect: impl FnOnce(&mut Core) -> T + Send) -> Result<T> {
        self.turn().await;
        self.fails(what, Fault::FailsBefore)?;
        let done = {
            let mut core = self.hub.lock();
            core.note(|| format!("#{} {what}", self.invocation));
            effect(&mut core)
        };
        self.turn().await;
        self.fails(what, Fault::FailsAfter)?;
        Ok(done)
    }

    /// A write, which may also have its effect after it has failed, or be refused because of another one.
    async fn write(&self, what: &str, write: Write) -> Result<Wrote> {
        self.turn().await;
        {
            let mut core = self.hub.lock();
            // An operator who is told that it failed asks again, and does not change his mind meanwhile.
            let waits = !matches!(write, Write::SetDisabled(..));
            if waits && core.strikes(Fault::FailsLate) {
                let ms = core.dice.magnitude(1, 60_000);
                let user = core.notes.get(&self.invocation).and_then(|n| n.user.clone());
                let user = user.filter(|_| !core.is_erasure(self.invocation));
                let now = core.now;
                core.after(ms, Event::Late(Box::new(write), user, now));
                drop(core);
                return self.failed(what);
            }
            let refusable = matches!(
                write,
                Write::Put(_)
                    | Write::PutChanging(_)
                    | Write::PutDelete(..)
                    | Write::Change(_)
                    | Write::Advance(..)
                    | Write::Own(..)
            );
            if refusable && core.strikes(Fault::WriteConflict) {
                core.passed(Path::Conflict);
                if let Some(notes) = core.notes.get_mut(&self.invocation) {
                    notes.conflicts += 1;
                }
                return Ok(Wrote::No);
            }
        }
        self.fails(what, Fault::FailsBefore)?;
        let mut wrote = {
            let mut core = self.hub.lock();
            let wrote = core.apply(&write, Some(self.invocation));
            core.note(|| format!("#{} {what}: {wrote:?}", self.invocation));
            wrote
        };
        self.turn().await;
        let puts = matches!(write, Write::Put(_) | Write::PutChanging(_) | Write::PutDelete(..));
        if puts && wrote == Wrote::Yes {
            let mut core = self.hub.lock();
            if core.strikes(Fault::OwnConflict) {
                core.apply(&write, Some(self.invocation));
                wrote = Wrote::No;
            }
        }
        self.fails(what, Fault::FailsAfter)?;
        Ok(wrote)
    }

    fn fails(&self, what: &str, fault: Fault) -> Result<()> {
        if self.hub.lock().strikes(fault) { self.failed(what) } else { Ok(()) }
    }

    /// What the caller is told; from now on the invocation may answer `busy`.
    fn failed<T>(&self, what: &str) -> Result<T> {
        self.fails_and(what, |notes| notes.hurt = true)
    }

    /// As [`Self::failed`], but that whoever says something new needs no S3.
    fn failed_in_s3<T>(&self, what: &str) -> Result<T> {
        self.fails_and(what, |notes| notes.hurt_by_s3 = true)
    }

    fn fails_and<T>(&self, what: &str, hurt: impl FnOnce(&mut Notes)) -> Result<T> {
        let mut core = self.hub.lock();
        core.note(|| format!("#{} {what}: failed", self.invocation));
        core.notes.get_mut(&self.invocation).map(hurt);
        Err(Error::port("injected"))
    }
}
