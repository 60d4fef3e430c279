//! Invocations of the functions: what starts one, what is known of it while it runs, and what its answer must hold.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use petrel_core::ids::{ConversationId, EndpointId, Seq, UserId};
use petrel_core::message::Entry;
use petrel_core::ports::{Endpoint, Job, Posted, Pushed};
use petrel_core::wire::{Answer, ServerFrame};
use petrel_core::{App, Caller, Error};
use serde_json::{Value, json};

use crate::core::{Core, Event, Hub, Invocation};
use crate::faults::Fault;
use crate::frames::Heads;
use crate::gateway::Phase;
use crate::http::{Asked, Request};
use crate::media::FileEvent;
use crate::mutants::Mutant;
use crate::ports;
use crate::truth::Truth;

/// The gateway waits so long for a function, ms.
pub const GATEWAY_WAITS: u64 = 29_000;

/// What an invocation is for.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there are few at a time")]
pub enum Task {
    /// `$connect`.
    Connect(u64),
    /// `$disconnect`.
    Disconnect(u64),
    /// A frame over a socket.
    Route(u64, String),
    /// A job of a queue, by its number there.
    Job(u64, Job),
    /// An HTTP request.
    Http(usize, Request),
    /// The stream tells that a conversation's timer is gone, for so many times more.
    Archive(ConversationId, u32),
    /// Something about a file, for so many times more.
    File(FileEvent, u32),
}

impl Task {
    /// Whether someone says something by it that names no other entry: what S3 is not needed for.
    pub fn says_something_new(&self) -> bool {
        match self {
            Self::Http(_, Request::Send(..)) => true,
            Self::Http(_, Request::Say(.., content)) => content.target().is_none(),
            Self::Route(_, frame) => {
                let frame: Value = serde_json::from_str(frame).unwrap_or_default();
                let messages = frame["messages"].as_array().into_iter().flatten();
                let mut said = messages.chain([&frame]).map(|m| &m["content"]["target"]);
                frame["action"] == "send" && said.all(Value::is_null)
            }
            _ => false,
        }
    }
}

/// How an invocation ended.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Done {
    /// `$connect`, and whether it went well.
    Connected(bool),
    /// `$disconnect`.
    Disconnected,
    /// A route's response.
    Answered(Option<String>),
    /// A job, and whether it went well.
    Worked(bool),
    /// An HTTP answer.
    Http(Asked),
    /// The archiver, and whether it went well.
    Archived(bool),
    /// The media function, and whether it went well.
    Filed(bool),
}

/// How long the archiver may run: its time-out in the template, ms.
const ARCHIVER_LIVES_MS: u64 = 600_000;

/// What is known of a running invocation.
pub struct Notes {
    /// For the trace.
    pub name: String,
    /// What it is for.
    pub task: Task,
    /// Who asked.
    pub user: Option<UserId>,
    /// Over which socket.
    pub socket: Option<u64>,
    /// Whether no row named that when it began.
    pub strays: bool,
    /// When it began, in moments.
    pub began: u64,
    /// When it began, ms since 1970.
    pub began_at: u64,
    /// What was gone of each conversation when it began.
    pub gone: BTreeMap<ConversationId, Seq>,
    /// Where the user's conversations stood then, or when it registered the socket.
    pub heads: Heads,
    /// Where they stood when it began.
    pub tenures: Heads,
    /// Whether it stands still until then, ms since 1970.
    pub frozen: u64,
    /// When AWS ends it, ms since 1970.
    pub dies: u64,
    /// Whether a call that it must succeed in has failed.
    pub hurt: bool,
    /// Whether a call of S3 has failed.
    pub hurt_by_s3: bool,
    /// Where users take pushes, as it has read that, and when, in moments.
    pub phones: Vec<(Endpoint, u64)>,
    /// The endpoint that the push service has named.
    pub endpoint: Option<EndpointId>,
    /// Whether a frame of its own answer was refused by the gateway.
    pub refused: bool,
    /// Races it lost.
    pub conflicts: u32,
    /// The job it runs.
    pub job: Option<Job>,
    /// How often that was put back.
    pub generation: u8,
    /// Whether it delivers entries.
    pub delivers: bool,
    /// What it posted of which entry to whom.
    pub posts: Vec<(ConversationId, Seq, UserId, Posted)>,
    /// Whom it put back.
    pub put_back: Vec<((ConversationId, Seq), UserId)>,
    /// What it pushed.
    pub pushes: Vec<(Endpoint, Pushed)>,
    /// Whose push it put back.
    pub pushed_later: Vec<UserId>,
    /// The tables as they were when it began, for a broken variant.
    pub early: Option<Box<Truth>>,
    /// Whether the gateway has given it up.
    pub given_up: bool,
}

impl Notes {
    /// Whether any call has failed that it may have needed.
    pub const fn is_hurt(&self) -> bool {
        self.hurt || self.hurt_by_s3
    }
}

/// A running function.
pub type Running = Pin<Box<dyn Future<Output = Done>>>;

impl Core {
    /// Lets an invocation begin after a while.
    pub fn invoke(&mut self, ms: u64, task: Task) -> Invocation {
        let id = self.fresh();
        let notes = self.notes_of(task);
        self.notes.insert(id, notes);
        self.after(ms, Event::Start(id));
        id
    }

    fn notes_of(&self, task: Task) -> Notes {
        let socket = match &task {
            Task::Connect(n) | Task::Disconnect(n) | Task::Route(n, _) => Some(*n),
            _ => None,
        };
        let connection = socket.and_then(|n| self.gateway.sockets.get(&n)).map(|s| &s.connection);
        let (name, job, generation) = match &task {
            Task::Connect(_) => ("$connect".to_owned(), None, 0),
            Task::Disconnect(_) => ("$disconnect".to_owned(), None, 0),
            Task::Route(_, frame) => (frame.clone(), None, 0),
            Task::Job(number, job) => {
                let generation = self.queue.messages.get(number).map_or(0, |m| m.generation);
                (crate::queue::brief(job), Some(job.clone()), generation)
            }
            Task::Http(_, request) => (format!("{request:?}"), None, 0),
            Task::Archive(of, _) => (format!("archive {of}"), None, 0),
            Task::File(event, _) => (format!("{event:?}"), None, 0),
        };
        let user = match &task {
            Task::Http(_, request) => Some(request.user().clone()),
            _ => connection.map(|c| c.user.clone()),
        };
        let delivers = matches!(task, Task::Route(..) | Task::Job(..) | Task::Http(..))
            && !name.contains("\"action\":\"sync\"");
        Notes {
            name,
            task,
            user,
            socket,
            strays: false,
            began: 0,
            began_at: 0,
            gone: BTreeMap::new(),
            heads: Heads::new(),
            tenures: Heads::new(),
            frozen: 0,
            dies: u64::MAX,
            hurt: false,
            hurt_by_s3: false,
            phones: vec![],
            endpoint: None,
            refused: false,
            conflicts: 0,
            job,
            generation,
            delivers,
            posts: vec![],
            put_back: vec![],
            pushes: vec![],
            pushed_later: vec![],
            early: None,
            given_up: false,
        }
    }
}

/// Begins an invocation.
pub fn start(hub: &Arc<Hub>, id: Invocation) -> Option<Running> {
    let mut core = hub.lock();
    core.moment += 1;
    let skew = if core.strikes(Fault::ClockSkew) { core.dice.between(0, 4_000) } else { 2_000 };
    let skew = i64::try_from(skew).unwrap_or(0) - 2_000;
    let early = core.is(Mutant::ConnectionsEarly);
    let began = core.moment;
    let user = core.notes.get(&id)?.user.clone();
    let heads = user.map(|u| core.heads(&u)).unwrap_or_default();
    let truth = early.then(|| Box::new(core.truth.clone()));
    let over = core.notes.get(&id)?.socket.and_then(|n| core.gateway.sockets.get(&n));
    let strays = over.is_some_and(|s| !core.truth.knows(&s.connection));
    let now = core.now;
    let gone = core.truth.cold.iter().map(|(of, cold)| (of.clone(), cold.floor.gone)).collect();
    let notes = core.notes.get_mut(&id)?;
    (notes.began_at, notes.gone, notes.strays) = (now, gone, strays);
    if matches!(notes.task, Task::Archive(..)) {
        notes.dies = now + ARCHIVER_LIVES_MS;
    }
    (notes.began, notes.tenures) = (began, heads.clone());
    notes.heads = heads;
    let sends = matches!(&notes.task, Task::Route(_, f) if f.contains("\"action\":\"send\""));
    notes.early = truth.filter(|_| sends);
    let (task, name) = (notes.task.clone(), notes.name.clone());
    core.note(|| format!("#{id} begins: {name}"));
    let connection = |n: &u64| core.gateway.sockets.get(n).map(|s| s.connection.clone());
    let over = match &task {
        Task::Connect(n) | Task::Disconnect(n) | Task::Route(n, _) => connection(n),
        _ => None,
    };
    drop(core);
    let app = ports::app(hub, id, skew);
    Some(match (task, over) {
        (Task::Connect(_), Some(socket)) => {
            Box::pin(async move { Done::Connected(app.connect(&socket).await.is_ok()) })
        }
        (Task::Disconnect(_), Some(socket)) => Box::pin(async move {
            // Nobody repeats it.
            drop(app.disconnect(&socket.user, &socket.device, &socket.id).await);
            Done::Disconnected
        }),
        (Task::Route(_, frame), Some(socket)) => Box::pin(async move {
            let answer = app.respond(&Caller::over(socket), &frame).await;
            Done::Answered(answer.as_ref().map(Answer::to_json))
        }),
        (Task::Job(_, job), _) => {
            Box::pin(async move { Done::Worked(work(&app, job).await.is_ok()) })
        }
        (Task::Archive(of, _), _) => {
            Box::pin(async move { Done::Archived(app.archive(&of).await.is_ok()) })
        }
        (Task::File(event, _), _) => {
            Box::pin(async move { Done::Filed(event.run(&app).await.is_ok()) })
        }
        (Task::Http(_, request), _) => Box::pin(async move { Done::Http(request.run(&app).await) }),
        _ => return None,
    })
}

async fn work(app: &App, job: Job) -> Result<(), Error> {
    match job {
        Job::FanOut { entry, to, except, attempt } => {
            app.deliver_chunk(&entry, to, except, attempt).await
        }
        Job::Presence { user } => app.settle_presence(&user).await,
        Job::Push { to, conversation, seq, attempt } => {
            app.push(to, &conversation, seq, attempt).await
        }
        Job::Webhook { event, attempt } => app.tell(event, attempt).await,
    }
}

impl Core {
    /// An invocation has ended by itself: its answer must hold, and goes where it belongs. HTTP answers are returned.
    pub fn ended(&mut self, id: Invocation, done: Done) -> Option<(usize, Asked)> {
        self.moment += 1;
        self.note(|| format!("#{id} ends: {}", summary(&done)));
        let (task, user) = self.notes.get(&id).map(|n| (n.task.clone(), n.user.clone()))?;
        let given_up = self.notes.get(&id).is_some_and(|n| n.given_up);
        let mut http = None;
        match (done, task) {
            (Done::Connected(well), Task::Connect(number)) => {
                if given_up {
                    // The handshake was refused long ago.
                } else if let Some(socket) = self.gateway.sockets.get_mut(&number)
                    && socket.phase == Phase::Connecting
                {
                    if well {
                        let user = socket.connection.user.clone();
                        socket.phase = Phase::Open;
                        let opened = socket.clone();
                        if self.cut_off.contains(&user) && !self.gateway.is_displaced(&opened) {
                            self.broke(format!("{user} is cut off, and a socket of his opens"));
                        }
                        self.after(crate::gateway::TWO_HOURS, Event::Closes(number));
                    } else {
                        socket.phase = Phase::Closed;
                    }
                    let ms = self.latency();
                    self.after(ms, Event::Opened(number, well));
                }
            }
            (Done::Answered(answer), Task::Route(number, asked)) => {
                let answer = answer.map(|a| serde_json::from_str::<Value>(&a).unwrap_or_default());
                if let (Some(answer), Some(user)) = (answer, user) {
                    let asked: Value = serde_json::from_str(&asked).unwrap_or_default();
                    self.must_read(&user, &answer, Some(id));
                    self.must_answer(id, &asked, &answer);
                    if !given_up {
                        self.reply(number, answer);
                    }
                }
                self.must_have_put_back(id);
            }
            (Done::Worked(well), Task::Job(number, job)) => {
                if well {
                    self.must_be_delivered(id, &job);
                    self.must_have_put_back(id);
                    self.must_be_pushed(id, &job);
                    self.must_have_taken_off(id);
                }
                self.finish(number, well);
            }
            (Done::Archived(false) | Done::Filed(false), task) => self.again(task),
            (Done::Http(asked), Task::Http(number, _)) => {
                self.must_have_put_back(id);
                crate::http::check(self, id, &asked);
                http = (!given_up).then_some((number, asked));
            }
            _ => {}
        }
        if self.notes.remove(&id).is_some_and(|notes| notes.hurt) {
            self.is_unwell(id);
        }
        http
    }

    /// A function failed or died that is told the same again.
    pub fn again(&mut self, task: Task) {
        match task {
            Task::Archive(of, left) => self.timer_again(of, left),
            Task::File(event, left) => self.file_again(event, left),
            _ => {}
        }
    }

    fn must_answer(&mut self, id: Invocation, asked: &Value, answer: &Value) {
        let of = answer["conversation_id"].as_str().or(asked["conversation_id"].as_str());
        let seen = asked["seen"].as_u64();
        match answer["type"].as_str() {
            Some("sent") => {
                let of = of.and_then(|of| ConversationId::parse(of).ok());
                let Some(of) = of else { return };
                match answer["results"].as_array() {
                    None => self.must_be_sent(id, &of, answer),
                    Some(results) => {
                        for result in results {
                            if result["error"].is_null() {
                                self.must_be_sent(id, &of, result);
                            } else {
                                let mut error = result["error"].clone();
                                error["message_id"] = result["message_id"].clone();
                                self.must_be_refused(id, Some(of.as_str()), seen, &error);
                            }
                        }
                    }
                }
            }
            Some("error") => {
                let of = of.map(str::to_owned);
                self.must_be_refused(id, of.as_deref(), seen, answer);
            }
            _ => {}
        }
    }

    /// The gateway sends a route's response.
    pub fn reply(&mut self, number: u64, frame: Value) {
        let open = self
            .gateway
            .sockets
            .get(&number)
            .is_some_and(|s| s.phase == Phase::Open && !s.half_open);
        if open && !self.strikes(Fault::AnswerLost) {
            let ms = self.latency();
            self.after(ms, Event::Arrives(number, Arc::new(frame)));
        }
    }

    /// The gateway waits no longer, or the function is dead.
    pub fn give_up(&mut self, id: Invocation) {
        let Some(notes) = self.notes.get_mut(&id).filter(|n| !n.given_up) else { return };
        notes.given_up = true;
        match notes.task.clone() {
            Task::Connect(number) => {
                if let Some(socket) = self.gateway.sockets.get_mut(&number)
                    && socket.phase == Phase::Connecting
                {
                    socket.phase = Phase::Closed;
                    self.after(1, Event::Opened(number, false));
                }
            }
            Task::Route(number, _) => {
                self.reply(number, json!({"message": "Internal server error", "requestId": "r"}));
            }
            _ => {}
        }
    }
}

fn summary(done: &Done) -> String {
    let mut text = format!("{done:?}");
    if let Some((end, _)) = text.char_indices().nth(300) {
        text.truncate(end);
    }
    text
}

/// An entry as a frame of the wire.
pub fn as_frame(entry: &Entry) -> Value {
    serde_json::to_value(ServerFrame::message(entry)).unwrap_or_default()
}
