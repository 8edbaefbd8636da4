//! Arbitrary commands and replies that can be written in an encoding.

use std::borrow::Cow;
use std::num::NonZeroU32;

use bytes::Bytes;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use sealcast_wire::command::{Connect, History, Publish, SubRefresh, Subscribe, Token};
use sealcast_wire::filter::{BadFilter, Comparison, Condition, Filter};
use sealcast_wire::reply::{
    ClientInfo, ConnectResult, Error, Event, Expiry, HistoryResult, SubscribeResult,
};
use sealcast_wire::{Body, Command, Data, Encoding, Publication, Push, Reply, Request};

pub(crate) fn encoding() -> impl Strategy<Value = Encoding> {
    select(vec![Encoding::Json, Encoding::Protobuf])
}

pub(crate) fn command(encoding: Encoding) -> impl Strategy<Value = Command<'static>> {
    let numbered = (1..=u32::MAX, request(encoding));
    let send = (0_u32..2, data(encoding)).prop_map(|(id, data)| (id, Request::Send { data }));
    prop_oneof![12 => numbered, 1 => send, 1 => Just((0, Request::Pong))]
        .prop_map(|(id, request)| Command { id, request })
}

pub(crate) fn reply(encoding: Encoding) -> impl Strategy<Value = Reply> {
    let answer = (1..=u32::MAX, body(encoding)).prop_map(|(id, body)| Reply { id, body });
    let push = (text(), event(encoding))
        .prop_map(|(channel, event)| Push { channel: channel.into(), event });
    prop_oneof![
        12 => answer,
        8 => push.prop_map(|push| Reply { id: 0, body: Body::Push(push) }),
        1 => Just(Reply { id: 0, body: Body::Ping }),
    ]
}

pub(crate) fn publication(encoding: Encoding) -> impl Strategy<Value = Publication> {
    (
        bytes(encoding),
        option::of(info(encoding)),
        any::<u64>(),
        btree_map(".*", ".*", 0..3),
        any::<bool>(),
        ".*",
    )
        .prop_map(|(data, info, offset, tags, delta, epoch)| Publication {
            data,
            info,
            offset,
            tags,
            delta,
            epoch,
        })
}

/// JSON values without raw line ends, which writing drops.
const VALUES: [&str; 14] = [
    "null",
    "true",
    "0",
    "-1.0",
    "1e3",
    "18446744073709551616",
    r#""""#,
    r#""\n\u2028\"é""#,
    "[]",
    "{}",
    r#"{ "b" : [ {} , "]" ],	"a":null}"#,
    r#"["{","\\","\"["]"#,
    "\"\u{2028}\u{2029}\"",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
];

fn data(encoding: Encoding) -> BoxedStrategy<Option<Data<'static>>> {
    match encoding {
        Encoding::Json => {
            option::of(select(&VALUES).prop_map(|value| Data::Json(value.as_bytes()))).boxed()
        }
        Encoding::Protobuf => {
            option::of(vec(any::<u8>(), 0..20).prop_map(|bytes| Data::Opaque(bytes.leak()))).boxed()
        }
    }
}

fn bytes(encoding: Encoding) -> BoxedStrategy<Bytes> {
    data(encoding)
        .prop_map(|data| Bytes::from_static(data.map(Data::bytes).unwrap_or_default()))
        .boxed()
}

fn text() -> impl Strategy<Value = Cow<'static, str>> {
    ".*".prop_map(Cow::Owned)
}

fn token() -> impl Strategy<Value = Token<'static>> {
    text().prop_map(Token)
}

fn request(encoding: Encoding) -> BoxedStrategy<Request<'static>> {
    let connect =
        (token(), data(encoding), vec((text(), subscribe(encoding)), 0..3), text(), text())
            .prop_map(|(token, data, subs, name, version)| {
                Request::Connect(Box::new(Connect { token, data, subs, name, version }))
            });
    let publish = (text(), data(encoding), any::<i32>())
        .prop_map(|(channel, data, kind)| Request::Publish(Publish { channel, data, kind }));
    let since = option::of((any::<u64>(), text()));
    let history = (text(), any::<i32>(), since, any::<bool>()).prop_map(
        |(channel, limit, since, reverse)| {
            Request::History(History { channel, limit, since, reverse })
        },
    );
    let sub_refresh = (text(), token(), any::<i32>()).prop_map(|(channel, token, kind)| {
        Request::SubRefresh(SubRefresh { channel, token, kind })
    });
    prop_oneof![
        connect,
        subscribe(encoding).prop_map(|it| Request::Subscribe(Box::new(it))),
        text().prop_map(|channel| Request::Unsubscribe { channel }),
        publish,
        text().prop_map(|channel| Request::Presence { channel }),
        text().prop_map(|channel| Request::PresenceStats { channel }),
        history,
        data(encoding).prop_map(|data| Request::Send { data }),
        (text(), data(encoding)).prop_map(|(method, data)| Request::Rpc { method, data }),
        token().prop_map(|token| Request::Refresh { token }),
        sub_refresh,
        Just(Request::Ping),
    ]
    .boxed()
}

fn subscribe(encoding: Encoding) -> impl Strategy<Value = Subscribe<'static>> {
    let texts = (text(), token(), text(), text());
    let numbers = (any::<u64>(), any::<i64>(), any::<i32>());
    (texts, numbers, data(encoding), any::<[bool; 4]>(), filter()).prop_map(
        |((channel, token, epoch, delta), (offset, flag, kind), data, flags, filter)| {
            let [recover, positioned, recoverable, join_leave] = flags;
            Subscribe {
                channel,
                token,
                recover,
                epoch,
                offset,
                data,
                positioned,
                recoverable,
                join_leave,
                delta,
                filter,
                flag,
                kind,
            }
        },
    )
}

/// At most as deep as a position in a connect can carry in JSON.
fn filter() -> impl Strategy<Value = Option<Result<Box<Filter>, BadFilter>>> {
    let leaf = (".*", condition()).prop_map(|(key, condition)| Filter::tag(&key, condition));
    let tree = leaf.prop_recursive(16 - 1, 40, 4, |node| {
        let nodes = vec(node.clone(), 1..4).prop_map(|it| it.into_iter().collect());
        prop_oneof![
            nodes.clone().prop_map(|it: Result<_, _>| Filter::all(it?)),
            nodes.prop_map(|it: Result<_, _>| Filter::any(it?)),
            node.prop_map(|it| Filter::negated(it?)),
        ]
    });
    let bad = Just(Err(BadFilter));
    option::of(prop_oneof![8 => tree.prop_map(|it| it.map(Box::new)), 1 => bad])
}

fn condition() -> impl Strategy<Value = Condition> {
    let comparison = select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::StartsWith,
        Comparison::EndsWith,
        Comparison::Contains,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
    ]);
    let values = || vec(".*".prop_map(Box::from), 1..4).prop_map(Box::from);
    prop_oneof![
        4 => (comparison, ".+").prop_map(|(by, value)| Condition::Is(by, value.into())),
        1 => values().prop_map(Condition::In),
        1 => values().prop_map(Condition::NotIn),
        1 => Just(Condition::Exists),
        1 => Just(Condition::NotExists),
    ]
}

fn body(encoding: Encoding) -> BoxedStrategy<Body> {
    let error = (any::<u32>(), text(), any::<bool>())
        .prop_map(|(code, message, temporary)| Error { code, message, temporary });
    let history = (vec(publication(encoding), 0..3), ".*", any::<u64>())
        .prop_map(|(publications, epoch, offset)| HistoryResult { publications, epoch, offset });
    prop_oneof![
        Just(Body::Ping),
        error.prop_map(Body::Error),
        connect_result(encoding).prop_map(|it| Body::Connect(Box::new(it))),
        subscribe_result(encoding).prop_map(|it| Body::Subscribe(Box::new(it))),
        Just(Body::Unsubscribe),
        Just(Body::Publish),
        btree_map(".*", info(encoding), 0..3).prop_map(Body::Presence),
        any::<(u32, u32)>()
            .prop_map(|(num_clients, num_users)| Body::PresenceStats { num_clients, num_users }),
        history.prop_map(Body::History),
        bytes(encoding).prop_map(Body::Rpc),
        expiry().prop_map(Body::Refresh),
        expiry().prop_map(Body::SubRefresh),
    ]
    .boxed()
}

fn event(encoding: Encoding) -> BoxedStrategy<Event> {
    // The push has only these members of the result.
    let subscribe = subscribe_result(encoding).prop_map(|it| {
        Event::Subscribe(Box::new(SubscribeResult {
            recoverable: it.recoverable,
            epoch: it.epoch,
            offset: it.offset,
            positioned: it.positioned,
            data: it.data,
            ..Default::default()
        }))
    });
    prop_oneof![
        publication(encoding).prop_map(Event::Publication),
        info(encoding).prop_map(Event::Join),
        info(encoding).prop_map(Event::Leave),
        (any::<u32>(), text()).prop_map(|(code, reason)| Event::Unsubscribe { code, reason }),
        subscribe,
        bytes(encoding).prop_map(Event::Message),
        connect_result(encoding).prop_map(|it| Event::Connect(Box::new(it))),
        (any::<u32>(), text()).prop_map(|(code, reason)| Event::Disconnect { code, reason }),
        expiry().prop_map(Event::Refresh),
    ]
    .boxed()
}

fn info(encoding: Encoding) -> impl Strategy<Value = ClientInfo> {
    (".*", ".*", bytes(encoding), bytes(encoding)).prop_map(
        |(user, client, conn_info, chan_info)| ClientInfo { user, client, conn_info, chan_info },
    )
}

fn expiry() -> impl Strategy<Value = Expiry> {
    any::<u32>().prop_map(|ttl| Expiry { ttl: NonZeroU32::new(ttl >> (ttl & 31)) })
}

fn connect_result(encoding: Encoding) -> impl Strategy<Value = ConnectResult> {
    let texts = (".*", ".*", ".*", ".*");
    let subs = btree_map(".*", subscribe_result(encoding), 0..3);
    let numbers = (any::<u32>(), any::<bool>(), any::<i64>());
    (texts, expiry(), bytes(encoding), subs, numbers).prop_map(
        |((client, version, session, node), expiry, data, subs, (ping, pong, time))| {
            ConnectResult { client, version, expiry, data, subs, ping, pong, session, node, time }
        },
    )
}

fn subscribe_result(encoding: Encoding) -> impl Strategy<Value = SubscribeResult> {
    let publications = vec(publication(encoding), 0..3);
    let flags = any::<[bool; 5]>();
    (expiry(), ".*", publications, any::<u64>(), bytes(encoding), flags).prop_map(
        |(expiry, epoch, publications, offset, data, flags)| {
            let [recoverable, recovered, positioned, was_recovering, delta] = flags;
            SubscribeResult {
                expiry,
                recoverable,
                epoch,
                publications,
                recovered,
                offset,
                positioned,
                data,
                was_recovering,
                delta,
            }
        },
    )
}
