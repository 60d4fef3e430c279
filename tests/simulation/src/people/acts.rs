//! One act after another: messages, changes, trouble, nights, and in the end peace.

use super::*;

impl Run {
    /// A request goes out, for the first time or again.
    pub(crate) fn request(&mut self, number: usize) {
        let request = self.people.calls[number].request.clone();
        let mut core = self.hub.lock();
        let ms = core.latency();
        core.invoke(ms, Task::Http(number, request));
    }

    /// Someone does something; in the end peace comes.
    pub(crate) fn act(&mut self) {
        let hub = self.hub.clone();
        let mut core = hub.lock();
        for device in self.devices.iter_mut().filter(|d| d.sleeps) {
            device.sleeps = false;
            device.want(&mut core, true);
        }
        if self.people.left == 0 {
            self.make_peace(&mut core);
            return;
        }
        self.people.left -= 1;
        let pace = self.people.pace;
        if self.people.erasing > 0 && core.dice.percent(6) {
            self.people.erase(&mut core);
        }
        if self.people.nights > 0 && core.dice.percent(6) && core.strikes(Fault::Night) {
            return self.night(&mut core);
        }
        let ms = core.dice.magnitude(1, pace);
        core.after(ms, Event::Act);
        let device = core.dice.index(self.devices.len());
        let (messages, changes, trouble) = self.people.habits;
        let act = core.dice.below(100);
        if core.files && core.dice.percent(15) {
            return self.people.share(&mut core);
        }
        if core.phones.change_hands && core.dice.percent(12) {
            return self.people.handle_phones(&mut core, &self.devices[device]);
        }
        if act < messages {
            self.write(&mut core, device);
        } else if act < messages + changes {
            if self.people.groups > 0 {
                self.people.groups -= 1;
                self.people.found(&mut core);
            } else {
                self.people.change_group(&mut core);
            }
        } else if act < messages + changes + trouble {
            self.trouble(&mut core, device);
        } else {
            self.this_and_that(&mut core, device);
        }
    }

    /// Everyone sleeps, perhaps for days; the timers of the archive run out meanwhile.
    fn night(&mut self, core: &mut Core) {
        self.people.nights -= 1;
        let mut ms = core.dice.between(6, 60) * 3_600_000;
        if self.people.weeks && core.dice.percent(70) {
            self.people.weeks = false;
            core.passed(Path::Weeks);
            ms = core.dice.between(7, 50) * DAY_MS;
        }
        core.note(|| format!("everyone sleeps for {} h", ms / 3_600_000));
        for device in &mut self.devices {
            device.sleeps = device.wanted;
            device.want(core, false);
        }
        for of in &self.people.conversations {
            if core.dice.percent(70) {
                let ms = core.dice.below(ms);
                core.after(ms, Event::TimerGone(of.clone()));
            }
        }
        core.after(ms, Event::Act);
    }

    /// A message, or several at once.
    fn write(&mut self, core: &mut Core, device: usize) {
        let Some(of) = core.dice.pick(&self.people.conversations).cloned() else { return };
        let device = &mut self.devices[device];
        let stranger = core.strikes(Fault::Hostile);
        if stranger || core.truth.tenures(&of).contains_key(&device.user) {
            let many = if core.dice.percent(20) { 4 } else { 1 };
            for _ in 0..many {
                device.compose(core, of.as_str());
            }
        }
    }

    fn this_and_that(&mut self, core: &mut Core, device: usize) {
        let Some(of) = core.dice.pick(&self.people.conversations).cloned() else { return };
        let device = &mut self.devices[device];
        if core.files && core.dice.percent(50) {
            return self.people.share(core);
        }
        match core.dice.below(20) {
            18.. => device.types(core, of.as_str()),
            16..18 => core.timer_runs_out(&of),
            9 => self.people.set_up(core),
            10 => {
                let mut users = self.people.users.clone();
                users.retain(|_| core.dice.percent(60));
                let watch = core.dice.percent(70);
                device.look_around(core, &users, watch);
            }
            11..14 => self.people.change_message(core, &of),
            14..16 => self.people.choose(core, &of),
            0..2 => {
                let user = self.people.someone(core, &of);
                let id = MessageId::minted(core.uuid());
                self.people.ask(core, Request::Send(user, of, id));
            }
            2..4 => self.people.read(core),
            4..6 => {
                let wanted = !device.wanted;
                device.want(core, wanted);
            }
            6 => device.look(core, of.as_str()),
            7 => device.scroll(core, of.as_str()),
            _ => device.retry(core, of.as_str()),
        }
    }

    /// A socket ends in one way or another, or a device forgets.
    fn trouble(&mut self, core: &mut Core, device: usize) {
        self.people.operate(core);
        let link = self.devices[device].link;
        if core.strikes(Fault::Storm) {
            for device in &mut self.devices {
                if let Some(link) = device.link {
                    core.close(link);
                    device.closed(core, link);
                }
            }
        }
        if let Some(link) = link {
            if core.strikes(Fault::SocketEnds) {
                core.close(link);
                self.devices[device].closed(core, link);
            } else if core.strikes(Fault::SocketHalfOpen) {
                if let Some(socket) = core.gateway.sockets.get_mut(&link) {
                    socket.half_open = true;
                }
                let ms = core.dice.magnitude(1_000, 600_000);
                core.after(ms, Event::Closes(link));
                self.devices[device].closed(core, link);
            } else if core.strikes(Fault::SocketUnnoticed) {
                core.close(link);
            }
        }
        if core.strikes(Fault::MemoryLost) {
            self.devices[device].lose_memory(core, true);
        } else if core.strikes(Fault::EntriesLost) {
            self.devices[device].lose_memory(core, false);
        }
    }

    fn make_peace(&mut self, core: &mut Core) {
        core.note(|| "peace".to_owned());
        core.faults.on = false;
        self.people.peace = true;
        core.redrive_timers();
        core.redrive_files();
        for device in &mut self.devices {
            device.want(core, true);
            // Nobody looks at a socket that died without a word, but for the next sync.
            if device.link.is_some() {
                device.sync(core);
            }
        }
    }
}
