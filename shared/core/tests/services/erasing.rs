//! A user whom a privacy law lets be forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::executor::block_on;
use petrel_core::group::{Allowed, Role};
use petrel_core::ids::{ConversationId, DeviceId, EndpointId, MediaId, Seq, UserId};
use petrel_core::limits::Limit;
use petrel_core::media::{ContentType, File, Sha256, Upload, UploadState};
use petrel_core::message::Content;
use petrel_core::people::{DisplayName, ProfileChange};
use petrel_core::ports::{
    Archive, Connections, Conversations, Endpoint, Files, People, Platform, SignedRequest, Uploads,
    mint,
};
use petrel_core::services::{Erased, ErasurePage, Intent, Keeping, NewInvite, Place};
use petrel_core::testing::Memory;
use petrel_core::{Error, ErrorKind, Result};

use crate::world::*;

const DAY_MS: u64 = 86_400_000;

fn erase(world: &World, who: &str, page: Option<ErasurePage>) -> Result<Erased> {
    block_on(world.app.erase(&user(who), page))
}

/// All of it: what was emptied, and how many calls it took.
fn erase_all(world: &World, who: &str) -> (u64, usize) {
    assert_eq!(kind(erase(world, who, None)), ErrorKind::Busy);
    world.memory.pass(30_000);
    let (mut entries, mut calls, mut page) = (0, 0, None);
    loop {
        let erased = erase(world, who, page).unwrap();
        entries += erased.entries;
        calls += 1;
        page = erased.page.map(|page| ErasurePage::parse(&page.to_string()).unwrap());
        if page.is_none() {
            return (entries, calls);
        }
    }
}

/// Everything that can be read of a conversation, as JSON.
fn read(world: &World, who: &str, c: &ConversationId) -> String {
    let synced = world.sync(who, &[(c, 0)], 200);
    let contents = synced.batches.iter().flat_map(|b| b.messages.iter().map(|e| &e.content));
    serde_json::to_string(&contents.collect::<Vec<_>>()).unwrap()
}

#[test]
fn an_erasure_is_not_done_while_the_push_service_knows_a_phone() {
    let world = World::new();
    let device = DeviceId::parse("phone").unwrap();
    block_on(world.app.set_push(&caller("ana"), device, Platform::Fcm, "token")).unwrap();
    world.memory.overload_pushes(true);
    assert_eq!(kind(erase(&world, "ana", None)), ErrorKind::Busy);
    world.memory.pass(30_000);
    for _ in 0..2 {
        assert_eq!(kind(erase(&world, "ana", None)), ErrorKind::Busy);
        assert_eq!(world.memory.phones().len(), 1);
    }
    // Nothing is pushed meanwhile: he is disabled.
    world.say("bo", &direct("ana", "bo"), "hi");
    assert!(world.memory.jobs().is_empty());
    world.memory.overload_pushes(false);
    assert_eq!(erase(&world, "ana", None).unwrap().page, None);
    assert!(world.memory.phones().is_empty());
}

#[test]
fn nothing_that_a_user_wrote_or_showed_is_left_in_the_table_or_in_the_archive() {
    let mut world = World::new();
    world.app.settings.keeping =
        Keeping { hot_s: 86_400, tail: 3, least: 1, retention_s: 100 * 86_400 };
    let (c, g) = (direct("ana", "bo"), world.group("ana", &["bo", "cy"]));
    world.say("ana", &c, "secret of ana");
    world.say("bo", &c, "word of bo");
    let edited = world.say("ana", &c, "secret before").seq;
    let edit = Content::Edit { target: edited, text: "secret after".into() };
    world.send_as("ana", &c, None, mint(&*world.memory), edit).unwrap();
    for n in 0..20 {
        world.say("ana", &c, &format!("secret {n}"));
        world.say("bo", &g, &format!("word {n}"));
    }
    world.memory.pass(2 * DAY_MS);
    assert!(block_on(world.app.archive(&c)).unwrap().moved > 10);
    world.say("ana", &g, "secret in the group");
    let taken_back = world.say("bo", &c, "bo repents").seq;
    let delete = Content::Delete { target: taken_back };
    world.send_as("bo", &c, None, mint(&*world.memory), delete).unwrap();
    let name = ProfileChange {
        name: Some(Some(DisplayName::parse("Ana the secret").unwrap())),
        ..ProfileChange::default()
    };
    block_on(world.memory.set_profile(&user("ana"), &name)).unwrap();
    block_on(world.memory.block(&user("ana"), &user("di"))).unwrap();
    let endpoint = Endpoint {
        user: user("ana"),
        device: DeviceId::parse("phone").unwrap(),
        id: EndpointId::parse("arn:phone").unwrap(),
    };
    block_on(world.memory.set_endpoint(&endpoint)).unwrap();
    world.online("ana", "phone");
    assert!(read(&world, "bo", &c).contains("secret"));

    // 23 in the conversation of two, an edit among them, and one in the group.
    assert_eq!(erase_all(&world, "ana").0, 24);
    world.memory.pass(20);
    for of in [&c, &g] {
        let left = read(&world, "bo", of);
        assert!(!left.contains("secret") && left.contains("word"), "{left}");
    }
    // Also in the objects, once the archiver has been there, which was told.
    assert!(world.memory.expired_timers().contains(&c));
    block_on(world.app.archive(&c)).unwrap();
    for last in block_on(world.memory.list(&c, Seq::ZERO, 100)).unwrap() {
        let object = block_on(Archive::get(&*world.memory, &c, last)).unwrap().unwrap();
        assert!(!serde_json::to_string(&object.entries).unwrap().contains("secret"));
    }
    assert!(!read(&world, "bo", &c).contains("secret"));
    // Out of the group, which has another owner.
    let roster = block_on(world.memory.roster(&g, 10)).unwrap();
    assert!(roster.members.iter().all(|m| m.user != user("ana")) && roster.members.len() == 2);
    // What he had by himself.
    assert!(block_on(world.memory.profiles(&[user("ana")])).unwrap().is_empty());
    assert!(block_on(world.memory.rows(&user("ana"), None, 10)).unwrap().is_empty());
    assert!(!block_on(world.memory.blocks(&user("ana"), &user("di"))).unwrap());
    let account = block_on(world.memory.account(&user("ana"))).unwrap();
    assert!(account.disabled_at.is_some() && account.devices == Default::default());
    // All of it again finds nothing, and a peer may go on.
    let again = Erased { entries: 0, page: None };
    assert_eq!(erase(&world, "ana", None).unwrap(), again);
    world.say("bo", &c, "are you there?");
}

#[test]
fn a_long_history_takes_several_calls_each_of_which_may_come_twice() {
    let world = World::new();
    let c = direct("ana", "bo");
    for n in 0..450 {
        world.say(if n % 2 == 0 { "ana" } else { "bo" }, &c, "x");
        world.memory.pass(10);
    }
    assert_eq!(kind(erase(&world, "ana", None)), ErrorKind::Busy);
    world.memory.pass(30_000);
    let since = block_on(world.app.account(&user("ana"))).unwrap().disabled_at.unwrap();
    let page = Some(ErasurePage { since, place: Place::In(c.clone(), Seq::new(200)) });
    assert_eq!(erase(&world, "ana", page.clone()).unwrap().entries, 125, "those above 200");
    assert_eq!(erase(&world, "ana", page).unwrap().entries, 0, "the row is gone");
    let one = block_on(world.app.erase_in(&user("ana"), &c, None)).unwrap();
    assert_eq!(one, Erased { entries: 100, page: None });
}

#[test]
fn what_someone_wrote_in_groups_that_he_has_left_goes_and_so_do_his_invites() {
    let mut world = World::new();
    world.app.settings.keeping =
        Keeping { hot_s: 86_400, tail: 3, least: 1, retention_s: 100 * 86_400 };
    let groups: Vec<_> = (0..4).map(|_| world.group("ana", &["bo", "cy"])).collect();
    let [long, short, again, stays] = &groups[..] else { panic!() };
    for g in &groups {
        world.say("bo", g, "secret");
        world.say("cy", g, "word");
    }
    for n in 0..450 {
        world.say("bo", long, &format!("secret {n}"));
        world.memory.pass(10);
    }
    world.memory.pass(2 * DAY_MS);
    assert!(block_on(world.app.archive(long)).unwrap().moved > 10);
    let change = |who: &str, g, intent: &Intent| {
        block_on(world.app.change(&caller(who), g, intent)).unwrap().unwrap();
    };
    let may_add = Intent::Update {
        name: None,
        post: None,
        add: Some(Allowed::All),
        avatar: None,
        retention_days: None,
    };
    for g in [short, stays] {
        change("ana", g, &may_add);
        block_on(world.app.create_invite(&caller("bo"), g, NewInvite::default())).unwrap();
    }
    let bo: BTreeSet<UserId> = [user("bo")].into();
    change("bo", long, &Intent::Remove(bo.clone()));
    change("ana", short, &Intent::Remove(bo.clone()));
    change("bo", again, &Intent::Remove(bo.clone()));
    change("ana", again, &Intent::Add(bo.clone()));
    world.say("bo", again, "secret once more");
    // Whose removal came to nothing is noted for nothing.
    block_on(world.memory.note_left(stays, &[user("bo")])).unwrap();

    assert_eq!(erase_all(&world, "bo").0, 455);
    for g in &groups {
        let left = read(&world, "ana", g);
        assert!(!left.contains("secret") && left.contains("word"), "{left}");
        assert!(block_on(world.memory.invites(g, 9)).unwrap().is_empty());
        assert!(block_on(world.memory.roster(g, 9)).unwrap().members.len() == 2);
    }
    assert!(block_on(world.memory.left(&user("bo"), 9)).unwrap().is_empty());
}

#[test]
fn an_erasure_goes_on_in_the_group_that_was_left_where_it_stood() {
    let world = World::new();
    let groups: Vec<_> = (0..2).map(|_| world.group("ana", &["bo"])).collect();
    for g in &groups {
        for _ in 0..10 {
            world.say("bo", g, "secret");
        }
        block_on(world.app.remove_members(&caller("bo"), g, &[user("bo")])).unwrap();
    }
    assert_eq!(kind(erase(&world, "bo", None)), ErrorKind::Busy);
    world.memory.pass(30_000);
    let since = block_on(world.app.account(&user("bo"))).unwrap().disabled_at.unwrap();
    let left = block_on(world.memory.left(&user("bo"), 9)).unwrap();
    let [first, second] = &left[..] else { panic!("{left:?}") };
    // Seq 1 is the founding, and his are 2 to 11. The other group is begun at its beginning, whichever comes first.
    for (at, entries) in [(second, 10 + 5), (first, 5)] {
        let page = Some(ErasurePage { since, place: Place::Left(at.clone(), Seq::new(6)) });
        let erased = erase(&world, "bo", page).unwrap();
        assert_eq!(erased, Erased { entries, page: None });
        // Of both groups.
        let spoken = read(&world, "ana", first).matches("secret").count();
        assert_eq!(spoken, if at == second { 5 } else { 0 });
        block_on(world.memory.note_left(second, &[user("bo")])).unwrap();
    }
}

#[test]
fn what_someone_wrote_in_one_conversation_is_erased_by_its_name() {
    let world = World::new();
    let g = world.group("ana", &["bo"]);
    world.say("bo", &g, "secret");
    let alone = [user("bo")];
    block_on(world.app.remove_members(&caller("bo"), &g, &alone)).unwrap();
    let erase_in = |of: &ConversationId, page| block_on(world.app.erase_in(&user("bo"), of, page));
    assert_eq!(erase_in(&g, None).unwrap().entries, 1);
    assert!(!read(&world, "ana", &g).contains("secret"));
    assert_eq!(kind(erase_in(&direct("bo", "cy"), None)), ErrorKind::NotFound);
    for place in [Place::In(direct("bo", "cy"), Seq::FIRST), Place::Behind(g.clone()), Place::Rest]
    {
        let page = Some(ErasurePage { since: 0, place });
        assert_eq!(kind(erase_in(&g, page)), ErrorKind::BadRequest);
    }
}

#[test]
fn what_came_over_a_socket_that_an_earlier_call_closed_is_waited_for() {
    let world = World::new();
    world.online("ana", "phone");
    world.memory.pass(90_000);
    block_on(world.memory.set_disabled(&user("ana"), Some(1))).unwrap();
    // As far as a call gets that ends before it answers.
    assert_eq!(block_on(world.app.cut(&user("ana"))).unwrap(), 1);
    world.memory.pass(10_000);
    let refused = erase(&world, "ana", None).unwrap_err();
    assert_eq!((refused.kind, refused.retry_after_ms), (ErrorKind::Busy, Some(20_000)));
    world.memory.pass(20_000);
    assert_eq!(erase(&world, "ana", None).unwrap().page, None);
    // That he was here is forgotten with the rest.
    assert_eq!(block_on(world.app.account(&user("ana"))).unwrap().last_seen, None);
}

#[test]
fn a_group_that_never_came_into_being_holds_nothing_up() {
    let world = World::new();
    let nowhere = ConversationId::group(uuid::Uuid::from_u128(9));
    world.memory.found_late(&nowhere, &user("ana"), Role::Member);
    let g = world.group("ana", &["bo"]);
    world.say("ana", &g, "secret");
    assert_eq!(erase_all(&world, "ana"), (1, 1));
    let rows = block_on(world.memory.rows(&user("ana"), None, 9)).unwrap();
    assert_eq!(rows.into_iter().map(|r| r.conversation).collect::<Vec<_>>(), [nowhere]);
}

#[test]
fn an_erasure_is_not_held_up_by_what_the_user_may_do_in_a_while() {
    let mut world = World::new();
    let groups: Vec<_> = (0..5).map(|_| world.group("ana", &["bo"])).collect();
    world.app.settings.limits.members = Limit::new(1, 3_600);
    assert_eq!(erase_all(&world, "ana").1, 1);
    for g in groups {
        let roster = block_on(world.memory.roster(&g, 9)).unwrap();
        assert!(roster.members.iter().all(|m| m.user == user("bo")));
    }
}

fn an_upload() -> Upload {
    Upload {
        id: MediaId::new(1),
        owner: user("ana"),
        file: File {
            content_type: ContentType::parse("image/png").unwrap(),
            size: 19,
            sha256: Sha256::parse("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").unwrap(),
        },
        state: UploadState::Clean,
        avatar: true,
        expires_at_s: None,
    }
}

/// Files that take the bytes away, and then fail.
struct Dying(Arc<Memory>);

#[async_trait]
impl Files for Dying {
    async fn to_put(&self, upload: &Upload, life_s: u64) -> Result<SignedRequest> {
        self.0.media().to_put(upload, life_s).await
    }

    async fn to_get(&self, upload: &Upload, life_s: u64) -> Result<SignedRequest> {
        self.0.media().to_get(upload, life_s).await
    }

    async fn stored(&self, owner: &UserId, id: &MediaId) -> Result<bool> {
        self.0.media().stored(owner, id).await
    }

    async fn remove(&self, owner: &UserId, id: &MediaId) -> Result<()> {
        self.0.media().remove(owner, id).await?;
        Err(Error::port("dies here"))
    }

    async fn of(
        &self,
        owner: &UserId,
        page: Option<&MediaId>,
        limit: usize,
    ) -> Result<Vec<MediaId>> {
        self.0.media().of(owner, page, limit).await
    }
}

#[test]
fn nothing_is_known_of_an_upload_whose_bytes_an_earlier_call_took() {
    let mut world = World::new();
    let upload = an_upload();
    block_on(world.memory.media().announce(&upload)).unwrap();
    world.memory.media().store(&upload.owner, &upload.id);
    let files = std::mem::replace(&mut world.app.files, Arc::new(Dying(world.memory.clone())));
    assert_eq!(kind(erase(&world, "ana", None)), ErrorKind::Busy);
    world.memory.pass(30_000);
    assert_eq!(kind(erase(&world, "ana", None)), ErrorKind::Busy);
    world.app.files = files;
    assert_eq!(erase(&world, "ana", None).unwrap(), Erased { entries: 0, page: None });
    assert!(!world.memory.media().holds(&upload.owner, &upload.id));
    assert_eq!(block_on(world.memory.media().upload(&upload.id)).unwrap(), None);
}

#[test]
fn pages_are_those_that_were_answered() {
    let of = direct("ana", "bo");
    let left = Place::Left(of.clone(), Seq::new(7));
    for place in [Place::In(of.clone(), Seq::new(7)), Place::Behind(of), left, Place::Rest] {
        let page = ErasurePage { since: 5, place };
        assert_eq!(ErasurePage::parse(&page.to_string()).unwrap(), page);
    }
    for text in [
        "",
        "~",
        "7",
        "7~",
        "~rest",
        "7~8",
        "7~d:ana:bo",
        "7~+8~d:ana:bo",
        "7~-1~d:ana:bo",
        "7~8~nonsense",
        "x~rest",
        "7~REST",
        "7~behind~",
        "7~left",
        "7~left~8",
        "7~left~d:ana:bo",
        "7~left~8~",
        "7~behind~d:ana:bo~",
    ] {
        assert!(ErasurePage::parse(text).is_err(), "{text}");
    }
}

#[test]
fn who_came_back_who_was_enabled_and_who_was_added_meanwhile_leaves_nothing_either() {
    let world = World::new();
    let g = world.group("ana", &["bo"]);
    world.say("bo", &g, "secret before");
    block_on(world.app.remove_members(&caller("bo"), &g, &[user("bo")])).unwrap();
    block_on(world.app.add_members(&caller("ana"), &g, &[user("bo")])).unwrap();
    world.say("bo", &g, "secret after");
    let c = direct("ana", "bo");
    world.say("bo", &c, "secret");
    assert_eq!(kind(erase(&world, "bo", None)), ErrorKind::Busy);
    let since = block_on(world.app.account(&user("bo"))).unwrap().disabled_at.unwrap();
    // A page from before he was enabled is none: what he wrote meanwhile lies behind it.
    world.memory.pass(1_000);
    block_on(world.app.enable(&user("bo"))).unwrap();
    world.say("bo", &c, "secret meanwhile");
    let page = Some(ErasurePage { since, place: Place::Rest });
    assert_eq!(kind(erase(&world, "bo", page.clone())), ErrorKind::Busy);
    world.memory.pass(30_000);
    assert_eq!(erase(&world, "bo", page).unwrap(), Erased { entries: 4, page: None });
    for of in [&c, &g] {
        assert!(!read(&world, "ana", of).contains("secret"));
    }
    // Added at the end, when his conversations were done.
    let since = block_on(world.app.account(&user("bo"))).unwrap().disabled_at.unwrap();
    block_on(world.app.add_members(&caller("ana"), &g, &[user("bo")])).unwrap();
    let page = Some(ErasurePage { since, place: Place::Rest });
    assert_eq!(erase(&world, "bo", page).unwrap(), Erased { entries: 0, page: None });
    assert_eq!(block_on(world.memory.roster(&g, 9)).unwrap().members.len(), 1);
}

#[test]
fn a_socket_that_was_open_until_now_is_waited_for() {
    let world = World::new();
    world.online("ana", "phone");
    world.memory.pass(90_000);
    block_on(world.memory.set_disabled(&user("ana"), Some(1))).unwrap();
    let refused = erase(&world, "ana", None).unwrap_err();
    assert_eq!((refused.kind, refused.retry_after_ms), (ErrorKind::Busy, Some(30_000)));
    world.memory.pass(30_000);
    assert!(erase(&world, "ana", None).is_ok());
}
