//! The client against a scripted server, over an in-memory stream with paused
//! time, and once over TCP.

use std::io;
use std::time::Duration;

use sealcast_wire::reply::ConnectResult;
use sealcast_wire::ws::{self, Opcode};
use sealcast_wire::{Body, Command, Data, Encoding, ErrorCode, Publication, Reply, Request};
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};

use super::{Event, Session};
use crate::codec::{Codec, Event as Said};
use crate::scripted::{END, Server};
use crate::{Connection, Error, Frame, Options};

const SECOND: Duration = Duration::from_secs(1);

/// A client whose connect command was answered with `result`, and its server.
async fn pair_with(options: Options, result: &str) -> (Session, Server<DuplexStream>) {
    let (near, far) = duplex(1024);
    let serve = async {
        let mut server = Server::new(far).await;
        server.connected(result).await;
        server
    };
    let connect = async {
        let connection = Connection::upgrade(near, &options).await.unwrap();
        Session::start(connection, &options).await.unwrap()
    };
    tokio::join!(connect, serve)
}

async fn pair() -> (Session, Server<DuplexStream>) {
    pair_with(Options::default(), r#"{"client":"c"}"#).await
}

/// What the client makes of a server that accepts the upgrade and then does `script`.
async fn connecting<F>(script: impl FnOnce(Server<DuplexStream>) -> F) -> Result<Session, Error>
where
    F: Future<Output = ()>,
{
    let (near, far) = duplex(1024);
    let options = Options::default();
    let connect = async {
        let connection = Connection::upgrade(near, &options).await?;
        Session::start(connection, &options).await
    };
    let serve = async { script(Server::new(far).await).await };
    tokio::join!(connect, serve).0
}

fn is_disconnected(error: &Error, expected: u16) -> bool {
    matches!(error, Error::Disconnected { code, .. } if *code == expected)
}

fn publication(channel: &str, number: u32) -> String {
    format!(r#"{{"push":{{"channel":"{channel}","pub":{{"data":{number}}}}}}}"#)
}

#[tokio::test(start_paused = true)]
async fn the_upgrade_and_the_connect_command_carry_the_options() {
    let (near, far) = duplex(1024);
    let mut options = Options::new("ws://relay.example:8000/ws?x=1");
    options.origin = Some("https://app.example".into());
    options.headers.push(("X-Extra".into(), "yes".into()));
    options.token = Some("a.b.c".into());
    let serve = async {
        let mut server = Server::new(far).await;
        assert!(server.request.starts_with("GET /ws?x=1 HTTP/1.1\r\nHost: relay.example:8000\r\n"));
        assert_eq!(server.header("Origin"), Some("https://app.example"));
        assert_eq!(server.header("X-Extra"), Some("yes"));
        assert_eq!(server.header("Sec-WebSocket-Protocol"), None);
        server.connected(r#"{"client":"id-7","ping":25,"pong":true}"#).await
    };
    let connect = async {
        let connection = Connection::upgrade(near, &options).await.unwrap();
        Session::start(connection, &options).await.unwrap()
    };
    let (client, command) = tokio::join!(connect, serve);
    assert!(command.starts_with(r#"{"id":1,"connect":{"token":"a.b.c""#), "{command}");
    assert_eq!((&*client.result().client, client.result().ping), ("id-7", 25));
    assert_eq!(format!("{client:?}"), "Session(id-7)");
}

#[tokio::test(start_paused = true)]
async fn replies_find_their_calls_in_any_order() {
    let (client, mut server) = pair().await;
    let serve = async {
        assert_eq!(server.hear().await, r#"{"id":2,"subscribe":{"channel":"a"}}"#);
        assert_eq!(server.hear().await, r#"{"id":3,"publish":{"channel":"b","data":{"x":1}}}"#);
        assert_eq!(server.hear().await, r#"{"id":4,"unsubscribe":{"channel":"c"}}"#);
        assert_eq!(server.hear().await, r#"{"id":5,"refresh":{"token":"t"}}"#);
        server.say(r#"{"id":5,"refresh":{"expires":true,"ttl":60}}"#).await;
        server.say("{\"id\":4,\"unsubscribe\":{}}\n{\"id\":3,\"publish\":{}}").await;
        server.say(r#"{"id":2,"subscribe":{"recoverable":true,"epoch":"e","offset":9}}"#).await;
    };
    let (subscribed, published, unsubscribed, refreshed, ()) = tokio::join!(
        biased;
        client.subscribe("a"),
        client.publish("b", br#"{"x":1}"#),
        client.unsubscribe("c"),
        client.refresh("t"),
        serve
    );
    let subscribed = subscribed.unwrap();
    assert_eq!((&*subscribed.epoch, subscribed.offset), ("e", 9));
    published.unwrap();
    unsubscribed.unwrap();
    assert_eq!(refreshed.unwrap().ttl.map(u32::from), Some(60));
}

#[tokio::test(start_paused = true)]
async fn refused_commands_tell_why() {
    let (client, mut server) = pair().await;
    let serve = async {
        server.hear().await;
        server.say(r#"{"id":2,"error":{"code":111,"message":"slow down","temporary":true}}"#).await;
    };
    let (outcome, ()) = tokio::join!(client.subscribe("a"), serve);
    match outcome {
        Err(Error::Error { code: 111, message, temporary: true }) => {
            assert_eq!(message, "slow down");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_another_kind_is_a_broken_protocol() {
    let (client, mut server) = pair().await;
    let serve = async {
        server.hear().await;
        server.say(r#"{"id":2,"publish":{}}"#).await;
    };
    let (outcome, ()) = tokio::join!(client.subscribe("a"), serve);
    assert!(matches!(outcome, Err(Error::Protocol(_))), "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn events_come_in_order_and_end_with_the_close_code() {
    let (client, mut server) = pair().await;
    let call = async {
        server.hear().await;
        server.say(&[publication("a", 1), publication("b", 2)].join("\n")).await;
        server.say(r#"{"push":{"channel":"a","unsubscribe":{"code":2500,"reason":"gap"}}}"#).await;
        server.say(r#"{"push":{"refresh":{"expires":true,"ttl":9}}}"#).await;
        server.close(3503, "force disconnect").await;
        assert_eq!(server.hear().await, "close Some(3503) ");
        assert_eq!(server.hear().await, END);
    };
    let (pending, ()) = tokio::join!(client.subscribe("c"), call);
    assert!(is_disconnected(&pending.unwrap_err(), 3503));

    for (expected, data) in [("a", "1"), ("b", "2")] {
        match client.next_event().await {
            Event::Publication { channel, publication } => {
                assert_eq!((&*channel, &*publication.data), (expected, data.as_bytes()));
            }
            other => panic!("{other:?}"),
        }
    }
    match client.next_event().await {
        Event::Unsubscribed { channel, code, reason } => {
            assert_eq!((&*channel, code, &*reason), ("a", 2500, "gap"));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(client.next_event().await, Event::Push(_)));
    let last = Event::Disconnected { code: 3503, reason: "force disconnect".into() };
    assert_eq!(client.next_event().await, last);
    assert_eq!(client.next_event().await, last, "and again");
    assert!(is_disconnected(&client.publish("a", b"1").await.unwrap_err(), 3503));
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn pushes_that_come_with_the_connect_reply_are_not_lost() {
    let client = connecting(async |mut server| {
        server.accept(b"").await;
        server.hear().await;
        server
            .say(&[r#"{"id":1,"connect":{"client":"c"}}"#, &publication("a", 1)].join("\n"))
            .await;
        server.say(&publication("a", 2)).await;
        server.close(3001, "shutdown").await;
    })
    .await
    .unwrap();
    assert!(matches!(client.next_event().await, Event::Publication { .. }));
    assert!(matches!(client.next_event().await, Event::Publication { .. }));
    assert!(matches!(client.next_event().await, Event::Disconnected { code: 3001, .. }));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_not_accepted() {
    let refused = connecting(async |mut server| {
        server.stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
    });
    assert!(matches!(refused.await, Err(Error::Refused { status: 403, .. })));

    let other_key = connecting(async |mut server| {
        server.request = server.request.replace("Key: ", "Key: x");
        server.accept(b"").await;
    });
    assert!(matches!(other_key.await, Err(Error::Protocol(_))));

    let silent = connecting(async |mut server| assert_eq!(server.hear().await, END));
    assert!(matches!(silent.await, Err(Error::Timeout)));

    let gone = connecting(async |server| drop(server));
    let gone = gone.await;
    assert!(matches!(&gone, Err(Error::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof));

    let expired = connecting(async |mut server| {
        server.accept(b"").await;
        server.hear().await;
        server.say(r#"{"id":1,"error":{"code":109,"message":"token expired"}}"#).await;
    });
    assert!(matches!(expired.await, Err(Error::Error { code: 109, .. })));

    let invalid = connecting(async |mut server| {
        server.accept(b"").await;
        server.hear().await;
        server.close(3500, "invalid token").await;
    });
    assert!(is_disconnected(&invalid.await.unwrap_err(), 3500));

    let mute = connecting(async |mut server| {
        server.accept(b"").await;
        while server.hear().await != END {}
    });
    assert!(matches!(mute.await, Err(Error::Timeout)));
}

#[tokio::test(start_paused = true)]
async fn calls_time_out_and_the_connection_goes_on() {
    let (client, mut server) = pair().await;
    let before = Instant::now();
    assert!(matches!(client.subscribe("a").await, Err(Error::Timeout)));
    assert_eq!(before.elapsed(), Duration::from_secs(5));
    let serve = async {
        server.hear().await;
        server.hear().await;
        server.say("{\"id\":2,\"subscribe\":{}}\n{\"id\":3,\"publish\":{}}").await;
    };
    let (outcome, ()) = tokio::join!(client.publish("a", b"1"), serve);
    outcome.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_and_a_broken_server() {
    let (client, server) = pair().await;
    drop(server);
    assert!(matches!(client.next_event().await, Event::Lost { .. }));
    assert!(matches!(client.subscribe("a").await, Err(Error::Io(_))));

    for nonsense in ["nonsense", "", r#"{"id":2}"#] {
        let (client, mut server) = pair().await;
        server.say(&publication("a", 1)).await;
        server.say(nonsense).await;
        assert!(matches!(client.next_event().await, Event::Publication { .. }));
        assert!(matches!(client.next_event().await, Event::Lost { .. }));
        assert!(matches!(client.subscribe("a").await, Err(Error::Protocol(_))));
    }

    let (client, mut server) = pair().await;
    server.stream.write_all(&[0xff]).await.unwrap();
    assert!(matches!(client.next_event().await, Event::Lost { .. }));
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_if_the_server_wants_it() {
    let answers = async |options: Options, result: &str| {
        let (client, mut server) = pair_with(options, result).await;
        server.say("{}").await;
        server.frame(Opcode::Ping, b"p").await;
        let mut heard = vec![server.hear().await];
        if heard[0] == "{}" {
            heard.push(server.hear().await);
        }
        drop(client);
        heard
    };
    let frame_pong = format!("pong {:?}", b"p");
    let wanted = r#"{"client":"c","ping":25,"pong":true}"#;
    assert_eq!(answers(Options::default(), wanted).await, ["{}", &frame_pong]);
    let unwanted = r#"{"client":"c","ping":25}"#;
    assert_eq!(answers(Options::default(), unwanted).await, [&*frame_pong]);
    let silent = Options { answer_pings: false, ..Options::default() };
    assert_eq!(answers(silent, wanted).await, [&*frame_pong]);
}

#[tokio::test(start_paused = true)]
async fn events_that_nobody_takes_stop_the_reading() {
    let options = Options { event_buffer: 2, ..Options::default() };
    let (client, mut server) = pair_with(options, r#"{"client":"c"}"#).await;
    let publish = async {
        for number in 0..200 {
            server.say(&publication("a", number)).await;
        }
    };
    tokio::pin!(publish);
    timeout(SECOND, &mut publish).await.expect_err("the server should not get rid of them");
    let take = async {
        for number in 0..200 {
            match client.next_event().await {
                Event::Publication { publication, .. } => {
                    assert_eq!(publication.data, number.to_string());
                }
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::join!(publish, take);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_server_but_not_for_ever() {
    let (client, mut server) = pair().await;
    let serve = async {
        server.say(&publication("a", 1)).await;
        assert_eq!(server.hear().await, "close Some(1000) ");
        server.close(1000, "").await;
        assert_eq!(server.hear().await, END);
    };
    let before = Instant::now();
    tokio::join!(client.close(), serve);
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert!(is_disconnected(&client.subscribe("a").await.unwrap_err(), 1000));

    let (client, _server) = pair().await;
    let before = Instant::now();
    client.close().await;
    assert_eq!(before.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_is_refused_here() {
    let (client, mut server) = pair().await;
    let invalid = |outcome: Result<(), Error>| matches!(outcome, Err(Error::Io(error)) if error.kind() == io::ErrorKind::InvalidInput);
    for data in ["", "{", "1}},{\"id\":9", "1 2"] {
        assert!(invalid(client.publish("a", data.as_bytes()).await), "{data}");
    }
    assert!(invalid(client.call(Request::Pong).await.map(drop)));
    assert!(invalid(client.send(Request::Ping).await));
    client.send(Request::Send { data: Some(Data::Json(b"1")) }).await.unwrap();
    client.send_frame(b"anything", Opcode::Text).await.unwrap();
    assert_eq!(server.hear().await, r#"{"send":{"data":1}}"#);
    assert_eq!(server.hear().await, "anything");
}

#[tokio::test]
async fn protobuf_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut options = Options::new(format!("ws://{address}/connection/websocket"));
    options.encoding = Encoding::Protobuf;
    let encoding = options.encoding;
    let serve = async {
        let mut server = Server::new(listener.accept().await.unwrap().0).await;
        assert_eq!(server.header("Sec-WebSocket-Protocol"), Some("centrifuge-protobuf"));
        server.accept(b"").await;
        server.hear().await;
        let connect = ConnectResult { client: "c".into(), ..ConnectResult::default() };
        server.reply(encoding, &Reply { id: 1, body: Body::Connect(Box::new(connect)) }).await;
        // Command 2: field 1, varint 2; field 7, publish: channel "a", data ff 00.
        let publish = [11, 8, 2, 58, 7, 10, 1, b'a', 18, 2, 0xff, 0];
        assert_eq!(server.hear().await, format!("{publish:?}"));
        let event = Publication { data: vec![0xff, 0].into(), ..Publication::default() };
        let event = sealcast_wire::reply::Event::Publication(event);
        server.reply(encoding, &Reply::push("a".into(), event)).await;
        server.reply(encoding, &Reply::error(2, ErrorCode::PermissionDenied)).await;
        server
    };
    let talk = async {
        let client = Session::connect(options).await.unwrap();
        let refused = client.publish("a", &[0xff, 0]).await;
        assert!(matches!(refused, Err(Error::Error { code: 103, .. })), "{refused:?}");
        match client.next_event().await {
            Event::Publication { publication, .. } => assert_eq!(&*publication.data, [0xff, 0]),
            other => panic!("{other:?}"),
        }
        client
    };
    let (client, mut server) = tokio::join!(talk, serve);
    drop(client);
    assert_eq!(server.hear().await, END);
}

#[tokio::test(start_paused = true)]
async fn a_raw_connection_sends_and_shows_everything() {
    let (near, far) = duplex(1024);
    let options = Options::default();
    let serve = async {
        let mut server = Server::new(far).await;
        let mut first = Vec::new();
        ws::put_frame(&mut first, Opcode::Ping, b"early");
        server.accept(&first).await;
        server
    };
    let (connection, mut server) = tokio::join!(Connection::upgrade(near, &options), serve);
    let mut connection = connection.unwrap();
    assert_eq!(connection.next_frame(SECOND).await.unwrap(), Frame::Ping(b"early".into()));
    assert!(matches!(connection.next(SECOND).await, Err(Error::Timeout)));

    let rpc = Request::Rpc { method: "m".into(), data: None };
    connection.send_all(&[Command { id: 7, request: rpc }, ping(8)]).await.unwrap();
    connection.send_frame(b"x", Opcode::Ping).await.unwrap();
    assert_eq!(
        server.hear().await,
        "{\"id\":7,\"rpc\":{\"method\":\"m\"}}\n{\"id\":8,\"ping\":{}}"
    );
    assert_eq!(server.hear().await, format!("ping {:?}", b"x"));

    server.frame(Opcode::Pong, b"x").await;
    server.say("{}\n{\"id\":7,\"rpc\":{\"data\":1}}\nnonsense").await;
    server.say(r#"{"id":8,"error":{"code":104,"message":"method not found"}}"#).await;
    server.close(3501, "bad request").await;
    assert_eq!(connection.next(SECOND).await.unwrap(), Said::FramePong(b"x".into()));
    assert_eq!(connection.next(SECOND).await.unwrap(), Said::Ping);
    let reply = connection.next_reply(SECOND).await.unwrap();
    assert_eq!(reply, Reply { id: 7, body: Body::Rpc("1".into()) });
    assert!(matches!(connection.next(SECOND).await, Err(Error::Protocol(_))));
    let reply = connection.next_reply(SECOND).await.unwrap();
    assert_eq!(reply, Reply::error(8, ErrorCode::MethodNotFound));
    assert!(is_disconnected(&connection.next_reply(SECOND).await.unwrap_err(), 3501));
    assert_eq!(server.hear().await, "close Some(3501) ");
    drop(server);
    let end = connection.next(SECOND).await;
    assert!(matches!(&end, Err(Error::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof));
}

fn ping(id: u32) -> Command<'static> {
    Command { id, request: Request::Ping }
}

#[test]
fn the_codec_takes_bytes_in_any_pieces() {
    let mut bytes = Vec::new();
    ws::put_frame(&mut bytes, Opcode::Text, br#"{"id":1,"connect":{"client":"c","pong":true}}"#);
    let lines = [publication("a", 1), "{}".into(), publication("a", 2)].join("\n");
    ws::put_frame(&mut bytes, Opcode::Text, lines.as_bytes());
    ws::put_close(&mut bytes, 3001, "shutdown");
    for size in 1..=bytes.len() {
        let mut codec = Codec::new(Encoding::Json, 1024);
        let (mut said, mut out) = (Vec::new(), Vec::new());
        for piece in bytes.clone().chunks_mut(size) {
            codec.feed(piece, &mut out, |event| said.push(event)).unwrap();
        }
        assert_eq!(said.len(), 5, "pieces of {size}");
        assert_eq!(said[2], Said::Ping);
        assert_eq!(said[4], Said::Close(3001, "shutdown".into()));
        // The pong, and the close frame with its code, each with a mask.
        assert_eq!(out.len(), (2 + 4 + 2) + (2 + 4 + 2));
    }
}

#[test]
fn the_codec_bounds_what_a_server_can_make_it_hold() {
    let mut codec = Codec::new(Encoding::Json, 1024);
    let mut header = [0x81, 126, 0x04, 0x01];
    let fed = codec.feed(&mut header, &mut Vec::new(), |event| panic!("{event:?}"));
    assert!(matches!(fed, Err(Error::TooLarge)));
}
