//! Phones: what the push service knows of them, the effects of what it is told, and of the rows that say whose they are.
//! A token has one endpoint as long as the service knows it; made anew after it was forgotten, it has another name.

mod rules;

use std::collections::{BTreeMap, BTreeSet};

use petrel_core::ids::{DeviceId, EndpointId, UserId};
use petrel_core::ports::{Endpoint, Job, Pushed};

use crate::core::{Core, Invocation};
use crate::dice::Dice;
use crate::faults::{Fault, Path};
use crate::mutants::Mutant;
use crate::truth::{Write, Wrote};

pub use self::rules::Told;

/// An endpoint as the push service has it.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The phone.
    token: String,
    /// Whose it was said to be.
    owner: UserId,
    /// Whether it takes pushes.
    enabled: bool,
    /// When that was said last, in moments, and by whom: by no invocation if the phone takes no more, or late.
    said: (u64, Option<Invocation>),
    /// Who asked for it.
    makers: BTreeSet<Option<Invocation>>,
}

/// That the push service forgot an endpoint.
#[derive(Clone, Copy, Debug)]
struct Forgotten {
    at: u64,
    by: Option<Invocation>,
    /// Whether the row was another one by then than whoever let it be forgotten had read, or was set again.
    raced: bool,
}

/// All that is known of phones, beside the rows.
#[derive(Clone, Debug, Default)]
pub struct Phones {
    /// Whether they change hands, in this run.
    pub change_hands: bool,
    /// Every phone's token.
    pub tokens: Vec<String>,
    /// What the push service has.
    service: BTreeMap<EndpointId, Registered>,
    /// What it had.
    forgotten: BTreeMap<EndpointId, Forgotten>,
    /// What it did not forget when it was asked to: the log has a line of it. Whether someone was being erased.
    left: BTreeMap<EndpointId, bool>,
    /// Whose write took it off its device, though nobody else has it.
    displaced: BTreeMap<EndpointId, Option<Invocation>>,
    /// When each row was set last, and changed last and by whom, in moments.
    set: BTreeMap<(UserId, DeviceId, EndpointId), u64>,
    changes: Vec<(u64, Option<Invocation>, Endpoint)>,
    /// Where each user took pushes before the last change, for a broken variant.
    before: BTreeMap<UserId, Vec<Endpoint>>,
    /// What callers were told.
    told: Vec<Told>,
    /// Invocations that died or failed.
    unwell: BTreeSet<Invocation>,
}

/// Whether phones change hands in a run. By dice of its own.
pub fn choose(core: &mut Core, seed: u64) {
    core.phones.change_hands = Dice::new(seed ^ 0x0070_686f_6e65).percent(50);
}

impl Phones {
    /// What the push service knows a phone by.
    fn of_token(&self, token: &str) -> Option<&EndpointId> {
        self.service.iter().find(|(_, e)| e.token == token).map(|(id, _)| id)
    }

    /// Whether this endpoint is that phone's.
    pub fn is_of(&self, id: &EndpointId, token: &str) -> bool {
        self.service.get(id).is_some_and(|there| there.token == token)
    }

    /// Whether an invocation is known, and came to a good end.
    fn is_well(&self, by: Option<Invocation>) -> bool {
        by.is_some_and(|by| !self.unwell.contains(&by))
    }
}

impl Core {
    /// A phone that was registered before the run.
    pub fn stands(&mut self, user: &UserId, device: &DeviceId, token: &str) {
        let made = self.apply(&Write::MakeEndpoint(token.to_owned(), user.clone()), None);
        let Wrote::Endpoint(id) = made else { return };
        let endpoint = Endpoint { user: user.clone(), device: device.clone(), id };
        self.apply(&Write::SetEndpoint(endpoint), None);
    }

    /// The effect of a write that is about phones.
    pub fn put_phone(&mut self, write: &Write, by: Option<Invocation>) -> Wrote {
        match write {
            Write::MakeEndpoint(token, user) => self.make_endpoint(token, user, by),
            Write::EnableEndpoint(id, user) => {
                let said = (self.moment, by);
                let keeps = self.is(Mutant::FoundAsItWas);
                let Some(there) = self.phones.service.get_mut(id) else { return Wrote::No };
                there.enabled |= !keeps;
                (there.owner, there.said) = (user.clone(), said);
                there.makers.insert(by);
                Wrote::Yes
            }
            Write::ForgetEndpoint(id) => {
                let raced = self.may_forget_endpoint(id, by);
                if self.phones.service.remove(id).is_some() {
                    let forgotten = Forgotten { at: self.moment, by, raced };
                    self.phones.forgotten.insert(id.clone(), forgotten);
                    self.passed(Path::EndpointForgotten);
                }
                Wrote::Yes
            }
            Write::SetEndpoint(endpoint) => {
                if self.is(Mutant::StalePhones) {
                    self.remember_phones();
                }
                self.set_endpoint(endpoint, by)
            }
            Write::RemoveEndpoint(endpoint) => {
                if self.is(Mutant::StalePhones) {
                    self.remember_phones();
                }
                let devices = self.truth.endpoints.entry(endpoint.user.clone()).or_default();
                if devices.get(&endpoint.device).is_some_and(|(e, _)| e == endpoint) {
                    devices.remove(&endpoint.device);
                    self.phones.changes.push((self.moment, by, endpoint.clone()));
                    self.must_be_forgotten_first(endpoint, by);
                }
                Wrote::Yes
            }
            _ => Wrote::No,
        }
    }

    fn make_endpoint(&mut self, token: &str, user: &UserId, by: Option<Invocation>) -> Wrote {
        if let Some(id) = self.phones.of_token(token).cloned() {
            // As it is, until it is enabled.
            if let Some(there) = self.phones.service.get_mut(&id) {
                there.makers.insert(by);
            }
            return Wrote::Endpoint(id);
        }
        let number = self.phones.forgotten.len() + self.phones.service.len();
        let Ok(id) = EndpointId::parse(&format!("endpoint/{token}/{number}")) else {
            return Wrote::No;
        };
        let made = Registered {
            token: token.to_owned(),
            owner: user.clone(),
            enabled: true,
            said: (self.moment, by),
            makers: [by].into(),
        };
        self.phones.service.insert(id.clone(), made);
        if !self.phones.tokens.iter().any(|t| t == token) {
            self.phones.tokens.push(token.to_owned());
        }
        Wrote::Endpoint(id)
    }

    fn set_endpoint(&mut self, endpoint: &Endpoint, by: Option<Invocation>) -> Wrote {
        let moment = self.moment;
        let all = self.truth.endpoints.values().flat_map(BTreeMap::values).map(|(e, _)| e);
        let before = all.clone().find(|e| e.id == endpoint.id).cloned();
        let own = |e: &&Endpoint| e.user == endpoint.user && e.device == endpoint.device;
        let replaced = all.clone().find(own).filter(|e| e.id != endpoint.id).cloned();
        self.phones.set.insert(key(endpoint), moment);
        if before.as_ref() == Some(endpoint) {
            return Wrote::Yes;
        }
        if before.as_ref().is_some_and(|b| b.user != endpoint.user) {
            self.passed(Path::ChangedHands);
        }
        if let Some(replaced) = replaced.clone() {
            if let Some(by) = by {
                self.has_read_phones(by, std::slice::from_ref(&replaced));
            }
            self.phones.displaced.insert(replaced.id.clone(), by);
            self.phones.changes.push((moment, by, replaced));
        }
        if let Some(before) = before
            && !self.is(Mutant::TakenFromNobody)
        {
            let devices = self.truth.endpoints.entry(before.user.clone()).or_default();
            devices.remove(&before.device);
            self.phones.changes.push((moment, by, before));
        }
        self.phones.changes.push((moment, by, endpoint.clone()));
        let devices = self.truth.endpoints.entry(endpoint.user.clone()).or_default();
        devices.insert(endpoint.device.clone(), (endpoint.clone(), moment));
        let all = self.truth.endpoints.values().flat_map(BTreeMap::values);
        let owners = all.filter(|(e, _)| e.id == endpoint.id).count();
        if owners > 1 {
            self.broke(format!("{} is {}'s, and somebody else's", endpoint.id, endpoint.user));
        }
        replaced.map_or(Wrote::Yes, Wrote::Replaced)
    }

    fn remember_phones(&mut self) {
        for (user, devices) in &self.truth.endpoints {
            let all = devices.values().map(|(e, _)| e.clone()).collect();
            self.phones.before.insert(user.clone(), all);
        }
    }

    /// Where users take pushes, as an invocation reads it.
    pub fn read_phones(&mut self, by: Invocation, users: &[UserId], endpoints: &mut Vec<Endpoint>) {
        let pushes = self.notes.get(&by).is_some_and(|n| matches!(n.job, Some(Job::Push { .. })));
        if pushes && self.is(Mutant::StalePhones) {
            *endpoints =
                users.iter().filter_map(|u| self.phones.before.get(u)).flatten().cloned().collect();
        }
        self.has_read_phones(by, endpoints);
    }

    /// Whether the push service takes nothing just now.
    pub fn push_is_out(&mut self) -> bool {
        self.faults.is_out(Fault::PushOut) || self.strikes(Fault::PushLater)
    }

    /// The push service did not forget an endpoint, as far as its caller knows.
    pub fn is_left(&mut self, id: &EndpointId, by: Invocation) {
        self.note(|| format!("#{by} notifier.remove {id}: failed"));
        let erases = self.is_erasure(by);
        // Who was asked by others first is on the log all the same.
        let line = self.phones.left.entry(id.clone()).or_insert(erases);
        *line &= erases;
        if !erases {
            self.passed(Path::EndpointLeft);
        }
    }

    /// What becomes of a notification.
    pub fn rings(&mut self, id: &EndpointId) -> Pushed {
        if self.push_is_out() {
            return Pushed::Later;
        }
        let dies = self.strikes(Fault::PushDisabled);
        let moment = self.moment;
        let Some(there) = self.phones.service.get_mut(id) else { return Pushed::Disabled };
        if dies && there.enabled {
            (there.enabled, there.said) = (false, (moment, None));
        }
        if !there.enabled {
            return Pushed::Disabled;
        }
        self.passed(Path::Pushed);
        Pushed::Accepted
    }
}

/// A row, by whose it is and what it says.
fn key(endpoint: &Endpoint) -> (UserId, DeviceId, EndpointId) {
    (endpoint.user.clone(), endpoint.device.clone(), endpoint.id.clone())
}
