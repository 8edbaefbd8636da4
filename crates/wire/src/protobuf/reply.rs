//! Replies and pushes in Protobuf.

use std::collections::BTreeMap;

use super::read::{self, Field, fields};
use super::write::{Entry, Message, TextEntry, bytes, empty, flag, message, number, signed, text};
use crate::Malformed;
use crate::codec::draft::{
    Carried, Draft, Ended, Failure, Member, Presence, PresenceStats, PushDraft,
};
use crate::codec::sink::Sink;
use crate::reply::{
    Body, ClientInfo, ConnectResult, Error, Event, Expiry, HistoryResult, Publication, Push, Reply,
    SubscribeResult,
};

/// Reads one reply; `None` if it is of a kind not known here.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<Reply>, Malformed> {
    read::message::<Draft<Body>>(bytes)?.finish()
}

/// The reply that pushes a publication.
pub(super) struct PublicationReply<'a> {
    pub(super) channel: &'a str,
    pub(super) publication: &'a Publication,
}

impl Message for PublicationReply<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        message(out, 4, &PublicationPush { channel: self.channel, publication: self.publication });
    }
}

struct PublicationPush<'a> {
    channel: &'a str,
    publication: &'a Publication,
}

impl Message for PublicationPush<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        text(out, 2, self.channel);
        message(out, 4, self.publication);
    }
}

impl Message for Reply {
    fn put<S: Sink>(&self, out: &mut S) {
        number(out, 1, self.id);
        match &self.body {
            Body::Ping if self.id == 0 => {}
            Body::Error(error) => message(out, 2, error),
            Body::Push(push) => message(out, 4, push),
            Body::Connect(result) => message(out, 5, &**result),
            Body::Subscribe(result) => message(out, 6, &**result),
            Body::Unsubscribe => empty(out, 7),
            Body::Publish => empty(out, 8),
            Body::Presence(clients) => message(out, 9, clients),
            Body::PresenceStats { num_clients, num_users } => {
                message(out, 10, &Numbers(*num_clients, *num_users));
            }
            Body::History(result) => message(out, 11, result),
            Body::Ping => empty(out, 12),
            Body::Rpc(data) => message(out, 13, &Data(data)),
            Body::Refresh(expiry) => message(out, 14, &ExpiryAt::<3>(*expiry)),
            Body::SubRefresh(expiry) => message(out, 15, &ExpiryAt::<1>(*expiry)),
        }
    }
}

impl Message for Error {
    fn put<S: Sink>(&self, out: &mut S) {
        number(out, 1, self.code);
        text(out, 2, &self.message);
        flag(out, 3, self.temporary);
    }
}

impl Message for Push {
    fn put<S: Sink>(&self, out: &mut S) {
        text(out, 2, &self.channel);
        match &self.event {
            Event::Publication(publication) => message(out, 4, publication),
            Event::Join(info) => message(out, 5, &InfoOnly(info)),
            Event::Leave(info) => message(out, 6, &InfoOnly(info)),
            Event::Unsubscribe { code, reason } => message(out, 7, &EndedRef::<2>(*code, reason)),
            Event::Message(data) => message(out, 8, &Data(data)),
            Event::Subscribe(result) => message(out, 9, &SubscribePushRef(result)),
            Event::Connect(result) => message(out, 10, &ConnectPushRef(result)),
            Event::Disconnect { code, reason } => message(out, 11, &EndedRef::<1>(*code, reason)),
            Event::Refresh(expiry) => message(out, 12, &ExpiryAt::<1>(*expiry)),
        }
    }
}

impl Message for Publication {
    fn put<S: Sink>(&self, out: &mut S) {
        bytes(out, 4, &self.data);
        if let Some(info) = &self.info {
            message(out, 5, info);
        }
        number(out, 6, self.offset);
        for (name, value) in &self.tags {
            message(out, 7, &TextEntry(name, value));
        }
        flag(out, 8, self.delta);
        text(out, 14, &self.epoch);
    }
}

impl Message for ClientInfo {
    fn put<S: Sink>(&self, out: &mut S) {
        text(out, 1, &self.user);
        text(out, 2, &self.client);
        bytes(out, 3, &self.conn_info);
        bytes(out, 4, &self.chan_info);
    }
}

impl Message for ConnectResult {
    fn put<S: Sink>(&self, out: &mut S) {
        text(out, 1, &self.client);
        text(out, 2, &self.version);
        expiry(out, 3, self.expiry);
        bytes(out, 5, &self.data);
        for (channel, result) in &self.subs {
            message(out, 6, &Entry(channel, result));
        }
        number(out, 7, self.ping);
        flag(out, 8, self.pong);
        text(out, 9, &self.session);
        text(out, 10, &self.node);
        signed(out, 11, self.time);
    }
}

impl Message for SubscribeResult {
    fn put<S: Sink>(&self, out: &mut S) {
        expiry(out, 1, self.expiry);
        flag(out, 3, self.recoverable);
        text(out, 6, &self.epoch);
        for publication in &self.publications {
            message(out, 7, publication);
        }
        flag(out, 8, self.recovered);
        number(out, 9, self.offset);
        flag(out, 10, self.positioned);
        bytes(out, 11, &self.data);
        flag(out, 12, self.was_recovering);
        flag(out, 13, self.delta);
    }
}

/// `PresenceResult`.
impl Message for BTreeMap<String, ClientInfo> {
    fn put<S: Sink>(&self, out: &mut S) {
        for (client, info) in self {
            message(out, 1, &Entry(client, info));
        }
    }
}

impl Message for HistoryResult {
    fn put<S: Sink>(&self, out: &mut S) {
        for publication in &self.publications {
            message(out, 1, publication);
        }
        text(out, 2, &self.epoch);
        number(out, 3, self.offset);
    }
}

/// `PresenceStatsResult`.
struct Numbers(u32, u32);

impl Message for Numbers {
    fn put<S: Sink>(&self, out: &mut S) {
        number(out, 1, self.0);
        number(out, 2, self.1);
    }
}

/// `RPCResult` and `Message`.
struct Data<'a>(&'a [u8]);

impl Message for Data<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        bytes(out, 1, self.0);
    }
}

/// `Join` and `Leave`.
struct InfoOnly<'a>(&'a ClientInfo);

impl Message for InfoOnly<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        message(out, 1, self.0);
    }
}

/// `Unsubscribe` and `Disconnect` of pushes; see [`Ended`].
struct EndedRef<'a, const FIRST: u32>(u32, &'a str);

impl<const FIRST: u32> Message for EndedRef<'_, FIRST> {
    fn put<S: Sink>(&self, out: &mut S) {
        number(out, FIRST, self.0);
        text(out, FIRST + 1, self.1);
    }
}

/// The results and the push that consist of an expiry: `expires` is field
/// `FIRST` of them and `ttl` the one after.
struct ExpiryAt<const FIRST: u32>(Expiry);

impl<const FIRST: u32> Message for ExpiryAt<FIRST> {
    fn put<S: Sink>(&self, out: &mut S) {
        expiry(out, FIRST, self.0);
    }
}

/// `Subscribe` of pushes, which numbers the fields in its own way and has fewer.
struct SubscribePushRef<'a>(&'a SubscribeResult);

impl Message for SubscribePushRef<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        flag(out, 1, self.0.recoverable);
        text(out, 4, &self.0.epoch);
        number(out, 5, self.0.offset);
        flag(out, 6, self.0.positioned);
        bytes(out, 7, &self.0.data);
    }
}

/// `Connect` of pushes, which numbers the fields in its own way.
struct ConnectPushRef<'a>(&'a ConnectResult);

impl Message for ConnectPushRef<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        text(out, 1, &self.0.client);
        text(out, 2, &self.0.version);
        bytes(out, 3, &self.0.data);
        for (channel, result) in &self.0.subs {
            message(out, 4, &Entry(channel, result));
        }
        expiry(out, 5, self.0.expiry);
        number(out, 7, self.0.ping);
        flag(out, 8, self.0.pong);
        text(out, 9, &self.0.session);
        text(out, 10, &self.0.node);
        signed(out, 11, self.0.time);
    }
}

fn expiry(out: &mut impl Sink, first: u32, expiry: Expiry) {
    if let Some(ttl) = expiry.ttl {
        flag(out, first, true);
        number(out, first + 1, ttl.get());
    }
}

impl<'a> read::Message<'a> for Draft<Body> {
    fn field(&mut self, field: Field<'a>) -> Result<(), Malformed> {
        let body = match field.number {
            1 => {
                self.id = field.read()?;
                return Ok(());
            }
            2 => Body::from(field.read::<Failure>()?),
            4 => match field.read()? {
                PushDraft { channel, event: Some(event) } => Body::Push(Push { channel, event }),
                PushDraft { event: None, .. } => {
                    self.skip_unknown();
                    return Ok(());
                }
            },
            5 => Body::Connect(Box::new(field.read()?)),
            6 => Body::Subscribe(Box::new(field.read()?)),
            7 => field.read::<&[u8]>().map(|_| Body::Unsubscribe)?,
            8 => field.read::<&[u8]>().map(|_| Body::Publish)?,
            9 => Body::Presence(field.read::<Presence>()?.clients),
            10 => {
                let PresenceStats { num_clients, num_users } = field.read()?;
                Body::PresenceStats { num_clients, num_users }
            }
            11 => Body::History(field.read()?),
            12 => field.read::<&[u8]>().map(|_| Body::Ping)?,
            13 => Body::Rpc(field.read::<Carried>()?.data),
            14 => Body::Refresh(field.read::<RefreshResult>()?.expiry),
            15 => Body::SubRefresh(field.read()?),
            _ => {
                self.skip_unknown();
                return Ok(());
            }
        };
        self.add(body);
        Ok(())
    }
}

impl<'a> read::Message<'a> for PushDraft {
    fn field(&mut self, field: Field<'a>) -> Result<(), Malformed> {
        self.event = Some(match field.number {
            2 => {
                self.channel = field.read()?;
                return Ok(());
            }
            4 => Event::Publication(field.read()?),
            5 => Event::Join(field.read::<Member>()?.info),
            6 => Event::Leave(field.read::<Member>()?.info),
            7 => {
                let Ended::<2> { code, reason } = field.read()?;
                Event::Unsubscribe { code, reason: reason.into() }
            }
            8 => Event::Message(field.read::<Carried>()?.data),
            9 => Event::Subscribe(Box::new(field.read::<SubscribePush>()?.0)),
            10 => Event::Connect(Box::new(field.read::<ConnectPush>()?.0)),
            11 => {
                let Ended::<1> { code, reason } = field.read()?;
                Event::Disconnect { code, reason: reason.into() }
            }
            12 => Event::Refresh(field.read()?),
            _ => return Ok(()),
        });
        Ok(())
    }
}

/// Implements reading for messages that contain maps and lists besides.
macro_rules! with_collections {
    ($($message:ty {
        $($number:literal => $($field:tt).+,)*
        push $($push_number:literal => $($list:tt).+,)*
        insert $($insert_number:literal => $($map:tt).+,)*
    })*) => {$(
        impl<'a> read::Message<'a> for $message {
            fn field(&mut self, field: Field<'a>) -> Result<(), Malformed> {
                match field.number {
                    $($number => self.$($field).+ = field.read()?,)*
                    $($push_number => self.$($list).+.push(field.read()?),)*
                    $($insert_number => {
                        let (key, value) = field.entry()?;
                        self.$($map).+.insert(key, value);
                    })*
                    _ => {}
                }
                Ok(())
            }
        }
    )*};
}

with_collections! {
    ConnectResult {
        1 => client, 2 => version, 4 => expiry.ttl, 5 => data, 7 => ping, 8 => pong,
        9 => session, 10 => node, 11 => time,
        push
        insert 6 => subs,
    }
    ConnectPush {
        1 => 0.client, 2 => 0.version, 3 => 0.data, 6 => 0.expiry.ttl, 7 => 0.ping, 8 => 0.pong,
        9 => 0.session, 10 => 0.node, 11 => 0.time,
        push
        insert 4 => 0.subs,
    }
    SubscribeResult {
        2 => expiry.ttl, 3 => recoverable, 6 => epoch, 8 => recovered, 9 => offset,
        10 => positioned, 11 => data, 12 => was_recovering, 13 => delta,
        push 7 => publications,
        insert
    }
    HistoryResult { 2 => epoch, 3 => offset, push 1 => publications, insert }
    Presence { push insert 1 => clients, }
    Publication {
        4 => data, 5 => info, 6 => offset, 8 => delta, 14 => epoch,
        push
        insert 7 => tags,
    }
}

fields! {
    Failure { 1 => code, 2 => message, 3 => temporary, }
    SubscribePush {
        1 => 0.recoverable, 4 => 0.epoch, 5 => 0.offset, 6 => 0.positioned, 7 => 0.data,
    }
    PresenceStats { 1 => num_clients, 2 => num_users, }
    Carried { 1 => data, }
    Member { 1 => info, }
    ClientInfo { 1 => user, 2 => client, 3 => conn_info, 4 => chan_info, }
    Ended<1> { 1 => code, 2 => reason, }
    Ended<2> { 2 => code, 3 => reason, }
    // `expires` is field 1. A `ttl` is there exactly if it is true.
    Expiry { 2 => ttl, }
    RefreshResult { 4 => expiry.ttl, }
}

/// `RefreshResult`, which numbers the fields of an expiry in its own way.
#[derive(Default)]
struct RefreshResult {
    expiry: Expiry,
}

#[derive(Default)]
struct SubscribePush(SubscribeResult);

#[derive(Default)]
struct ConnectPush(ConnectResult);
