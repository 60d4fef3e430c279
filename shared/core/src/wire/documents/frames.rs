//! The table of the frames: a row an action, and a row a push.

/// What a client may ask for over a socket.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    /// `action` of the frame.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// `type` of what answers it, beside `error`, which every frame may get.
    pub answers: &'static [&'static str],
}

/// Every action.
pub const ACTIONS: &[Action] = &[
    Action {
        name: "send",
        summary: "Stores a message, or up to ten, and delivers it",
        answers: &["sent"],
    },
    Action {
        name: "ack",
        summary: "Raises the caller's watermarks; no answer but an error",
        answers: &[],
    },
    Action {
        name: "sync",
        summary: "Everything above the cursors: batches, then synced",
        answers: &["batch", "synced"],
    },
    Action { name: "history", summary: "A stretch of a log, back or forth", answers: &["batch"] },
    Action {
        name: "typing",
        summary: "Tells the others who are online that the user types; no answer but an error",
        answers: &[],
    },
    Action {
        name: "presence",
        summary: "Who is online, and with watch who comes and goes",
        answers: &["presence"],
    },
];

/// What arrives unasked: the frame's `type`, and when.
pub const PUSHES: &[(&str, &str)] = &[
    ("message", "An entry was stored in a conversation of the user's"),
    ("receipt", "Someone got further in a conversation"),
    ("typing", "Someone types, or has stopped"),
    ("state", "The user muted a conversation, or the like, on another device"),
    ("presence", "Someone whom the user watches has come or gone"),
];
