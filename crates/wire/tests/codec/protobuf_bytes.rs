//! Protobuf byte by byte. The vectors were made by hand from the field numbers
//! of the protocol.

use std::num::NonZeroU32;

use bytes::Bytes;
use sealcast_wire::command::{Connect, History, Publish, SubRefresh, Subscribe, Token};
use sealcast_wire::reply::{
    ClientInfo, ConnectResult, Event, Expiry, HistoryResult, SubscribeResult,
};
use sealcast_wire::{
    BadFilter, Body, Command, Data, ErrorCode, Publication, Push, Reply, Request, Unsubscribed,
    protobuf,
};

/// Is written as the bytes, and read from them the same.
#[track_caller]
fn command(id: u32, request: Request<'_>, parts: &[&[u8]]) {
    let bytes = parts.concat();
    let command = Command { id, request };
    let mut out = Vec::new();
    protobuf::put_command(&mut out, &command);
    assert_eq!(out, bytes);
    let commands: Vec<_> = protobuf::commands(&bytes).collect();
    assert_eq!(commands, [Ok(command)]);
}

/// Is written as the bytes, and read from them the same.
#[track_caller]
fn reply(id: u32, body: Body, parts: &[&[u8]]) {
    let bytes = parts.concat();
    let reply = Reply { id, body };
    let mut out = Vec::new();
    protobuf::put_reply(&mut out, &reply);
    assert_eq!(out, bytes);
    assert!(out.capacity() <= out.len().max(8));
    let replies: Vec<_> = protobuf::replies(&bytes).collect();
    assert_eq!(replies, [Ok(reply)]);
}

#[track_caller]
fn push(channel: &str, event: Event, parts: &[&[u8]]) {
    reply(0, Body::Push(Push { channel: channel.into(), event }), parts);
}

fn minute() -> Expiry {
    Expiry { ttl: NonZeroU32::new(60) }
}

#[test]
fn commands() {
    let opaque = |bytes| Some(Data::Opaque(bytes));
    command(0, Request::Pong, &[&[0]]);
    command(
        1,
        Request::Connect(Box::new(Connect {
            token: Token("t".into()),
            data: opaque(b"{}"),
            subs: vec![("#4".into(), Subscribe { offset: 300, ..Default::default() })],
            name: "js".into(),
            version: "5".into(),
        })),
        &[
            &[29, 0x08, 1, 0x22, 25, 0x0a, 1, b't', 0x12, 2, b'{', b'}'],
            &[0x1a, 9, 0x0a, 2, b'#', b'4', 0x12, 3, 0x38, 0xac, 0x02],
            &[0x22, 2, b'j', b's', 0x2a, 1, b'5'],
        ],
    );
    command(
        2,
        Request::Subscribe(Box::new(Subscribe {
            channel: "c".into(),
            token: Token("t".into()),
            recover: true,
            epoch: "e".into(),
            offset: 7,
            data: opaque(b""),
            positioned: true,
            recoverable: true,
            join_leave: true,
            delta: "fossil".into(),
            filter: Some(Err(BadFilter)),
            flag: 3,
            kind: -1,
        })),
        &[
            &[48, 0x08, 2, 0x2a, 44, 0x0a, 1, b'c', 0x12, 1, b't', 0x18, 1, 0x32, 1, b'e'],
            &[0x38, 7, 0x42, 0, 0x48, 1, 0x50, 1, 0x58, 1, 0x62, 6],
            b"fossil",
            &[0x6a, 0, 0x70, 3, 0x78],
            &[0xff; 9],
            &[1],
        ],
    );
    let named: &[u8] = &[3, 0x0a, 1, b'c'];
    command(3, Request::Unsubscribe { channel: "c".into() }, &[&[7, 0x08, 3, 0x32], named]);
    command(
        4,
        Request::Publish(Publish { channel: "c".into(), data: opaque(b"1"), kind: 1 }),
        &[&[12, 0x08, 4, 0x3a, 8, 0x0a, 1, b'c', 0x12, 1, b'1', 0x18, 1]],
    );
    command(5, Request::Presence { channel: "c".into() }, &[&[7, 0x08, 5, 0x42], named]);
    command(6, Request::PresenceStats { channel: "c".into() }, &[&[7, 0x08, 6, 0x4a], named]);
    command(
        7,
        Request::History(History {
            channel: "c".into(),
            limit: 10,
            since: Some((3, "e".into())),
            reverse: true,
        }),
        &[
            &[18, 0x08, 7, 0x52, 14, 0x0a, 1, b'c', 0x38, 10],
            &[0x42, 5, 0x08, 3, 0x12, 1, b'e', 0x48, 1],
        ],
    );
    command(300, Request::Ping, &[&[5, 0x08, 0xac, 0x02, 0x5a, 0]]);
    command(0, Request::Send { data: opaque(b"x") }, &[&[5, 0x62, 3, 0x0a, 1, b'x']]);
    command(
        8,
        Request::Rpc { method: "m".into(), data: None },
        &[&[7, 0x08, 8, 0x6a, 3, 0x12, 1, b'm']],
    );
    command(
        9,
        Request::Refresh { token: Token("t".into()) },
        &[&[7, 0x08, 9, 0x72, 3, 0x0a, 1, b't']],
    );
    command(
        10,
        Request::SubRefresh(SubRefresh { channel: "c".into(), token: Token("t".into()), kind: 2 }),
        &[&[12, 0x08, 10, 0x7a, 8, 0x0a, 1, b'c', 0x12, 1, b't', 0x18, 2]],
    );
}

#[test]
fn results() {
    reply(0, Body::Ping, &[&[0]]);
    reply(3, Body::Ping, &[&[4, 0x08, 3, 0x62, 0]]);
    reply(
        4,
        Body::Error(ErrorCode::PermissionDenied.into()),
        &[&[25, 0x08, 4, 0x12, 21, 0x08, 103, 0x12, 17], b"permission denied"],
    );
    reply(
        4,
        Body::Error(ErrorCode::Internal.into()),
        &[&[31, 0x08, 4, 0x12, 27, 0x08, 100, 0x12, 21], b"internal server error", &[0x18, 1]],
    );
    reply(
        1,
        Body::Connect(Box::new(ConnectResult { client: "i".into(), ..connected() })),
        &[
            &[47, 0x08, 1, 0x2a, 43, 0x0a, 1, b'i', 0x12, 1, b'v', 0x18, 1, 0x20, 60],
            &[0x2a, 1, b'1', 0x32, 7, 0x0a, 1, b'c', 0x12, 2, 0x18, 1, 0x38, 25, 0x40, 1],
            &[0x4a, 1, b's', 0x52, 1, b'n', 0x58],
            &[0xff; 9],
            &[1],
        ],
    );
    reply(2, Body::Subscribe(Box::default()), &[&[4, 0x08, 2, 0x32, 0]]);
    reply(
        2,
        Body::Subscribe(Box::new(SubscribeResult {
            expiry: minute(),
            recoverable: true,
            epoch: "e".into(),
            publications: vec![publication("1", 1), publication("", 2)],
            recovered: true,
            offset: 2,
            positioned: true,
            data: "d".into(),
            was_recovering: true,
            delta: true,
        })),
        &[
            &[37, 0x08, 2, 0x32, 33, 0x08, 1, 0x10, 60, 0x18, 1, 0x32, 1, b'e'],
            &[0x3a, 5, 0x22, 1, b'1', 0x30, 1, 0x3a, 2, 0x30, 2],
            &[0x40, 1, 0x48, 2, 0x50, 1, 0x5a, 1, b'd', 0x60, 1, 0x68, 1],
        ],
    );
    reply(3, Body::Unsubscribe, &[&[4, 0x08, 3, 0x3a, 0]]);
    reply(5, Body::Publish, &[&[4, 0x08, 5, 0x42, 0]]);
    reply(
        5,
        Body::Presence([("i".to_owned(), ClientInfo::default())].into()),
        &[&[11, 0x08, 5, 0x4a, 7, 0x0a, 5, 0x0a, 1, b'i', 0x12, 0]],
    );
    reply(
        6,
        Body::PresenceStats { num_clients: 2, num_users: 1 },
        &[&[8, 0x08, 6, 0x52, 4, 0x08, 2, 0x10, 1]],
    );
    reply(
        7,
        Body::History(HistoryResult {
            publications: vec![publication("1", 3)],
            epoch: "e".into(),
            offset: 3,
        }),
        &[&[16, 0x08, 7, 0x5a, 12, 0x0a, 5, 0x22, 1, b'1', 0x30, 3, 0x12, 1, b'e', 0x18, 3]],
    );
    reply(8, Body::Rpc(Bytes::new()), &[&[4, 0x08, 8, 0x6a, 0]]);
    reply(8, Body::Rpc("x".into()), &[&[7, 0x08, 8, 0x6a, 3, 0x0a, 1, b'x']]);
    reply(9, Body::Refresh(minute()), &[&[8, 0x08, 9, 0x72, 4, 0x18, 1, 0x20, 60]]);
    reply(9, Body::Refresh(Expiry::default()), &[&[4, 0x08, 9, 0x72, 0]]);
    reply(10, Body::SubRefresh(minute()), &[&[8, 0x08, 10, 0x7a, 4, 0x08, 1, 0x10, 60]]);
}

#[test]
fn pushes() {
    push(
        "c",
        Event::Publication(Publication {
            data: "1".into(),
            info: Some(ClientInfo {
                user: "u".into(),
                client: "i".into(),
                conn_info: "2".into(),
                chan_info: "3".into(),
            }),
            offset: 1 << 53,
            tags: [("k".to_owned(), "v".to_owned())].into(),
            delta: true,
            epoch: "e".into(),
        }),
        &[
            &[46, 0x22, 44, 0x12, 1, b'c', 0x22, 39, 0x22, 1, b'1'],
            &[0x2a, 12, 0x0a, 1, b'u', 0x12, 1, b'i', 0x1a, 1, b'2', 0x22, 1, b'3'],
            &[0x30, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10],
            &[0x3a, 6, 0x0a, 1, b'k', 0x12, 1, b'v', 0x40, 1, 0x72, 1, b'e'],
        ],
    );
    let info = || ClientInfo { client: "i".into(), ..Default::default() };
    let who: &[u8] = &[5, 0x0a, 3, 0x12, 1, b'i'];
    push("c", Event::Join(info()), &[&[12, 0x22, 10, 0x12, 1, b'c', 0x2a], who]);
    push("c", Event::Leave(info()), &[&[12, 0x22, 10, 0x12, 1, b'c', 0x32], who]);
    push(
        "c",
        Unsubscribed::InsufficientState.into(),
        &[
            &[30, 0x22, 28, 0x12, 1, b'c', 0x3a, 23, 0x10, 0xc4, 0x13, 0x1a, 18],
            b"insufficient state",
        ],
    );
    push("", Event::Message("x".into()), &[&[7, 0x22, 5, 0x42, 3, 0x0a, 1, b'x']]);
    push(
        "c",
        Event::Subscribe(Box::new(SubscribeResult {
            recoverable: true,
            epoch: "e".into(),
            offset: 3,
            positioned: true,
            data: "d".into(),
            ..Default::default()
        })),
        &[
            &[19, 0x22, 17, 0x12, 1, b'c', 0x4a, 12],
            &[0x08, 1, 0x22, 1, b'e', 0x28, 3, 0x30, 1, 0x3a, 1, b'd'],
        ],
    );
    push(
        "",
        Event::Connect(Box::new(connected())),
        &[
            &[47, 0x22, 45, 0x52, 43, 0x0a, 1, b'i', 0x12, 1, b'v', 0x1a, 1, b'1'],
            &[0x22, 7, 0x0a, 1, b'c', 0x12, 2, 0x18, 1, 0x28, 1, 0x30, 60, 0x38, 25, 0x40, 1],
            &[0x4a, 1, b's', 0x52, 1, b'n', 0x58],
            &[0xff; 9],
            &[1],
        ],
    );
    push(
        "",
        Event::Disconnect { code: 3001, reason: "shutdown".into() },
        &[&[17, 0x22, 15, 0x5a, 13, 0x08, 0xb9, 0x17, 0x12, 8], b"shutdown"],
    );
    push("", Event::Refresh(minute()), &[&[8, 0x22, 6, 0x62, 4, 0x08, 1, 0x10, 60]]);
}

#[test]
fn unknown_fields_are_skipped_and_the_last_of_several_counts() {
    // A varint, fixed 64 and 32 bits, and bytes, of field 100; then `publish`
    // whose channel comes twice and whose `type` has no upper half.
    let frame = [
        &[45_u8][..],
        &[0xa0, 0x06, 0xff, 0x7f, 0xa1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0xa5, 0x06, 1, 2, 3, 4, 0xa2, 0x06, 2, 0xff, 0xff],
        &[0x08, 9, 0x08, 1],
        &[0x3a, 14, 0x0a, 1, b'a', 0x0a, 1, b'c', 0x18, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x28, 1],
    ]
    .concat();
    let publish = Publish { channel: "c".into(), data: None, kind: -1 };
    let commands: Vec<_> = protobuf::commands(&frame).collect();
    assert_eq!(commands, [Ok(Command { id: 1, request: Request::Publish(publish) })]);
}

#[test]
fn clients_skip_what_they_do_not_know() {
    // An unknown push, an unknown reply, a ping, and a publication with a time.
    let frame = [
        &[7, 0x22, 5, 0x12, 1, b'c', 0x7a, 0][..],
        &[3, 0x82, 0x01, 0],
        &[0],
        &[14, 0x22, 12, 0x08, 5, 0x12, 1, b'c', 0x22, 5, 0x22, 1, b'1', 0x48, 9],
    ]
    .concat();
    let replies: Vec<_> = protobuf::replies(&frame).collect();
    let event = Event::Publication(publication("1", 0));
    assert_eq!(
        replies,
        [Ok(Reply { id: 0, body: Body::Ping }), Ok(Reply::push("c".into(), event))]
    );
}

#[test]
fn a_publication_is_written_as_its_push_would_be() {
    let publication = publication("[1,\n2]", 7);
    let mut out = Vec::new();
    protobuf::put_publication(&mut out, "c", &publication);
    assert_eq!(out.len(), out.capacity());
    assert_eq!(
        out,
        [&[17, 0x22, 15, 0x12, 1, b'c', 0x22, 10, 0x22, 6][..], b"[1,\n2]", &[0x30, 7]].concat()
    );
    let mut pushed = Vec::new();
    let event = Event::Publication(publication);
    protobuf::put_reply(&mut pushed, &Reply::push("c".into(), event));
    assert_eq!(out, pushed);
}

fn publication(data: &'static str, offset: u64) -> Publication {
    Publication { data: data.into(), offset, ..Default::default() }
}

fn connected() -> ConnectResult {
    let result = SubscribeResult { recoverable: true, ..Default::default() };
    ConnectResult {
        client: "i".into(),
        version: "v".into(),
        expiry: minute(),
        data: "1".into(),
        subs: [("c".to_owned(), result)].into(),
        ping: 25,
        pong: true,
        session: "s".into(),
        node: "n".into(),
        time: -1,
    }
}
