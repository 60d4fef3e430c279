//! Who may change what of a group: every role with every action, and what races and leaving make of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use async_trait::async_trait;
use futures::executor::block_on;
use petrel_core::group::{Allowed, Role};
use petrel_core::ids::{ConversationId, InviteCode, InviteId, UserId};
use petrel_core::message::{Content, Entry, GroupChange};
use petrel_core::ports::{self, Conversations, mint};
use petrel_core::services::{Intent, NewInvite};
use petrel_core::{App, ErrorKind};
use uuid::Uuid;

use crate::world::*;

const ALL: [&str; 6] = ["olga", "ada", "abe", "mo", "mia", "eve"];

/// olga owns it, ada and abe are admins, mo and mia members; eve is a stranger.
fn scene() -> (World, ConversationId) {
    let world = World::new();
    let group = world.group("olga", &["ada", "abe", "mo", "mia"]);
    for admin in ["ada", "abe"] {
        change(&world, "olga", &group, &Intent::SetRole(user(admin), Role::Admin)).unwrap();
    }
    (world, group)
}

fn change(
    world: &World,
    who: &str,
    group: &ConversationId,
    intent: &Intent,
) -> Result<Option<Entry>, petrel_core::Error> {
    block_on(world.app.change(&caller(who), group, intent))
}

fn set(users: &[&str]) -> BTreeSet<UserId> {
    users.iter().map(|u| user(u)).collect()
}

fn update(name: Option<&str>, post: Option<Allowed>, add: Option<Allowed>) -> Intent {
    Intent::Update { name: name.map(str::to_owned), post, add, avatar: None, retention_days: None }
}

fn roles(world: &World, group: &ConversationId) -> Vec<(String, Role)> {
    let roster = block_on(world.memory.roster(group, 2_000));
    roster.unwrap().members.into_iter().map(|m| (m.user.to_string(), m.role)).collect()
}

/// What each of [`ALL`] is answered: `y` done, `f` forbidden, `n` not a member, `b` bad request, `-` nothing to do.
#[test]
fn every_role_with_every_action() {
    let member = |name: &str, role| Intent::SetRole(user(name), role);
    for (intent, expected) in [
        (Intent::Add(set(&["new"])), "yyyffn"),
        (Intent::Remove(set(&["mia"])), "yyyfyn"),
        (Intent::Remove(set(&["mo"])), "yyyyfn"),
        (Intent::Remove(set(&["abe"])), "yfyffn"),
        (Intent::Remove(set(&["olga"])), "yffffn"),
        (Intent::Remove(set(&["mo", "mia"])), "yyyffn"),
        (Intent::Remove(set(&["mo", "abe"])), "yfyffn"),
        (Intent::Remove(set(&["ghost"])), "---ffn"),
        (Intent::Remove(set(&["eve"])), "---ffn"),
        (member("mo", Role::Admin), "yyyffn"),
        (member("mo", Role::Owner), "yffffn"),
        (member("mo", Role::Member), "---ffn"),
        (member("abe", Role::Member), "yfyffn"),
        (member("abe", Role::Owner), "yffffn"),
        (member("abe", Role::Admin), "---ffn"),
        (member("olga", Role::Member), "bffffn"),
        (member("olga", Role::Admin), "bffffn"),
        (member("olga", Role::Owner), "---ffn"),
        (update(Some("tour"), None, None), "yyyffn"),
        (update(None, Some(Allowed::Admins), None), "yyyffn"),
        (update(None, None, Some(Allowed::All)), "yyyffn"),
        (update(Some("trip"), Some(Allowed::All), None), "---ffn"),
    ] {
        let answers: String = ALL
            .iter()
            .map(|who| {
                let (world, group) = scene();
                let roster = || block_on(world.memory.roster(&group, 2_000)).unwrap();
                let before = roster();
                let answer = match change(&world, who, &group, &intent) {
                    Ok(_) => return if roster() == before { '-' } else { 'y' },
                    Err(error) => match error.kind {
                        ErrorKind::Forbidden => 'f',
                        ErrorKind::NotAMember => 'n',
                        ErrorKind::BadRequest => 'b',
                        other => panic!("{intent:?} by {who}: {other:?}"),
                    },
                };
                assert_eq!(roster(), before, "{intent:?} by {who}");
                answer
            })
            .collect();
        assert_eq!(answers, expected, "{intent:?}");
    }
}

#[test]
fn bad_changes_are_refused_before_anything_is_read() {
    let (world, group) = scene();
    let many: Vec<String> = (0..50).map(|i| format!("u{i}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for intent in [
        Intent::Add(set(&[])),
        Intent::Add(set(&many)),
        Intent::Remove(set(&many)),
        update(None, None, None),
        update(Some(""), None, None),
        update(Some(&"x".repeat(257)), None, None),
    ] {
        assert_eq!(kind(change(&world, "olga", &group, &intent)), ErrorKind::BadRequest);
    }
    let unknown = Intent::SetRole(user("eve"), Role::Admin);
    assert_eq!(kind(change(&world, "olga", &group, &unknown)), ErrorKind::NotFound);
    let direct = direct("ana", "bo");
    assert_eq!(kind(change(&world, "ana", &direct, &unknown)), ErrorKind::BadRequest);
}

#[test]
fn a_group_always_has_one_owner_while_it_has_members() {
    let (world, group) = scene();
    let owner = || {
        let roles = roles(&world, &group);
        let owners: Vec<_> = roles.into_iter().filter(|(_, r)| *r == Role::Owner).collect();
        (owners.len(), owners.first().map(|(u, _)| u.clone()))
    };
    let leave = |who: &str| {
        let left = change(&world, who, &group, &Intent::Remove(set(&[who]))).unwrap().unwrap();
        match left.content {
            Content::System { change: GroupChange::Removed { owner, .. } } => owner,
            other => panic!("{other:?}"),
        }
    };
    // The admins come first, among equals who belongs longest, then the smaller id.
    assert_eq!(leave("olga"), Some(user("abe")));
    assert_eq!(owner(), (1, Some("abe".into())));
    // Whoever hands it over stays an admin.
    change(&world, "abe", &group, &Intent::SetRole(user("mo"), Role::Owner)).unwrap();
    assert_eq!(owner(), (1, Some("mo".into())));
    assert!(roles(&world, &group).contains(&("abe".into(), Role::Admin)));
    assert_eq!(leave("abe"), None);
    assert_eq!(leave("mo"), Some(user("ada")));
    assert_eq!(leave("ada"), Some(user("mia")));
    assert_eq!(leave("mia"), None);
    assert_eq!(owner(), (0, None));
}

#[test]
fn only_admins_write_where_the_group_says_so_and_all_react() {
    let (world, group) = scene();
    let say = |who: &str| world.send_as(who, &group, None, mint(&*world.memory), text("hi"));
    let target = say("mo").unwrap().seq;
    change(&world, "ada", &group, &update(None, Some(Allowed::Admins), None)).unwrap();
    for (who, may) in [("olga", true), ("ada", true), ("mo", false)] {
        assert_eq!(say(who).is_ok(), may, "{who}");
    }
    assert_eq!(kind(say("mo")), ErrorKind::Forbidden);
    let content = |content| world.send_as("mo", &group, None, mint(&*world.memory), content);
    content(Content::Reaction { target, emoji: "+1".into(), remove: false }).unwrap();
    assert_eq!(kind(content(Content::Edit { target, text: "x".into() })), ErrorKind::Forbidden);
    content(Content::Delete { target }).unwrap();
    change(&world, "ada", &group, &update(None, Some(Allowed::All), None)).unwrap();
    say("mo").unwrap();
}

#[test]
fn invites_let_in_until_they_end() {
    let (world, group) = scene();
    let invite = |who: &str, life: Option<u64>| {
        let new = NewInvite { expires_in_s: life };
        block_on(world.app.create_invite(&caller(who), &group, new))
    };
    let code = |id: &InviteId| InviteCode { group: group.clone(), invite: id.clone() };
    let join = |who: &str, id: &InviteId| block_on(world.app.join(&caller(who), &code(id)));
    for (who, expected) in [("mo", ErrorKind::Forbidden), ("eve", ErrorKind::NotAMember)] {
        assert_eq!(kind(invite(who, None)), expected);
        assert_eq!(kind(block_on(world.app.invites(&caller(who), &group))), expected);
    }
    for life in [0, 30 * 24 * 3600 + 1] {
        assert_eq!(kind(invite("ada", Some(life))), ErrorKind::BadRequest);
    }
    let first = invite("ada", Some(10)).unwrap();
    let preview = block_on(world.app.preview(&caller("eve"), &code(&first.id))).unwrap();
    assert_eq!((preview.name.as_str(), preview.members), ("trip", 5));

    // Twice is once, and one who belongs stays as he is.
    let joined = join("eve", &first.id).unwrap().unwrap();
    assert_eq!(join("eve", &first.id).unwrap().unwrap(), joined);
    assert!(roles(&world, &group).contains(&("eve".into(), Role::Member)));
    assert_eq!(join("olga", &first.id).unwrap(), None);
    assert!(roles(&world, &group).contains(&("olga".into(), Role::Owner)));

    // Guessed, of another group, expired, taken back: the same answer.
    let other = world.group("olga", &["mo"]);
    let elsewhere = InviteCode { group: other, invite: first.id.clone() };
    assert_eq!(kind(block_on(world.app.join(&caller("zoe"), &elsewhere))), ErrorKind::NotFound);
    assert_eq!(kind(join("zoe", &InviteId::new(1))), ErrorKind::NotFound);
    world.memory.pass(10_000);
    assert_eq!(kind(join("zoe", &first.id)), ErrorKind::NotFound);
    assert_eq!(
        kind(block_on(world.app.preview(&caller("zoe"), &code(&first.id)))),
        ErrorKind::NotFound
    );
    let second = invite("ada", None).unwrap();
    let listed = block_on(world.app.invites(&caller("olga"), &group)).unwrap();
    assert_eq!(listed, std::slice::from_ref(&second));
    let revoke = |who: &str| block_on(world.app.revoke_invite(&caller(who), &group, &second.id));
    assert_eq!(kind(revoke("mo")), ErrorKind::Forbidden);
    assert_eq!(kind(revoke("zoe")), ErrorKind::NotAMember);
    revoke("abe").unwrap();
    revoke("abe").unwrap();
    assert_eq!(kind(join("zoe", &second.id)), ErrorKind::NotFound);

    // Twenty at a time; where all may add, all may invite, and take back what they made.
    change(&world, "ada", &group, &update(None, None, Some(Allowed::All))).unwrap();
    let made: Vec<_> = (0..20).map(|_| invite("mo", None).unwrap()).collect();
    assert_eq!(kind(invite("mo", None)), ErrorKind::BadRequest);
    let third = &made[0];
    block_on(world.app.revoke_invite(&caller("mo"), &group, &third.id)).unwrap();
    invite("mia", None).unwrap();
}

#[test]
fn an_invite_holds_for_as_long_as_its_maker_may_invite() {
    let (world, group) = scene();
    let invite = |who: &str| {
        block_on(world.app.create_invite(&caller(who), &group, NewInvite::default())).unwrap()
    };
    let code = |id: &InviteId| InviteCode { group: group.clone(), invite: id.clone() };
    let join = |who: &str, id: &InviteId| block_on(world.app.join(&caller(who), &code(id)));
    let listed = || {
        let listed = block_on(world.app.invites(&caller("olga"), &group)).unwrap();
        let mut makers: Vec<_> = listed.iter().map(|i| i.created_by.to_string()).collect();
        makers.sort();
        makers
    };
    let void = |id: &InviteId| {
        assert_eq!(
            kind(block_on(world.app.preview(&caller("zoe"), &code(id)))),
            ErrorKind::NotFound
        );
        assert_eq!(kind(join("zoe", id)), ErrorKind::NotFound);
    };
    let all = |may| change(&world, "olga", &group, &update(None, None, Some(may))).unwrap();

    // A member may while all may, and again when they may again.
    all(Allowed::All);
    let (by_mo, by_ada) = (invite("mo"), invite("ada"));
    all(Allowed::Admins);
    void(&by_mo.id);
    invite("ada");
    // Admins see it, and may take it back; else it is good again when its maker may add.
    assert_eq!(listed(), ["ada", "ada", "mo"]);
    all(Allowed::All);
    let preview = block_on(world.app.preview(&caller("zoe"), &code(&by_mo.id)));
    assert_eq!(preview.unwrap().members, 5);

    // Who is taken out does not come back by his own, and not with its first answer either.
    change(&world, "ada", &group, &Intent::Remove(set(&["mo"]))).unwrap();
    assert_eq!(kind(join("mo", &by_mo.id)), ErrorKind::NotFound);
    void(&by_mo.id);
    assert_eq!(listed(), ["ada", "ada"]);
    // Nor when someone adds him again, also if the call that took him out came no further.
    block_on(world.memory.set_invite(&by_mo)).unwrap();
    assert!(change(&world, "ada", &group, &Intent::Remove(set(&["mo"]))).is_ok());
    change(&world, "ada", &group, &Intent::Add(set(&["mo"]))).unwrap();
    void(&by_mo.id);
    join("zac", &by_ada.id).unwrap();
    change(&world, "olga", &group, &Intent::Remove(set(&["ada"]))).unwrap();
    void(&by_ada.id);
    assert!(listed().is_empty());
}

/// What is random takes a while: meanwhile the owner takes mo out.
struct Slow(World, ConversationId);

#[async_trait]
impl ports::World for Slow {
    fn now_ms(&self) -> u64 {
        self.0.memory.now_ms()
    }

    fn new_id(&self) -> Uuid {
        self.0.memory.new_id()
    }

    fn secret(&self) -> u128 {
        // Elsewhere, for here a call is under way.
        thread::scope(|scope| {
            let removing = || change(&self.0, "olga", &self.1, &Intent::Remove(set(&["mo"])));
            scope.spawn(removing).join().unwrap().unwrap();
        });
        self.0.memory.secret()
    }

    fn jitter(&self, below: u64) -> u64 {
        self.0.memory.jitter(below)
    }

    async fn pause(&self, ms: u64) {
        self.0.memory.pause(ms).await;
    }
}

#[test]
fn no_invite_is_left_of_who_is_taken_out_while_he_makes_it() {
    let (world, group) = scene();
    change(&world, "olga", &group, &update(None, None, Some(Allowed::All))).unwrap();
    let (memory, app) = (world.memory.clone(), world.app.clone());
    let app = App { world: Arc::new(Slow(world, group.clone())), ..app };
    let made = block_on(app.create_invite(&caller("mo"), &group, NewInvite::default()));
    assert_eq!(kind(made), ErrorKind::NotAMember);
    assert!(block_on(memory.invites(&group, 9)).unwrap().is_empty());
}

#[test]
fn a_full_group_takes_no_one_and_a_deserted_one_neither() {
    let world = World::new();
    let (group, _) = world.crowd(1_000);
    let invite = block_on(world.app.create_invite(&caller("ana"), &group, NewInvite::default()));
    let code = InviteCode { group: group.clone(), invite: invite.unwrap().id };
    let join = |who: &str| block_on(world.app.join(&caller(who), &code));
    assert_eq!(kind(join("zoe")), ErrorKind::TooManyMembers);
    change(&world, "u0001", &group, &Intent::Remove(set(&["u0001"]))).unwrap();
    join("zoe").unwrap();
    assert_eq!(kind(join("zac")), ErrorKind::TooManyMembers);

    let group = world.group("ana", &["bo"]);
    let invite = block_on(world.app.create_invite(&caller("ana"), &group, NewInvite::default()));
    let code = InviteCode { group: group.clone(), invite: invite.unwrap().id };
    for who in ["ana", "bo"] {
        change(&world, who, &group, &Intent::Remove(set(&[who]))).unwrap();
    }
    assert_eq!(kind(block_on(world.app.join(&caller("ana"), &code))), ErrorKind::NotFound);
}
