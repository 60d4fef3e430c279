//! What goes wrong, each with a dial, and how often it did. Also the paths that a run should have taken: a simulation
//! whose faults never happen proves nothing.

use crate::dice::Dice;

macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $kind:ident $text:literal $rate:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$each])* $kind,)* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// Its name on the command line and in reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $text,)* }
            }

            /// How often it happens by default, of 10,000 chances.
            pub const fn rate(self) -> u32 {
                match self { $(Self::$kind => $rate,)* }
            }
        }
    };
}

kinds! {
    /// What goes wrong.
    Fault {
        /// A function ends between two port calls, also after a write and before the answer.
        Kill "kill" 60,
        /// A function stands still between two port calls, from a second to minutes, and goes on.
        Freeze "freeze" 60,
        /// A port call fails and had no effect: throttled, or timed out on the way there.
        FailsBefore "fails-before" 120,
        /// A port call fails and had its effect: timed out on the way back.
        FailsAfter "fails-after" 120,
        /// A write fails and has its effect later.
        FailsLate "fails-late" 80,
        /// The database's client repeats a put whose answer was lost, and finds the place taken, by itself.
        OwnConflict "own-conflict" 100,
        /// A write is refused because another one of the same item was under way, and had no effect.
        WriteConflict "write-conflict" 150,
        /// Clocks of functions and of the gateway differ.
        ClockSkew "clock-skew" 5000,
        /// SQS takes nothing for a while.
        QueueOut "queue-out" 4000,
        /// The push service takes nothing for a while.
        PushOut "push-out" 4000,
        /// The archive's objects can be neither read nor written for a while.
        ArchiveOut "archive-out" 4000,
        /// The bucket of files takes and shows nothing for a while.
        FilesOut "files-out" 4000,
        /// A client does not hear that its file is stored, and stores it again.
        PutAnswerLost "put-answer-lost" 2000,
        /// The bucket, the scanner or the table tell of a file twice.
        FileEventDoubled "file-event-doubled" 2000,
        /// They tell of it late, after others.
        FileEventLate "file-event-late" 3000,
        /// The table removes an upload's row days after its end.
        ExpiryLate "expiry-late" 3000,
        /// The stream tells of a timer twice.
        TimerDoubled "timer-doubled" 2000,
        /// The stream tells of a timer late, up to days.
        TimerLate "timer-late" 3000,
        /// Of several jobs some are queued, and the call fails.
        QueuedPartly "queued-partly" 500,
        /// A job is queued twice.
        JobDoubled "job-doubled" 500,
        /// A job comes late, and others overtake it.
        JobDelayed "job-delayed" 1000,
        /// A job that is done comes again.
        JobComesAgain "job-comes-again" 1500,
        /// A post is taken and never arrives.
        PostLost "post-lost" 300,
        /// A post arrives twice.
        PostDoubled "post-doubled" 300,
        /// A post arrives late, after others.
        PostDelayed "post-delayed" 800,
        /// A live socket answers 410.
        PostGone "post-gone" 150,
        /// The gateway answers 429 or 5xx.
        PostLater "post-later" 200,
        /// The gateway answers 5xx and delivers all the same.
        PostLaterDone "post-later-done" 60,
        /// The gateway is overloaded for a while: nearly every post is refused.
        GatewayOverload "gateway-overload" 4000,
        /// The answer of a route is lost on its way.
        AnswerLost "answer-lost" 200,
        /// A socket ends and both sides know.
        SocketEnds "socket-ends" 2500,
        /// A socket ends and the gateway does not know: it goes on taking posts.
        SocketHalfOpen "socket-half-open" 2500,
        /// A socket ends and the device does not know until it sends.
        SocketUnnoticed "socket-unnoticed" 2500,
        /// All sockets end at once, and everyone comes back.
        Storm "storm" 1500,
        /// `$disconnect` never comes.
        DisconnectMissing "disconnect-missing" 2500,
        /// `$disconnect` comes minutes late.
        DisconnectLate "disconnect-late" 2500,
        /// A device loses all that it held, and what it had to send.
        MemoryLost "memory-lost" 1000,
        /// A device loses what it held, but not what it has to send.
        EntriesLost "entries-lost" 2500,
        /// A phone's endpoint is disabled.
        PushDisabled "push-disabled" 300,
        /// The push service answers 429 or 5xx.
        PushLater "push-later" 800,
        /// A call of an erasure takes seconds.
        ErasureSlow "erasure-slow" 800,
        /// The gateway does not close a socket when it is asked to.
        CloseRefused "close-refused" 1500,
        /// Who is being erased sends something over a socket just before it is closed.
        LastWords "last-words" 3000,
        /// A read that need not be strongly consistent finds what was a moment ago.
        StaleRead "stale-read" 5000,
        /// Everyone sleeps, and hours or days pass.
        Night "night" 3000,
        /// The operator's receiver does not take an event.
        HookRefused "hook-refused" 1500,
        /// It takes the event, and its answer is lost.
        HookAnswerLost "hook-answer-lost" 3000,
        /// A client that breaks the protocol: acks beyond the head, a `seen` beyond it, a stranger's requests.
        Hostile "hostile" 800,
    }
}

kinds! {
    /// What a run should pass through.
    Path {
        /// An entry was stored.
        Stored "stored" 0,
        /// Two writers wanted the same place.
        Conflict "conflict" 0,
        /// A message was answered as stored by an earlier call.
        Duplicate "duplicate" 0,
        /// A client was told to sync before it sends.
        SyncRequired "sync-required" 0,
        /// A client was told to come again.
        Busy "busy" 0,
        /// A caller did too much.
        RateLimited "rate-limited" 0,
        /// The operator's receiver took an event.
        Told "event-told" 0,
        /// An operator disabled a user.
        Disabled "user-disabled" 0,
        /// Who moderates was told of a message.
        Reported "reported" 0,
        /// An operator's notice was stored.
        Noticed "notice-stored" 0,
        /// An operator closed a socket.
        Cut "socket-cut" 0,
        /// A caller was not a member.
        NotAMember "not-a-member" 0,
        /// A caller was refused as the other one blocks them.
        Blocked "blocked" 0,
        /// Someone saw another's presence.
        PresenceShown "presence-shown" 0,
        /// A change of someone's presence was looked at, to be told.
        PresenceJob "presence-job" 0,
        /// Others were not told what someone has read.
        ReadHidden "read-hidden" 0,
        /// A frame waited for several messages.
        Batch "batch" 0,
        /// A chunk was queued for the fan-out function.
        FanOut "fan-out" 0,
        /// A chunk was delivered by the sender's function, as the queue was out.
        Inline "inline-for-queue" 0,
        /// What could not be posted was queued again.
        PutBack "put-back" 0,
        /// A post was answered 410.
        Gone "gone" 0,
        /// A post was answered 410 because `$connect` had not returned.
        Connecting "connecting" 0,
        /// A row was removed after a 410.
        Removed "removed-after-410" 0,
        /// A socket was registered again by a sync.
        Registered "registered-again" 0,
        /// A job was given up after too many receives.
        DeadLetter "dead-letter" 0,
        /// A push reached the push service.
        Pushed "pushed" 0,
        /// A user's app registered its phone.
        PhoneRegistered "phone-registered" 0,
        /// A phone was another user's before.
        ChangedHands "phone-changed-hands" 0,
        /// A user's app signed out.
        PhoneRemoved "phone-removed" 0,
        /// An operator signed a device out.
        SignedOut "signed-out-by-hand" 0,
        /// An operator closed all sockets of a user, or of a device.
        CutByHand "cut-by-hand" 0,
        /// The push service forgot an endpoint.
        EndpointForgotten "endpoint-forgotten" 0,
        /// It did not, and whoever signed out was signed out all the same.
        EndpointLeft "endpoint-left" 0,
        /// It forgot one that somebody else had been given in that moment.
        ForgottenInVain "endpoint-lost-in-a-race" 0,
        /// A push came to whose the phone was when its job read that, and was not any more.
        PushOvertaken "push-overtaken" 0,
        /// A push was not needed any more.
        PushSkipped "push-skipped" 0,
        /// A push could not be queued, and was counted as lost.
        PushLost "push-lost" 0,
        /// A group came into being.
        Founded "founded" 0,
        /// Members were added.
        Added "members-added" 0,
        /// Members were removed.
        Left "members-removed" 0,
        /// A member's role changed.
        RoleGiven "role-given" 0,
        /// A group changed hands.
        HandedOver "handed-over" 0,
        /// A group's rules changed.
        Updated "group-updated" 0,
        /// Someone joined by an invite.
        Joined "joined-by-invite" 0,
        /// A removed member was added again.
        AddedAgain "members-added-again" 0,
        /// A membership change stood while a fan-out of an earlier entry was under way.
        ChangedMeanwhile "changed-during-fan-out" 0,
        /// A device filled a hole by asking.
        Hole "hole-filled" 0,
        /// A device loaded what lay before what it held.
        Older "older-loaded" 0,
        /// A socket reached its two hours.
        TwoHours "two-hour-cut" 0,
        /// A device opened its next socket before the old one ended.
        Renewed "socket-renewed" 0,
        /// Entries went from the table to the archive.
        Archived "archived" 0,
        /// Entries were read from the archive.
        ReadCold "read-from-archive" 0,
        /// Two archivers of a conversation met, and one gave way.
        ArchiversMet "archivers-met" 0,
        /// An archiver removed rows that an earlier one had left.
        RowsLeft "rows-left-behind" 0,
        /// A timer ran out for good, and an operator sends it again.
        TimerFailed "timer-failed" 0,
        /// Entries were gone, as their time was over.
        Expired "expired" 0,
        /// A group's members chose how long its messages are kept.
        RetentionChosen "retention-chosen" 0,
        /// A device went on above what could be read no more.
        BegunLater "begun-above-the-gone" 0,
        /// What a user wrote was emptied.
        Emptied "erased-entries" 0,
        /// So it was at or below the fence, and noted.
        EmptiedInArchive "erased-in-archive" 0,
        /// An erasure has ended.
        Erased "user-erased" 0,
        /// An erasure was to be gone on with.
        ErasedInPages "erasure-in-pages" 0,
        /// What someone had left behind in a group was erased.
        ErasedByName "erased-by-name" 0,
        /// A watermark rose.
        Acked "acked" 0,
        /// A message was edited.
        Edited "edited" 0,
        /// A message was deleted.
        Deleted "deleted" 0,
        /// A message at or below the fence was deleted, and noted.
        Noted "deleted-in-archive" 0,
        /// What was noted went into an object, and the note away.
        Redacted "redacted" 0,
        /// A user muted a conversation, or the like.
        Chosen "chosen" 0,
        /// A phone was left in peace because its user muted the conversation.
        Muted "push-muted" 0,
        /// A phone was woken by a message that mentions its user.
        Mentioned "push-mentioned" 0,
        /// Two services or more were out at the same time.
        OutTogether "outages-together" 0,
        /// Nobody but the next sync tells a device of an entry.
        LeftToSync "left-to-sync" 0,
        /// Someone was told that another types.
        TypingTold "typing-told" 0,
        /// A client stored the bytes of a file.
        FileStored "file-stored" 0,
        /// An upload was complete, or could be read.
        FileComplete "file-complete" 0,
        /// A file was sent by who had uploaded it.
        FileSent "file-sent" 0,
        /// It was sent on by someone else.
        FileForwarded "file-forwarded" 0,
        /// Someone was let read it.
        FileRead "file-read" 0,
        /// Someone was let send it on.
        FileLent "file-lent" 0,
        /// Someone came before its bytes, or before a scanner.
        FileNotReady "file-not-ready" 0,
        /// A scanner blocked it.
        FileBlocked "file-blocked" 0,
        /// It became a picture of someone, or of a group.
        PictureShown "picture-shown" 0,
        /// Someone looked at such a picture.
        PictureSeen "picture-seen" 0,
        /// The table removed the row of an upload.
        UploadEnded "upload-ended" 0,
        /// Bytes went of which nothing was known any more.
        BytesRemoved "bytes-removed" 0,
        /// The media function failed for good, and an operator told it again.
        FileEventFailed "file-event-failed" 0,
        /// Weeks passed at once.
        Weeks "weeks" 0,
        /// The gateway gave up on a function that still ran.
        GaveUp "gateway-time-out" 0,
    }
}

/// What to turn, and how often it turned.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Of 10,000 chances; by the order of [`Fault::ALL`].
    rates: Vec<u32>,
    /// Off in the end, so that every run comes to rest.
    pub on: bool,
    /// Which outages last just now.
    pub out: Vec<Fault>,
    /// What happened.
    pub counts: Counts,
}

impl Faults {
    /// The dials of one run. Each seed turns some of the faults off and others up, so that runs differ in what they
    /// look for; a dial that was `set` stands as it was set.
    pub fn new(dice: &mut Dice, set: &[(Fault, u32)]) -> Self {
        let mut turn = |fault: &Fault| {
            let by = [0, 0, 30, 100, 100, 300][dice.index(6)];
            match set.iter().rev().find(|(f, _)| f == fault) {
                Some((_, rate)) => *rate,
                None => (fault.rate() * by / 100).min(9_000),
            }
        };
        let rates = Fault::ALL.iter().map(&mut turn).collect();
        Self { rates, on: true, out: vec![], counts: Counts::default() }
    }

    /// Whether it happens now; if so it is counted.
    pub fn strikes(&mut self, dice: &mut Dice, fault: Fault) -> bool {
        let strikes = self.on && dice.chance(self.rates[fault as usize]);
        self.counts.faults[fault as usize] += u64::from(strikes);
        strikes
    }

    /// Whether the dial is up at all.
    pub fn may(&self, fault: Fault) -> bool {
        self.on && self.rates[fault as usize] > 0
    }

    /// Whether this outage lasts; if so it is counted.
    pub fn is_out(&mut self, fault: Fault) -> bool {
        let out = self.on && self.out.contains(&fault);
        self.counts.faults[fault as usize] += u64::from(out);
        out
    }
}

/// How often each fault struck and each path was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// By the order of [`Fault::ALL`].
    pub faults: Vec<u64>,
    /// By the order of [`Path::ALL`].
    pub paths: Vec<u64>,
    /// Scheduling points passed.
    pub steps: u64,
    /// Runs.
    pub seeds: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            faults: vec![0; Fault::ALL.len()],
            paths: vec![0; Path::ALL.len()],
            steps: 0,
            seeds: 0,
        }
    }
}

impl Counts {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        let pairs = self.faults.iter_mut().zip(&other.faults);
        pairs.chain(self.paths.iter_mut().zip(&other.paths)).for_each(|(a, b)| *a += b);
        self.steps += other.steps;
        self.seeds += other.seeds;
    }

    /// Every fault and path that never happened.
    pub fn missing(&self) -> Vec<&'static str> {
        let faults = Fault::ALL.iter().map(|f| f.name()).zip(&self.faults);
        let paths = Path::ALL.iter().map(|p| p.name()).zip(&self.paths);
        faults.chain(paths).filter(|(_, n)| **n == 0).map(|(name, _)| name).collect()
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{} seeds, {} steps, {} faults",
            self.seeds,
            self.steps,
            self.faults.iter().sum::<u64>()
        )?;
        let faults: Vec<_> = Fault::ALL.iter().map(|f| f.name()).zip(&self.faults).collect();
        let paths: Vec<_> = Path::ALL.iter().map(|p| p.name()).zip(&self.paths).collect();
        for i in 0..faults.len().max(paths.len()) {
            let (fault, n) =
                faults.get(i).map_or(("", String::new()), |(t, n)| (*t, n.to_string()));
            let (path, m) = paths.get(i).map_or(("", String::new()), |(t, n)| (*t, n.to_string()));
            writeln!(f, "{fault:<20}{n:>12}    {path:<26}{m:>12}")?;
        }
        Ok(())
    }
}
