//! Commands and replies while they are being read.
//!
//! Both encodings name one of many possible contents by a member, so both fill
//! a [`Draft`] and then have it checked by the same rules. The structs are the
//! messages of the protocol for which the public types have no struct.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::command::{Command, Connect, Request, Subscribe, Token};
use crate::payload::Data;
use crate::reply::{Body, ClientInfo, Error, Event, Reply};
use crate::{MAX_SUBS_PER_CONNECT, Malformed};

/// What was read so far of a command or a reply.
pub(crate) struct Draft<T> {
    pub(crate) id: u32,
    content: Option<T>,
    several: bool,
    unknown: bool,
}

impl<T> Draft<T> {
    /// Adds a content; a second one makes the whole invalid.
    pub(crate) fn add(&mut self, content: T) {
        self.several |= self.content.is_some();
        self.content = Some(content);
    }

    /// Remembers that there was something that is not known here.
    pub(crate) fn skip_unknown(&mut self) {
        self.unknown = true;
    }
}

impl<T> Default for Draft<T> {
    fn default() -> Draft<T> {
        Draft { id: 0, content: None, several: false, unknown: false }
    }
}

impl<'a> Draft<Request<'a>> {
    /// The command, if the rules for commands hold.
    pub(crate) fn finish(self) -> Result<Command<'a>, Malformed> {
        let request = match (self.content, self.several) {
            (Some(request), false) => request,
            (None, _) if self.id == 0 => Request::Pong,
            _ => return Err(Malformed::NotOneRequest),
        };
        if self.id == 0 && request.wants_reply() {
            return Err(Malformed::MissingId);
        }
        match &request {
            Request::Connect(connect) if connect.subs.len() > MAX_SUBS_PER_CONNECT => {
                Err(Malformed::TooMany)
            }
            _ => Ok(Command { id: self.id, request }),
        }
    }
}

impl Draft<Body> {
    /// The reply, if the rules for replies hold; `None` for one that says only
    /// what is not known here. A reply of nothing at all is a ping, and such a
    /// one must not be taken for it.
    pub(crate) fn finish(self) -> Result<Option<Reply>, Malformed> {
        match (self.content, self.several) {
            (Some(body), false) => Ok(Some(Reply { id: self.id, body })),
            (None, _) if self.id == 0 && self.unknown => Ok(None),
            (None, _) if self.id == 0 => Ok(Some(Reply { id: 0, body: Body::Ping })),
            _ => Err(Malformed::NotOneRequest),
        }
    }
}

impl<'a> Connect<'a> {
    /// Adds a position, and gives up storing at one too many: an entry of two
    /// bytes would otherwise take a hundred times its size.
    pub(crate) fn add_sub(&mut self, channel: Cow<'a, str>, subscribe: Subscribe<'a>) {
        if self.subs.len() <= MAX_SUBS_PER_CONNECT {
            self.subs.push((channel, subscribe));
        }
    }
}

/// `UnsubscribeRequest`, `PresenceRequest` and `PresenceStatsRequest`.
#[derive(Default)]
pub(crate) struct Named<'a> {
    pub(crate) channel: Cow<'a, str>,
}

/// `EmulationRequest` in JSON, where its data is a text.
#[derive(Default)]
pub(crate) struct EmulationText<'a> {
    pub(crate) session: Cow<'a, str>,
    pub(crate) node: Cow<'a, str>,
    pub(crate) data: Cow<'a, str>,
}

/// `SendRequest`.
#[derive(Default)]
pub(crate) struct Send<'a> {
    pub(crate) data: Option<Data<'a>>,
}

/// `RPCRequest`.
#[derive(Default)]
pub(crate) struct Rpc<'a> {
    pub(crate) method: Cow<'a, str>,
    pub(crate) data: Option<Data<'a>>,
}

/// `RefreshRequest`.
#[derive(Default)]
pub(crate) struct Refresh<'a> {
    pub(crate) token: Token<'a>,
}

/// The messages without fields, and those whose fields do not matter.
#[derive(Default)]
pub(crate) struct Empty;

/// `Push`; without an event if its kind is not known here.
#[derive(Default)]
pub(crate) struct PushDraft {
    pub(crate) channel: Arc<str>,
    pub(crate) event: Option<Event>,
}

/// `Error`.
#[derive(Default)]
pub(crate) struct Failure {
    pub(crate) code: u32,
    pub(crate) message: String,
    pub(crate) temporary: bool,
}

impl From<Failure> for Body {
    fn from(failure: Failure) -> Body {
        let Failure { code, message, temporary } = failure;
        Body::Error(Error { code, message: message.into(), temporary })
    }
}

/// `PresenceResult`.
#[derive(Default)]
pub(crate) struct Presence {
    pub(crate) clients: BTreeMap<String, ClientInfo>,
}

/// `PresenceStatsResult`.
#[derive(Default)]
pub(crate) struct PresenceStats {
    pub(crate) num_clients: u32,
    pub(crate) num_users: u32,
}

/// `RPCResult` and `Message`.
#[derive(Default)]
pub(crate) struct Carried {
    pub(crate) data: Bytes,
}

/// `Join` and `Leave`.
#[derive(Default)]
pub(crate) struct Member {
    pub(crate) info: ClientInfo,
}

/// `Unsubscribe` and `Disconnect` of pushes. In Protobuf, the code's field
/// number is `FIRST` and the reason's is one more.
#[derive(Default)]
pub(crate) struct Ended<const FIRST: u32> {
    pub(crate) code: u32,
    pub(crate) reason: String,
}
