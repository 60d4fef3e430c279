//! What must hold once all is at rest: every device has synced, and nothing is on its way.

use std::collections::BTreeSet;

use petrel_core::ids::{ConversationId, Seq};

use crate::client::Device;
use crate::core::Core;
use crate::ledger::Owed;
use crate::retention::maybe_over;
use crate::run::Run;
use crate::truth::Stored;

impl Run {
    /// Looks at everything.
    pub(crate) fn at_rest(&mut self) {
        let hub = self.hub.clone();
        let mut core = hub.lock();
        for device in self.devices.iter().filter(|d| !d.retired) {
            let held = holds_all(&core, device);
            core.must(held.map_err(|e| format!("at rest, {}: {e}", device.id)));
            let held = pictures(&core, device);
            core.must(held.map_err(|e| format!("at rest, {}: {e}", device.id)));
            let held = stored_in_order(&core, device);
            core.must(held.map_err(|e| format!("at rest, {}: {e}", device.id)));
        }
        let groups: Vec<ConversationId> = core.truth.logs.keys().cloned().collect();
        for group in groups {
            let held = core.rows_agree(&group);
            core.must(held);
            let held = core.nothing_is_lost(&group);
            let held = held.and_then(|()| core.nothing_shows(&group));
            let held = held.and_then(|()| core.archive_is_clean(&group));
            let held = held.and_then(|()| core.what_is_over_is_gone(&group));
            core.must(held.map_err(|e| format!("at rest, {group}: {e}")));
            if !core.truth.cold.get(&group).is_some_and(|cold| cold.timer) {
                core.broke(format!("at rest, {group} has no timer"));
            }
        }
        let held = core.phones_agree();
        core.must(held.map_err(|e| format!("at rest, {e}")));
        let held = core.files_are_kept();
        core.must(held.map_err(|e| format!("at rest, {e}")));
        core.all_is_told();
    }
}

impl Run {
    /// A device should have heard of an entry by now, if it may read it still.
    pub(crate) fn must_have_heard(&mut self, owed: &Owed) {
        let hub = self.hub.clone();
        let mut core = hub.lock();
        let device = &self.devices[owed.device];
        let (of, seq) = &owed.place;
        let reads = core.truth.row(&device.user, of).is_some_and(|row| row.joined <= *seq);
        if reads && core.gateway.is_open(owed.socket) && !core.may_be_over(of, *seq) {
            core.must(device.must_have_heard(owed));
        }
    }
}

/// A device holds exactly what its user may read, in order, and nothing that the user could never read.
fn holds_all(core: &Core, device: &Device) -> Result<(), String> {
    for (of, log) in &core.truth.logs {
        let joined = core.truth.tenures(of).get(&device.user).copied();
        let empty = Default::default();
        let held = device.conversations.get(of.as_str()).unwrap_or(&empty);
        for entry in &held.entries {
            let stored = log.at(Seq::new(entry.seq));
            if stored.is_none_or(|s| s.entry.message_id.to_string() != entry.message_id) {
                return Err(format!("{of}: {} is not what was stored", entry.seq));
            }
        }
        let Some(joined) = joined.filter(|_| log.head() > Seq::ZERO) else { continue };
        let seqs = held.entries.iter().map(|e| e.seq).filter(|seq| *seq >= joined.get());
        let seqs: Vec<u64> = seqs.collect();
        // What was over when the device asked, it does not hold.
        let rules = core.truth.kept(of, 0);
        let over = |s: &&Stored| !maybe_over(&rules, &s.entry, core.now);
        let readable = log.history.iter().find(over).map_or(log.head().next(), |s| s.entry.seq);
        let first = seqs.first().copied().unwrap_or(log.head().next().get());
        let first = first.min(readable.get()).max(joined.get());
        let expected: Vec<u64> = (first..=log.head().get()).collect();
        if seqs != expected {
            let missing = expected.iter().find(|seq| !seqs.contains(seq));
            return Err(format!("{of}: {missing:?} of {joined} to {} is missing", log.head()));
        }
    }
    Ok(())
}

/// Who asks at rest is told what is so, or nothing at all.
fn pictures(core: &Core, device: &Device) -> Result<(), String> {
    for (user, told) in &device.picture {
        let Ok(user) = petrel_core::ids::UserId::parse(user) else { continue };
        let online = core.truth.online.get(&user).is_some_and(|s| s.on);
        let hidden = core.truth.hidden(&device.user, &user, u64::MAX);
        let holds = if hidden { *told == (false, None) } else { told.0 == online };
        if !holds {
            return Err(format!("{user} was told as {told:?}; online: {online}, hidden: {hidden}"));
        }
    }
    if device.picture.is_empty() {
        return Err("nobody told who is online".to_owned());
    }
    Ok(())
}

/// What a device composed is stored, once, and in that order; but for what was refused or forgotten, which may be
/// stored or not.
fn stored_in_order(core: &Core, device: &Device) -> Result<(), String> {
    let unsure: BTreeSet<&String> = device.unsure.iter().collect();
    for (of, composed) in &device.composed {
        let Ok(of) = ConversationId::parse(of) else { continue };
        let mut last = Seq::ZERO;
        for id in composed.iter().filter(|id| !unsure.contains(id)) {
            let log = core.truth.log(&of).ok_or_else(|| format!("{of} never came into being"))?;
            let stored = log.history.iter().find(|s| {
                s.entry.sender_id == device.user && s.entry.message_id.to_string() == *id
            });
            let seq =
                stored.map(|s| s.entry.seq).ok_or_else(|| format!("{of}: {id} is not stored"))?;
            if seq <= last {
                return Err(format!("{of}: {id} at {seq} was overtaken"));
            }
            last = seq;
        }
    }
    Ok(())
}
