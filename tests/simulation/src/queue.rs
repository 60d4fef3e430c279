//! The queues as SQS is (doubled, late, reordered, visible again, dead after too many receives), and what leaves them for receivers and phones.

use std::collections::BTreeMap;

use petrel_core::events::Event as Told;
use petrel_core::ids::{ConversationId, EndpointId, Seq, UserId};
use petrel_core::ports::{Delivery, Hooked, Job, Notification, Pushed};

use crate::core::{Core, Event, Invocation};
use crate::faults::{Fault, Path};
use crate::mutants::Mutant;

/// How long a received message stays hidden, ms.
pub const VISIBILITY: u64 = 360_000;
/// A message that was received so often and not deleted is dead.
const MAX_RECEIVES: u32 = 5;
/// How often a job may be put back: the product's own bound.
pub const MAX_PUT_BACK: u8 = 5;

/// A job that waits or is under way.
#[derive(Clone, Debug)]
pub struct Message {
    /// What to do.
    pub job: Job,
    /// How often it was received.
    pub receives: u32,
    /// How often it was put back, counted here and not by the job itself.
    pub generation: u8,
}

/// Both queues.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// By number.
    pub messages: BTreeMap<u64, Message>,
}

impl Queue {
    /// Whether a fan-out of an earlier entry waits or is under way.
    pub fn delivers(&self, of: &ConversationId, before: Seq) -> bool {
        self.messages.values().any(|m| {
            matches!(&m.job, Job::FanOut { entry, .. } if entry.conversation_id == *of && entry.seq < before)
        })
    }
}

impl Core {
    /// Queues jobs, all or some or none of them, and says whether it went well.
    pub fn enqueue(&mut self, by: Invocation, jobs: Vec<Job>, delay_s: u32) -> bool {
        let queued = self.try_enqueue(by, &jobs, delay_s);
        let reports =
            jobs.iter().any(|j| matches!(j, Job::Webhook { event: Told::Reported(_), .. }));
        if reports
            && !queued
            && let Some(notes) = self.notes.get_mut(&by)
        {
            // Its caller is told, and reports once more.
            notes.hurt = true;
        }
        queued
    }

    fn try_enqueue(&mut self, by: Invocation, jobs: &[Job], delay_s: u32) -> bool {
        self.moment += 1;
        self.wanted(by, jobs, delay_s);
        if self.is(Mutant::EnqueueLies) && self.dice.percent(20) {
            return true;
        }
        if self.faults.is_out(Fault::QueueOut) || self.strikes(Fault::FailsBefore) {
            self.note(|| format!("#{by} jobs.enqueue: refused"));
            self.not_queued(by, jobs);
            return false;
        }
        let partly = jobs.len() > 1 && self.strikes(Fault::QueuedPartly);
        let taken = if partly { self.dice.index(jobs.len()) } else { jobs.len() };
        for job in &jobs[..taken] {
            self.queue_one(by, job, delay_s);
        }
        if partly || self.strikes(Fault::FailsAfter) {
            self.not_queued(by, &jobs[taken..]);
            return false;
        }
        true
    }

    fn queue_one(&mut self, by: Invocation, job: &Job, delay_s: u32) {
        self.note(|| format!("#{by} queued for {delay_s} s: {}", brief(job)));
        let generation = self.generation(by, job);
        let most = if matches!(job, Job::Webhook { .. }) { 100 } else { MAX_PUT_BACK };
        if generation > most {
            self.broke(format!("put back {generation} times: {}", brief(job)));
        }
        self.queued(by, job, delay_s);
        let copies = 1 + u64::from(self.strikes(Fault::JobDoubled));
        for _ in 0..copies {
            let number = self.fresh();
            let message = Message { job: job.clone(), receives: 0, generation };
            self.queue.messages.insert(number, message);
            let slow = self.strikes(Fault::JobDelayed);
            let ms =
                if slow { self.dice.magnitude(100, 120_000) } else { self.dice.between(5, 120) };
            self.after(u64::from(delay_s) * 1_000 + ms, Event::Visible(number));
        }
    }

    /// How often the job was put back by now: one more than the job that its invocation runs.
    fn generation(&self, by: Invocation, job: &Job) -> u8 {
        let running = self.notes.get(&by).and_then(|n| Some((n.job.as_ref()?, n.generation)));
        let same = |a: &Job, b: &Job| std::mem::discriminant(a) == std::mem::discriminant(b);
        match (running, job) {
            (Some((running, generation)), _) if same(running, job) => generation + 1,
            // Put back by the sender's own function.
            (None, Job::FanOut { attempt: 1.., .. }) => 1,
            _ => 0,
        }
    }

    /// Receives a message, unless it is done or dead.
    pub fn receive(&mut self, number: u64) -> Option<Message> {
        let message = self.queue.messages.get_mut(&number)?;
        message.receives += 1;
        let message = message.clone();
        if message.receives > MAX_RECEIVES {
            self.queue.messages.remove(&number);
            self.passed(Path::DeadLetter);
            self.note(|| format!("dead: {}", brief(&message.job)));
            return None;
        }
        self.after(VISIBILITY, Event::Visible(number));
        Some(message)
    }

    /// A job is done, or is to come again.
    pub fn finish(&mut self, number: u64, well: bool) {
        if well && !self.strikes(Fault::JobComesAgain) {
            self.queue.messages.remove(&number);
        }
    }

    /// An event for the operator's receiver.
    pub fn hook(&mut self, by: Invocation, what: &Delivery) -> Hooked {
        self.moment += 1;
        let refused = Hooked::Refused { retry_after_s: None };
        let told = serde_json::from_str(&what.body).unwrap_or_default();
        let lost = self.strikes(Fault::HookRefused);
        self.note(|| {
            format!("#{by} tells {}: {}", what.id, if lost { "refused" } else { "taken" })
        });
        if lost && !self.strikes(Fault::HookAnswerLost) {
            return refused;
        }
        self.passed(Path::Told);
        self.must_be_told(&what.id, &told);
        if lost { refused } else { Hooked::Accepted }
    }

    /// A notification for a phone.
    pub fn push(&mut self, by: Invocation, to: &EndpointId, what: &Notification) -> Pushed {
        self.moment += 1;
        let row = self.whose(by, to);
        let user = row.as_ref().map(|row| row.user.clone());
        if let Some(user) = &user {
            let stored = self.truth.log(&what.conversation_id).and_then(|log| log.at(what.seq));
            if stored.is_none_or(|s| !s.readable(user) || s.entry.sender_id != what.sender_id) {
                self.broke(format!("{user} was pushed {} {}", what.conversation_id, what.seq));
            }
        }
        if let Some(user) = &user {
            self.may_wake(by, user, what);
        }
        let pushed = self.rings(to);
        self.note(|| {
            format!("#{by} push {} {} to {to}: {pushed:?}", what.conversation_id, what.seq)
        });
        if let Some((notes, row)) = self.notes.get_mut(&by).zip(row) {
            notes.pushes.push((row, pushed));
        }
        pushed
    }
}

impl Core {
    /// Who wants to hear nothing of a conversation is not woken, unless the message is for them; and the icon shows what a
    /// recount says.
    fn may_wake(&mut self, by: Invocation, user: &UserId, what: &Notification) {
        let Some(began) = self.notes.get(&by).map(|n| n.began) else { return };
        let of = &what.conversation_id;
        let entry = self.truth.log(of).and_then(|log| log.at(what.seq)).map(|s| &s.entry);
        let mentioned = entry.is_some_and(|e| e.mentions(user));
        let quiet = self.is_quiet_since(user, of, began);
        // Whatever was written meanwhile may be in it or not; this very push is the one thing that happened.
        let calm = self.moment == began + 1;
        let recount = self.recount(user, by);
        let began_at = self.notes.get(&by).map_or(0, |n| n.began_at);
        let hides = self.truth.hides_previews.get(user);
        let hides = hides.is_some_and(|since| since + crate::stale::STALE_MS < began_at);
        if hides && what.preview.is_some() {
            self.broke(format!("{user}'s phone shows what was written, which they hide"));
        }
        if mentioned {
            self.passed(Path::Mentioned);
        }
        if quiet == Some(true) && !mentioned {
            self.broke(format!("{user} was woken by {of} {}, which is muted", what.seq));
        }
        if mentioned != what.mentioned {
            self.broke(format!(
                "{user} is told of a mention in {of} {}: {}",
                what.seq, what.mentioned
            ));
        }
        let wrong = recount.filter(|(_, badge)| what.badge.is_some_and(|told| told != *badge));
        if let Some((_, badge)) = wrong.filter(|_| calm) {
            self.broke(format!("{user}'s icon shows {:?}, and a recount says {badge}", what.badge));
        }
        let held = self.may_be_woken(user, by);
        self.must(held);
    }

    /// Whether a user wants to hear nothing of a conversation, if he has chosen nothing else since that moment.
    pub fn is_quiet_since(&self, user: &UserId, of: &ConversationId, since: u64) -> Option<bool> {
        let chosen = self.truth.chosen.get(&(user.clone(), of.clone())).copied().unwrap_or(0);
        let row = self.truth.row(user, of)?;
        (chosen <= since).then(|| row.own.is_quiet(self.now))
    }
}

/// A job in a few words.
pub fn brief(job: &Job) -> String {
    let names = |to: &[petrel_core::ids::UserId]| {
        let few: Vec<&str> = to.iter().take(6).map(petrel_core::ids::UserId::as_str).collect();
        format!("{}{}", few.join(" "), if to.len() > 6 { " …" } else { "" })
    };
    match job {
        Job::FanOut { entry, to, attempt, .. } => {
            format!(
                "fan out {} {} (attempt {attempt}) to {}",
                entry.conversation_id,
                entry.seq,
                names(to)
            )
        }
        Job::Presence { user } => format!("presence of {user}"),
        Job::Push { to, conversation, seq, attempt } => {
            format!("push {conversation} {seq} (attempt {attempt}) to {}", names(to))
        }
        Job::Webhook { event, attempt } => {
            let entry = event.about();
            format!("tell of {} {} (attempt {attempt})", entry.conversation_id, entry.seq)
        }
    }
}
