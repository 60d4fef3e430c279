//! One socket of one device. Frames that nobody has waited for yet stay in a mailbox, in the order in which they came,
//! so that a test may wait for the answer first and look at the pushes later.

use std::collections::VecDeque;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::{Replica, frames};

/// Most time to wait for a frame. Generous: it only runs out when something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a socket reads at once. It is filled with zeros before each read, so that the library's own 128 KiB are felt where
/// thousands of sockets are open.
const READ_BUFFER: usize = 4 * 1024;

/// Why there is no socket, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The handshake was answered with an HTTP status.
    #[error("refused with {status}: {body}")]
    Refused {
        /// The status.
        status: u16,
        /// What came with it, as JSON if it is.
        body: Value,
    },
    /// The server closed the socket.
    #[error("closed with {code}: {reason}")]
    Closed {
        /// The close code; 1006 if the connection just ended.
        code: u16,
        /// The reason.
        reason: String,
    },
    /// Anything else.
    #[error(transparent)]
    Transport(#[from] tungstenite::Error),
}

/// How a device connects.
#[derive(Clone, Debug)]
pub struct Login {
    url: String,
    token: Option<String>,
    device: Option<String>,
    origin: Option<String>,
    in_query: bool,
}

impl Login {
    /// To the socket at `url` (`ws://host:port/ws`) with a token, which goes in the subprotocol as a browser sends it.
    pub fn new(url: &str, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..Self::without_token(url) }
    }

    /// Without a token.
    pub fn without_token(url: &str) -> Self {
        Self { url: url.to_owned(), token: None, device: None, origin: None, in_query: false }
    }

    /// As this device; otherwise the server mints an id.
    #[must_use]
    pub fn device(mut self, id: &str) -> Self {
        self.device = Some(id.to_owned());
        self
    }

    /// With the token in the query, as tools send it.
    #[must_use]
    pub fn token_in_query(mut self) -> Self {
        self.in_query = true;
        self
    }

    /// As a browser that shows a page of this origin.
    #[must_use]
    pub fn origin(mut self, origin: &str) -> Self {
        self.origin = Some(origin.to_owned());
        self
    }

    fn request(&self) -> Result<tungstenite::handshake::client::Request, Error> {
        let token = self.token.as_deref();
        let query: Vec<String> = [
            self.device.as_deref().map(|d| format!("device_id={}", escape(d))),
            token.filter(|_| self.in_query).map(|t| format!("token={}", escape(t))),
        ]
        .into_iter()
        .flatten()
        .collect();
        let mut request = format!("{}?{}", self.url, query.join("&")).into_client_request()?;
        let headers = request.headers_mut();
        if let Some(token) = token.filter(|_| !self.in_query) {
            let protocols = format!("petrel.v1, bearer.{token}");
            let protocols = protocols.parse().map_err(tungstenite::http::Error::from);
            headers.insert("sec-websocket-protocol", protocols.map_err(tungstenite::Error::from)?);
        }
        if let Some(origin) = &self.origin {
            let origin = origin.parse().map_err(tungstenite::http::Error::from);
            headers.insert("origin", origin.map_err(tungstenite::Error::from)?);
        }
        Ok(request)
    }
}

/// Percent-encodes everything that could have a meaning in a query.
fn escape(text: &str) -> String {
    let escaped = text.bytes().map(|b| match b {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    });
    escaped.collect()
}

/// The sending half of a socket.
#[derive(Debug)]
pub struct Outgoing(SplitSink<WebSocketStream<TcpStream>, Message>);

impl Outgoing {
    /// Sends a frame.
    ///
    /// # Errors
    /// When the socket is closed.
    pub async fn send(&mut self, frame: &Value) -> Result<(), Error> {
        self.send_raw(Message::text(frame.to_string())).await
    }

    /// Sends whatever a WebSocket can carry.
    ///
    /// # Errors
    /// When the socket is closed.
    pub async fn send_raw(&mut self, message: Message) -> Result<(), Error> {
        Ok(self.0.send(message).await?)
    }
}

/// The receiving half of a socket. It answers pings, and the server's close, while it is read.
#[derive(Debug)]
pub struct Incoming(SplitStream<WebSocketStream<TcpStream>>);

impl Incoming {
    /// The next frame.
    ///
    /// # Errors
    /// [`Error::Closed`] when there is no next one.
    pub async fn next(&mut self) -> Result<Value, Error> {
        let text = self.next_text().await?;
        serde_json::from_str(&text)
            .map_err(|_| ended(1007, &format!("a frame that is no JSON: {text}")))
    }

    /// The next frame, unread: for who takes the time first and looks at the frame later.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn next_text(&mut self) -> Result<Utf8Bytes, Error> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text),
                Some(Ok(Message::Close(Some(close)))) => {
                    return Err(ended(close.code.into(), &close.reason));
                }
                Some(Ok(Message::Close(None))) => return Err(ended(1005, "")),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(ended(1006, &error.to_string())),
                None => return Err(ended(1006, "the connection ended")),
            }
        }
    }
}

fn ended(code: u16, reason: &str) -> Error {
    Error::Closed { code, reason: reason.to_owned() }
}

/// A socket with a mailbox.
#[derive(Debug)]
pub struct Client {
    outgoing: Outgoing,
    incoming: Incoming,
    mailbox: VecDeque<Value>,
}

impl Client {
    /// Opens a socket.
    ///
    /// # Errors
    /// [`Error::Refused`] if the server does not want it.
    pub async fn connect(login: &Login) -> Result<Self, Error> {
        let request = login.request()?;
        let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let io = |e| Error::Transport(tungstenite::Error::Io(e));
        let stream = TcpStream::connect(host).await.map_err(io)?;
        // A frame is a whole: nothing follows that could go with it.
        stream.set_nodelay(true).map_err(io)?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => {
                let (outgoing, incoming) = socket.split();
                let (outgoing, incoming) = (Outgoing(outgoing), Incoming(incoming));
                Ok(Self { outgoing, incoming, mailbox: VecDeque::new() })
            }
            Err(tungstenite::Error::Http(response)) => {
                let body = response.body().as_deref().unwrap_or_default();
                let text = || String::from_utf8_lossy(body).into_owned().into();
                let body = serde_json::from_slice(body).unwrap_or_else(|_| text());
                Err(Error::Refused { status: response.status().as_u16(), body })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Both halves, to send and receive at the same time. What lies in the mailbox is lost.
    pub fn split(self) -> (Outgoing, Incoming) {
        (self.outgoing, self.incoming)
    }

    /// Sends a frame.
    ///
    /// # Panics
    /// When the socket is closed.
    pub async fn send(&mut self, frame: &Value) {
        self.send_raw(Message::text(frame.to_string())).await;
    }

    /// Sends a frame, to a server that may be gone.
    ///
    /// # Errors
    /// When the socket is closed.
    pub async fn try_send(&mut self, frame: &Value) -> Result<(), Error> {
        self.outgoing.send(frame).await
    }

    /// Sends whatever a WebSocket can carry.
    ///
    /// # Panics
    /// When the socket is closed.
    pub async fn send_raw(&mut self, message: Message) {
        let sent = self.outgoing.send_raw(message).await;
        assert!(sent.is_ok(), "cannot send: {sent:?}");
    }

    /// The next frame, from the mailbox first.
    ///
    /// # Errors
    /// [`Error::Closed`] when there is no next one.
    pub async fn next(&mut self) -> Result<Value, Error> {
        match self.mailbox.pop_front() {
            Some(frame) => Ok(frame),
            None => self.incoming.next().await,
        }
    }

    /// Waits for the first frame that `matches`; what comes before it stays in the mailbox.
    ///
    /// # Panics
    /// When it does not come, with what came instead. `what` says what was expected.
    pub async fn wait_for(&mut self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.mailbox.iter().position(&matches)
            && let Some(frame) = self.mailbox.remove(at)
        {
            return frame;
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match tokio::time::timeout_at(deadline, self.incoming.next()).await {
                Ok(Ok(frame)) if matches(&frame) => return frame,
                Ok(Ok(frame)) => self.mailbox.push_back(frame),
                Ok(Err(end)) => {
                    panic!("waited for {what}; the socket ended ({end}); {}", self.came())
                }
                Err(_) => panic!("waited for {what}; {}", self.came()),
            }
        }
    }

    /// What lies in the mailbox, for a panic: all of it would bury the reason.
    fn came(&self) -> String {
        let start = |frame: &Value| frame.to_string().chars().take(300).collect::<String>();
        let last: Vec<String> = self.mailbox.iter().rev().take(10).map(start).collect();
        format!("{} other frames came, the last first:\n{}", self.mailbox.len(), last.join("\n"))
    }

    /// Waits for a frame of this type.
    ///
    /// # Panics
    /// As [`Self::wait_for`].
    pub async fn wait_for_type(&mut self, kind: &str) -> Value {
        self.wait_for(kind, |f| f["type"] == kind).await
    }

    /// Waits for the `message` that holds the entry with this id.
    ///
    /// # Panics
    /// As [`Self::wait_for`].
    pub async fn wait_for_message(&mut self, id: &str) -> Value {
        let matches = |f: &Value| f["type"] == "message" && f["message_id"] == id;
        self.wait_for(&format!("message {id}"), matches).await
    }

    /// Sends a frame and waits for what answers it. An `ack` and a `typing` are answered only if they are refused.
    ///
    /// # Panics
    /// As [`Self::wait_for`].
    pub async fn ask(&mut self, frame: &Value) -> Value {
        self.send(frame).await;
        let first = frame["messages"].get(0).unwrap_or(frame)["message_id"].clone();
        let answer = match frame["action"].as_str().unwrap_or_default() {
            "send" => "sent",
            "sync" => "synced",
            "history" => "batch",
            "presence" => "presence",
            _ => "error",
        };
        let id = |f: &Value| f["results"].get(0).unwrap_or(f)["message_id"].clone();
        let matches = |f: &Value| {
            let kind = &f["type"];
            (*kind == answer || *kind == "error") && (answer != "sent" || id(f) == first)
        };
        self.wait_for(&format!("what answers {frame}"), matches).await
    }

    /// Sends a text and waits for its `sent`.
    ///
    /// # Panics
    /// As [`Self::wait_for`], and when it is refused.
    pub async fn say(&mut self, conversation: &str, seen: u64, words: &str) -> Value {
        let frame = frames::send(conversation, seen, &frames::new_id(), frames::text(words));
        let sent = self.ask(&frame).await;
        assert_eq!(sent["type"], "sent", "{frame} was refused: {sent}");
        sent
    }

    /// Asks for everything above the cursors: the batches, in order, and `synced`.
    ///
    /// # Panics
    /// As [`Self::wait_for`].
    pub async fn sync(&mut self, cursors: &Value) -> (Vec<Value>, Value) {
        let synced = self.ask(&frames::sync(cursors)).await;
        let (batches, rest) = self.mailbox.drain(..).partition(|f| f["type"] == "batch");
        self.mailbox = rest;
        (Vec::from(batches), synced)
    }

    /// Takes frames into the replica until it holds everything up to `seq`. Other frames are dropped.
    ///
    /// # Panics
    /// When something is missing.
    pub async fn receive_through(&mut self, replica: &mut Replica, conversation: &str, seq: u64) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while replica.last(conversation) < seq {
            match tokio::time::timeout_at(deadline, self.next()).await {
                Ok(Ok(frame)) => replica.apply(&frame),
                Ok(Err(end)) => panic!("waited for {seq} in {replica:?}; the socket ended ({end})"),
                Err(_) => panic!("waited for {seq} in {replica:?}"),
            }
        }
    }

    /// Takes everything that came and was not waited for.
    pub fn take_mailbox(&mut self) -> Vec<Value> {
        self.mailbox.drain(..).collect()
    }

    /// Waits until the server closes the socket, and returns its code. What comes before stays in the mailbox.
    ///
    /// # Panics
    /// When it does not.
    pub async fn wait_for_close(&mut self) -> u16 {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            match tokio::time::timeout_at(deadline, self.incoming.next()).await {
                Ok(Ok(frame)) => self.mailbox.push_back(frame),
                Ok(Err(Error::Closed { code, .. })) => return code,
                Ok(Err(other)) => panic!("waited for a close: {other}"),
                Err(_) => panic!("waited for a close; {}", self.came()),
            }
        }
    }

    /// Closes the socket with 1000 and returns the code that the server answers with: the same, if it was listening.
    pub async fn close(mut self) -> u16 {
        let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        // Already closed is closed.
        let _ = self.outgoing.send_raw(Message::Close(Some(close))).await;
        self.wait_for_close().await
    }
}
