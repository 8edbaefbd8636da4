//! Members of commands that are of the wrong type, or too large for it
//! (protocol 2.1, 2.4 to 2.6).

use super::{BAD, Case, texts};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in [
        "subscribe",
        "unsubscribe",
        "publish",
        "presence",
        "presence_stats",
        "history",
        "rpc",
        "refresh",
        "sub_refresh",
        "send",
    ] {
        for wrong in ["[]", "1", "\"x\"", "true"] {
            cases.extend(texts(BAD, "protocol 2.2", [format!(r#"{{"id":3,"{method}":{wrong}}}"#)]));
        }
    }
    for (method, member, wrong) in MEMBERS {
        let command =
            format!(r#"{{"id":3,"{method}":{{"channel":"kept:x","data":1,"{member}":{wrong}}}}}"#);
        cases.extend(texts(BAD, "protocol 2.1, 2.5, 2.6", [command]));
    }
    cases
}

const MEMBERS: &[(&str, &str, &str)] = &[
    ("subscribe", "channel", "1"),
    ("subscribe", "channel", "[\"x\"]"),
    ("subscribe", "channel", "{}"),
    ("subscribe", "token", "1"),
    ("subscribe", "token", "[]"),
    ("subscribe", "recover", "\"true\""),
    ("subscribe", "recover", "1"),
    ("subscribe", "positioned", "0"),
    ("subscribe", "recoverable", "\"\""),
    ("subscribe", "join_leave", "{}"),
    ("subscribe", "epoch", "1"),
    ("subscribe", "offset", "\"1\""),
    ("subscribe", "offset", "-1"),
    ("subscribe", "offset", "1.5"),
    ("subscribe", "offset", "1e3"),
    ("subscribe", "offset", "18446744073709551616"),
    ("subscribe", "delta", "7"),
    ("subscribe", "delta", "[\"fossil\"]"),
    ("subscribe", "tf", "\"x\""),
    ("subscribe", "tf", "[]"),
    ("subscribe", "flag", "\"2\""),
    ("subscribe", "flag", "9223372036854775808"),
    ("subscribe", "type", "1.0"),
    ("subscribe", "type", "\"0\""),
    ("subscribe", "type", "-2147483649"),
    ("publish", "channel", "true"),
    ("publish", "type", "\"1\""),
    ("publish", "type", "4294967296"),
    ("history", "channel", "1.5"),
    ("history", "limit", "\"10\""),
    ("history", "limit", "1.5"),
    ("history", "limit", "2147483648"),
    ("history", "limit", "-2147483649"),
    ("history", "since", "[]"),
    ("history", "since", "[1,\"x\"]"),
    ("history", "since", "1"),
    ("history", "since", "{\"offset\":\"1\"}"),
    ("history", "since", "{\"offset\":-1}"),
    ("history", "since", "{\"epoch\":1}"),
    ("history", "reverse", "1"),
    ("history", "reverse", "\"false\""),
    ("presence", "channel", "[]"),
    ("presence_stats", "channel", "{}"),
    ("rpc", "method", "1"),
    ("rpc", "method", "[]"),
    ("refresh", "token", "{}"),
    ("refresh", "token", "true"),
    ("sub_refresh", "channel", "1"),
    ("sub_refresh", "token", "1"),
    ("sub_refresh", "type", "\"0\""),
];
