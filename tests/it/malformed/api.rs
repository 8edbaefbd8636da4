//! Bodies of the server API (protocol 7.1 to 7.4, 12.41, 12.43).

use super::{Case, Error, Expected, Input, Reply, Status};
use crate::support::node::API_KEY;

const UNREADABLE: Expected = Status(400);
const WRONG: Expected = Error(107);

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in METHODS {
        for body in ["", "x", "[]", "{", "{}x"] {
            let name = format!("{method}: {body:?}");
            cases.push(case(name, method, body.as_bytes(), UNREADABLE, "protocol 12.41"));
        }
    }
    for (method, body, expected, clause) in BODIES {
        let name = format!("{method}: {body}");
        cases.push(case(name, method, body.as_bytes(), *expected, clause));
    }
    cases.extend(bytes());
    cases.extend(sizes());
    cases
}

const METHODS: [&str; 14] = [
    "publish",
    "broadcast",
    "presence",
    "presence_stats",
    "history",
    "history_remove",
    "subscribe",
    "unsubscribe",
    "disconnect",
    "refresh",
    "channels",
    "rpc",
    "info",
    "batch",
];

fn case(
    name: impl Into<String>,
    method: &str,
    body: &[u8],
    expected: Expected,
    clause: &'static str,
) -> Case {
    let head = format!(
        "POST /api/{method} HTTP/1.1\r\nHost: it\r\nConnection: close\r\n\
         X-API-Key: {API_KEY}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Case::new(name, Input::Request([head.as_bytes(), body].concat()), expected, clause)
}

const TYPES: &str = "protocol 12.41";

const BODIES: &[(&str, &str, Expected, &str)] = &[
    ("publish", r#"{"channel":[],"data":1}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"\ud800","data":1}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"room","data":}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"room","data":'1'}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"room","channel":"room","data":1}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"room","data":1,"data":2}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"room","b64data":5}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"room","data":1,"tags":{"a":null}}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"room","data":1,"tags":"a"}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"room","data":1,"skip_history":"x"}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"room","data":1,"skip_history":1}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"room","data":1,"delta":0}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"room","data":1,"idempotency_key":5}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"room","data":1,"version":-1}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"room","data":1,"version":1.5}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"room","data":1,"version":18446744073709551616}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"kept:a","data":1,"version_epoch":5}"#, UNREADABLE, TYPES),
    ("publish", r#"{"channel":"a b","data":1}"#, WRONG, "protocol 4.1, R-32"),
    ("publish", r#"{"channel":"\u00e9","data":1}"#, WRONG, "protocol 4.1, R-32"),
    ("publish", r#"{"channel":"kept:","data":1,"b64data":"*"}"#, WRONG, "protocol 7.4"),
    ("publish", r#"{"channel":"room","b64data":"e30"}"#, WRONG, "protocol 7.4"),
    ("publish", r#"{"channel":"room","b64data":"e30=\n"}"#, WRONG, "protocol 7.4"),
    ("publish", r#"{"channel":"room","b64data":"AP8="}"#, WRONG, "protocol 2.1, 7.4"),
    ("publish", r#"{"channel":"object:a","data":"x"}"#, WRONG, "protocol 4.6"),
    ("broadcast", r#"{"channels":"room","data":1}"#, UNREADABLE, TYPES),
    ("broadcast", r#"{"channels":{},"data":1}"#, UNREADABLE, TYPES),
    ("broadcast", r#"{"channels":[1],"data":1}"#, UNREADABLE, TYPES),
    ("broadcast", r#"{"channels":[null],"data":1}"#, UNREADABLE, TYPES),
    ("broadcast", r#"{"channel":"room","data":1}"#, WRONG, "protocol 7.4"),
    ("presence", r#"{"channel":5}"#, UNREADABLE, TYPES),
    ("presence", "{}", WRONG, "protocol 4.1"),
    ("presence", r#"{"channel":"nowhere:a"}"#, Error(102), "protocol 4.1"),
    ("presence", r#"{"channel":"room"}"#, Error(108), "protocol 4.7"),
    ("presence_stats", r#"{"channel":{}}"#, UNREADABLE, TYPES),
    ("presence_stats", r#"{"channel":""}"#, WRONG, "protocol 4.1"),
    ("presence_stats", r#"{"channel":"kept:a"}"#, Error(108), "protocol 4.7"),
    ("history", r#"{"channel":"kept:a","limit":"x"}"#, UNREADABLE, TYPES),
    ("history", r#"{"channel":"kept:a","limit":1.5}"#, UNREADABLE, TYPES),
    ("history", r#"{"channel":"kept:a","limit":9223372036854775808}"#, UNREADABLE, TYPES),
    ("history", r#"{"channel":"kept:a","since":1}"#, UNREADABLE, TYPES),
    ("history", r#"{"channel":"kept:a","since":[]}"#, UNREADABLE, TYPES),
    ("history", r#"{"channel":"kept:a","since":[1,"x"]}"#, UNREADABLE, TYPES),
    ("history", r#"{"channel":"kept:a","since":{"offset":"1"}}"#, UNREADABLE, TYPES),
    ("history", r#"{"channel":"kept:a","since":{"offset":-1}}"#, UNREADABLE, TYPES),
    ("history", r#"{"channel":"kept:a","reverse":1}"#, UNREADABLE, TYPES),
    ("history", r#"{"channel":"kept:a","since":{},"reverse":true}"#, WRONG, "protocol 4.8, 12.20"),
    ("history", r#"{"channel":"kept:a","since":{"epoch":"x"}}"#, Error(112), "protocol 4.8"),
    ("history", r#"{"channel":"room"}"#, Error(108), "protocol 4.8"),
    ("history_remove", r#"{"channel":false}"#, UNREADABLE, TYPES),
    ("history_remove", r#"{"channel":"room"}"#, Error(108), "protocol 12.43"),
    ("subscribe", r#"{"user":5,"channel":"room"}"#, UNREADABLE, TYPES),
    ("subscribe", r#"{"user":"ada","channel":"room","recover_since":[]}"#, UNREADABLE, TYPES),
    ("subscribe", r#"{"user":"ada","channel":"room","recover_since":"x"}"#, UNREADABLE, TYPES),
    ("subscribe", r#"{"user":"ada"}"#, WRONG, "protocol 4.1"),
    ("subscribe", r#"{"user":"a\u0000","channel":"room"}"#, WRONG, "R-32"),
    ("subscribe", r#"{"user":"ada","channel":"nowhere:a"}"#, Error(102), "protocol 12.43"),
    ("unsubscribe", r#"{"user":"ada","channel":1}"#, UNREADABLE, TYPES),
    ("unsubscribe", r#"{"user":"ada","channel":"nowhere:b"}"#, Error(102), "protocol 12.43"),
    ("disconnect", r#"{"user":[]}"#, UNREADABLE, TYPES),
    ("disconnect", r#"{"user":"nobody","whitelist":"x"}"#, UNREADABLE, TYPES),
    ("disconnect", r#"{"user":"nobody","whitelist":[1]}"#, UNREADABLE, TYPES),
    ("disconnect", r#"{"user":"nobody","disconnect":{}}"#, UNREADABLE, TYPES),
    ("disconnect", r#"{"user":"nobody","disconnect":3500}"#, UNREADABLE, TYPES),
    ("disconnect", r#"{"user":"nobody","disconnect":[3500,"x"]}"#, UNREADABLE, TYPES),
    ("disconnect", r#"{"user":"nobody","disconnect":{"code":-1}}"#, UNREADABLE, TYPES),
    ("disconnect", r#"{"user":"nobody","disconnect":{"code":"3500"}}"#, UNREADABLE, TYPES),
    ("disconnect", r#"{"user":"nobody","disconnect":{"code":4294967296}}"#, UNREADABLE, TYPES),
    ("disconnect", r#"{"user":"nobody","disconnect":{"code":3500,"reason":1}}"#, UNREADABLE, TYPES),
    ("disconnect", r#"{"user":"nobody","disconnect":{"code":0}}"#, WRONG, "protocol 12.19"),
    ("disconnect", r#"{"user":"nobody","disconnect":{"code":1000}}"#, WRONG, "protocol 12.19"),
    ("disconnect", r#"{"user":"nobody","disconnect":{"code":2999}}"#, WRONG, "protocol 12.19"),
    ("disconnect", r#"{"user":"nobody","disconnect":{"code":3000}}"#, WRONG, "protocol 12.19"),
    ("disconnect", r#"{"user":"nobody","disconnect":{"code":5000}}"#, WRONG, "protocol 12.19"),
    ("disconnect", r#"{"user":"nobody","disconnect":{"code":69036}}"#, WRONG, "protocol 12.19"),
    (
        "disconnect",
        r#"{"user":"nobody","disconnect":{"code":3500,"reason":"{\"reason\":1}"}}"#,
        WRONG,
        "protocol 1.4",
    ),
    ("refresh", r#"{"user":"ada","expire_at":"x"}"#, UNREADABLE, TYPES),
    ("refresh", r#"{"user":"ada","expire_at":1.5}"#, UNREADABLE, TYPES),
    ("refresh", r#"{"user":"ada","expired":"yes"}"#, UNREADABLE, TYPES),
    ("channels", r#"{"pattern":5}"#, UNREADABLE, TYPES),
    ("channels", r#"{"pattern":"["}"#, WRONG, "protocol 12.43"),
    ("channels", r#"{"pattern":"{a"}"#, WRONG, "protocol 12.43"),
    ("channels", r#"{"pattern":"a}"}"#, WRONG, "protocol 12.43"),
    ("channels", r#"{"pattern":"[z-a]"}"#, WRONG, "protocol 12.43"),
    ("rpc", r#"{"method":"x"}"#, Error(104), "protocol 7.2, 12.15"),
    ("batch", r#"{"commands":{}}"#, UNREADABLE, TYPES),
    ("batch", r#"{"commands":[1]}"#, UNREADABLE, TYPES),
    ("batch", r#"{"commands":[[]]}"#, UNREADABLE, TYPES),
    ("batch", r#"{"commands":["publish"]}"#, UNREADABLE, TYPES),
    ("batch", r#"{"commands":[{}]}"#, Reply(104), "protocol 12.16"),
    ("batch", r#"{"commands":[{"novelty":{}}]}"#, Reply(104), "protocol 12.16"),
    ("batch", r#"{"commands":[{"batch":{"commands":[]}}]}"#, Reply(104), "protocol 12.16"),
    ("batch", r#"{"commands":[{"publish":null}]}"#, Reply(104), "protocol 12.16"),
    ("batch", r#"{"commands":[{"publish":[]}]}"#, Reply(107), "protocol 7.3"),
    ("batch", r#"{"commands":[{"publish":{"channel":1}}]}"#, Reply(107), "protocol 7.3"),
    ("batch", r#"{"commands":[{"info":1}]}"#, Reply(107), "protocol 7.3"),
    ("batch", r#"{"commands":[{"history":{"channel":"room"}}]}"#, Reply(108), "protocol 7.3"),
];

/// Bodies that are not even text.
fn bytes() -> Vec<Case> {
    [
        ("not UTF-8", &b"{\"channel\":\"room\",\"data\":\"\xff\"}"[..]),
        ("not UTF-8 in a name", b"{\"chann\xe9l\":\"room\"}"),
        ("a byte order mark", b"\xef\xbb\xbf{\"channel\":\"room\",\"data\":1}"),
        ("UTF-16", b"{\0}\0"),
        ("NUL behind", b"{\"channel\":\"room\",\"data\":1}\0"),
        ("a raw line feed in a string", b"{\"channel\":\"room\",\"data\":\"a\nb\"}"),
        ("a form", b"channel=room&data=1"),
        ("Protobuf", b"\x0a\x04room\x12\x011"),
    ]
    .into_iter()
    .map(|(name, body)| case(name, "publish", body, UNREADABLE, TYPES))
    .collect()
}

/// More of something than there may be (R-63).
fn sizes() -> Vec<Case> {
    let publish = |more: &str| format!(r#"{{"channel":"room","data":1,{more}}}"#);
    let tags: Vec<String> = (0..33).map(|n| format!("\"t{n}\":\"\"")).collect();
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let commands = vec!["{}"; 1_001].join(",");
    let nested = |levels: usize| format!("{}a{}", "{".repeat(levels), "}".repeat(levels));
    let reason = format!(r#"{{"code":3500,"reason":"{}"}}"#, "x".repeat(124));
    let data = "x".repeat(65_535);
    [
        ("33 tags", "publish", publish(&format!("\"tags\":{{{}}}", tags.join(","))), WRONG),
        (
            "a tag's name of 256 bytes",
            "publish",
            publish(&format!("\"tags\":{{\"{}\":\"\"}}", "t".repeat(256))),
            WRONG,
        ),
        (
            "a version epoch of 65 bytes",
            "publish",
            format!(
                r#"{{"channel":"kept:a","data":1,"version":1,"version_epoch":"{}"}}"#,
                "e".repeat(65)
            ),
            WRONG,
        ),
        (
            "data nested too deeply",
            "publish",
            format!(r#"{{"channel":"room","data":{}}}"#, deep(33)),
            WRONG,
        ),
        (
            "data nested 100,000 deep",
            "publish",
            format!(r#"{{"channel":"room","data":{}}}"#, deep(100_000)),
            WRONG,
        ),
        (
            "data of 65,537 bytes",
            "publish",
            format!(r#"{{"channel":"room","data":"{data}"}}"#),
            WRONG,
        ),
        (
            "tags nested 100,000 deep",
            "publish",
            publish(&format!("\"tags\":{}", deep(100_000))),
            UNREADABLE,
        ),
        ("1,001 commands", "batch", format!(r#"{{"commands":[{commands}]}}"#), UNREADABLE),
        (
            "a pattern nested 40,000 deep",
            "channels",
            format!(r#"{{"pattern":"{}"}}"#, nested(40_000)),
            WRONG,
        ),
        (
            "a pattern nested 500 deep",
            "channels",
            format!(r#"{{"pattern":"{}"}}"#, nested(500)),
            WRONG,
        ),
        (
            "a pattern of 2,000 bytes",
            "channels",
            format!(r#"{{"pattern":"{}"}}"#, "a".repeat(2_000)),
            WRONG,
        ),
        (
            "a reason of 124 bytes",
            "disconnect",
            format!(r#"{{"user":"nobody","disconnect":{reason}}}"#),
            WRONG,
        ),
        (
            "a user of 256 bytes",
            "disconnect",
            format!(r#"{{"user":"{}"}}"#, "u".repeat(256)),
            WRONG,
        ),
        ("300,000 bytes", "info", format!("{{\"x\":\"{}\"}}", "x".repeat(300_000)), Status(413)),
    ]
    .into_iter()
    .map(|(name, method, body, expected)| {
        case(name, method, body.as_bytes(), expected, "R-63, protocol 7.1")
    })
    .collect()
}
