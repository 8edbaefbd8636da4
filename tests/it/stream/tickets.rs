//! Tickets (R-12): one for each stream, for whoever asked for it, at any node.

use serde_json::{Value, json};

use super::node;
use super::reader::{Emulated, Stream, get, post};
use crate::support::http::{Answer, ask};
use crate::support::node::{ORIGIN, TestNode};
use crate::support::process::{Process, scratch};
use crate::support::redis::RedisServer;
use crate::support::{eventually, token};

const OTHER: &str = "https://other.example";

fn from(origin: &str) -> String {
    format!("Origin: {origin}\r\n")
}

/// A page of the node itself names its origin in a POST.
fn own_post() -> String {
    format!("Origin: {ORIGIN}\r\nSec-Fetch-Site: same-origin\r\n")
}

/// And need not in a GET.
const OWN_GET: &str = "Sec-Fetch-Site: same-origin\r\n";

async fn asked(node: &TestNode, headers: &str, wish: &Value) -> Answer {
    ask(node.public, post("/connection/ticket", headers, &wish.to_string())).await
}

/// A ticket of `user`.
async fn ticket(node: &TestNode, headers: &str, transport: &str, user: &str) -> String {
    let wish = json!({ "transport": transport, "token": token::of(user) });
    let answer = asked(node, headers, &wish).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = answer.json();
    assert_eq!(answer["expires_in"], 30);
    let ticket = answer["ticket"].as_str().expect("a ticket").to_owned();
    assert_eq!(ticket.len(), 43, "256 bits");
    ticket
}

/// The request that uses a ticket.
fn using(ticket: &str, transport: &str, headers: &str) -> String {
    let connect = if transport == "sse" { r#"{"id":1,"connect":{}}"# } else { "{}" };
    let headers = match transport {
        "uni_websocket" => format!(
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}"
        ),
        _ => headers.to_owned(),
    };
    get(&format!("/connection/{transport}"), &headers, connect)
        .replace("?cf_connect", &format!("?ticket={ticket}&cf_connect"))
}

async fn used(node: &TestNode, ticket: &str, transport: &str, headers: &str) -> Answer {
    ask(node.public, using(ticket, transport, headers)).await
}

#[track_caller]
fn is_unknown(answer: &Answer) {
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.text(), "the ticket is not known, was used, or its time is over\n");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

/// Whom the stream is of, by what a publish in the user's name says.
async fn is_of(node: &TestNode, user: &str) {
    let answer = node.api("info", &json!({})).await;
    assert_eq!(answer.status, 200);
    let body = json!({ "user": user, "channel": "mine" });
    assert_eq!(node.api("subscribe", &body).await.json(), json!({ "result": {} }));
}

#[tokio::test]
async fn a_ticket_opens_one_stream_and_no_more() {
    let node = node(json!({})).await;
    for transport in ["sse", "uni_sse"] {
        let ticket = ticket(&node, "", transport, "ada").await;
        let mut stream = Stream::opened(&node, &using(&ticket, transport, "")).await;
        assert!(stream.event().await["connect"]["client"].is_string());
        is_of(&node, "ada").await;
        let told = stream.event().await;
        let push = if transport == "sse" { &told["push"] } else { &told };
        assert_eq!(push["channel"], "mine", "{told}");
        is_unknown(&used(&node, &ticket, transport, "").await);
    }
    let ticket = ticket(&node, "", "uni_websocket", "ada").await;
    assert_eq!(used(&node, &ticket, "uni_websocket", "").await.status, 101);
    is_unknown(&used(&node, &ticket, "uni_websocket", "").await);
    let told = |reason: &str| {
        let result = if reason == "ok" { "success" } else { "failure" };
        let labels = format!(r#"{{method="ticket",result="{result}",reason="{reason}"}}"#);
        node.number(&format!("sealcast_auth_total{labels}"))
    };
    assert_eq!((told("ok"), told("unknown")), (3.0, 3.0));
}

#[tokio::test]
async fn what_is_no_ticket_is_like_one_that_is_not_there() {
    let node = node(json!({})).await;
    let unknown = "A".repeat(43);
    for bad in ["", "x", &unknown, &"A".repeat(44), &"%00".repeat(43), "=", "a.b.c"] {
        for transport in ["sse", "uni_sse", "uni_websocket"] {
            is_unknown(&used(&node, bad, transport, "").await);
        }
    }
    let twice = used(&node, &format!("{unknown}&ticket={unknown}"), "uni_sse", "").await;
    assert_eq!(twice.status, 400);
    assert_eq!(node.number("sealcast_connections"), 0.0);
    assert_eq!(node.number("sealcast_connections_waiting"), 0.0);
}

#[tokio::test]
async fn a_ticket_is_for_one_origin_and_one_transport() {
    let node = node(json!({ "client": { "allowed_origins": [ORIGIN, OTHER] } })).await;
    for (made, at) in [
        (from(ORIGIN), from(OTHER)),
        (from(ORIGIN), String::new()),
        (from(ORIGIN), OWN_GET.to_owned()),
        (String::new(), from(ORIGIN)),
        (String::new(), OWN_GET.to_owned()),
        (own_post(), from(OTHER)),
        (own_post(), String::new()),
    ] {
        let ticket = ticket(&node, &made, "uni_sse", "ada").await;
        let answer = used(&node, &ticket, "uni_sse", &at).await;
        assert_eq!(answer.status, 403, "{made:?} {at:?}");
        assert_eq!(answer.text(), "the ticket is for another origin\n");
        is_unknown(&used(&node, &ticket, "uni_sse", &made).await);
    }
    for (made, at) in [
        (from(ORIGIN), from(ORIGIN)),
        (own_post(), OWN_GET.to_owned()),
        (own_post(), own_post()),
        (String::new(), String::new()),
    ] {
        let ticket = ticket(&node, &made, "uni_sse", "ada").await;
        Stream::opened(&node, &using(&ticket, "uni_sse", &at)).await;
    }
    for (made, at) in [
        ("sse", "uni_sse"),
        ("uni_sse", "sse"),
        ("uni_sse", "uni_websocket"),
        ("sse", "uni_websocket"),
    ] {
        let ticket = ticket(&node, "", made, "ada").await;
        let answer = used(&node, &ticket, at, "").await;
        assert_eq!(answer.status, 403, "{made} {at}");
        assert_eq!(answer.text(), "the ticket is for another transport\n");
        is_unknown(&used(&node, &ticket, made, "").await);
    }
    // One that needs no ticket takes none.
    let one = ticket(&node, "", "sse", "ada").await;
    let path = format!("/connection/http_stream?ticket={one}");
    assert_eq!(ask(node.public, post(&path, "", r#"{"id":1,"connect":{}}"#)).await.status, 403);
    let foreign = used(&node, &one, "sse", "Origin: https://evil.example\r\n").await;
    assert_eq!(foreign.status, 403);
    assert_eq!(foreign.text(), "origin not allowed\n");
}

/// T-14.
#[tokio::test]
async fn whoever_says_something_names_the_ticket_of_the_stream() {
    let node = node(json!({ "client": { "allowed_origins": [ORIGIN, OTHER] } })).await;
    let one = ticket(&node, &own_post(), "sse", "ada").await;
    let mut stream = Stream::opened(&node, &using(&one, "sse", OWN_GET)).await;
    let session = Emulated::of(&stream.event().await);
    let command = r#"{"id":2,"unsubscribe":{"channel":"a"}}"#;
    let named = |ticket: &str| format!("X-Sealcast-Ticket: {ticket}\r\n");
    let other = ticket(&node, &own_post(), "sse", "ada").await;
    for headers in [
        String::new(),
        from(ORIGIN),
        named(&one),
        from(OTHER) + &named(&one),
        from(ORIGIN) + &named(&other),
        from(ORIGIN) + &named(&one) + &named(&one),
        from(ORIGIN) + &named(""),
    ] {
        assert_eq!(session.say(&node, &headers, command).await, 404, "{headers}");
    }
    assert_eq!(session.say(&node, &(from(ORIGIN) + &named(&one)), command).await, 204);
    assert_eq!(stream.event().await["id"], 2);
}

#[tokio::test]
async fn every_request_that_gets_no_ticket_has_its_status() {
    let node = node(json!({ "uni_websocket": { "enabled": false } })).await;
    let good = token::of("ada");
    let bearer = format!("Authorization: Bearer {good}\r\n");
    let expired = token::expiring("ada", -100);
    for (headers, wish, status) in [
        ("", json!({ "transport": "sse" }), 401),
        ("", json!({ "transport": "sse", "token": "a.b.c" }), 401),
        ("", json!({ "transport": "sse", "token": expired }), 401),
        ("", json!({ "token": good }), 400),
        ("", json!({ "transport": "sse", "token": good, "user": "eve" }), 400),
        ("", json!({ "transport": "websocket", "token": good }), 400),
        ("", json!({ "transport": "http_stream", "token": good }), 400),
        ("", json!({ "transport": "uni_websocket", "token": good }), 400),
        ("", json!([]), 400),
        (&bearer, json!({ "transport": "sse", "token": good }), 400),
        ("", json!({ "transport": "sse", "token": "x".repeat(16 << 10) }), 413),
        ("Content-Encoding: gzip\r\n", json!({ "transport": "sse", "token": good }), 415),
        ("Origin: https://evil.example\r\n", json!({ "transport": "sse", "token": good }), 403),
        ("Cookie: a=1\r\n", json!({ "transport": "sse", "token": good }), 403),
        (&bearer, json!({ "transport": "sse" }), 200),
    ] {
        let answer = asked(&node, headers, &wish).await;
        assert_eq!(answer.status, status, "{headers} {wish} {answer:?}");
        assert!(!answer.text().contains(&good));
    }
    let get = "GET /connection/ticket HTTP/1.1\r\nHost: it\r\n\r\n";
    let answer = ask(node.public, get).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")));
    let protobuf = post("/connection/ticket", "", "{}");
    let protobuf = protobuf.replace("application/json", "application/octet-stream");
    assert_eq!(ask(node.public, protobuf).await.status, 415);

    // A ticket and a token beside it.
    let both = ticket(&node, "", "uni_sse", "ada").await;
    assert_eq!(used(&node, &both, "uni_sse", &bearer).await.status, 400);

    let none = TestNode::with(json!({ "http_stream": { "enabled": true } })).await;
    let wish = json!({ "transport": "sse", "token": good });
    assert_eq!(asked(&none, "", &wish).await.status, 404);
}

#[tokio::test]
async fn what_a_browser_is_told_of_tickets() {
    let node = node(json!({})).await;
    let wish = json!({ "transport": "sse", "token": token::of("ada") });
    let answer = asked(&node, &from(ORIGIN), &wish).await;
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN));
    assert_eq!(answer.header("access-control-expose-headers"), Some("Retry-After"));
    let answer = asked(&node, &from("https://evil.example"), &wish).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, None));
}

#[tokio::test]
async fn tickets_of_one_user_and_one_more() {
    for profile in ["standard", "strict"] {
        let node = node(json!({ "limits": { "profile": profile, "ip_connects": "none" } })).await;
        for _ in 0..10 {
            ticket(&node, "", "sse", "ada").await;
        }
        let wish = |user: &str| json!({ "transport": "sse", "token": token::of(user) });
        let answer = asked(&node, "", &wish("ada")).await;
        assert_eq!(answer.status, 429, "{profile}");
        let wait: u64 = answer.header("retry-after").expect("told").parse().expect("seconds");
        assert!((1..=12).contains(&wait), "{wait}");
        assert_eq!(asked(&node, "", &wish("bob")).await.status, 200);
        assert_eq!(node.number(r#"sealcast_rate_limited_total{scope="tickets"}"#), 1.0);
    }
}

/// T-14: whoever guesses is refused, also when the guess is right.
#[tokio::test]
async fn guesses_of_one_address_and_one_more() {
    let options = json!({
        "http_server": { "trusted_proxies": ["127.0.0.1"] },
        "limits": { "ip_guesses": "20/h" },
    });
    let node = node(options).await;
    let at = |address: &str| format!("X-Forwarded-For: {address}\r\n");
    let (here, there) = (at("192.0.2.1"), at("192.0.2.2"));
    let open = ticket(&node, &there, "sse", "ada").await;
    let mut stream = Stream::opened(&node, &using(&open, "sse", &there)).await;
    let session = Emulated::of(&stream.event().await);
    let right = async |headers: &str| {
        let headers = format!("{headers}X-Sealcast-Ticket: {open}\r\n");
        session.say(&node, &headers, r#"{"id":2,"unsubscribe":{"channel":"a"}}"#).await
    };
    // What is right is no guess, however often.
    for _ in 0..30 {
        assert_eq!(right(&here).await, 204);
    }
    let wrong = Emulated { session: "y".repeat(43), node: session.node.clone() };
    for guess in 0..10 {
        assert_eq!(wrong.say(&node, &here, "{}").await, 404, "{guess}");
        is_unknown(&used(&node, &"A".repeat(43), "uni_sse", &here).await);
    }
    assert_eq!(wrong.say(&node, &here, "{}").await, 429);
    assert_eq!(right(&here).await, 429, "a guess is not told whether it is right");
    let good = ticket(&node, &here, "uni_sse", "ada").await;
    let answer = used(&node, &good, "uni_sse", &here).await;
    assert_eq!((answer.status, answer.text()), (429, "too many unknown tickets\n"));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(node.number(r#"sealcast_rate_limited_total{scope="guesses"}"#), 3.0);
    // Nobody else is harmed, and the ticket is not used.
    assert_eq!(right(&there).await, 204);
    Stream::opened(&node, &using(&good, "uni_sse", &there)).await;
}

/// The id of the last event may stand in the URL: an `EventSource` that was made anew
/// cannot send it otherwise.
#[tokio::test]
async fn a_reader_comes_back_with_another_ticket_to_where_it_was() {
    let node = node(json!({})).await;
    let subscribing = |ticket: &str, more: &str| {
        let connect = json!({ "subs": { "room": { "recover": true } } }).to_string();
        get("/connection/uni_sse", "", &connect)
            .replace("?cf_connect", &format!("?ticket={ticket}{more}&cf_connect"))
    };
    let first = ticket(&node, "", "uni_sse", "ada").await;
    let mut stream = Stream::opened(&node, subscribing(&first, "")).await;
    assert!(stream.event().await["connect"]["subs"]["room"].is_object());
    let publish = async |n: u64| {
        let answer = node.api("publish", &json!({ "channel": "room", "data": n })).await;
        assert_eq!(answer.status, 200);
    };
    publish(1).await;
    assert_eq!(stream.event().await["pub"]["data"], 1);
    let id = loop {
        let block = stream.block().await.expect("an id");
        if let Some(id) = block.id
            && id.starts_with("1:")
        {
            break id;
        }
    };
    drop(stream);
    publish(2).await;
    publish(3).await;
    let second = ticket(&node, "", "uni_sse", "ada").await;
    let id: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let request = subscribing(&second, &format!("&last_event_id={id}"));
    let mut stream = Stream::opened(&node, request).await;
    let told = stream.event().await;
    let room = &told["connect"]["subs"]["room"];
    assert_eq!(room["recovered"], true, "{told}");
    let missed: Vec<_> = room["publications"].as_array().expect("some").iter().collect();
    assert_eq!(missed.iter().map(|it| &it["data"]).collect::<Vec<_>>(), [&json!(2), &json!(3)]);
    // And one for whom it is over is told so, whatever the ticket.
    let third = ticket(&node, "", "uni_sse", "ada").await;
    let request = subscribing(&third, "&last_event_id=over");
    assert_eq!(ask(node.public, request).await.status, 204);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_of_one_node_is_good_at_another() {
    let mut server = RedisServer::start().await;
    let options = || {
        json!({
            "engine": { "type": "redis", "redis": { "address": server.address() } },
            "cluster": { "key": "a-cluster-key-for-tests-0123456789" },
        })
    };
    let (one, two) = (node(options()).await, node(options()).await);
    let made = ticket(&one, "", "uni_sse", "ada").await;
    // Whoever reads Redis has neither the ticket nor the token.
    let mut kept = Vec::new();
    for key in server.ask::<Vec<String>>("KEYS sc:*:o").await {
        let life: i64 = server.ask(&format!("PTTL {key}")).await;
        assert!((1..=30_000).contains(&life), "{life}");
        let value: Vec<u8> = server.ask(&format!("GET {key}")).await;
        assert_eq!(value[0], 1, "its form");
        let holds = |text: &[u8]| value.windows(text.len()).any(|part| part == text);
        let header = token::of("ada").split('.').next().expect("one").to_owned();
        assert!(!holds(made.as_bytes()) && !holds(header.as_bytes()) && !holds(b"uni_sse"));
        assert!(!key.contains(&made));
        kept.push(key);
    }
    assert_eq!(kept.len(), 1);
    let mut stream = Stream::opened(&two, &using(&made, "uni_sse", "")).await;
    assert!(stream.event().await["connect"]["client"].is_string());
    for node in [&one, &two] {
        is_unknown(&used(node, &made, "uni_sse", "").await);
    }
    assert!(server.ask::<Vec<String>>("KEYS sc:*:o").await.is_empty());
    // Redis takes back what is too old.
    let late = ticket(&one, "", "uni_sse", "ada").await;
    let key = server.ask::<Vec<String>>("KEYS sc:*:o").await.remove(0);
    server.ask::<i64>(&format!("PEXPIRE {key} 1")).await;
    eventually_gone(&server).await;
    is_unknown(&used(&two, &late, "uni_sse", "").await);

    // The session of a stream that came by a ticket, from the other node.
    let made = ticket(&one, "", "sse", "ada").await;
    let mut stream = Stream::opened(&two, &using(&made, "sse", "")).await;
    let session = Emulated::of(&stream.event().await);
    let command = r#"{"id":2,"unsubscribe":{"channel":"a"}}"#;
    let named = format!("X-Sealcast-Ticket: {made}\r\n");
    let know = || one.node.as_ref().unwrap().app().cluster.nodes().len() == 2;
    eventually("they know each other", know).await;
    assert_eq!(session.say(&one, "", command).await, 404);
    assert_eq!(session.say(&one, &named, command).await, 204);
    assert_eq!(stream.event().await["id"], 2);

    let left = ticket(&one, "", "uni_sse", "ada").await;
    server.kill();
    let wish = json!({ "transport": "uni_sse", "token": token::of("ada") });
    let answer = asked(&one, "", &wish).await;
    assert_eq!((answer.status, answer.text()), (503, "no ticket can be kept now\n"));
    assert!(answer.header("retry-after").is_some());
    let answer = used(&two, &left, "uni_sse", "").await;
    assert_eq!((answer.status, answer.text()), (503, "tickets cannot be looked up now\n"));
    assert!(answer.header("retry-after").is_some());
}

async fn eventually_gone(server: &RedisServer) {
    while !server.ask::<Vec<String>>("KEYS sc:*:o").await.is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn no_ticket_is_in_the_log() {
    let path = scratch("json");
    let options = json!({ "sse": { "enabled": true }, "uni_sse": { "enabled": true } });
    let config = crate::support::node::config(options);
    std::fs::write(&path, config.to_string()).unwrap();
    let arguments =
        ["serve", "--ready-json", "--log-level", "trace", "--config", path.to_str().unwrap()];
    let process = Process::start(&[], &arguments);
    let wish = json!({ "transport": "uni_sse", "token": token::of("ada") }).to_string();
    let answer = ask(process.public, post("/connection/ticket", "", &wish)).await;
    let ticket = answer.json()["ticket"].as_str().expect("a ticket").to_owned();
    for _ in 0..2 {
        // The first begins a stream, which is left at once.
        let mut socket = tokio::net::TcpStream::connect(process.public).await.unwrap();
        let request = using(&ticket, "uni_sse", "");
        tokio::io::AsyncWriteExt::write_all(&mut socket, request.as_bytes()).await.unwrap();
        let mut head = [0; 15];
        tokio::io::AsyncReadExt::read_exact(&mut socket, &mut head).await.unwrap();
        assert!(head.starts_with(b"HTTP/1.1 "));
    }
    let bad = json!({ "transport": "uni_sse", "token": "a.b.c" }).to_string();
    assert_eq!(ask(process.public, post("/connection/ticket", "", &bad)).await.status, 401);
    process.signal(rustix::process::Signal::TERM);
    let ended = process.ended().await;
    std::fs::remove_file(path).unwrap();
    for event in ["ticket_refused", "handshake_refused"] {
        assert!(ended.stderr.contains(event), "{}", ended.stderr);
    }
    assert!(!ended.stderr.contains(&ticket) && !ended.stdout.contains(&ticket));
}
