//! Who sends files, and who looks at them.

use petrel_core::message::Content;

use super::*;
use crate::media::{FileAnswer, FileCall, Put};

/// A message with a file.
fn with(id: &MediaId) -> Content {
    Content::Media {
        media_id: id.clone(),
        caption: None,
        file: None,
        preview: None,
        mentions: vec![],
    }
}

impl People {
    /// Someone does something with a file.
    pub(super) fn share(&mut self, core: &mut Core) {
        let user = self.users[core.dice.index(self.users.len())].clone();
        match core.dice.below(14) {
            0..3 => self.ask_of_files(core, 0, user, FileCall::Upload),
            3..6 => {
                if let Some((user, id)) = core.dice.pick(&self.files).cloned() {
                    let anyone = core.strikes(Fault::Hostile);
                    let user =
                        if anyone { core.dice.pick(&self.users).cloned() } else { Some(user) };
                    user.into_iter().for_each(|user| self.send_file(core, user, &id));
                }
            }
            6..11 => self.look_at_file(core),
            11 => {
                let own = core.dice.pick(&self.files).cloned();
                let shows = core.dice.percent(80);
                let (user, id) = own.map_or((user, None), |(user, id)| (user, shows.then_some(id)));
                self.show(core, user, id);
            }
            _ => self.look_at_picture(core, user),
        }
    }

    fn ask_of_files(&mut self, core: &mut Core, ms: u64, user: UserId, call: FileCall) {
        self.ask_after(core, ms, Request::Files(user, call));
        // Who is told that it is not ready yet does not wait for ever.
        self.calls.iter_mut().last().into_iter().for_each(|call| call.left = 6);
    }

    fn send_file(&mut self, core: &mut Core, user: UserId, id: &MediaId) {
        let rows = core.truth.rows.get(&user).into_iter().flatten().map(|(of, _)| of.clone());
        let mut all: Vec<ConversationId> = rows.collect();
        all.extend(self.conversations.iter().filter(|of| !of.excludes(&user)).cloned());
        let Some(of) = core.dice.pick(&all).cloned() else { return };
        let message = MessageId::minted(core.uuid());
        self.ask(core, Request::Say(user, of, message, with(id)));
        self.calls.iter_mut().last().into_iter().for_each(|call| call.left = 6);
    }

    fn show(&mut self, core: &mut Core, user: UserId, id: Option<MediaId>) {
        let groups: Vec<_> =
            self.conversations.iter().filter(|c| c.pair().is_none()).cloned().collect();
        let call = match core.dice.pick(&groups).cloned().filter(|_| core.dice.percent(40)) {
            Some(group) => FileCall::Picture(group, id),
            None => FileCall::Show(id),
        };
        self.ask_of_files(core, 0, user, call);
    }

    /// An entry with a file, and someone who may read it, or perhaps not.
    fn look_at_file(&mut self, core: &mut Core) {
        let carried = core.truth.media.carried.values().flatten();
        let places: Vec<_> = carried.map(|(place, _)| place.clone()).collect();
        let Some((of, seq)) = core.dice.pick(&places).cloned() else { return };
        let user = match core.dice.below(4) {
            0 => self.users[core.dice.index(self.users.len())].clone(),
            _ => self.someone(core, &of),
        };
        let borrows = core.dice.percent(30);
        let call = if borrows { FileCall::Borrow(of, seq) } else { FileCall::Read(of, seq) };
        self.ask_of_files(core, 0, user, call);
    }

    /// A picture that someone shows, or what is none.
    fn look_at_picture(&mut self, core: &mut Core, user: UserId) {
        let profiles = core.truth.profiles.values().filter_map(|p| p.avatar.clone());
        let groups = core.truth.info.values().filter_map(|i| i.avatar.clone());
        let mut all: Vec<MediaId> = profiles.chain(groups).collect();
        if all.is_empty() || core.strikes(Fault::Hostile) {
            all = core.truth.media.owners.keys().cloned().collect();
        }
        if let Some(id) = core.dice.pick(&all).cloned() {
            self.ask_of_files(core, 0, user, FileCall::Look(id));
        }
    }

    /// An answer about files: the client goes on.
    pub(super) fn answered_of_files(
        &mut self,
        core: &mut Core,
        number: usize,
        answer: &FileAnswer,
    ) {
        let Request::Files(user, call) = self.calls[number].request.clone() else { return };
        match (answer, call) {
            (FileAnswer::Ticket(ticket), _) => {
                let (owner, id) = (user.clone(), ticket.id.clone());
                self.files.push((user.clone(), id.clone()));
                if core.dice.percent(85) {
                    let put = Put { owner, id: id.clone(), until: ticket.put_until, left: 6 };
                    let ms = core.dice.magnitude(20, 4_000_000);
                    core.after(ms, Event::FilePut(put));
                }
                if core.dice.percent(15) {
                    // Before it is there.
                    self.send_file(core, user, &id);
                }
            }
            (FileAnswer::Complete, FileCall::Complete(id)) => match core.dice.below(10) {
                0..6 => self.send_file(core, user, &id),
                6..8 => self.show(core, user, Some(id)),
                _ => {}
            },
            (FileAnswer::Lent(id), _) => {
                self.files.push((user.clone(), id.clone()));
                if core.dice.percent(70) {
                    self.send_file(core, user, id);
                }
            }
            _ => {}
        }
    }

    /// The client knows that its bytes are there: says so, or sends them at once.
    fn stored_file(&mut self, core: &mut Core, owner: UserId, id: MediaId) {
        match core.dice.below(10) {
            0..7 => {
                let ms = core.latency();
                self.ask_of_files(core, ms, owner, FileCall::Complete(id));
            }
            7..9 => self.send_file(core, owner, &id),
            _ => {}
        }
    }
}

impl Run {
    /// A `PUT` reaches the bucket of files.
    pub(crate) fn file_put(&mut self, put: Put) {
        let hub = self.hub.clone();
        let mut core = hub.lock();
        let (owner, id) = (put.owner.clone(), put.id.clone());
        if core.file_put(put) && !core.erasures.contains_key(&owner) {
            self.people.stored_file(&mut core, owner, id);
        }
    }
}
