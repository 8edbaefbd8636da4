//! The subscriptions that the server made, with their positions.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use sealcast_wire::command::Subscribe;
use sealcast_wire::reply::{self, SubscribeResult};
use sealcast_wire::{MAX_SUBS_PER_CONNECT, Position, Publication, joined};

use super::desk::Desk;
use super::port::{Late, Owner, advance};
use crate::Event;
use crate::event::Subscribed;

/// How many are followed at a time; of more that a server makes, nothing is told.
const MOST: usize = 1024;

/// By channel; with the position where there is one to recover from.
#[derive(Debug, Default)]
pub(super) struct ServerSide {
    known: BTreeMap<Arc<str>, Option<Position>>,
}

impl ServerSide {
    /// Positions for the connect command.
    pub(super) fn positions(&self) -> Vec<(Cow<'_, str>, Subscribe<'_>)> {
        let with_position = self.known.iter().filter_map(|(channel, position)| {
            let position = position.as_ref()?;
            let subscribe = Subscribe {
                recover: true,
                epoch: Cow::Borrowed(&*position.epoch),
                offset: position.offset,
                ..Subscribe::default()
            };
            Some((Cow::Borrowed(&**channel), subscribe))
        });
        with_position.take(MAX_SUBS_PER_CONNECT).collect()
    }

    /// The connection is gone.
    pub(super) fn lose(&self, desk: &mut Desk) {
        for channel in self.known.keys() {
            desk.tell(Event::ServerSubscribing { channel: Arc::clone(channel) });
        }
    }

    /// The positions are void.
    pub(super) fn reset(&mut self) {
        for position in self.known.values_mut() {
            *position = None;
        }
    }

    /// These are the subscriptions of a new connection.
    pub(super) fn connected(
        &mut self,
        desk: &mut Desk,
        late: &mut VecDeque<Late>,
        subs: BTreeMap<String, SubscribeResult>,
    ) {
        self.known.retain(|channel, _| {
            let stays = subs.contains_key(&**channel);
            if !stays {
                desk.tell(Event::ServerUnsubscribed { channel: Arc::clone(channel) });
            }
            stays
        });
        for (channel, result) in subs {
            self.subscribed(desk, late, channel.into(), result);
        }
    }

    /// The server told of a subscription. What was missed is handed out later.
    pub(super) fn subscribed(
        &mut self,
        desk: &mut Desk,
        late: &mut VecDeque<Late>,
        channel: Arc<str>,
        result: SubscribeResult,
    ) {
        if self.known.len() >= MOST && !self.known.contains_key(&channel) {
            return;
        }
        let subscribed = Subscribed::from(&result);
        let position = subscribed.position.clone().filter(|_| result.recoverable);
        self.known.insert(Arc::clone(&channel), position);
        desk.tell(Event::ServerSubscribed { channel: Arc::clone(&channel), subscribed });
        late.extend(
            result.publications.into_iter().map(|publication| Late {
                owner: Owner::Server(Arc::clone(&channel)),
                publication,
            }),
        );
    }

    pub(super) fn publication(
        &mut self,
        desk: &mut Desk,
        channel: Arc<str>,
        publication: Publication,
    ) {
        let Some(position) = self.known.get_mut(&channel) else { return };
        advance(position, &publication);
        for publication in joined::split(publication) {
            desk.tell(Event::ServerPublication { channel: Arc::clone(&channel), publication });
        }
    }

    /// Any push of a channel that no subscription of the client's own has.
    pub(super) fn push(
        &mut self,
        desk: &mut Desk,
        late: &mut VecDeque<Late>,
        channel: Arc<str>,
        event: reply::Event,
    ) {
        match event {
            reply::Event::Subscribe(result) => self.subscribed(desk, late, channel, *result),
            _ if !self.known.contains_key(&channel) => {}
            reply::Event::Publication(publication) => self.publication(desk, channel, publication),
            reply::Event::Join(info) => desk.tell(Event::ServerJoin { channel, info }),
            reply::Event::Leave(info) => desk.tell(Event::ServerLeave { channel, info }),
            reply::Event::Unsubscribe { .. } => {
                self.known.remove(&channel);
                desk.tell(Event::ServerUnsubscribed { channel });
            }
            _ => {}
        }
    }
}
