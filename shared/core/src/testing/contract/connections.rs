//! Sockets, devices and endpoints.

use crate::error::ErrorKind;
use crate::ids::{ConnectionId, DeviceId, EndpointId, UserId};
use crate::ports::{Account, Connection, Connections, Devices, Endpoint, Registered, Sockets};

use super::user;

/// [`Connections`].
pub async fn connections(connections: &dyn Connections) {
    let (ana, bo) = (user("ana"), user("bo"));
    let phone = DeviceId::parse("phone").unwrap();
    let socket = |id: &str, connected_at: u64| Connection {
        user: ana.clone(),
        device: phone.clone(),
        id: ConnectionId::parse(id).unwrap(),
        connected_at,
    };
    let of = |users: Vec<UserId>| async move { connections.of(&users).await.unwrap() };
    assert_eq!(of(vec![ana.clone(), bo.clone()]).await, Devices::default());
    let has = |connections: &[Connection]| Sockets {
        connections: connections.to_vec(),
        ..Sockets::default()
    };
    let new = |sockets: Sockets| Some(Registered { sockets, displaced: None });
    let registered = connections.register(&socket("c2", 2)).await.unwrap();
    assert_eq!(registered, new(has(&[socket("c2", 2)])));
    // An older $connect that comes late does not take the place of the newer one.
    assert_eq!(connections.register(&socket("c1", 1)).await.unwrap(), None);
    assert_eq!(of(vec![ana.clone()]).await.connections, [socket("c2", 2)]);
    // Nor does its $disconnect remove it.
    assert_eq!(connections.remove(&ana, &phone, &socket("c1", 1).id, 9).await.unwrap(), None);
    assert_eq!(of(vec![ana.clone()]).await.connections.len(), 1);
    assert_eq!(of(vec![bo.clone()]).await, Devices::default());
    // A second device stands beside the first.
    let tablet = Connection { device: DeviceId::parse("tablet").unwrap(), ..socket("c3", 3) };
    let both = [socket("c2", 2), tablet.clone()];
    assert_eq!(connections.register(&tablet).await.unwrap(), new(has(&both)));
    assert_eq!(of(vec![ana.clone()]).await.connections, both);
    let left = connections.remove(&ana, &tablet.device, &tablet.id, 10).await.unwrap();
    let mut ana_has = Sockets { last_seen: Some(10), ..has(&[socket("c2", 2)]) };
    assert_eq!(left, Some(ana_has.clone()));

    // Who is watched, and what the watchers were told, stands beside the sockets and comes with every write.
    let both_users = [bo.clone(), ana.clone(), bo.clone()];
    let known = connections.sockets(&both_users).await.unwrap();
    assert_eq!(known, [(ana.clone(), ana_has.clone())]);
    for (until, stands) in [(70, 70), (60, 70), (80, 80)] {
        ana_has.watched_until = stands;
        assert_eq!(connections.watched(&ana, until).await.unwrap(), ana_has);
    }
    for away in [true, true, false, true] {
        ana_has.away = away;
        assert_eq!(connections.set_away(&ana, away).await.unwrap(), ana_has);
    }
    assert_eq!(connections.register(&socket("c2", 2)).await.unwrap(), new(ana_has.clone()));
    let bo_has = Sockets { watched_until: 5, ..Sockets::default() };
    assert_eq!(connections.watched(&bo, 5).await.unwrap(), bo_has);
    let mut known = connections.sockets(&both_users).await.unwrap();
    known.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(known, [(ana.clone(), ana_has.clone()), (bo.clone(), bo_has)]);

    // Where a device takes pushes outlives its socket.
    let endpoint = |id: &str| Endpoint {
        user: ana.clone(),
        device: phone.clone(),
        id: EndpointId::parse(id).unwrap(),
    };
    assert_eq!(connections.set_endpoint(&endpoint("e1")).await.unwrap(), None);
    // What the device had is told to whoever takes its place, and to nobody else.
    assert_eq!(connections.set_endpoint(&endpoint("e2")).await.unwrap(), Some(endpoint("e1")));
    ana_has = Sockets { connections: vec![], last_seen: Some(11), ..ana_has };
    let left = connections.remove(&ana, &phone, &socket("c2", 2).id, 11).await.unwrap();
    assert_eq!(left, Some(ana_has));
    let devices = of(vec![ana.clone()]).await;
    assert_eq!(devices, Devices { connections: vec![], endpoints: vec![endpoint("e2")] });
    // Only the endpoint that is named goes.
    connections.remove_endpoint(&endpoint("e1")).await.unwrap();
    assert_eq!(of(vec![ana.clone()]).await.endpoints, [endpoint("e2")]);
    // A phone that changes hands takes its endpoint along.
    let taken = Endpoint { user: bo.clone(), ..endpoint("e2") };
    for _ in 0..2 {
        assert_eq!(connections.set_endpoint(&taken).await.unwrap(), None);
        assert_eq!(of(vec![ana.clone(), bo.clone()]).await.endpoints, std::slice::from_ref(&taken));
    }
    connections.set_endpoint(&endpoint("e2")).await.unwrap();
    assert_eq!(of(vec![ana.clone(), bo.clone()]).await.endpoints, [endpoint("e2")]);
    // It moves between the devices of one user too, and what the device had before is free again.
    let mine = Endpoint { device: tablet.device.clone(), ..endpoint("e3") };
    assert_eq!(connections.set_endpoint(&mine).await.unwrap(), None);
    assert_eq!(connections.set_endpoint(&endpoint("e3")).await.unwrap(), Some(endpoint("e2")));
    assert_eq!(of(vec![ana.clone()]).await.endpoints, [endpoint("e3")]);
    let freed = Endpoint { user: bo.clone(), ..endpoint("e2") };
    connections.set_endpoint(&freed).await.unwrap();
    let both = of(vec![ana.clone(), bo.clone()]).await.endpoints;
    assert_eq!(both, [endpoint("e3"), freed.clone()]);
    // What was removed is nobody's: who takes it next takes it from no one, and it can be taken from them.
    connections.remove_endpoint(&freed).await.unwrap();
    connections.remove_endpoint(&freed).await.unwrap();
    connections.set_endpoint(&endpoint("e2")).await.unwrap();
    connections.set_endpoint(&freed).await.unwrap();
    assert_eq!(of(vec![ana.clone(), bo.clone()]).await.endpoints, std::slice::from_ref(&freed));
    // A device that lost its endpoint to another does not remove it there.
    connections.remove_endpoint(&endpoint("e2")).await.unwrap();
    assert_eq!(of(vec![ana.clone(), bo.clone()]).await.endpoints, std::slice::from_ref(&freed));
    connections.remove_endpoint(&freed).await.unwrap();
    assert_eq!(of(vec![ana.clone(), bo.clone()]).await, Devices::default());

    // Who is disabled registers nothing and is reached by nothing; what stood there is told and stays.
    connections.register(&socket("c4", 4)).await.unwrap();
    connections.set_endpoint(&endpoint("e3")).await.unwrap();
    let devices = Devices { connections: vec![socket("c4", 4)], endpoints: vec![endpoint("e3")] };
    let last_seen = connections.sockets(std::slice::from_ref(&ana)).await.unwrap()[0].1.last_seen;
    assert!(last_seen.is_some());
    let enabled = Account { disabled_at: None, last_seen, devices: devices.clone() };
    assert_eq!(connections.account(&ana).await.unwrap(), enabled);
    assert!(!connections.is_disabled(&ana).await.unwrap());
    let disabled = Account { disabled_at: Some(7), ..enabled.clone() };
    for since in [7, 9] {
        assert_eq!(connections.set_disabled(&ana, Some(since)).await.unwrap(), disabled);
    }
    assert!(connections.is_disabled(&ana).await.unwrap());
    let one = std::slice::from_ref(&ana);
    assert_eq!(connections.sockets(one).await.unwrap()[0].1.connections, []);
    assert!(!connections.is_disabled(&bo).await.unwrap());
    for socket in [socket("c5", 5), socket("c3", 3), tablet.clone()] {
        let refused = connections.register(&socket).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Disabled);
    }
    assert_eq!(of(vec![ana.clone(), bo.clone()]).await, Devices::default());
    assert_eq!(connections.account(&ana).await.unwrap(), disabled);
    for _ in 0..2 {
        assert_eq!(connections.set_disabled(&ana, None).await.unwrap(), enabled);
    }
    assert_eq!(of(vec![ana.clone()]).await, devices);
    let registered = connections.register(&socket("c5", 5)).await.unwrap().unwrap();
    assert_eq!(registered.sockets.connections, [socket("c5", 5)]);
    // Whose place it took is told, so that it can be closed.
    assert_eq!(registered.displaced, Some(socket("c4", 4)));
    connections.remove(&ana, &phone, &socket("c5", 5).id, 12).await.unwrap();
    // Nobody knows him, and he is disabled all the same.
    let stranger = user("stranger");
    assert_eq!(connections.account(&stranger).await.unwrap(), Account::default());
    let marked = connections.set_disabled(&stranger, Some(7)).await.unwrap();
    assert_eq!(marked, Account { disabled_at: Some(7), ..Account::default() });
    assert_eq!(connections.set_disabled(&stranger, None).await.unwrap(), Account::default());
}
