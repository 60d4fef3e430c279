"""From users to traffic: how often each operation happens, and what that asks of each service. Holds no figure of AWS
and none of Petrel's; those come from facts.py."""

import math
from dataclasses import dataclass, field, fields

DAY_S = 86_400
MONTH_DAYS = 30
# Both from docs/protocol.md: a sync every 5 to 8 minutes, a new socket after 90 to 115.
SYNC_S = 6.5 * 60
SOCKET_S = 102.5 * 60
# As in shared/core/src/services/deliver.rs.
MAX_INLINE = 32
CHUNK = 100


def given(default, low, high, what):
    return field(default=default, metadata={"low": low, "high": high, "what": what})


class LoadError(ValueError):
    """An input that makes no sense; one line that names it."""


@dataclass(frozen=True)
class Load:
    """Who does what. All of it may be set on the command line."""

    users: float = given(100_000, 1, 1e10, "users on a day")
    messages: float = given(40, 0, 1e5, "messages that a user sends a day")
    peak: float = given(5, 1, 1_000, "busiest second against the mean of the day")
    online_share: float = given(0.10, 0, 1, "of the day's users, who are online at the peak")
    online_minutes: float = given(60, 0, 1_440, "minutes a day that a user is online")
    devices: float = given(1.2, 1, 10, "sockets of a user who is online")
    sessions: float = given(12, 0, 1e4, "times a day that a user opens the app (a socket and a sync each)")
    recipient_online: float = given(0.5, 0, 1, "chance that a recipient is online when a message comes")
    phones: float = given(1, 0, 1, "of the users, who take pushes")
    unacknowledged: float = given(0.05, 0, 1, "of pushes kept for a socket, those that go out after all")
    group10: float = given(0.20, 0, 1, "of the messages, those to groups of about 10")
    group32: float = given(0.08, 0, 1, "of the messages, those to groups of about 32")
    group1000: float = given(0.0005, 0, 1, "of the messages, those to groups of about 1000")
    acks: float = given(1, 0, 2, "acks a message and recipient (delivered and read, after coalescing)")
    typing: float = given(2, 0, 100, "typing frames a message, in conversations of up to 32")
    history: float = given(1, 0, 1_000, "pages of history read a session")
    conversations: float = given(20, 1, 200, "conversations of a user")
    storm_s: float = given(300, 1, 1e5, "seconds in which all reconnect after all sockets ended at once")
    headroom: float = given(1.5, 1, 100, "what is asked for, against the peak")

    def __post_init__(self):
        for f in fields(self):
            value, low, high = getattr(self, f.name), f.metadata["low"], f.metadata["high"]
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise LoadError(f"{f.name} is not a number: {value!r}")
            if not low <= value <= high:
                raise LoadError(f"{f.name} is {low:g} to {high:g} ({f.metadata['what']}), not {value:g}")
        if self.direct < 0:
            raise LoadError(f"group10, group32 and group1000 are shares of all messages and come to {1 - self.direct:g}")
        if self.online_share * DAY_S / 60 < self.online_minutes:
            least = self.online_minutes * 60 / DAY_S
            raise LoadError(
                f"online_share is {self.online_share:g}, but who is online {self.online_minutes:g} minutes a day is"
                f" so with a share of {least:.3g} on average: the peak cannot be below"
            )

    @property
    def direct(self):
        return round(1 - self.group10 - self.group32 - self.group1000, 12)


# The steps, one after the other, that each function waits for, by their names in docs/architecture.md. The authorizer
# calls nobody; its time is its own.
READ = "read the tail, the members and the block list, in parallel"
PUT = "the put"
DEVICES = "read the connections"
POST = "post to each connection, in parallel"
STEPS = {
    "authorizer": [],
    "connect": [PUT],
    "send": [READ, PUT, DEVICES, POST],
    "ack": [READ, READ, PUT, DEVICES, POST],
    # Who is connected, the list, and 20 heads, of which 16 are read at a time.
    "sync": [DEVICES, READ, READ, READ],
    "signal": [READ, DEVICES, POST],
    "fanout": ["read 100 members' connections", "post to each connection, 64 at once"],
    # SNS has no row of its own: what 64 posts take stands for a publish.
    "push": ["read 100 members' connections", "post to each connection, 64 at once"],
}
AUTHORIZER_MS = 5
FUNCTIONS = tuple(STEPS)
ROUTES = ("send", "ack", "sync", "history", "typing")


@dataclass
class Traffic:
    """What happens, in one second or in a month."""

    connects: float = 0
    frames: dict = field(default_factory=lambda: dict.fromkeys(ROUTES, 0.0))
    answers: float = 0
    posts: float = 0
    invocations: dict = field(default_factory=lambda: dict.fromkeys(FUNCTIONS, 0.0))
    reads: float = 0
    writes: float = 0
    sent: float = 0
    fanout_jobs: float = 0
    push_jobs: float = 0
    publishes: float = 0

    def run(self, function, bill, times, route=None, answers=0, posts=None):
        """So many runs of an operation; `posts` each, if not as many as were measured."""
        self.invocations[function] += times
        self.reads += times * bill.reads
        self.writes += times * bill.writes
        self.posts += times * (bill.posts if posts is None else posts)
        self.sent += times * bill.queued
        if route:
            self.frames[route] += times
            self.answers += times * answers

    @property
    def requests(self):
        """What counts against API Gateway's rate."""
        return self.connects + sum(self.frames.values()) + self.posts

    @property
    def messages(self):
        """What API Gateway charges as messages."""
        return sum(self.frames.values()) + self.answers + self.posts

    @property
    def jobs(self):
        return self.fanout_jobs + self.push_jobs

    @property
    def queue_requests(self):
        """Each job is received and deleted by itself, in the worst case."""
        return self.sent + 2 * self.jobs


def between(x, low, high):
    """The point at x of the line through two measured points."""
    (x0, y0), (x1, y1) = low, high
    return y0 + (x - x0) * (y1 - y0) / (x1 - x0)


def traffic(load, facts, messages, sessions, online_seconds):
    """All that comes of so many messages and sessions, and of so many seconds that sockets are open."""
    t = Traffic()
    _direct(t, load, facts, messages * load.direct)
    for size, share in ((10, load.group10), (32, load.group32), (1_000, load.group1000)):
        _group(t, load, facts, size, messages * share)
    sync = _sync(load, facts)
    t.run("sync", sync, online_seconds / SYNC_S, "sync", answers=1)
    _open(t, load, facts, sessions + online_seconds / SOCKET_S)
    t.run("sync", facts.bill("history, 50 messages"), sessions * load.history, "history", answers=1)
    return t


def _open(t, load, facts, sockets):
    """Sockets that open, sync, and close in the end."""
    t.connects += sockets
    t.invocations["authorizer"] += sockets
    t.run("connect", facts.bill("connect"), sockets)
    t.run("connect", facts.bill("disconnect"), sockets)
    t.run("sync", _sync(load, facts), sockets, "sync", answers=1)


def storm(load, facts, sockets):
    """What comes on top in each second in which so many sockets reconnect."""
    t = Traffic()
    _open(t, load, facts, sockets)
    return t


def _sync(load, facts):
    """A sync that finds nothing; its units lie on the line through the two that were measured."""
    one = facts.bill("sync, 1 conversation, up to date")
    twenty = facts.bill("sync, 20 conversations, up to date")
    reads = between(load.conversations, (1, one.reads), (20, twenty.reads))
    return type(one)({}, twenty.writes, reads)


def _direct(t, load, facts, messages):
    online, phones = load.recipient_online, load.phones
    peer = online * load.devices
    own = load.devices - 1
    for name, share, posts in (
        ("send 1:1, both online, the peer has a phone", online * phones, load.devices + own),
        ("send 1:1, both online", online * (1 - phones), load.devices + own),
        ("send 1:1, peer offline with a phone", (1 - online) * phones, own),
        ("send 1:1, peer offline", (1 - online) * (1 - phones), own),
    ):
        t.run("send", facts.bill(name), messages * share, "send", answers=1, posts=posts)
    _push(t, load, facts, messages * phones * online, 1, waits=True)
    _push(t, load, facts, messages * phones * (1 - online), 1, waits=False)
    ack = facts.bill("ack 1:1, both at once, author online")
    t.run("ack", ack, messages * load.acks, "ack", posts=load.devices)
    t.run("signal", facts.bill("typing 1:1, both online"), messages * load.typing, "typing", posts=peer)


def _group(t, load, facts, size, messages):
    others = size - 1
    online = others * load.recipient_online
    send = facts.bill(f"send to a group of {size}, all online")
    ack = facts.bill(f"ack in a group of {size}, author online")
    posts = online * load.devices + load.devices - 1
    if size <= MAX_INLINE:
        t.run("send", send, messages, "send", answers=1, posts=posts)
        t.run("ack", ack, messages * others * load.acks, "ack", posts=load.devices)
        typing = facts.bill("typing in a group of 32, all online")
        t.run("signal", typing, messages * load.typing, "typing", posts=online * load.devices)
        chunks = 1
    else:
        chunks = math.ceil(size / CHUNK)
        t.run("send", send, messages, "send", answers=1, posts=0)
        fan_out = facts.bill("fan out to 100, all online (the sender among them)")
        t.run("fanout", fan_out, messages * chunks, posts=posts / chunks)
        t.fanout_jobs += messages * chunks
        t.run("ack", ack, messages * others * load.acks, "ack")
    if load.phones:
        for waits, reached in ((True, online), (False, others - online)):
            if reached:
                # One request for the job of each chunk; the measured groups had no phones.
                t.sent += messages * chunks
                _push(t, load, facts, messages * chunks, reached * load.phones / chunks, waits)


def _push(t, load, facts, jobs, users, waits):
    """Push jobs for so many users each. Who was posted to has mostly acknowledged when the job comes."""
    one, hundred = facts.bill("push job of 1"), facts.bill("push job of 100, 99 with a phone")
    t.push_jobs += jobs
    t.invocations["push"] += jobs
    pushed = jobs * users * (load.unacknowledged if waits else 1)
    # In the measured jobs every phone had one conversation to count: 2 units. Here each has 20, if it is pushed to.
    counted = facts.bill("push job of 1 with 20 conversations").reads
    counted -= facts.bill("push job of 1 with 20 conversations, `PushBadge` false").reads
    t.reads += jobs * between(users, (1, one.reads - 2), (100, hundred.reads - 2 * 99)) + pushed * counted
    t.publishes += pushed


def milliseconds(facts, function, at):
    """How long a function runs: the sum of its steps, at p50 or p99."""
    steps = STEPS[function]
    return sum(getattr(facts.hop(step), at) for step in steps) if steps else AUTHORIZER_MS


def concurrency(facts, function, rate):
    """How many run at once. Lambda gives each unit of concurrency a bounded number of requests a second, so that short
    functions need more than they occupy."""
    occupied = rate * milliseconds(facts, function, "p99") / 1_000
    return max(occupied, rate / facts.quota("lambda_requests_per_environment"))


@dataclass(frozen=True)
class Sizing:
    """What a load asks for at its peak, and what it costs a month."""

    load: Load
    online: float
    peak: Traffic
    storm: Traffic
    running: dict
    hot_group: float
    dollars: dict


def size(load, facts):
    peak = load.peak / DAY_S * load.users
    online = load.users * load.online_share * load.devices
    busiest = traffic(load, facts, peak * load.messages, peak * load.sessions, online)
    again = storm(load, facts, online / load.storm_s)
    month = load.users * MONTH_DAYS
    seconds = month * load.online_minutes * 60 * load.devices
    total = traffic(load, facts, month * load.messages, month * load.sessions, seconds)
    # Every ack of a group reads the tail of its log: one unit of the same partition.
    hot = facts.quota("partition_reads_per_second") / (1 + 999 * load.acks)
    rates = {f: busiest.invocations[f] + again.invocations[f] for f in FUNCTIONS}
    running = {f: concurrency(facts, f, rate) for f, rate in rates.items()}
    return Sizing(load, online, busiest, again, running, hot, dollars(facts, total, seconds / 60))


def dollars(facts, month, minutes):
    """What AWS charges for a month of traffic, by service."""
    gb_s = sum(
        times * milliseconds(facts, f, "p50") / 1_000 * facts.template.memory[f] / 1_024
        for f, times in month.invocations.items()
    )
    price = facts.price
    return {
        "API Gateway, messages": price("websocket_messages", month.messages),
        "API Gateway, connection minutes": price("connection_minutes", minutes),
        "Lambda, requests": price("invocations", sum(month.invocations.values())),
        "Lambda, time (from the latency budget)": price("gb_seconds", gb_s),
        "DynamoDB, requests": price("write_units", month.writes) + price("read_units", month.reads),
        "SQS": price("queue_requests", month.queue_requests),
        "SNS": price("publishes", month.publishes),
    }
