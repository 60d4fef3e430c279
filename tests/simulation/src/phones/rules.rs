//! What must hold of phones. Decision 4 says whose a phone is: at each moment one device's, and after `PUT …/push` has been
//! answered that device's, after `DELETE …/push` and when an operator has signed it out nobody's, until a call that ends later
//! says otherwise. A push may come to whose the phone was when its job read the rows. What the push service forgets in the moment in
//! which a phone is registered again rings no more until its app starts; the row goes with the next push.

use std::collections::BTreeMap;

use petrel_core::ids::{DeviceId, EndpointId, UserId};
use petrel_core::ports::{Endpoint, Pushed};

use crate::core::{Core, Invocation};
use crate::faults::Path;
use crate::frames::Held;
use crate::gateway::Phase;
use crate::http::Request;
use crate::invocation::Task;
use crate::truth::Registered;

use super::key;

/// That a call has ended well: since then a device has this endpoint and no other, and nobody else has it.
#[derive(Clone, Debug)]
pub struct Told {
    /// When the call began, in moments. Whatever was under way at the same time may come behind it.
    began: u64,
    /// When it ended, in moments.
    at: u64,
    user: UserId,
    device: DeviceId,
    /// None after a sign-out.
    has: Option<EndpointId>,
}

impl Told {
    fn excludes(&self, row: &Endpoint) -> bool {
        let here = row.user == self.user && row.device == self.device;
        let has = self.has.as_ref() == Some(&row.id);
        here != has && (here || has)
    }
}

impl Core {
    fn rows_of_phones(&self) -> impl Iterator<Item = &(Endpoint, u64)> {
        self.truth.endpoints.values().flat_map(BTreeMap::values)
    }

    /// Whether a row was set since then.
    fn is_set_since(&self, row: &Endpoint, began: u64) -> bool {
        self.phones.set.get(&key(row)).is_some_and(|at| *at >= began)
    }

    /// An invocation has read where users take pushes.
    pub fn has_read_phones(&mut self, by: Invocation, endpoints: &[Endpoint]) {
        let moment = self.moment;
        if let Some(notes) = self.notes.get_mut(&by) {
            notes.phones.extend(endpoints.iter().map(|e| (e.clone(), moment)));
        }
    }

    /// Whose phone an invocation pushes to, as it has read. Nobody is pushed to who was signed out, or whose phone was another's,
    /// when it read that.
    pub fn whose(&mut self, by: Invocation, id: &EndpointId) -> Option<Endpoint> {
        let notes = self.notes.get(&by)?;
        let Some((row, read)) = notes.phones.iter().rev().find(|(e, _)| e.id == *id).cloned()
        else {
            self.broke(format!("#{by} pushes to {id}, which it has not read of anyone"));
            return None;
        };
        let told = self.phones.told.iter();
        let against =
            |t: &&Told| t.at <= read && t.excludes(&row) && !self.is_set_since(&row, t.began);
        if let Some(told) = told.clone().find(against) {
            let rule = format!("{} is pushed to at {id}, after {told:?}", row.user);
            self.broke(rule);
        }
        // Read before, and sent after: that is what one may have to live with.
        let late = |t: &Told| t.at > read && t.excludes(&row) && !self.is_set_since(&row, t.began);
        if self.phones.told.iter().any(late) {
            self.passed(Path::PushOvertaken);
        }
        Some(row)
    }

    /// A call of a user's app or of an operator has ended well.
    pub fn told_of_phones(&mut self, by: Invocation) {
        let Some(notes) = self.notes.get(&by) else { return };
        let (began, made) = (notes.began, notes.endpoint.clone());
        let Task::Http(_, request) = notes.task.clone() else { return };
        let (user, device, has) = match request {
            Request::Register(user, device, _) => {
                let Some(id) = made else {
                    return self
                        .broke(format!("#{by} registered a phone without the push service"));
                };
                self.passed(Path::PhoneRegistered);
                (user, device, Some(id))
            }
            Request::Unregister(user, device) => {
                self.passed(Path::PhoneRemoved);
                (user, device, None)
            }
            Request::SignOut(user, device) => {
                self.passed(Path::SignedOut);
                self.must_be_closed(&user, Some(&device), began);
                (user, device, None)
            }
            Request::Cut(user) => return self.must_be_closed(&user, None, began),
            _ => return,
        };
        let told = Told { began, at: self.moment, user, device, has };
        let held = self.is_so(&told, by);
        self.must(held.map_err(|e| format!("{e}, after {told:?}")));
        self.phones.told.push(told);
    }

    /// What was told is so, but for what others have done meanwhile.
    fn is_so(&self, told: &Told, by: Invocation) -> Held {
        let against = |e: &&Endpoint| told.excludes(e) && !self.is_set_since(e, told.began);
        if let Some(row) = self.rows_of_phones().map(|(e, _)| e).find(against) {
            return Err(format!("{} has {} still", row.device, row.id));
        }
        let Some(id) = &told.has else { return Ok(()) };
        let (user, device) = (&told.user, &told.device);
        let stands = |e: &Endpoint| e.user == *user && e.device == *device && e.id == *id;
        let touches = |e: &Endpoint| e.id == *id || e.user == *user && e.device == *device;
        let mut changes = self.phones.changes.iter().rev().take_while(|(at, ..)| *at >= told.began);
        let others = changes.any(|(_, other, e)| *other != Some(by) && touches(e));
        if !others && !self.rows_of_phones().any(|(e, _)| stands(e)) {
            return Err(format!("{device} has no {id}"));
        }
        match self.phones.service.get(id) {
            Some(there) => {
                let so = there.enabled && there.owner == *user;
                if !so && there.said.1 == Some(by) {
                    return Err(format!("the push service has {there:?}"));
                }
            }
            None => {
                let gone = self.phones.forgotten.get(id);
                if gone.is_none_or(|gone| gone.at < told.began || gone.by == Some(by)) {
                    return Err("the push service knows nothing of it".to_owned());
                }
            }
        }
        Ok(())
    }

    /// An operator is told that sockets are closed: those are that were known when he asked.
    fn must_be_closed(&mut self, user: &UserId, only: Option<&DeviceId>, began: u64) {
        self.passed(Path::CutByHand);
        let rows = self.truth.connections.get(user).into_iter().flatten();
        let rows =
            rows.filter(|(device, row)| row.since < began && only.is_none_or(|d| d == *device));
        let open = |row: &&Registered| {
            let found = self.gateway.find(&row.connection.id);
            found.is_some_and(|(_, socket)| socket.phase == Phase::Open)
        };
        if let Some(row) = rows.map(|(_, row)| row).find(open) {
            let rule = format!("{user} is said to be cut, and {} is open", row.connection.id);
            self.broke(rule);
        }
    }

    /// Nobody lets the push service forget what he has not read of a user. Whether someone else has it by now.
    pub(super) fn may_forget_endpoint(&mut self, id: &EndpointId, by: Option<Invocation>) -> bool {
        let Some(notes) = by.and_then(|by| self.notes.get(&by)) else { return true };
        let Some((read, at)) = notes.phones.iter().rev().find(|(e, _)| e.id == *id).cloned() else {
            self.broke(format!("{by:?} lets {id} be forgotten, which it has not read of anyone"));
            return true;
        };
        let row = self.rows_of_phones().map(|(e, _)| e).find(|e| e.id == *id);
        let another = row.is_some_and(|row| *row != read);
        let raced = row != Some(&read) || self.is_set_since(&read, at + 1);
        if another && self.phones.service.contains_key(id) {
            self.passed(Path::ForgottenInVain);
        }
        raced
    }

    /// A row goes after the push service has forgotten the endpoint, or has refused to: nobody would know of it any more.
    pub(super) fn must_be_forgotten_first(&mut self, row: &Endpoint, by: Option<Invocation>) {
        let known = self.phones.service.contains_key(&row.id);
        let erases = by.is_some_and(|by| self.is_erasure(by));
        let line = self.phones.left.get(&row.id).is_some_and(|by_erasure| !by_erasure);
        if known && (erases || !line) {
            let rule = format!("the row of {} goes, and the push service has it", row.id);
            self.broke(rule);
        }
    }

    /// An invocation has died, or failed.
    pub fn is_unwell(&mut self, by: Invocation) {
        self.phones.unwell.insert(by);
    }

    /// What takes no more pushes goes with the next one.
    pub fn must_have_taken_off(&mut self, by: Invocation) {
        let Some(notes) = self.notes.get(&by).filter(|n| !n.hurt) else { return };
        let dead = notes.pushes.iter().filter(|(_, pushed)| *pushed == Pushed::Disabled);
        let stands = |e: &&Endpoint| {
            let stands = self.rows_of_phones().any(|(row, _)| row == *e);
            stands && !self.is_set_since(e, notes.began)
        };
        let row = dead.map(|(e, _)| e).find(stands).map(|e| e.id.clone());
        if let Some(id) = row {
            self.broke(format!("#{by} was told that {id} takes no more, and its row stands"));
        }
    }

    /// When all is at rest: who is registered is so at the push service, or goes with the next push; and who is there is
    /// registered, or was left there.
    pub fn phones_agree(&self) -> Held {
        let phones = &self.phones;
        for (row, since) in self.rows_of_phones() {
            if phones.service.contains_key(&row.id) {
                continue;
            }
            let Some(gone) = phones.forgotten.get(&row.id) else {
                return Err(format!("the push service never had {}", row.id));
            };
            if !gone.raced && *since < gone.at && phones.is_well(gone.by) {
                return Err(format!(
                    "{}'s row of {} stands, and it is forgotten",
                    row.user, row.id
                ));
            }
        }
        let named = |id: &EndpointId| self.rows_of_phones().any(|(row, _)| row.id == *id);
        for (id, there) in phones.service.iter().filter(|(id, _)| !named(id)) {
            let died = there.makers.iter().any(|by| !phones.is_well(*by));
            let displaced = phones.displaced.get(id).is_some_and(|by| !phones.is_well(*by));
            if !died && !displaced && !phones.left.contains_key(id) {
                return Err(format!("{id} of {} is at the push service for nobody", there.owner));
            }
        }
        Ok(())
    }
}
