//! Commands in JSON.

use std::borrow::Cow;

use serde::de::MapAccess;

use super::depth::nesting;
use super::read::{self, Members, Value, members};
use super::write::{self, Object};
use crate::codec::draft::{Draft, Empty, EmulationText, Named, Refresh, Rpc, Send};
use crate::codec::sink::Sink;
use crate::command::{Command, Connect, History, Publish, Request, SubRefresh, Subscribe};
use crate::filter::BadFilter;
use crate::filter::node::{Node, NodeDraft, Parts};
use crate::payload::Data;
use crate::{MAX_DEPTH, Malformed};

/// The levels of a command above its deepest payload: command, `connect`,
/// `subs`, and the request in it.
const LEVELS_ABOVE_PAYLOAD: usize = 4;

/// Reads the command of one line.
pub(super) fn decode(line: &[u8]) -> Result<Command<'_>, Malformed> {
    let nesting_of_all = nesting(line);
    if nesting_of_all > MAX_DEPTH + LEVELS_ABOVE_PAYLOAD {
        return Err(Malformed::TooDeep);
    }
    let text = std::str::from_utf8(line).map_err(|_| Malformed::Syntax)?;
    let command = read::object::<Draft<Request<'_>>>(text)?.finish()?;
    if nesting_of_all > MAX_DEPTH && has_deep_payload(&command.request) {
        return Err(Malformed::TooDeep);
    }
    Ok(command)
}

/// Writes a command.
pub(super) fn put(out: &mut impl Sink, command: &Command<'_>) {
    write::object(out, |members| {
        members.number("id", command.id);
        put_request(members, &command.request);
    });
}

fn has_deep_payload(request: &Request<'_>) -> bool {
    let deep = |data: &Option<Data<'_>>| data.is_some_and(|data| nesting(data.bytes()) > MAX_DEPTH);
    match request {
        Request::Connect(connect) => {
            deep(&connect.data) || connect.subs.iter().any(|(_, sub)| deep(&sub.data))
        }
        Request::Subscribe(subscribe) => deep(&subscribe.data),
        Request::Publish(publish) => deep(&publish.data),
        Request::Send { data } | Request::Rpc { data, .. } => deep(data),
        Request::Pong
        | Request::Unsubscribe { .. }
        | Request::Presence { .. }
        | Request::PresenceStats { .. }
        | Request::History(_)
        | Request::Refresh { .. }
        | Request::SubRefresh(_)
        | Request::Ping => false,
    }
}

impl<'de> Members<'de> for Draft<Request<'de>> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: Value<'_, A>,
    ) -> Result<(), A::Error> {
        let request = match name {
            "id" => {
                self.id = value.read()?;
                None
            }
            "connect" => {
                value.read::<Option<Connect<'_>>>()?.map(|it| Request::Connect(Box::new(it)))
            }
            "subscribe" => {
                value.read::<Option<Subscribe<'_>>>()?.map(|it| Request::Subscribe(Box::new(it)))
            }
            "unsubscribe" => value
                .read::<Option<Named<'_>>>()?
                .map(|it| Request::Unsubscribe { channel: it.channel }),
            "publish" => value.read::<Option<Publish<'_>>>()?.map(Request::Publish),
            "presence" => value
                .read::<Option<Named<'_>>>()?
                .map(|it| Request::Presence { channel: it.channel }),
            "presence_stats" => value
                .read::<Option<Named<'_>>>()?
                .map(|it| Request::PresenceStats { channel: it.channel }),
            "history" => value.read::<Option<History<'_>>>()?.map(Request::History),
            "ping" => value.read::<Option<Empty>>()?.map(|Empty| Request::Ping),
            "send" => value.read::<Option<Send<'_>>>()?.map(|it| Request::Send { data: it.data }),
            "rpc" => value
                .read::<Option<Rpc<'_>>>()?
                .map(|it| Request::Rpc { method: it.method, data: it.data }),
            "refresh" => {
                value.read::<Option<Refresh<'_>>>()?.map(|it| Request::Refresh { token: it.token })
            }
            "sub_refresh" => value.read::<Option<SubRefresh<'_>>>()?.map(Request::SubRefresh),
            _ => {
                value.skip()?;
                None
            }
        };
        if let Some(request) = request {
            self.add(request);
        }
        Ok(())
    }
}

members! {
    Publish<'de> { "channel" => channel, "data" => data, "type" => kind, }
    History<'de> { "channel" => channel, "limit" => limit, "since" => since, "reverse" => reverse, }
    SubRefresh<'de> { "channel" => channel, "token" => token, "type" => kind, }
    Named<'de> { "channel" => channel, }
    Send<'de> { "data" => data, }
    Rpc<'de> { "method" => method, "data" => data, }
    Refresh<'de> { "token" => token, }
    EmulationText<'de> { "session" => session, "node" => node, "data" => data, }
    Empty {}
    // `StreamPosition`.
    (u64, Cow<'de, str>) { "offset" => 0, "epoch" => 1, }
}

impl<'de> Members<'de> for Connect<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: Value<'_, A>,
    ) -> Result<(), A::Error> {
        match name {
            "token" => self.token = value.read()?,
            "data" => self.data = value.read()?,
            "subs" => value.entries(|channel, subscribe| self.add_sub(channel, subscribe))?,
            "name" => self.name = value.read()?,
            "version" => self.version = value.read()?,
            _ => {
                value.skip()?;
            }
        }
        Ok(())
    }
}

impl<'de> Members<'de> for Subscribe<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: Value<'_, A>,
    ) -> Result<(), A::Error> {
        match name {
            "channel" => self.channel = value.read()?,
            "token" => self.token = value.read()?,
            "recover" => self.recover = value.read()?,
            "epoch" => self.epoch = value.read()?,
            "offset" => self.offset = value.read()?,
            "data" => self.data = value.read()?,
            "positioned" => self.positioned = value.read()?,
            "recoverable" => self.recoverable = value.read()?,
            "join_leave" => self.join_leave = value.read()?,
            "delta" => self.delta = value.read()?,
            "tf" => {
                let filter = value.read::<Option<NodeDraft<'_>>>()?;
                self.filter = filter.map(|node| node.finish().map(Box::new));
            }
            "flag" => self.flag = value.read()?,
            "type" => self.kind = value.read()?,
            _ => {
                value.skip()?;
            }
        }
        Ok(())
    }
}

impl<'de> Members<'de> for NodeDraft<'de> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: Value<'_, A>,
    ) -> Result<(), A::Error> {
        match name {
            "op" => self.op = value.read()?,
            "key" => self.key = value.read()?,
            "cmp" => self.cmp = value.read()?,
            "val" => self.val = value.read()?,
            "vals" => {
                self.vals = Default::default();
                value.items(|text| self.vals.add(text))?;
            }
            "nodes" => {
                self.nodes = Default::default();
                value.items(|node: NodeDraft<'_>| self.nodes.add(node.finish()))?;
            }
            _ => {
                value.skip()?;
            }
        }
        Ok(())
    }
}

fn put_request<S: Sink>(command: &mut Object<'_, S>, request: &Request<'_>) {
    let named = |channel: &str, members: &mut Object<'_, S>| members.text("channel", channel);
    match request {
        Request::Pong => {}
        Request::Connect(connect) => {
            command.object("connect", |members| put_connect(members, connect));
        }
        Request::Subscribe(subscribe) => {
            command.object("subscribe", |members| put_subscribe(members, subscribe));
        }
        Request::Unsubscribe { channel } => {
            command.object("unsubscribe", |members| named(channel, members));
        }
        Request::Publish(publish) => command.object("publish", |members| {
            members.text("channel", &publish.channel);
            put_data(members, publish.data);
            members.signed("type", publish.kind);
        }),
        Request::Presence { channel } => {
            command.object("presence", |members| named(channel, members));
        }
        Request::PresenceStats { channel } => {
            command.object("presence_stats", |members| named(channel, members));
        }
        Request::History(history) => command.object("history", |members| {
            members.text("channel", &history.channel);
            members.signed("limit", history.limit);
            if let Some((offset, epoch)) = &history.since {
                members.object("since", |since| {
                    since.number("offset", *offset);
                    since.text("epoch", epoch);
                });
            }
            members.flag("reverse", history.reverse);
        }),
        Request::Send { data } => command.object("send", |members| put_data(members, *data)),
        Request::Rpc { method, data } => command.object("rpc", |members| {
            members.text("method", method);
            put_data(members, *data);
        }),
        Request::Refresh { token } => {
            command.object("refresh", |members| members.text("token", &token.0));
        }
        Request::SubRefresh(refresh) => command.object("sub_refresh", |members| {
            members.text("channel", &refresh.channel);
            members.text("token", &refresh.token.0);
            members.signed("type", refresh.kind);
        }),
        Request::Ping => command.object("ping", |_| {}),
    }
}

fn put_connect<S: Sink>(members: &mut Object<'_, S>, connect: &Connect<'_>) {
    members.text("token", &connect.token.0);
    put_data(members, connect.data);
    if !connect.subs.is_empty() {
        members.object("subs", |subs| {
            for (channel, subscribe) in &connect.subs {
                subs.object_entry(channel, |members| put_subscribe(members, subscribe));
            }
        });
    }
    members.text("name", &connect.name);
    members.text("version", &connect.version);
}

fn put_subscribe<S: Sink>(members: &mut Object<'_, S>, subscribe: &Subscribe<'_>) {
    members.text("channel", &subscribe.channel);
    members.text("token", &subscribe.token.0);
    members.flag("recover", subscribe.recover);
    members.text("epoch", &subscribe.epoch);
    members.number("offset", subscribe.offset);
    put_data(members, subscribe.data);
    members.flag("positioned", subscribe.positioned);
    members.flag("recoverable", subscribe.recoverable);
    members.flag("join_leave", subscribe.join_leave);
    members.text("delta", &subscribe.delta);
    match &subscribe.filter {
        Some(Ok(filter)) => members.object("tf", |members| put_node(members, filter.root())),
        Some(Err(BadFilter)) => members.object("tf", |_| {}),
        None => {}
    }
    members.signed("flag", subscribe.flag);
    members.signed("type", subscribe.kind);
}

fn put_node<S: Sink>(members: &mut Object<'_, S>, node: &Node) {
    let Parts { op, key, cmp, val, vals, nodes } = node.parts();
    members.text("op", op);
    members.text("key", key);
    members.text("cmp", cmp);
    members.text("val", val);
    if !vals.is_empty() {
        members.texts("vals", vals);
    }
    if !nodes.is_empty() {
        members.list("nodes", nodes, put_node);
    }
}

fn put_data<S: Sink>(members: &mut Object<'_, S>, data: Option<Data<'_>>) {
    if let Some(data) = data {
        members.raw("data", data.bytes());
    }
}
