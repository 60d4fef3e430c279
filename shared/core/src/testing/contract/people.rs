//! Profiles, blocks, watchers, and that they go.

use crate::group::{Allowed, GroupInfo, Role};
use crate::ids::{ConversationId, MediaId};
use crate::people::{Audience, DisplayName, Profile, ProfileChange};
use crate::ports::{Conversations, People, Put};

use super::{group, user};

/// [`People`], over the same store as the conversations.
pub async fn people(conversations: &dyn Conversations, people: &dyn People) {
    let (ana, bo, cy) = (user("ana"), user("bo"), user("cy"));
    let everyone = [bo.clone(), ana.clone(), bo.clone(), cy.clone()];
    assert!(people.profiles(&everyone).await.unwrap().is_empty());

    // What a change does not name stays, and `None` inside takes away.
    let name = |n: &str| Some(DisplayName::parse(n).unwrap());
    let avatar = Some(MediaId::parse("0123456789abcdef0123456789abcdef").unwrap());
    let change = ProfileChange {
        name: Some(name("Ana")),
        avatar: Some(avatar.clone()),
        ..ProfileChange::default()
    };
    let mut ana_is = Profile { name: name("Ana"), avatar, ..Profile::default() };
    for _ in 0..2 {
        assert_eq!(people.set_profile(&ana, &change).await.unwrap(), ana_is);
    }
    let change = ProfileChange {
        avatar: Some(None),
        hide_read_receipts: Some(true),
        hide_previews: Some(true),
        presence: Some(Audience::Nobody),
        ..ProfileChange::default()
    };
    ana_is = Profile {
        avatar: None,
        hide_read_receipts: true,
        hide_previews: true,
        presence: Audience::Nobody,
        ..ana_is
    };
    assert_eq!(people.set_profile(&ana, &change).await.unwrap(), ana_is);
    for presence in [Audience::Everyone, Audience::Contacts] {
        let change = ProfileChange { presence: Some(presence), ..ProfileChange::default() };
        let set = people.set_profile(&bo, &change).await.unwrap();
        assert_eq!(set, Profile { presence, ..Profile::default() });
    }
    let mut found = people.profiles(&everyone).await.unwrap();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let profiles = [(ana.clone(), ana_is.clone()), (bo.clone(), Profile::default())];
    assert_eq!(found, profiles);

    // The row and the profile, each as it is there or not.
    let direct = ConversationId::direct(&ana, &cy);
    let both = people.row_and_profile(&ana, &direct).await.unwrap();
    assert_eq!(both, (None, ana_is.clone()));
    conversations.open(&direct, &[ana.clone(), cy.clone()]).await.unwrap();
    for (who, profile) in [(&ana, ana_is), (&cy, Profile::default())] {
        let row = conversations.row(who, &direct).await.unwrap();
        assert!(row.is_some());
        assert_eq!(people.row_and_profile(who, &direct).await.unwrap(), (row, profile));
    }
    // Neither the profile nor a block is a conversation.
    people.block(&ana, &cy).await.unwrap();
    assert_eq!(conversations.rows(&ana, None, 9).await.unwrap().len(), 1);

    // A block has one direction.
    for _ in 0..2 {
        people.block(&ana, &bo).await.unwrap();
        assert!(conversations.blocks(&ana, &bo).await.unwrap());
        assert!(!conversations.blocks(&bo, &ana).await.unwrap());
    }
    people.block(&cy, &bo).await.unwrap();
    assert_eq!(people.blocked(&ana, None, 9).await.unwrap(), [bo.clone(), cy.clone()]);
    assert_eq!(people.blocked(&ana, None, 1).await.unwrap(), std::slice::from_ref(&bo));
    assert_eq!(people.blocked(&ana, Some(&bo), 9).await.unwrap(), std::slice::from_ref(&cy));
    assert!(people.blocked(&bo, None, 9).await.unwrap().is_empty());
    let blockers = people.blockers(&everyone, &bo).await.unwrap();
    assert_eq!(blockers, [ana.clone(), cy.clone()].into());
    assert!(people.blockers(&everyone, &user("di")).await.unwrap().is_empty());
    for _ in 0..2 {
        people.unblock(&ana, &bo).await.unwrap();
        assert!(!conversations.blocks(&ana, &bo).await.unwrap());
    }
    assert_eq!(people.blocked(&ana, None, 9).await.unwrap(), std::slice::from_ref(&cy));

    // How one looks at another: ana blocks cy, cy blocks bo, and ana and cy have a conversation.
    let pairs = [(&ana, &cy), (&cy, &ana), (&bo, &ana), (&ana, &bo), (&bo, &cy), (&ana, &ana)];
    let pairs = pairs.map(|(who, user)| (who.clone(), user.clone()));
    let regards = people.regards(&pairs).await.unwrap();
    let found: Vec<_> = regards.iter().map(|r| (r.presence, r.contact, r.blocked)).collect();
    let (nobody, contacts) = (Audience::Nobody, Audience::Contacts);
    let expected = [
        (contacts, true, true),
        (nobody, true, true),
        (nobody, false, false),
        (contacts, false, false),
        (contacts, false, true),
        (nobody, false, false),
    ];
    assert_eq!(found, expected);

    // Who watches, each until then.
    for (watcher, until) in [(&cy, 20), (&ana, 10), (&cy, 30)] {
        people.watch(&bo, watcher, until).await.unwrap();
    }
    let watchers = async |now, limit| people.watchers(&bo, now, limit).await.unwrap();
    assert_eq!(watchers(9, 9).await, [ana.clone(), cy.clone()]);
    assert_eq!(watchers(9, 1).await, std::slice::from_ref(&ana));
    assert_eq!(watchers(10, 9).await, std::slice::from_ref(&cy));
    assert_eq!(watchers(10, 1).await, std::slice::from_ref(&cy));
    assert!(watchers(30, 9).await.is_empty());
    assert!(people.watchers(&ana, 0, 9).await.unwrap().is_empty());
    assert_eq!(conversations.rows(&bo, None, 9).await.unwrap(), []);

    // What is a user's own goes, some at a time, and what is others' stays.
    people.watch(&ana, &bo, 9_000).await.unwrap();
    people.block(&bo, &ana).await.unwrap();
    let info = GroupInfo {
        name: "trip".into(),
        post: Allowed::All,
        add: Allowed::All,
        avatar: None,
        retention_days: None,
    };
    let founder = (ana.clone(), Role::Owner);
    assert_eq!(conversations.found(&group(), &info, &[founder]).await.unwrap(), Put::Stored);
    conversations.note_left(&group(), std::slice::from_ref(&ana)).await.unwrap();
    let mut calls = 1;
    while people.erase(&ana, 1).await.unwrap() {
        calls += 1;
    }
    assert!(calls > 3, "a row, a profile, and a watcher at least: {calls}");
    assert!(!people.erase(&ana, 9).await.unwrap());
    // His row of a group goes with the member's, and with nothing else.
    let rows = conversations.rows(&ana, None, 9).await.unwrap();
    assert_eq!(rows.into_iter().map(|row| row.conversation).collect::<Vec<_>>(), [group()]);
    assert_eq!(conversations.left(&ana, 9).await.unwrap(), [group()]);
    assert_eq!(people.row_and_profile(&ana, &direct).await.unwrap(), (None, Profile::default()));
    assert!(people.blocked(&ana, None, 9).await.unwrap().is_empty());
    assert!(people.watchers(&ana, 1, 9).await.unwrap().is_empty());
    assert!(conversations.blocks(&bo, &ana).await.unwrap());
    assert!(conversations.row(&cy, &direct).await.unwrap().is_some());
}
