//! What measured operations cost in dollars.

use crate::operations::Bills;
use crate::wire::Bill;

/// us-east-1, on demand, 2026; dollars a million.
const MESSAGE: f64 = 1.0;
const CONNECTION_MINUTE: f64 = 0.25;
const INVOCATION: f64 = 0.20;
const WRITE: f64 = 0.625;
const READ: f64 = 0.125;
const QUEUE_REQUEST: f64 = 0.40;
/// Publish and delivery.
const PUSH: f64 = 0.50 + 0.50;

/// What happens in one go.
#[derive(Default)]
struct Event {
    messages: f64,
    minutes: f64,
    invocations: f64,
    writes: f64,
    reads: f64,
    queue: f64,
    pushes: f64,
}

impl Event {
    /// An operation that so many functions ran, each for frames that came and went over the socket besides what it
    /// posted itself.
    fn ran(mut self, bill: &Bill, times: f64, frames: f64) -> Self {
        self.messages += times * (count(bill.messages) + frames);
        self.invocations += times;
        self.writes += times * bill.writes;
        self.reads += times * bill.reads;
        self.pushes += times * count(bill.pushes);
        // Each job is received and deleted too, in the worst case by a request of its own.
        self.queue += times * (count(bill.queued) + 2.0 * count(bill.jobs));
        self
    }

    fn row(&self, name: &str) -> String {
        let gateway = self.messages * MESSAGE + self.minutes * CONNECTION_MINUTE;
        let functions = self.invocations * INVOCATION;
        let tables = self.writes * WRITE + self.reads * READ;
        let queues = self.queue * QUEUE_REQUEST;
        let pushes = self.pushes * PUSH;
        let total = gateway + functions + tables + queues + pushes;
        format!(
            "| {name} | {gateway:.2} | {functions:.2} | {tables:.2} | {queues:.2} | {pushes:.2} | {total:.2} |"
        )
    }
}

fn count(n: u64) -> f64 {
    f64::from(u32::try_from(n).unwrap())
}

pub fn rows(bills: &Bills) -> Vec<String> {
    let bill = |name| bills.of(name);
    let event = Event::default;
    let fan_out = bill("fan out to 100, all online (the sender among them)");
    let sync = bill("sync, 20 conversations, up to date");
    vec![
        event()
            .ran(bill("send 1:1, both online"), 1.0, 2.0)
            .ran(bill("ack 1:1, both at once, author online"), 1.0, 1.0)
            .row("a message 1:1, both online, acknowledged"),
        event()
            .ran(bill("send 1:1, peer offline with a phone"), 1.0, 2.0)
            .ran(bill("push job of 1"), 1.0, 0.0)
            .row("a message 1:1, the peer's phone is woken"),
        event()
            .ran(bill("send to a group of 10, all online"), 1.0, 2.0)
            .ran(bill("ack in a group of 10, author online"), 9.0, 1.0)
            .row("a message to a group of 10, all online, acknowledged by 9"),
        event()
            .ran(bill("send to a group of 1000, all online"), 1.0, 2.0)
            .ran(fan_out, 10.0, 0.0)
            .ran(bill("ack in a group of 1000, author online"), 999.0, 1.0)
            .row("a message to a group of 1000, all online, acknowledged by 999"),
        event()
            .ran(&Bill::default(), 1.0, 0.0)
            .ran(bill("connect"), 1.0, 0.0)
            .ran(bill("disconnect"), 1.0, 0.0)
            .row("a socket, opened and closed"),
        Event { minutes: 60.0, ..event() }
            .ran(sync, 60.0 / 7.0, 2.0)
            .row("an hour online with 20 conversations, a sync every 7 minutes"),
    ]
}
