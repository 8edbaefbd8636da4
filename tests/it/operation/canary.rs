//! T-52: secrets, tokens, payloads, users and addresses, none of which may be in the
//! log even where it says the most, nor in numbers, errors or what HTTP answers. What
//! stands for a user there is a pseudonym.

use std::fs;

use rustix::process::Signal;
use sealcast::auth::{Pseudonyms, Secret};
use sealcast_client::{Connection, Frame, Options, Session};
use sealcast_wire::{Encoding, User};
use serde_json::{Value, json};

use super::get;
use crate::support::api::call;
use crate::support::client::Wire;
use crate::support::http::{Answer, ask};
use crate::support::node::config;
use crate::support::process::{Process, scratch};
use crate::support::{PATIENCE, eventually, token};

const SECRET: &str = "canary-secret-of-at-least-32-bytes-xyz";
const LATER_SECRET: &str = "canary-later-secret-of-32-bytes-or-more";
const PSEUDONYM_KEY: &str = "canary-pseudonym-key-of-32-bytes-xyz";
const KEY: &str = "canary-api-key-0123456789";
const WRONG_KEY: &str = "canary-wrong-key-0123456789";
const USER: &str = "canary-user";
const PAYLOAD: &str = "canary-payload";
const INFO: &str = "canary-info";
const DATA: &str = "canary-connect-data";
const CHANNEL: &str = "canary-channel";
const COOKIE: &str = "canary-cookie";
const ADDRESS: &str = "198.51.100.77";

/// Everything that the node said where a canary has no place.
#[derive(Default)]
struct Said(Vec<String>);

impl Said {
    /// An answer's head, and its body unless that is what was asked for.
    fn http(&mut self, answer: &Answer) {
        self.0.push(format!("{:?}", answer.headers));
        if answer.status >= 300 {
            self.0.push(String::from_utf8_lossy(&answer.body).into_owned());
        }
    }

    /// Tells a connection something, and keeps what it is refused with.
    async fn refusals(&mut self, wire: &mut Wire, text: &str) {
        wire.say(text).await;
        match wire.0.next_frame(PATIENCE).await.unwrap() {
            Frame::Text(text) => {
                let answer: Value = serde_json::from_str(&text).unwrap();
                self.0.extend(answer.get("error").map(Value::to_string));
            }
            Frame::Close(code, reason) => self.0.push(format!("{code:?} {reason}")),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn nothing_secret_is_told_at_any_level_in_any_form() {
    for arguments in [["--log-level", "trace", "--log-format", "json"], HUMAN] {
        let path = scratch("json");
        let name = path.to_str().unwrap();
        fs::write(&path, config(options(SECRET)).to_string()).unwrap();
        let serve = ["serve", "--ready-json", "--config", name];
        let process = Process::start(&[], &[&serve[..], &arguments].concat());
        let mut said = Said::default();
        let tokens = tokens();
        sdk_traffic(&process, &tokens).await;
        api_traffic(&process, &mut said).await;
        handshakes(&process, &tokens, &mut said).await;
        commands(&process, &tokens, &mut said).await;
        reloads(&process, &path).await;
        for address in [process.public, process.metrics] {
            for path in ["/metrics", "/health", "/health/ready", "/api/openapi.json", "/none"] {
                let answer = get(address, path).await;
                said.http(&answer);
                said.0.push(answer.text().to_owned());
            }
        }
        let pid = process.pid().as_raw_nonzero();
        said.0.push(fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap());

        process.signal(Signal::TERM);
        let ended = process.ended().await;
        fs::remove_file(path).unwrap();
        let log = ended.stderr.clone();
        let told = ["handshake_refused", "token_refused", "command_refused", "config_fault"];
        for part in told.iter().chain(&["198.51.100.0/24", &pseudonym()]) {
            assert!(log.contains(part), "the log says much: {part} {log}");
        }
        said.0.extend([ended.stderr, ended.stdout]);
        scan(&said, &tokens);
    }
}

const HUMAN: [&str; 4] = ["--log-level", "debug", "--log-format", "human"];

fn options(secret: &str) -> Value {
    json!({
        "client": { "token": { "hmac_secret_key": secret } },
        "http_api": { "key": KEY },
        "http_server": { "trusted_proxies": ["127.0.0.1"] },
        "log": { "pseudonym_key": PSEUDONYM_KEY },
        "shutdown": { "lb_wait": "0s", "spread": "0s", "deadline": "10s" },
        "channel": { "namespaces": [{
            "name": "kept", "presence": true, "history_size": 5, "history_ttl": "60s",
            "allow_subscribe_for_client": true, "allow_publish_for_client": true,
            "allow_history_for_client": true, "allow_presence_for_client": true,
            "join_leave": true, "force_push_join_leave": true,
        }, { "name": "closed" }, {
            "name": "limited", "allow_subscribe_for_client": true,
            "allow_user_limited_channels": true,
        }] },
    })
}

fn pseudonym() -> String {
    let pseudonyms = Pseudonyms::new(&Secret::new(PSEUDONYM_KEY.to_owned())).unwrap();
    pseudonyms.of(&User::parse(USER).unwrap(), token::now()).unwrap()
}

struct Tokens {
    good: String,
    forged: String,
    /// Of a subscription, and over.
    private: String,
}

fn tokens() -> Tokens {
    let claims = json!({ "sub": USER, "exp": token::now() + 600, "info": { "name": INFO } });
    Tokens {
        good: token::signed_with(claims.clone(), SECRET, jsonwebtoken::Algorithm::HS256),
        forged: token::signed(claims),
        private: token::signed(json!({ "sub": USER, "exp": 1, "channel": "$room" })),
    }
}

async fn sdk_traffic(process: &Process, tokens: &Tokens) {
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let mut options = Options::new(format!("{}?token={}", process.url(), tokens.good));
        options.timeout = PATIENCE;
        options.encoding = encoding;
        options.token = Some(tokens.good.clone());
        let client = Session::connect(options.clone()).await.unwrap();
        let payload = format!("\"{PAYLOAD}\"");
        let channel = format!("kept:{CHANNEL}");
        client.subscribe(&channel).await.unwrap();
        client.publish(&channel, payload.as_bytes()).await.unwrap();
        client.publish("closed:a", payload.as_bytes()).await.unwrap_err();
        client.refresh(&tokens.good).await.unwrap();
        client.refresh(&tokens.forged).await.unwrap_err();
        options.token = Some(tokens.forged.clone());
        Session::connect(options).await.unwrap_err();
    }
}

async fn api_traffic(process: &Process, said: &mut Said) {
    let channel = format!("kept:{CHANNEL}");
    let body = json!({ "channel": channel, "data": PAYLOAD, "tags": { "t": PAYLOAD } }).to_string();
    for (key, status) in [(KEY, 200), (WRONG_KEY, 401)] {
        for (name, value) in
            [("X-API-Key", key.to_owned()), ("Authorization", format!("apikey {key}"))]
        {
            let answer = call(process.public, "publish", &[(name, &value)], body.as_bytes()).await;
            assert_eq!(answer.status, status);
            said.http(&answer);
        }
    }
    for (method, body, status) in [
        (format!("publish?api_key={KEY}"), body.clone(), 401),
        (format!("{PAYLOAD}?token={KEY}"), body.clone(), 404),
        ("publish".to_owned(), format!("{{\"{PAYLOAD}"), 400),
        ("publish".to_owned(), json!({ "channel": PAYLOAD, PAYLOAD: 1 }).to_string(), 200),
        ("disconnect".to_owned(), json!({ "user": USER, "client": PAYLOAD }).to_string(), 200),
        ("refresh".to_owned(), json!({ "user": USER, "info": PAYLOAD }).to_string(), 200),
        ("subscribe".to_owned(), json!({ "user": USER, "channel": "" }).to_string(), 200),
        ("unsubscribe".to_owned(), json!({ "user": 7, "channel": CHANNEL }).to_string(), 400),
    ] {
        let headers: &[(&str, &str)] =
            if status == 401 { &[] } else { &[("X-API-Key", KEY), ("X-Forwarded-For", ADDRESS)] };
        let answer = call(process.public, &method, headers, body.as_bytes()).await;
        said.http(&answer);
        said.0.push(String::from_utf8_lossy(&answer.body).into_owned());
        assert_eq!(answer.status, status, "{method} {body}");
    }
}

async fn handshakes(process: &Process, tokens: &Tokens, said: &mut Said) {
    let good = &tokens.good;
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (headers, status) in [
        (format!("Cookie: {COOKIE}\r\nConnection: close\r\n"), 403),
        ("Origin: https://evil.example\x1b[31m\r\nConnection: close\r\n".to_owned(), 400),
        (format!("Authorization: Bearer {good}\r\nUser-Agent: {PAYLOAD}\r\n{upgrade}"), 101),
        (format!("Sec-WebSocket-Protocol: {good}\r\nReferer: http://x/{good}\r\n{upgrade}"), 400),
    ] {
        let request = format!(
            "GET /connection/websocket?token={good}&{PAYLOAD} HTTP/1.1\r\nHost: it\r\n\
             X-Forwarded-For: {ADDRESS}\r\n{headers}\r\n"
        );
        let answer = ask(process.public, &request).await;
        said.http(&answer);
        // A line that is not escaped could pass for another; some are refused before.
        assert!(answer.status == status || status == 400, "{headers}: {}", answer.status);
    }
}

async fn commands(process: &Process, tokens: &Tokens, said: &mut Said) {
    let Tokens { good, forged, private } = tokens;
    let connect = json!({ "id": 1, "connect": {
        "token": good, "data": { "d": DATA }, "name": DATA, "version": DATA,
        "headers": { "x-canary": DATA },
    }});
    let open = || async {
        let mut options = Options::new(process.url());
        options.timeout = PATIENCE;
        Wire(Connection::open(&options).await.unwrap())
    };
    for text in [
        json!({ "id": 2, "subscribe": { "channel": "$room", "token": private } }),
        json!({ "id": 2, "subscribe": { "channel": "$room", "token": PAYLOAD } }),
        json!({ "id": 2, "subscribe": { "channel": format!("limited:a#{USER}"), "data": DATA } }),
        json!({ "id": 2, "subscribe": { "channel": format!("closed:{PAYLOAD}") } }),
        json!({ "id": 2, "subscribe": { "channel": format!("{CHANNEL}\u{e9}") } }),
        json!({ "id": 2, "publish": { "channel": format!("closed:{CHANNEL}"), "data": PAYLOAD } }),
        json!({ "id": 2, "presence": { "channel": format!("closed:{CHANNEL}") } }),
        json!({ "id": 2, "rpc": { "method": PAYLOAD, "data": PAYLOAD } }),
        json!({ "id": 2, "send": { "data": PAYLOAD } }),
        json!({ "id": 2, "history": { "channel": format!("unknown:{PAYLOAD}") } }),
        json!({ "id": 2, "refresh": { "token": forged } }),
        json!({ "id": 2, PAYLOAD: { PAYLOAD: PAYLOAD } }),
        json!({ "id": PAYLOAD, "publish": PAYLOAD }),
    ] {
        let mut wire = open().await;
        wire.ask(&connect.to_string()).await;
        said.refusals(&mut wire, &text.to_string()).await;
    }
    for text in [
        format!("{{\"{PAYLOAD}"),
        json!({ "id": 1, "connect": { "token": forged, "data": DATA } }).to_string(),
        json!({ "id": 1, "connect": { "token": PAYLOAD, "name": DATA } }).to_string(),
        json!({ "id": 1, "publish": { "channel": CHANNEL, "data": PAYLOAD } }).to_string(),
    ] {
        said.refusals(&mut open().await, &text).await;
    }
}

/// A configuration that is at fault, with secrets in the wrong places, and a right
/// one.
async fn reloads(process: &Process, path: &std::path::Path) {
    let mut faulty = config(options(LATER_SECRET));
    faulty["http_api"][LATER_SECRET] = json!(LATER_SECRET);
    faulty["http_api"]["key"] = json!([LATER_SECRET]);
    faulty["limits"]["profile"] = json!(LATER_SECRET);
    for (text, event) in [
        (format!("{{{LATER_SECRET}"), "config_not_reloaded"),
        (faulty.to_string().replace(&format!("\"{LATER_SECRET}\":"), "\"keyy\":"), "config_fault"),
        (config(options(LATER_SECRET)).to_string(), "config_reloaded"),
    ] {
        let before = process.log().matches(event).count();
        fs::write(path, text).unwrap();
        process.signal(Signal::HUP);
        eventually(event, || process.log().matches(event).count() > before).await;
    }
}

fn scan(said: &Said, tokens: &Tokens) {
    let part = |token: &str, at: usize| token.split('.').nth(at).unwrap().to_owned();
    let secrets = [
        SECRET,
        LATER_SECRET,
        PSEUDONYM_KEY,
        KEY,
        WRONG_KEY,
        USER,
        PAYLOAD,
        INFO,
        DATA,
        CHANNEL,
        COOKIE,
        ADDRESS,
        "\u{1b}[31m",
    ];
    let mut secrets: Vec<String> = secrets.map(str::to_owned).into();
    for token in [&tokens.good, &tokens.forged, &tokens.private] {
        secrets.extend([part(token, 1), part(token, 2)]);
    }
    for secret in secrets {
        for text in &said.0 {
            let line = text.lines().find(|line| line.contains(&secret));
            assert_eq!(line, None, "{secret:?} is told");
        }
    }
}
