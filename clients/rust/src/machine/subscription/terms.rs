//! What the application asked for, and the command that asks for it.

use sealcast_wire::command::{Subscribe, Token};
use sealcast_wire::{Data, Encoding, Filter, Position, Request};

use crate::Backoff;

/// Bit of `flag`: an error instead of a subscription that is not recovered.
const REJECT_UNRECOVERED: i64 = 2;

#[derive(Clone, Default)]
pub(crate) struct Terms {
    pub(crate) token: Option<String>,
    /// Whether the application can give tokens, and states.
    pub(crate) has_token_source: bool,
    pub(crate) has_state_source: bool,
    pub(crate) data: Option<Vec<u8>>,
    pub(crate) positioned: bool,
    pub(crate) recoverable: bool,
    pub(crate) join_leave: bool,
    pub(crate) delta: bool,
    pub(crate) filter: Option<Box<Filter>>,
    pub(crate) since: Option<Position>,
    pub(crate) backoff: Backoff,
    /// The largest payload that a delta may make, in bytes.
    pub(crate) most: usize,
}

impl Terms {
    /// The subscribe command, which recovers if there is a position.
    pub(super) fn request<'a>(
        &'a self,
        encoding: Encoding,
        channel: &'a str,
        token: Option<&'a str>,
        position: Option<&'a Position>,
    ) -> Request<'a> {
        Request::Subscribe(Box::new(Subscribe {
            channel: channel.into(),
            token: Token(token.unwrap_or_default().into()),
            recover: position.is_some(),
            epoch: position.map(|it| &*it.epoch).unwrap_or_default().into(),
            offset: position.map_or(0, |it| it.offset),
            data: self.data.as_deref().map(|data| match encoding {
                Encoding::Json => Data::Json(data),
                Encoding::Protobuf => Data::Opaque(data),
            }),
            positioned: self.positioned,
            // A server recovers only for those who ask to be able to.
            recoverable: self.recoverable || position.is_some(),
            join_leave: self.join_leave,
            delta: if self.delta { "fossil".into() } else { "".into() },
            filter: self.filter.clone().map(Ok),
            flag: if self.has_state_source { REJECT_UNRECOVERED } else { 0 },
            kind: 0,
        }))
    }
}
