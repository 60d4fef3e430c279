//! Broken variants of the rules. With the feature `mutants`, which nothing that ships has, a test may switch one on for
//! its thread; without it `mutant!` is `false`, and the compiler leaves nothing of them.

/// Whether a broken variant is switched on.
macro_rules! mutant {
    ($name:ident) => {{
        #[cfg(feature = "mutants")]
        let on = $crate::mutants::is_on($crate::mutants::Mutant::$name);
        #[cfg(not(feature = "mutants"))]
        let on = $crate::mutants::off();
        on
    }};
}
pub(crate) use mutant;

/// A call, for a literal would make conditions that look like mistakes.
#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(crate) const fn off() -> bool {
    false
}

#[cfg(feature = "mutants")]
pub use variants::{Mutant, is_on, set};

#[cfg(feature = "mutants")]
mod variants {
    use std::cell::Cell;

    macro_rules! variants {
        ($($(#[$doc:meta])* $name:ident,)*) => {
            /// A broken variant of a service.
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub enum Mutant { $($(#[$doc])* $name,)* }

            impl Mutant {
                /// All of them.
                pub const ALL: &[Self] = &[$(Self::$name,)*];
            }
        };
    }

    variants! {
        /// `send`: after a lost race, goes on at the next place without reading what took the last one.
        SkipReread,
        /// `send`: after a lost race, reads the newest entry only.
        JumpToTail,
        /// `send`: what was read from `seen` to the head may have holes.
        HoleAccepted,
        /// `send`: a member list is not brought up to date with the membership entries that were read.
        MembersAsRead,
        /// `send`: the sender is looked for before the first try only.
        SenderNotChecked,
        /// `send`: answers before the message is on its way.
        AnswerFirst,
        /// `send`: a duplicate is answered and not delivered again.
        DuplicateNotDelivered,
        /// `send`: the rows of a direct conversation are written after its first message.
        RowsLate,
        /// `send`: goes on with the next message of several after one has failed.
        BatchGoesOn,
        /// `send`: takes the clock for the order of time.
        ClockOnly,
        /// `send`: delivers to who joined later too.
        JoinedIgnored,
        /// `deliver`: what cannot be queued is not delivered from here.
        QueueOutStopsSending,
        /// `send`: asks for the archive first, and so needs it.
        SendNeedsArchive,
        /// `deliver`: a 410 removes a connection however young it is.
        RemoveYoung,
        /// `deliver`: a 410 counts as delivered.
        GoneIsDelivered,
        /// `deliver`: what a socket took counts as delivered, whatever becomes of the socket.
        AcceptedIsDelivered,
        /// `deliver`: what the gateway refuses is not put back.
        PutBackDropped,
        /// `deliver`: what is put back has no count.
        PutBackForever,
        /// `deliver`: those who are offline are forgotten.
        NoPush,
        /// `push`: who is connected is taken to have the message.
        PushSkipsOnline,
        /// `ack`: the entry need not be there.
        AckPastHead,
        /// `ack`: a lower watermark takes the place of a higher one.
        AckFalls,
        /// `sync`: the socket is registered after the heads are read.
        RegisterLate,
        /// `sync`, `history`: who was removed while the log was read gets what was read.
        StillReadable,
        /// `sync`, `history`: begins before the point of joining.
        BeforeJoining,
        /// `sync`: unread is counted from the beginning for who joined later.
        UnreadFromFirst,
        /// Groups: the first entry comes before the rows.
        EntryBeforeRows,
        /// Groups: an admin removes whoever he likes.
        RanksIgnored,
        /// Groups: when the owner leaves, nobody takes over.
        NoHeir,
        /// `send`: all may write, whatever the group says.
        PostIgnored,
        /// Archive: the floor moves before the object stands.
        FloorBeforeObject,
        /// Archive: rows are copied without a fence, and without the lease.
        FenceSkipped,
        /// Archive: what a note says is not put into the object before the note goes.
        RedactionDropped,
        /// `sync`, `history`: the notes of what was deleted are read after the object.
        RedactionAfterObject,
        /// Archive: rows go before the floor moves.
        RowsBeforeFloor,
        /// Archive: the timer is set again when all is done.
        TimerLast,
        /// `sync`, `history`, `ack`: what the table does not hold is taken not to be there.
        HoleIsEnd,
        /// `send`: a delete leaves what it deletes in the log.
        DeletedStays,
        /// `send`: an edit comes when it likes.
        EditAnyTime,
        /// `push`: a conversation that is muted wakes the phone.
        MutedWoken,
        /// `push`: whoever muted a conversation is not woken, mentioned or not.
        MentionIgnored,
        /// Unread: the badge counts what is muted too.
        BadgeCountsMuted,
        /// `send`: the rate is looked at before the message is looked for.
        LimitFirst,
        /// Webhooks: an entry is announced when it is delivered again only.
        NotAnnounced,
        /// Webhooks: an entry that is delivered again is not announced again.
        AnnouncedOnce,
        /// Webhooks: an event that is not taken is forgotten.
        ToldOnce,
        /// Operators: the sockets are closed before the user is disabled.
        CutBeforeMark,
        /// Operators: a socket that answers 410 is taken to be closed, however young it is.
        GoneIsClosed,
        /// `send`: the rate of a conversation is counted and nobody is refused.
        LimitIgnored,
        /// Receipts: what someone has read is told, also if he hides it.
        ReadShown,
        /// `send`, `typing`: who is blocked writes all the same.
        BlocksIgnored,
        /// Groups: who is blocked adds whom he likes.
        BlockedAdds,
        /// Presence: everyone sees everyone's.
        PresenceToAll,
        /// Presence: who is blocked sees it.
        PresenceToBlocked,
        /// Presence: who was let watch once is told for ever.
        WatcherUnchecked,
        /// Archive: what is over is taken away before that is said.
        GoneLast,
        /// Archive: what has a tenth of its time left is over.
        GoneTooSoon,
        /// Archive: the objects of what is over stay.
        ObjectsStay,
        /// Archive: of an object that is over in part nothing stays.
        RestDropped,
        /// Archive: when all is over, the first row and the newest say what they said.
        EndsSpeak,
        /// `sync`, `history`: what is over can be read until the archiver comes.
        ExpiredIsRead,
        /// Retention: what a group's members chose is not asked for.
        GroupRuleIgnored,
        /// Unread: when all is over, all of it counts until the archiver has come.
        OverIsUnread,
        /// Unread: what is gone counts.
        GoneIsUnread,
        /// Unread: where only some is over, it counts until the archiver has come.
        PartOverIsUnread,
        /// Archive: the floor keeps the time of what was the oldest entry when that goes.
        OldestStays,
        /// `send`: what is over can be answered and changed.
        ExpiredIsNamed,
        /// Receipts: who has read what is over is told.
        ExpiredHasReaders,
        /// `deliver`: what is over is delivered when it is sent again.
        ExpiredAgain,
        /// Erasure: what lies in the archive stays.
        ArchivedNotErased,
        /// Erasure: others' words go too.
        ErasesOthers,
        /// Erasure: when its time is over in one conversation, the rest is left.
        ErasureEndsEarly,
        /// Erasure: does not wait for what is on its way.
        ErasureUnsettled,
        /// Erasure: the user stays in his groups.
        ErasedStaysMember,
        /// `change`: that someone has left is noted nowhere.
        LeavingUnnoted,
        /// Erasure: his profile, his list and his blocks stay.
        OwnStays,
        /// Erasure: an upload's bytes go before what is known of it.
        BytesFirst,
        /// `send`: media may be sent by whoever knows its id.
        AnyonesUpload,
        /// `send`: media may be sent before its bytes are there.
        UnfinishedSent,
        /// `send`: media that was sent runs out all the same.
        NotKept,
        /// `send`: media that was sent is kept as long as what nobody sends.
        KeptShort,
        /// `media`: entries before the point of joining are good enough.
        MediaBeforeJoining,
        /// `media`: what a scanner has blocked can be read.
        BlockedIsRead,
        /// `send`: a `seen` beyond the head is believed.
        SeenBeyondHead,
        /// Receipts: authors who have left are told all the same.
        ReceiptToRemoved,
        /// Receipts: everyone is told, whoever wrote it.
        ReceiptToAll,
        /// Own state: the other side of a direct conversation is told too.
        StateToPeer,
        /// `typing`: whoever knows a group's id is shown to type in it.
        TypingByStrangers,
        /// `push`: what is written is shown also of who hides it.
        PreviewShown,
        /// `media`: what a scanner has not spoken of can be read.
        PendingIsRead,
        /// Scanning: an old `clean` opens what was blocked since.
        VerdictUndone,
        /// Uploads: an event that comes late opens what was blocked.
        EventReopens,
        /// Uploads: bytes of which nothing is known stay.
        OrphanStays,
        /// Uploads: the row runs out, and the bytes stay.
        BytesStay,
        /// `send`: what was lent once is lent for ever.
        LentForever,
        /// Pictures: what is shown runs out all the same.
        PictureNotKept,
        /// Pictures: whoever knows the id of an upload sees it.
        AnyPicture,
        /// `push`: who signs out is forgotten by the push service, and his row stays.
        RemovedStays,
        /// Operators: a device that is signed out is woken still.
        SignedOutStays,
        /// `push`: what takes no more pushes stays.
        DisabledStays,
        /// `push`: what a device had before stays at the push service.
        ReplacedStays,
        /// `push`: the row goes before the push service has forgotten the endpoint.
        RowGoesFirst,
        /// `push`: who signs out needs the push service.
        SignOutNeedsPushService,
        /// Erasure: what the push service does not forget stays there.
        ErasedPhoneStays,
    }

    impl Mutant {
        /// Those of files, which a story finds as well (`tests/simulation/tests/media.rs`).
        pub const MEDIA: &[Self] = &[
            Self::AnyonesUpload,
            Self::UnfinishedSent,
            Self::NotKept,
            Self::KeptShort,
            Self::MediaBeforeJoining,
            Self::BlockedIsRead,
        ];
    }

    thread_local! {
        static ON: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Switches a variant on for this thread, or all off.
    pub fn set(mutant: Option<Mutant>) {
        ON.set(mutant);
    }

    /// Whether it is on.
    pub fn is_on(mutant: Mutant) -> bool {
        ON.get() == Some(mutant)
    }
}
