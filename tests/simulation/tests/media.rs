//! Files under crashes: one story of uploads, sends, forwards, deletions, a scanner and time, told once for every call of a
//! port in it and twice for each, with a crash before the call's effect and with one after it. Whoever crashed does the
//! same again, as clients do. After every step the rules are looked at; and each broken variant breaks one.
//!
//! Small beside the simulation next door, and whole where that one rolls dice: there is no interleaving here that a crash does
//! not make.
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use futures::executor::block_on;
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConversationId, MediaId, MessageId, Seq, UserId};
use petrel_core::media::{ContentType, Keep, Sha256, Upload, UploadState};
use petrel_core::message::{Content, Entry};
use petrel_core::mutants::{Mutant, set};
use petrel_core::ports::{Files, Log, Put, SignedRequest, Uploads, World, mint};
use petrel_core::services::{NewGroup, NewUpload, Outgoing, SendRequest, Settings, Verdict};
use petrel_core::testing::Memory;
use petrel_core::{App, Caller};

/// The call at which a function crashes, counted over the story, and whether that call has its effect.
type Crash = Option<(u32, bool)>;

/// The ports that a story goes through.
struct Ports {
    memory: Arc<Memory>,
    calls: AtomicU32,
    crash: Crash,
}

impl Ports {
    async fn call<T>(&self, effect: impl Future<Output = Result<T>>) -> Result<T> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        let crashed = || Error::port("the function crashed");
        match self.crash {
            Some((at, false)) if at == call => Err(crashed()),
            Some((at, true)) if at == call => {
                effect.await?;
                Err(crashed())
            }
            _ => effect.await,
        }
    }
}

#[async_trait]
impl Log for Ports {
    async fn newest(
        &self,
        of: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.call(self.memory.newest(of, from, before, limit)).await
    }

    async fn after(&self, of: &ConversationId, after: Seq, limit: usize) -> Result<Vec<Entry>> {
        self.call(Log::after(&*self.memory, of, after, limit)).await
    }

    async fn put(&self, entry: &Entry) -> Result<Put> {
        self.call(Log::put(&*self.memory, entry)).await
    }

    async fn put_changing(&self, entry: &Entry) -> Result<Put> {
        self.call(Log::put_changing(&*self.memory, entry)).await
    }
}

#[async_trait]
impl Uploads for Ports {
    async fn announce(&self, upload: &Upload) -> Result<()> {
        self.call(self.memory.media().announce(upload)).await
    }

    async fn upload(&self, id: &MediaId) -> Result<Option<Upload>> {
        self.call(self.memory.media().upload(id)).await
    }

    async fn set_state(
        &self,
        owner: &UserId,
        id: &MediaId,
        from: &[UploadState],
        to: UploadState,
    ) -> Result<bool> {
        self.call(self.memory.media().set_state(owner, id, from, to)).await
    }

    async fn keep(&self, owner: &UserId, id: &MediaId, now_s: u64, keep: Keep) -> Result<bool> {
        self.call(self.memory.media().keep(owner, id, now_s, keep)).await
    }

    async fn forget(&self, owner: &UserId, id: &MediaId) -> Result<()> {
        self.call(self.memory.media().forget(owner, id)).await
    }

    async fn lend(&self, id: &MediaId, user: &UserId, until_s: u64) -> Result<()> {
        self.call(self.memory.media().lend(id, user, until_s)).await
    }

    async fn lent(&self, id: &MediaId, user: &UserId) -> Result<Option<u64>> {
        self.call(self.memory.media().lent(id, user)).await
    }
}

#[async_trait]
impl Files for Ports {
    async fn to_put(&self, upload: &Upload, life_s: u64) -> Result<SignedRequest> {
        self.call(self.memory.media().to_put(upload, life_s)).await
    }

    async fn to_get(&self, upload: &Upload, life_s: u64) -> Result<SignedRequest> {
        self.call(self.memory.media().to_get(upload, life_s)).await
    }

    async fn stored(&self, owner: &UserId, id: &MediaId) -> Result<bool> {
        self.call(self.memory.media().stored(owner, id)).await
    }

    async fn remove(&self, owner: &UserId, id: &MediaId) -> Result<()> {
        self.call(self.memory.media().remove(owner, id)).await
    }

    async fn of(
        &self,
        owner: &UserId,
        page: Option<&MediaId>,
        limit: usize,
    ) -> Result<Vec<MediaId>> {
        self.call(Files::of(self.memory.media(), owner, page, limit)).await
    }
}

const DAY_MS: u64 = 86_400_000;
const ALL: [&str; 4] = ["ana", "bo", "cy", "eve"];

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn caller(name: &str) -> Caller {
    Caller::http(user(name))
}

/// What was told, and what must hold.
struct Story {
    memory: Arc<Memory>,
    ports: Arc<Ports>,
    /// With the ports that crash.
    app: App,
    /// The same without, to look.
    look: App,
    conversations: Vec<ConversationId>,
    /// Who may send what besides its owner, as the story sees it.
    lent: BTreeSet<(String, MediaId)>,
    blocked: BTreeSet<MediaId>,
}

type Told = std::result::Result<(), String>;

impl Story {
    fn new(crash: Crash) -> Self {
        let memory = Arc::new(Memory::default());
        let ports = Arc::new(Ports { memory: memory.clone(), calls: AtomicU32::new(0), crash });
        let look = memory.app();
        let app = App {
            log: ports.clone(),
            uploads: ports.clone(),
            files: ports.clone(),
            ..memory.app()
        };
        Self {
            memory,
            ports,
            app,
            look,
            conversations: vec![],
            lent: BTreeSet::new(),
            blocked: BTreeSet::new(),
        }
    }

    /// Does something, and again if it crashed; looks at the rules after each. Returns what it came to.
    fn step<T>(
        &self,
        what: &str,
        mut work: impl FnMut(&App) -> Result<T>,
    ) -> std::result::Result<Result<T>, String> {
        let mut last = work(&self.app);
        let rules = |when| self.rules().map_err(|rule| format!("{when} {what}: {rule}"));
        rules("after")?;
        // A crash shows as a port's error; whatever else is an answer.
        if last.as_ref().is_err_and(|error| error.source.is_some()) {
            last = work(&self.app);
            rules("after the second try of")?;
        }
        Ok(last)
    }

    fn send(
        &self,
        from: &str,
        to: &ConversationId,
        content: &Content,
    ) -> std::result::Result<Result<Seq>, String> {
        let id: MessageId = mint(&*self.memory);
        self.step("a send", |app| {
            let messages = vec![Outgoing { message_id: id, content: content.clone() }];
            let send = SendRequest { conversation: to.clone(), seen: Some(Seq::ZERO), messages };
            let sent = block_on(app.send(&caller(from), send))?.remove(0);
            sent.map(|sent| sent.seq).map_err(|(_, error)| error)
        })
    }

    fn entries(&self) -> Vec<Entry> {
        let all = self.conversations.iter();
        all.flat_map(|c| block_on(Log::after(&*self.memory, c, Seq::ZERO, 1_000)).unwrap())
            .collect()
    }

    /// What must hold whenever one looks.
    fn rules(&self) -> Told {
        let entries = self.entries();
        for entry in &entries {
            let Some(id) = entry.content.media_id() else { continue };
            let upload = block_on(self.memory.media().upload(id)).unwrap();
            let Some(upload) = upload else {
                return Err(format!("{id} is in an entry and unknown"));
            };
            let sender = entry.sender_id.to_string();
            if upload.owner != entry.sender_id && !self.lent.contains(&(sender, id.clone())) {
                return Err(format!("{} sent what is another's", entry.sender_id));
            }
            if upload.state == UploadState::Waiting || !self.memory.media().holds(&upload.owner, id)
            {
                return Err(format!("{id} was sent before its bytes were there"));
            }
            let needed = entry.sent_at / 1000 + Settings::default().keeping.retention_s;
            if upload.expires_at_s.is_some_and(|end| end < needed) {
                return Err(format!("{id} was sent and runs out before its entry does"));
            }
            for who in ALL {
                self.may_read(who, entry)?;
            }
        }
        for delete in &entries {
            let Content::Delete { target } = delete.content else { continue };
            let of = &delete.conversation_id;
            for who in ALL {
                if block_on(self.look.media(&caller(who), of, target)).is_ok() {
                    return Err(format!("{who} reads {of} {target}, which is deleted"));
                }
            }
        }
        Ok(())
    }

    /// That nobody reads what they may not, and that whoever may does.
    fn may_read(&self, who: &str, entry: &Entry) -> Told {
        let of = &entry.conversation_id;
        let read = block_on(self.look.media(&caller(who), of, entry.seq));
        let row = block_on(self.look.conversations.row(&user(who), of)).unwrap();
        let member = row.is_some_and(|row| row.joined <= entry.seq);
        let blocked = entry.content.media_id().is_some_and(|id| self.blocked.contains(id));
        match read {
            Ok(_) if !member => {
                Err(format!("{who} reads {of} {} and is no member there", entry.seq))
            }
            Ok(_) if blocked => Err(format!("{who} reads what is blocked")),
            Err(error) if member && !blocked => {
                Err(format!("{who} does not read {of} {}: {error}", entry.seq))
            }
            _ => Ok(()),
        }
    }

    fn upload(&self, who: &str) -> std::result::Result<MediaId, String> {
        let new = || NewUpload {
            content_type: ContentType::parse("image/png").unwrap(),
            size: 9,
            sha256: Sha256::parse("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").unwrap(),
        };
        let ticket =
            self.step("an announcement", |app| block_on(app.new_upload(&caller(who), new())))?;
        Ok(ticket.unwrap().id)
    }

    fn complete(&self, who: &str, id: &MediaId) -> Told {
        self.memory.media().store(&user(who), id);
        let state =
            self.step("a complete", |app| block_on(app.complete_upload(&caller(who), id)))?;
        state.map(drop).map_err(|error| error.to_string())
    }

    fn tell(&mut self) -> Told {
        let group = NewGroup {
            name: "trip".into(),
            members: vec![user("bo")],
            request_id: Some("1".into()),
        };
        let group =
            block_on(self.look.create_group(&caller("ana"), group)).unwrap().conversation_id;
        let (elsewhere, hers) = (
            ConversationId::direct(&user("bo"), &user("cy")),
            ConversationId::direct(&user("eve"), &user("eve")),
        );
        self.conversations = vec![group.clone(), elsewhere.clone(), hers.clone()];
        let media = |id: &MediaId| Content::Media {
            media_id: id.clone(),
            caption: None,
            file: None,
            preview: None,
            mentions: vec![],
        };

        let first = self.upload("ana")?;
        // Too early, and not hers.
        drop(self.send("ana", &group, &media(&first))?);
        drop(self.send("eve", &hers, &media(&first))?);
        self.complete("ana", &first)?;
        drop(self.send("eve", &hers, &media(&first))?);
        let seq = self.send("ana", &group, &media(&first))?.map_err(|e| e.to_string())?;
        block_on(self.look.add_members(&caller("ana"), &group, &[user("cy")])).unwrap();
        self.rules()?;

        self.lent.insert(("bo".to_owned(), first.clone()));
        let borrowed =
            self.step("a forward", |app| block_on(app.borrow_media(&caller("bo"), &group, seq)))?;
        borrowed.map_err(|e| e.to_string())?;
        self.send("bo", &elsewhere, &media(&first))?.map_err(|e| e.to_string())?;
        self.send("ana", &group, &Content::Delete { target: seq })?.map_err(|e| e.to_string())?;

        let second = self.upload("ana")?;
        self.complete("ana", &second)?;
        self.send("ana", &group, &media(&second))?.map_err(|e| e.to_string())?;
        let ana = user("ana");
        block_on(self.look.judge(&ana, &second, Verdict::Blocked)).unwrap();
        self.blocked.insert(second.clone());
        // What comes late and twice.
        for _ in 0..2 {
            self.step("a late verdict", |app| block_on(app.judge(&ana, &second, Verdict::Clean)))?
                .map_err(|e| e.to_string())?;
            self.step("a late event", |app| block_on(app.uploaded(&ana, &second)))?
                .map_err(|e| e.to_string())?;
        }

        let unsent = self.upload("ana")?;
        self.complete("ana", &unsent)?;
        self.memory.pass(8 * DAY_MS);
        let now_s = self.memory.now_ms() / 1000;
        for gone in self.memory.media().sweep(now_s) {
            let (owner, id) = (&gone.owner, &gone.id);
            self.step("an upload that ran out", |app| block_on(app.upload_expired(owner, id)))?
                .map_err(|e| e.to_string())?;
        }
        self.rules()?;
        if self.memory.media().holds(&ana, &unsent) {
            return Err(format!("{unsent} lies there for nobody"));
        }
        Ok(())
    }
}

/// Tells the story with this variant and every crash; the first rule that breaks.
fn broken(mutant: Option<Mutant>) -> Option<String> {
    set(mutant);
    let told = |crash| {
        let mut story = Story::new(crash);
        let told = story.tell();
        (told, story.ports.calls.load(Ordering::Relaxed))
    };
    let (plain, calls) = told(None);
    let crashes = (0..calls).flat_map(|at| [(at, false), (at, true)]);
    let first = plain.err().map(|rule| (None, rule)).or_else(|| {
        crashes.into_iter().find_map(|crash| Some((Some(crash), told(Some(crash)).0.err()?)))
    });
    set(None);
    // A story that breaks a rule ends there.
    assert!(first.is_some() || calls > 50, "only {calls} calls");
    first.map(|(crash, rule)| format!("with {crash:?}: {rule}"))
}

#[test]
fn no_crash_breaks_a_rule_and_every_mutant_does() {
    assert_eq!(broken(None), None);
    // What keeps deleted media from being read is that nothing is left of its entry.
    for mutant in Mutant::MEDIA.iter().chain([&Mutant::DeletedStays]) {
        let rule = broken(Some(*mutant));
        println!("{:<22}{}", format!("{mutant:?}"), rule.as_deref().unwrap_or("not found"));
        assert!(rule.is_some(), "{mutant:?} is not found");
    }
}
