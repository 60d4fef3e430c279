//! Who registers a phone, who signs out, and which phones change hands.

use super::*;

impl People {
    /// An app starts, someone signs out, or a phone is someone else's now.
    pub(super) fn handle_phones(&mut self, core: &mut Core, device: &Device) {
        let (user, id) = (device.user.clone(), device.id.clone());
        match core.dice.below(10) {
            0..2 => self.ask_of_phones(core, 0, Request::Unregister(user.clone(), id.clone())),
            // At each start.
            2..5 => {
                let token = id.to_string();
                self.ask_of_phones(core, 0, Request::Register(user.clone(), id.clone(), token));
            }
            5 => {
                // The platform gives a new one.
                let token = format!("{id}-{}", core.fresh());
                self.ask_of_phones(core, 0, Request::Register(user.clone(), id.clone(), token));
            }
            _ => self.hand_over(core, &user, &id),
        }
        if core.dice.percent(30) {
            self.ring(core, &user);
        }
    }

    /// A phone that somebody has is this user's from now on; mostly its last owner has signed out, at about the same time.
    fn hand_over(&mut self, core: &mut Core, user: &UserId, device: &DeviceId) {
        let Some(token) = core.dice.pick(&core.phones.tokens).cloned() else { return };
        let mut rows = core.truth.endpoints.values().flatten().map(|(_, (e, _))| e);
        let last = rows.find(|e| core.phones.is_of(&e.id, &token)).cloned();
        // On a device of its own or in the place of the one that he has.
        let device = match DeviceId::parse(&format!("{user}-second")) {
            Ok(second) if core.dice.percent(30) => second,
            _ => device.clone(),
        };
        let ms = core.dice.magnitude(1, 5_000);
        if let Some(last) = last {
            if core.dice.percent(50) {
                let sooner = core.dice.below(2 * ms);
                let request = Request::Unregister(last.user.clone(), last.device.clone());
                self.ask_of_phones(core, sooner, request);
            }
            if core.dice.percent(60) {
                self.ring(core, &last.user);
            }
            if core.dice.percent(10) {
                // His app starts once more.
                let sooner = core.dice.below(2 * ms);
                let request = Request::Register(last.user, last.device, token.clone());
                self.ask_of_phones(core, sooner, request);
            }
        }
        self.ask_of_phones(core, ms, Request::Register(user.clone(), device, token));
    }

    /// Someone writes to a user.
    fn ring(&mut self, core: &mut Core, user: &UserId) {
        let rows = core.truth.rows.get(user).into_iter().flatten().map(|(of, _)| of.clone());
        let of: Vec<ConversationId> = rows.collect();
        let Some(of) = core.dice.pick(&of).cloned() else { return };
        let members = core.truth.tenures(&of);
        let others: Vec<UserId> =
            self.users.iter().filter(|u| *u != user && members.contains_key(*u)).cloned().collect();
        let Some(sender) = core.dice.pick(&others).cloned() else { return };
        let ms = core.dice.magnitude(1, 8_000);
        let id = MessageId::minted(core.uuid());
        self.ask_after(core, ms, Request::Send(sender, of, id));
    }

    fn ask_of_phones(&mut self, core: &mut Core, ms: u64, request: Request) {
        self.ask_after(core, ms, request);
        // An app that cannot register does so at its next start.
        self.calls.iter_mut().last().into_iter().for_each(|call| call.left = 6);
    }

    /// An operator signs a device out, or cuts all sockets of a user.
    pub(super) fn sign_out(&mut self, core: &mut Core) {
        let user = self.users[core.dice.index(self.users.len())].clone();
        if core.dice.percent(40) {
            return self.ask(core, Request::Cut(user));
        }
        let account = core.truth.account(&user).devices;
        let sockets = account.connections.into_iter().map(|c| c.device);
        let devices: Vec<DeviceId> =
            sockets.chain(account.endpoints.into_iter().map(|e| e.device)).collect();
        if let Some(device) = core.dice.pick(&devices).cloned() {
            self.ask(core, Request::SignOut(user, device));
        }
    }
}
