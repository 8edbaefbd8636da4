//! Replies and pushes in JSON.

use serde::de::MapAccess;

use super::depth::nesting;
use super::read::{self, Members, Value, members};
use super::write::{self, Object};
use crate::codec::draft::{
    Carried, Draft, Empty, Ended, Failure, Member, Presence, PresenceStats, PushDraft,
};
use crate::codec::sink::Sink;
use crate::reply::{
    Body, ClientInfo, ConnectResult, Event, Expiry, HistoryResult, Publication, Push, Reply,
    SubscribeResult,
};
use crate::{MAX_DEPTH, Malformed};

/// The levels of a reply above its deepest payload: reply, `push`, `connect`,
/// `subs`, the result in it, `publications`, one of them, its `info`.
const LEVELS_ABOVE_PAYLOAD: usize = 8;

/// Reads the reply of one line; `None` if it is of a kind not known here.
pub(super) fn decode(line: &[u8]) -> Result<Option<Reply>, Malformed> {
    if nesting(line) > MAX_DEPTH + LEVELS_ABOVE_PAYLOAD {
        return Err(Malformed::TooDeep);
    }
    let text = std::str::from_utf8(line).map_err(|_| Malformed::Syntax)?;
    read::object::<Draft<Body>>(text)?.finish()
}

/// Writes a reply.
pub(super) fn put(out: &mut impl Sink, reply: &Reply) {
    write::object(out, |members| {
        members.number("id", reply.id);
        put_body(members, reply);
    });
}

/// Writes the push of a publication.
pub(super) fn put_publication(out: &mut impl Sink, channel: &str, publication: &Publication) {
    write::object(out, |reply| {
        reply.object("push", |push| {
            push.text("channel", channel);
            push.object("pub", |members| put_publication_members(members, publication));
        });
    });
}

/// Writes a push without the reply around it.
pub(super) fn put_bare(out: &mut impl Sink, push: &Push) {
    write::object(out, |members| put_push(members, push));
}

/// Writes the push of a publication without the reply around it.
pub(super) fn put_bare_publication(out: &mut impl Sink, channel: &str, publication: &Publication) {
    write::object(out, |push| {
        push.text("channel", channel);
        push.object("pub", |members| put_publication_members(members, publication));
    });
}

fn put_body<S: Sink>(reply: &mut Object<'_, S>, Reply { id, body }: &Reply) {
    match body {
        Body::Ping if *id == 0 => {}
        Body::Ping => reply.object("ping", |_| {}),
        Body::Error(error) => reply.object("error", |members| {
            members.always_number("code", error.code);
            members.always_text("message", &error.message);
            members.flag("temporary", error.temporary);
        }),
        Body::Push(push) => reply.object("push", |members| put_push(members, push)),
        Body::Connect(result) => reply.object("connect", |members| put_connect(members, result)),
        Body::Subscribe(result) => {
            reply.object("subscribe", |members| put_subscribe(members, result));
        }
        Body::Unsubscribe => reply.object("unsubscribe", |_| {}),
        Body::Publish => reply.object("publish", |_| {}),
        Body::Presence(clients) => reply.object("presence", |members| {
            members.object("presence", |entries| {
                for (client, info) in clients {
                    entries.object_entry(client, |members| put_info(members, info));
                }
            });
        }),
        Body::PresenceStats { num_clients, num_users } => {
            reply.object("presence_stats", |members| {
                members.always_number("num_clients", *num_clients);
                members.always_number("num_users", *num_users);
            });
        }
        Body::History(result) => reply.object("history", |members| {
            members.list("publications", &result.publications, put_publication_members);
            members.always_text("epoch", &result.epoch);
            members.always_number("offset", result.offset);
        }),
        Body::Rpc(data) => reply.object("rpc", |members| members.raw("data", data)),
        Body::Refresh(expiry) => reply.object("refresh", |members| put_expiry(members, *expiry)),
        Body::SubRefresh(expiry) => {
            reply.object("sub_refresh", |members| put_expiry(members, *expiry));
        }
    }
}

fn put_push<S: Sink>(push: &mut Object<'_, S>, Push { channel, event }: &Push) {
    push.text("channel", channel);
    match event {
        Event::Publication(publication) => {
            push.object("pub", |members| put_publication_members(members, publication));
        }
        Event::Join(info) => push.object("join", |members| {
            members.object("info", |members| put_info(members, info));
        }),
        Event::Leave(info) => push.object("leave", |members| {
            members.object("info", |members| put_info(members, info));
        }),
        Event::Unsubscribe { code, reason } => push.object("unsubscribe", |members| {
            members.always_number("code", *code);
            members.always_text("reason", reason);
        }),
        Event::Message(data) => push.object("message", |members| members.raw("data", data)),
        Event::Subscribe(result) => push.object("subscribe", |members| {
            members.flag("recoverable", result.recoverable);
            members.text("epoch", &result.epoch);
            members.number("offset", result.offset);
            members.flag("positioned", result.positioned);
            members.raw("data", &result.data);
        }),
        Event::Connect(result) => push.object("connect", |members| put_connect(members, result)),
        Event::Disconnect { code, reason } => push.object("disconnect", |members| {
            members.always_number("code", *code);
            members.always_text("reason", reason);
        }),
        Event::Refresh(expiry) => push.object("refresh", |members| put_expiry(members, *expiry)),
    }
}

fn put_publication_members<S: Sink>(members: &mut Object<'_, S>, publication: &Publication) {
    members.raw("data", &publication.data);
    if let Some(info) = &publication.info {
        members.object("info", |members| put_info(members, info));
    }
    members.number("offset", publication.offset);
    if !publication.tags.is_empty() {
        members.object("tags", |tags| {
            for (name, value) in &publication.tags {
                tags.text_entry(name, value);
            }
        });
    }
    members.flag("delta", publication.delta);
    members.text("epoch", &publication.epoch);
}

fn put_info<S: Sink>(members: &mut Object<'_, S>, info: &ClientInfo) {
    members.always_text("user", &info.user);
    members.always_text("client", &info.client);
    members.raw("conn_info", &info.conn_info);
    members.raw("chan_info", &info.chan_info);
}

fn put_expiry<S: Sink>(members: &mut Object<'_, S>, expiry: Expiry) {
    if let Some(ttl) = expiry.ttl {
        members.flag("expires", true);
        members.number("ttl", ttl.get());
    }
}

fn put_connect<S: Sink>(members: &mut Object<'_, S>, result: &ConnectResult) {
    members.text("client", &result.client);
    members.text("version", &result.version);
    put_expiry(members, result.expiry);
    members.raw("data", &result.data);
    if !result.subs.is_empty() {
        members.object("subs", |subs| {
            for (channel, result) in &result.subs {
                subs.object_entry(channel, |members| put_subscribe(members, result));
            }
        });
    }
    members.number("ping", result.ping);
    members.flag("pong", result.pong);
    members.text("session", &result.session);
    members.text("node", &result.node);
    members.signed("time", result.time);
}

fn put_subscribe<S: Sink>(members: &mut Object<'_, S>, result: &SubscribeResult) {
    put_expiry(members, result.expiry);
    members.flag("recoverable", result.recoverable);
    members.text("epoch", &result.epoch);
    if !result.publications.is_empty() {
        members.list("publications", &result.publications, put_publication_members);
    }
    members.flag("recovered", result.recovered);
    members.number("offset", result.offset);
    members.flag("positioned", result.positioned);
    members.raw("data", &result.data);
    members.flag("was_recovering", result.was_recovering);
    members.flag("delta", result.delta);
}

impl<'de> Members<'de> for Draft<Body> {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: Value<'_, A>,
    ) -> Result<(), A::Error> {
        let body = match name {
            "id" => {
                self.id = value.read()?;
                None
            }
            "error" => value.read::<Option<Failure>>()?.map(Body::from),
            "push" => match value.read()? {
                Some(PushDraft { channel, event: Some(event) }) => {
                    Some(Body::Push(Push { channel, event }))
                }
                Some(PushDraft { event: None, .. }) => {
                    self.skip_unknown();
                    None
                }
                None => None,
            },
            "connect" => {
                value.read::<Option<ConnectResult>>()?.map(|it| Body::Connect(Box::new(it)))
            }
            "subscribe" => {
                value.read::<Option<SubscribeResult>>()?.map(|it| Body::Subscribe(Box::new(it)))
            }
            "unsubscribe" => value.read::<Option<Empty>>()?.map(|Empty| Body::Unsubscribe),
            "publish" => value.read::<Option<Empty>>()?.map(|Empty| Body::Publish),
            "presence" => value.read::<Option<Presence>>()?.map(|it| Body::Presence(it.clients)),
            "presence_stats" => value.read::<Option<PresenceStats>>()?.map(|it| {
                Body::PresenceStats { num_clients: it.num_clients, num_users: it.num_users }
            }),
            "history" => value.read::<Option<HistoryResult>>()?.map(Body::History),
            "ping" => value.read::<Option<Empty>>()?.map(|Empty| Body::Ping),
            "rpc" => value.read::<Option<Carried>>()?.map(|it| Body::Rpc(it.data)),
            "refresh" => value.read::<Option<Expiry>>()?.map(Body::Refresh),
            "sub_refresh" => value.read::<Option<Expiry>>()?.map(Body::SubRefresh),
            _ => {
                value.skip()?;
                self.skip_unknown();
                None
            }
        };
        if let Some(body) = body {
            self.add(body);
        }
        Ok(())
    }
}

impl<'de> Members<'de> for PushDraft {
    fn member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: Value<'_, A>,
    ) -> Result<(), A::Error> {
        let event = match name {
            "channel" => {
                self.channel = value.read()?;
                None
            }
            "pub" => value.read::<Option<Publication>>()?.map(Event::Publication),
            "join" => value.read::<Option<Member>>()?.map(|it| Event::Join(it.info)),
            "leave" => value.read::<Option<Member>>()?.map(|it| Event::Leave(it.info)),
            "unsubscribe" => value
                .read::<Option<Ended<2>>>()?
                .map(|it| Event::Unsubscribe { code: it.code, reason: it.reason.into() }),
            "message" => value.read::<Option<Carried>>()?.map(|it| Event::Message(it.data)),
            "subscribe" => {
                value.read::<Option<SubscribeResult>>()?.map(|it| Event::Subscribe(Box::new(it)))
            }
            "connect" => {
                value.read::<Option<ConnectResult>>()?.map(|it| Event::Connect(Box::new(it)))
            }
            "disconnect" => value
                .read::<Option<Ended<1>>>()?
                .map(|it| Event::Disconnect { code: it.code, reason: it.reason.into() }),
            "refresh" => value.read::<Option<Expiry>>()?.map(Event::Refresh),
            _ => {
                value.skip()?;
                None
            }
        };
        if event.is_some() {
            self.event = event;
        }
        Ok(())
    }
}

members! {
    Failure { "code" => code, "message" => message, "temporary" => temporary, }
    ConnectResult {
        "client" => client,
        "version" => version,
        "ttl" => expiry.ttl,
        "data" => data,
        "subs" => subs,
        "ping" => ping,
        "pong" => pong,
        "session" => session,
        "node" => node,
        "time" => time,
    }
    SubscribeResult {
        "ttl" => expiry.ttl,
        "recoverable" => recoverable,
        "epoch" => epoch,
        "publications" => publications,
        "recovered" => recovered,
        "offset" => offset,
        "positioned" => positioned,
        "data" => data,
        "was_recovering" => was_recovering,
        "delta" => delta,
    }
    // A `ttl` is there exactly if `expires` is true.
    Expiry { "ttl" => ttl, }
    Presence { "presence" => clients, }
    PresenceStats { "num_clients" => num_clients, "num_users" => num_users, }
    HistoryResult { "publications" => publications, "epoch" => epoch, "offset" => offset, }
    Carried { "data" => data, }
    Publication {
        "data" => data,
        "info" => info,
        "offset" => offset,
        "tags" => tags,
        "delta" => delta,
        "epoch" => epoch,
    }
    ClientInfo {
        "user" => user,
        "client" => client,
        "conn_info" => conn_info,
        "chan_info" => chan_info,
    }
    Member { "info" => info, }
    Ended<1> { "code" => code, "reason" => reason, }
    Ended<2> { "code" => code, "reason" => reason, }
}
