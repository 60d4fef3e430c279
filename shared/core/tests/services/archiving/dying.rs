//! An archiver, or who works beside it, dies at any step.

use async_trait::async_trait;
use futures::executor::block_on;
use petrel_core::ids::{ConversationId, Seq};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::{Archive, Cold, Floor, Object, Precondition, Put, mint};
use petrel_core::services::{Outgoing, Range, SendRequest};
use petrel_core::testing::Memory;
use petrel_core::{App, Error, Result};
use std::sync::Arc;

use super::{
    DAY_MS, archive, cold_world, everything, history, objects, old, read_all, with_a_secret,
};
use crate::world::*;

/// Fails at its n-th call, before the call or after it.
struct Failing {
    memory: Arc<Memory>,
    left: std::sync::atomic::AtomicI64,
    after: bool,
}

impl Failing {
    async fn pass<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let last = self.left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1;
        if last && !self.after {
            return Err(Error::port("dies here"));
        }
        let done = call.await?;
        if last { Err(Error::port("dies here")) } else { Ok(done) }
    }
}

/// The product, which dies at its `left`th call of the log's old part or of the archive, before it or after it.
fn dying(world: &World, left: i64, after: bool) -> App {
    let failing = Arc::new(Failing { memory: world.memory.clone(), left: left.into(), after });
    App { cold: failing.clone(), archive: failing, ..world.app.clone() }
}

#[async_trait]
impl Cold for Failing {
    async fn floor(&self, of: &ConversationId) -> Result<Floor> {
        self.pass(self.memory.floor(of)).await
    }
    async fn move_floor(&self, of: &ConversationId, old: &Floor, new: &Floor) -> Result<bool> {
        self.pass(self.memory.move_floor(of, old, new)).await
    }
    async fn put_delete(&self, delete: &Entry, target: &Entry, floor: &Floor) -> Result<Put> {
        self.pass(self.memory.put_delete(delete, target, floor)).await
    }
    async fn erase(&self, of: &ConversationId, entries: &[Entry], floor: &Floor) -> Result<bool> {
        self.pass(Cold::erase(&*self.memory, of, entries, floor)).await
    }
    async fn redactions(
        &self,
        of: &ConversationId,
        from: Seq,
        through: Seq,
        limit: usize,
    ) -> Result<Vec<Seq>> {
        self.pass(self.memory.redactions(of, from, through, limit)).await
    }
    async fn remove_redactions(&self, of: &ConversationId, seqs: &[Seq]) -> Result<()> {
        self.pass(self.memory.remove_redactions(of, seqs)).await
    }
    async fn set_timer(&self, of: &ConversationId, at: u64) -> Result<()> {
        self.pass(self.memory.set_timer(of, at)).await
    }
    async fn keep_timer(&self, of: &ConversationId, at: u64) -> Result<()> {
        self.pass(self.memory.keep_timer(of, at)).await
    }
    async fn remove(&self, of: &ConversationId, from: Seq, through: Seq) -> Result<()> {
        // Half of it, too.
        let half = Seq::new(from.get().midpoint(through.get()));
        self.pass(Cold::remove(&*self.memory, of, half, through)).await?;
        self.pass(Cold::remove(&*self.memory, of, from, through)).await
    }
    async fn empty(
        &self,
        of: &ConversationId,
        seq: Seq,
        why: petrel_core::message::Why,
    ) -> Result<()> {
        self.pass(self.memory.empty(of, seq, why)).await
    }
}

#[async_trait]
impl Archive for Failing {
    async fn put(&self, stretch: &[Entry], only_if: &Precondition) -> Result<bool> {
        self.pass(Archive::put(&*self.memory, stretch, only_if)).await
    }
    async fn get(&self, of: &ConversationId, last: Seq) -> Result<Option<Object>> {
        self.pass(Archive::get(&*self.memory, of, last)).await
    }
    async fn list(&self, of: &ConversationId, from: Seq, limit: usize) -> Result<Vec<Seq>> {
        self.pass(self.memory.list(of, from, limit)).await
    }
    async fn delete(&self, of: &ConversationId, last: Seq) -> Result<()> {
        self.pass(Archive::delete(&*self.memory, of, last)).await
    }
}

/// Whichever call the archiver dies at, before it or after it: all can be read, and the next run ends the work.
#[test]
fn a_crash_at_any_step_loses_nothing_and_is_made_up_for() {
    // Archiving, and the end of a retention that takes objects, a part of one, and rows.
    for (pass, first) in [(0, 1_u64), (98, 301), (300, 621)] {
        let mut steps = 0;
        for n in 1.. {
            let mut died = false;
            for after in [false, true] {
                let world = cold_world();
                let c = old(&world, 300);
                for m in 0..320 {
                    world.say("bo", &c, &format!("second {m}"));
                }
                world.memory.pass(2 * DAY_MS + 1_000);
                if pass > 0 {
                    archive(&world, &c);
                    world.memory.pass((pass - 2) * DAY_MS);
                }
                died |= block_on(dying(&world, n, after).archive(&c)).is_err();
                let all = |world: &World| {
                    let (mut all, mut at) = (vec![], Seq::ZERO);
                    loop {
                        let (page, more) = history(world, &c, Range::After(at), 100);
                        all.extend(page);
                        if !more {
                            return all;
                        }
                        at = Seq::new(all[all.len() - 1]);
                    }
                };
                let expected: Vec<u64> = (first..621).collect();
                assert_eq!(all(&world), expected, "died at {n}, after: {after}");
                // Its lease runs out.
                world.memory.pass(901_000);
                archive(&world, &c);
                assert_eq!(all(&world), expected, "made up for {n}, after: {after}");
                let rows = world.memory.rows_of_log(&c);
                assert!(rows.len() <= 4, "died at {n}, after: {after}: {rows:?} are left");
            }
            if !died {
                break;
            }
            steps += 1;
        }
        assert!(steps >= 4, "only {steps} steps");
    }
}

/// Whichever call an erasure dies at, before it or after it: the same again leaves nothing, also in the objects, for the
/// archiver is told.
#[test]
fn an_erasure_that_dies_at_any_step_is_made_up_for_by_the_same_again() {
    let mut steps = 0;
    for n in 1.. {
        let mut died = false;
        for after in [false, true] {
            let world = cold_world();
            let c = with_a_secret(&world);
            archive(&world, &c);
            world.memory.expired_timers();
            let ana = caller("ana").user;
            let first = block_on(dying(&world, n, after).erase_in(&ana, &c, None));
            died |= first.is_err();
            if first.is_err() {
                block_on(world.app.erase_in(&ana, &c, None)).unwrap();
            }
            assert!(world.memory.expired_timers().contains(&c), "died at {n}, {after}");
            assert!(!serde_json::to_string(&read_all(&world, &c)).unwrap().contains("secret"));
            archive(&world, &c);
            assert!(!everything(&world, &c).contains("secret"), "died at {n}, {after}");
        }
        if !died {
            break;
        }
        steps = n;
    }
    assert!(steps >= 6, "only {steps} steps");
}

/// The same beside an archiver that has died at any of its own: its copy may hold the words, and nothing that a reader looks
/// at tells of it.
#[test]
fn an_erasure_that_dies_leaves_no_words_in_the_copy_of_an_archiver_that_died() {
    let ana = caller("ana").user;
    let mut copies = 0;
    for archiver in 1.. {
        let mut archived = false;
        for n in 1.. {
            let world = cold_world();
            let c = with_a_secret(&world);
            archived = block_on(dying(&world, archiver, true).archive(&c)).is_ok();
            copies += usize::from(
                world.memory.rows_of_log(&c).len() > 20 && !objects(&world, &c).is_empty(),
            );
            world.memory.expired_timers();
            let first = block_on(dying(&world, n, true).erase_in(&ana, &c, None));
            if first.is_err() {
                block_on(world.app.erase_in(&ana, &c, None)).unwrap();
            }
            // Until nobody takes the dead archiver for one that lives.
            world.memory.pass(16 * 60_000);
            for due in world.memory.expired_timers() {
                archive(&world, &due);
            }
            let left = everything(&world, &c);
            assert!(
                !left.contains("secret"),
                "the archiver died at {archiver}, the erasure at {n}"
            );
            if first.is_ok() {
                break;
            }
        }
        if archived {
            break;
        }
    }
    assert!(copies > 0, "no archiver left a copy beside the rows");
}

/// A delete at each step of the archiver, and a crash of the archiver there too: nobody reads the words once the delete is
/// answered, and after the next run that ends they lie nowhere.
#[test]
fn a_delete_reaches_what_an_archiver_is_copying() {
    struct Deleting {
        failing: Failing,
        at: std::sync::atomic::AtomicI64,
        app: App,
        of: ConversationId,
    }
    impl Deleting {
        async fn look(&self) {
            if self.at.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
                let content = Content::Delete { target: Seq::new(5) };
                let message_id = mint(&*self.failing.memory);
                let messages = vec![Outgoing { message_id, content }];
                let send = SendRequest { conversation: self.of.clone(), seen: None, messages };
                let sent = self.app.send(&caller("ana"), send).await.unwrap();
                sent.into_iter().next().unwrap().unwrap();
            }
        }
    }
    #[async_trait]
    impl Cold for Deleting {
        async fn floor(&self, of: &ConversationId) -> Result<Floor> {
            self.look().await;
            self.failing.floor(of).await
        }
        async fn move_floor(&self, of: &ConversationId, old: &Floor, new: &Floor) -> Result<bool> {
            self.look().await;
            self.failing.move_floor(of, old, new).await
        }
        async fn put_delete(&self, delete: &Entry, target: &Entry, floor: &Floor) -> Result<Put> {
            self.failing.put_delete(delete, target, floor).await
        }
        async fn erase(
            &self,
            of: &ConversationId,
            of_him: &[Entry],
            floor: &Floor,
        ) -> Result<bool> {
            self.failing.erase(of, of_him, floor).await
        }
        async fn redactions(
            &self,
            of: &ConversationId,
            from: Seq,
            through: Seq,
            limit: usize,
        ) -> Result<Vec<Seq>> {
            self.look().await;
            self.failing.redactions(of, from, through, limit).await
        }
        async fn remove_redactions(&self, of: &ConversationId, seqs: &[Seq]) -> Result<()> {
            self.look().await;
            self.failing.remove_redactions(of, seqs).await
        }
        async fn set_timer(&self, of: &ConversationId, at: u64) -> Result<()> {
            self.failing.set_timer(of, at).await
        }
        async fn keep_timer(&self, of: &ConversationId, at: u64) -> Result<()> {
            self.failing.keep_timer(of, at).await
        }
        async fn remove(&self, of: &ConversationId, from: Seq, through: Seq) -> Result<()> {
            self.look().await;
            self.failing.remove(of, from, through).await
        }
        async fn empty(
            &self,
            of: &ConversationId,
            seq: Seq,
            why: petrel_core::message::Why,
        ) -> Result<()> {
            self.failing.empty(of, seq, why).await
        }
    }
    #[async_trait]
    impl Archive for Deleting {
        async fn put(&self, stretch: &[Entry], only_if: &Precondition) -> Result<bool> {
            self.look().await;
            self.failing.put(stretch, only_if).await
        }
        async fn get(&self, of: &ConversationId, last: Seq) -> Result<Option<Object>> {
            self.look().await;
            Archive::get(&self.failing, of, last).await
        }
        async fn list(&self, of: &ConversationId, from: Seq, limit: usize) -> Result<Vec<Seq>> {
            self.look().await;
            self.failing.list(of, from, limit).await
        }
        async fn delete(&self, of: &ConversationId, last: Seq) -> Result<()> {
            self.look().await;
            Archive::delete(&self.failing, of, last).await
        }
    }
    let mut deleted_at = 0;
    for at in 1..24 {
        for dies in [i64::MAX, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14] {
            let world = cold_world();
            let c = with_a_secret(&world);
            let app = world.app.clone();
            let left = dies.into();
            let failing = Failing { memory: world.memory.clone(), left, after: at % 2 == 0 };
            let deleting = Arc::new(Deleting { failing, at: at.into(), app, of: c.clone() });
            let app =
                App { cold: deleting.clone(), archive: deleting.clone(), ..world.app.clone() };
            let died = block_on(app.archive(&c)).is_err();
            if deleting.at.load(std::sync::atomic::Ordering::SeqCst) > 0 {
                continue;
            }
            deleted_at = at;
            let place = format!("deleted at {at}, died at {dies}: {died}");
            let seen = serde_json::to_string(&read_all(&world, &c)).unwrap();
            assert!(!seen.contains("secret"), "{place}");
            world.memory.pass(901_000);
            for _ in 0..2 {
                archive(&world, &c);
                assert!(!everything(&world, &c).contains("secret"), "{place}");
                assert_eq!(read_all(&world, &c).len(), 28, "{place}");
            }
            // None is left over above the floor.
            let last = block_on(world.memory.floor(&c)).unwrap().archived.get();
            assert_eq!(objects(&world, &c).last(), Some(&last), "{place}");
            assert_eq!(last, 25, "{place}");
            assert_eq!(world.memory.rows_of_log(&c), [1, 26, 27, 28], "{place}");
        }
    }
    assert!(deleted_at >= 7, "only {deleted_at} steps");
}
