//! One client frame in, the frames that answer it out. Whatever carries frames calls this and holds no rule of the
//! protocol itself.

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::ids::{ConversationId, MessageId, Seq, UserId};
use crate::message::Content;
use crate::ports::Posted;
use crate::services::{
    Ack, App, Caller, DEFAULT_LIMIT, MAX_PAGE, Outgoing, Range, SendRequest, SyncRequest,
};
use crate::wire::{Answer, ClientFrame, SendFrame, SendItem, ServerFrame};

/// Most bytes of one client frame. API Gateway closes the socket on a larger frame; a larger message in several frames
/// arrives and is refused here.
pub const MAX_FRAME_BYTES: usize = 32 * 1024;
/// Entries in one answer to `history`, unless the client says otherwise.
pub const DEFAULT_PAGE: usize = 50;

impl App {
    /// Handles one frame of an authenticated caller. Never fails: a refusal is an `error` frame, and one that answers
    /// `send` carries its `message_id` where the frame had one. `ack` and `typing` are answered by nothing.
    pub async fn handle(&self, caller: &Caller, json: &str) -> Vec<Answer> {
        let frame: Option<Value> = serde_json::from_str(json).ok();
        let read = match &frame {
            _ if json.len() > MAX_FRAME_BYTES => Err(Error::new(
                ErrorKind::TooLarge,
                format!("a frame holds at most {MAX_FRAME_BYTES} bytes"),
            )),
            Some(frame) => ClientFrame::read(frame),
            None => Err(Error::bad_request("the frame is not JSON")),
        };
        let answered = match read {
            Ok(read) => self.answer(caller, read).await,
            Err(error) => Err(error),
        };
        let frame = frame.unwrap_or_default();
        let answers = answered.unwrap_or_else(|error| {
            self.refused(&error);
            vec![refusal(&frame, &error)]
        });
        answers.into_iter().map(|answer| Answer::new(answer, &frame)).collect()
    }

    /// Handles one frame that came over a socket, and returns the one frame that a route can answer with; what comes
    /// before it (the batches of a `sync`) is posted to the socket first, in order.
    pub async fn respond(&self, caller: &Caller, json: &str) -> Option<Answer> {
        let mut frames = self.handle(caller, json).await;
        let last = frames.pop()?;
        for frame in frames {
            let Some(socket) = &caller.socket else { break };
            match self.gateway.post(&socket.id, &frame.to_json()).await {
                Posted::Accepted => {}
                Posted::Gone => return None,
                // `synced` must not stand where a batch is missing.
                Posted::Later => {
                    let error = Error::new(ErrorKind::Busy, "the socket is overloaded; sync again");
                    self.refused(&error);
                    return Some(refuse(json, &error));
                }
            }
        }
        Some(last)
    }

    async fn answer(&self, caller: &Caller, frame: ClientFrame) -> Result<Vec<ServerFrame>> {
        match frame {
            ClientFrame::Send(frame) => Ok(vec![self.answer_send(caller, frame).await?]),
            ClientFrame::Ack { conversation_id, delivered, read } => {
                let ack = Ack { conversation: conversation_id, delivered, read };
                self.ack(caller, &ack).await?;
                Ok(vec![])
            }
            ClientFrame::Typing { conversation_id, active, kind } => {
                self.typing(caller, &conversation_id, active, kind).await?;
                Ok(vec![])
            }
            ClientFrame::Sync { cursors, limit, tail, page } => {
                let limit = limit.unwrap_or(DEFAULT_LIMIT);
                let sync = SyncRequest { cursors, limit, tail, page };
                let synced = self.sync(caller, &sync).await?;
                let mut frames: Vec<_> = synced.batches.iter().map(ServerFrame::batch).collect();
                frames.push(ServerFrame::synced(&synced));
                Ok(frames)
            }
            ClientFrame::Presence { user_ids, watch } => {
                let seen = self.presence(caller, &user_ids, watch).await?;
                Ok(vec![ServerFrame::presence(&seen)])
            }
            ClientFrame::History { conversation_id, before, after, around, limit } => {
                let range = range(before, after, around)?;
                let limit = limit.unwrap_or(DEFAULT_PAGE.min(MAX_PAGE));
                let page = self.history(caller, &conversation_id, range, limit).await?;
                Ok(vec![ServerFrame::batch(&page)])
            }
        }
    }

    async fn answer_send(&self, caller: &Caller, frame: SendFrame) -> Result<ServerFrame> {
        let conversation = address(caller, frame.conversation_id, frame.to_user_id)?;
        let (single, messages) = messages(frame.message_id, frame.content, frame.messages)?;
        let send = SendRequest { conversation: conversation.clone(), seen: frame.seen, messages };
        let results = self.send(caller, send).await?;
        for (_, error) in results.iter().filter_map(|r| r.as_ref().err()) {
            self.refused(error);
        }
        Ok(match results.first() {
            Some(first) if single => ServerFrame::send_result(conversation, first),
            _ => ServerFrame::sent_batch(conversation, &results),
        })
    }
}

/// The `error` frame that answers a frame without a look at what it asks: for who cannot take it now.
pub fn refuse(json: &str, error: &Error) -> Answer {
    let frame = serde_json::from_str(json).unwrap_or_default();
    Answer::new(refusal(&frame, error), &frame)
}

/// Where a message goes that names a conversation or a user.
///
/// # Errors
/// `bad_request` unless it names one of them, and a person.
pub fn address(
    caller: &Caller,
    conversation: Option<ConversationId>,
    peer: Option<UserId>,
) -> Result<ConversationId> {
    match (conversation, peer) {
        (Some(conversation), None) => Ok(conversation),
        (None, Some(peer)) => {
            peer.check_person()?;
            Ok(ConversationId::direct(&caller.user, &peer))
        }
        _ => Err(Error::bad_request("name conversation_id or to_user_id, one of them")),
    }
}

/// Which side of which seq.
///
/// # Errors
/// `bad_request` unless one of them is given.
pub fn range(before: Option<Seq>, after: Option<Seq>, around: Option<Seq>) -> Result<Range> {
    match (before, after, around) {
        (Some(seq), None, None) => Ok(Range::Before(seq)),
        (None, Some(seq), None) => Ok(Range::After(seq)),
        (None, None, Some(seq)) => Ok(Range::Around(seq)),
        _ => Err(Error::bad_request("name before, after or around, one of them")),
    }
}

/// Either one message or several, and whether it was the first form.
fn messages(
    id: Option<MessageId>,
    content: Option<Content>,
    several: Option<Vec<SendItem>>,
) -> Result<(bool, Vec<Outgoing>)> {
    match (id, content, several) {
        (Some(message_id), Some(content), None) => {
            Ok((true, vec![Outgoing { message_id, content }]))
        }
        (None, None, Some(items)) => {
            let outgoing = |i: SendItem| Outgoing { message_id: i.message_id, content: i.content };
            Ok((false, items.into_iter().map(outgoing).collect()))
        }
        _ => Err(Error::bad_request("name message_id and content, or messages")),
    }
}

/// The `error` frame, with the action and the message id of the frame it answers as far as they can be read.
fn refusal(frame: &Value, error: &Error) -> ServerFrame {
    let action = match frame.get("action").and_then(Value::as_str) {
        Some(action) if error.kind != ErrorKind::UnknownAction => Some(action),
        _ => None,
    };
    // Of several messages the first is named: nothing was tried.
    let first = frame.get("messages").and_then(|m| m.get(0));
    let id = first.unwrap_or(frame).get("message_id").and_then(Value::as_str);
    ServerFrame::error(error, action, id.and_then(|id| MessageId::parse(id).ok()))
}
