//! Commands in Protobuf.

use std::borrow::Cow;

use super::read::{self, Field, Fields, fields};
use super::write::{Entry, Message, always_bytes, empty, flag, message, number, signed, text};
use crate::codec::draft::{Draft, Named, Refresh, Rpc, Send};
use crate::codec::sink::Sink;
use crate::command::{Command, Connect, History, Publish, Request, SubRefresh, Subscribe};
use crate::filter::node::{Node, NodeDraft, Parts};
use crate::filter::{BadFilter, Filter};
use crate::payload::Data;
use crate::{Emulation, MAX_DEPTH, Malformed};

/// Reads one command.
pub(super) fn decode(bytes: &[u8]) -> Result<Command<'_>, Malformed> {
    read::message::<Draft<Request<'_>>>(bytes)?.finish()
}

impl<'a> read::Message<'a> for Draft<Request<'a>> {
    fn field(&mut self, field: Field<'a>) -> Result<(), Malformed> {
        let channel = || field.read::<Named<'a>>().map(|it| it.channel);
        let request = match field.number {
            1 => {
                self.id = field.read()?;
                return Ok(());
            }
            4 => Request::Connect(Box::new(field.read()?)),
            5 => Request::Subscribe(Box::new(field.read()?)),
            6 => Request::Unsubscribe { channel: channel()? },
            7 => Request::Publish(field.read()?),
            8 => Request::Presence { channel: channel()? },
            9 => Request::PresenceStats { channel: channel()? },
            10 => Request::History(field.read()?),
            11 => field.read::<&[u8]>().map(|_| Request::Ping)?,
            12 => Request::Send { data: field.read::<Send<'a>>()?.data },
            13 => {
                let Rpc { method, data } = field.read()?;
                Request::Rpc { method, data }
            }
            14 => Request::Refresh { token: field.read::<Refresh<'a>>()?.token },
            15 => Request::SubRefresh(field.read()?),
            _ => return Ok(()),
        };
        self.add(request);
        Ok(())
    }
}

impl<'a> read::Message<'a> for Connect<'a> {
    fn field(&mut self, field: Field<'a>) -> Result<(), Malformed> {
        match field.number {
            1 => self.token = field.read()?,
            2 => self.data = field.read()?,
            3 => {
                let (channel, subscribe) = field.entry()?;
                self.add_sub(channel, subscribe);
            }
            4 => self.name = field.read()?,
            5 => self.version = field.read()?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> read::Message<'a> for Subscribe<'a> {
    fn field(&mut self, field: Field<'a>) -> Result<(), Malformed> {
        match field.number {
            1 => self.channel = field.read()?,
            2 => self.token = field.read()?,
            3 => self.recover = field.read()?,
            6 => self.epoch = field.read()?,
            7 => self.offset = field.read()?,
            8 => self.data = field.read()?,
            9 => self.positioned = field.read()?,
            10 => self.recoverable = field.read()?,
            11 => self.join_leave = field.read()?,
            12 => self.delta = field.read()?,
            13 => self.filter = Some(filter(field.read()?, 1)?.map(Box::new)),
            14 => self.flag = field.read()?,
            15 => self.kind = field.read()?,
            _ => {}
        }
        Ok(())
    }
}

fields! {
    Emulation<'a> { 1 => node, 2 => session, 3 => data, }
    Named<'a> { 1 => channel, }
    Publish<'a> { 1 => channel, 2 => data, 3 => kind, }
    History<'a> { 1 => channel, 7 => limit, 8 => since, 9 => reverse, }
    // `StreamPosition`.
    (u64, Cow<'a, str>) { 1 => 0, 2 => 1, }
    Send<'a> { 1 => data, }
    Rpc<'a> { 1 => data, 2 => method, }
    Refresh<'a> { 1 => token, }
    SubRefresh<'a> { 1 => channel, 2 => token, 3 => kind, }
}

/// Reads a `FilterNode`, the only message that may contain itself. `level`
/// counts from 1.
fn filter(bytes: &[u8], level: usize) -> Result<Result<Filter, BadFilter>, Malformed> {
    if level > MAX_DEPTH {
        return Err(Malformed::TooDeep);
    }
    let mut node = NodeDraft::default();
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => node.op = field.read()?,
            2 => node.key = field.read()?,
            3 => node.cmp = field.read()?,
            4 => node.val = field.read()?,
            5 => node.vals.add(field.read()?),
            6 => node.nodes.add(filter(field.read()?, level + 1)?),
            _ => {}
        }
    }
    Ok(node.finish())
}

impl Message for Command<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        number(out, 1, self.id);
        match &self.request {
            Request::Pong => {}
            Request::Connect(connect) => message(out, 4, &**connect),
            Request::Subscribe(subscribe) => message(out, 5, &**subscribe),
            Request::Unsubscribe { channel } => message(out, 6, &NamedRef(channel)),
            Request::Publish(publish) => message(out, 7, publish),
            Request::Presence { channel } => message(out, 8, &NamedRef(channel)),
            Request::PresenceStats { channel } => message(out, 9, &NamedRef(channel)),
            Request::History(history) => message(out, 10, history),
            Request::Ping => empty(out, 11),
            Request::Send { data } => message(out, 12, &DataRef(*data, "")),
            Request::Rpc { method, data } => message(out, 13, &DataRef(*data, method)),
            Request::Refresh { token } => message(out, 14, &NamedRef(&token.0)),
            Request::SubRefresh(refresh) => message(out, 15, refresh),
        }
    }
}

/// The messages with one string in field 1.
struct NamedRef<'a>(&'a str);

impl Message for NamedRef<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        text(out, 1, self.0);
    }
}

/// `SendRequest` and, with a method, `RPCRequest`.
struct DataRef<'a>(Option<Data<'a>>, &'a str);

impl Message for DataRef<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        data(out, 1, self.0);
        text(out, 2, self.1);
    }
}

impl Message for Connect<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        text(out, 1, &self.token.0);
        data(out, 2, self.data);
        for (channel, subscribe) in &self.subs {
            message(out, 3, &Entry(channel, subscribe));
        }
        text(out, 4, &self.name);
        text(out, 5, &self.version);
    }
}

impl Message for Subscribe<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        text(out, 1, &self.channel);
        text(out, 2, &self.token.0);
        flag(out, 3, self.recover);
        text(out, 6, &self.epoch);
        number(out, 7, self.offset);
        data(out, 8, self.data);
        flag(out, 9, self.positioned);
        flag(out, 10, self.recoverable);
        flag(out, 11, self.join_leave);
        text(out, 12, &self.delta);
        match &self.filter {
            Some(Ok(filter)) => message(out, 13, filter.root()),
            Some(Err(BadFilter)) => empty(out, 13),
            None => {}
        }
        signed(out, 14, self.flag);
        signed(out, 15, self.kind);
    }
}

/// `FilterNode`.
impl Message for Node {
    fn put<S: Sink>(&self, out: &mut S) {
        let Parts { op, key, cmp, val, vals, nodes } = self.parts();
        text(out, 1, op);
        text(out, 2, key);
        text(out, 3, cmp);
        text(out, 4, val);
        for value in vals {
            always_bytes(out, 5, value.as_bytes());
        }
        for node in nodes {
            message(out, 6, node);
        }
    }
}

impl Message for Publish<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        text(out, 1, &self.channel);
        data(out, 2, self.data);
        signed(out, 3, self.kind);
    }
}

impl Message for History<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        text(out, 1, &self.channel);
        signed(out, 7, self.limit);
        if let Some(since) = &self.since {
            message(out, 8, since);
        }
        flag(out, 9, self.reverse);
    }
}

/// `StreamPosition`.
impl Message for (u64, Cow<'_, str>) {
    fn put<S: Sink>(&self, out: &mut S) {
        number(out, 1, self.0);
        text(out, 2, &self.1);
    }
}

impl Message for SubRefresh<'_> {
    fn put<S: Sink>(&self, out: &mut S) {
        text(out, 1, &self.channel);
        text(out, 2, &self.token.0);
        signed(out, 3, self.kind);
    }
}

/// Unlike other bytes, empty data is written: it was given.
fn data(out: &mut impl Sink, field: u32, data: Option<Data<'_>>) {
    if let Some(data) = data {
        always_bytes(out, field, data.bytes());
    }
}
