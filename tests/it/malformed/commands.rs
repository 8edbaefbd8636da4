//! JSON that is no command, or none that may come now.

use super::{BAD, Case, Close, Error, Expected, Input, texts};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(texts(BAD, "protocol 1.2, RFC 8259 2", NO_JSON));
    cases.extend(texts(BAD, "protocol 1.2, RFC 8259 7", NO_STRING));
    cases.extend(texts(BAD, "protocol 1.2, RFC 8259 6", NO_NUMBER));
    cases.extend(texts(BAD, "protocol 1.2, 12.27", NO_LINE));
    cases.extend(texts(BAD, "protocol 3.1", NO_ID));
    cases.extend(texts(BAD, "protocol 2.2, 3.1", NOT_ONE_REQUEST));
    cases.extend(texts(BAD, "protocol 3.4, 4.1, 4.6 to 4.8", NO_CHANNEL));
    cases.extend(texts(BAD, "protocol 1.2", too_deep()));
    cases.extend(first());
    for (text, expected, clause) in REFUSED {
        cases.extend(texts(*expected, clause, [*text]));
    }
    cases.extend(names());
    cases
}

const NO_JSON: &[&str] = &[
    r#"{"id":2,"unsubscribe":{"channel":"x"},}"#,
    r#"{,"id":2,"unsubscribe":{"channel":"x"}}"#,
    r#"{"id":2,,"unsubscribe":{"channel":"x"}}"#,
    r#"{"id":2 "unsubscribe":{"channel":"x"}}"#,
    r#"{"id"=2,"unsubscribe":{"channel":"x"}}"#,
    r#"{"id","unsubscribe":{"channel":"x"}}"#,
    r#"{"id":,"unsubscribe":{"channel":"x"}}"#,
    r#"{:2,"unsubscribe":{"channel":"x"}}"#,
    r#"{id:2,"unsubscribe":{"channel":"x"}}"#,
    r#"{'id':2,'unsubscribe':{'channel':'x'}}"#,
    r#"{"id":2,"unsubscribe":{"channel":"x"}"#,
    r#"{"id":2,"unsubscribe":{"channel":"x"}}}"#,
    r#"{"id":2,"unsubscribe":{"channel":"x"}]"#,
    r#"{"id":2,"unsubscribe":{"channel":"x"}}x"#,
    r#"{"id":2,"unsubscribe":{"channel":"x"}},"#,
    r#"{"id":2,"unsubscribe":{"channel":"x"}};"#,
    r#"[{"id":2,"unsubscribe":{"channel":"x"}}]"#,
    r#"({"id":2,"unsubscribe":{"channel":"x"}})"#,
    r#"/**/{"id":2,"unsubscribe":{"channel":"x"}}"#,
    r#"{"id":2,"unsubscribe":{"channel":"x"}}//"#,
    "\u{feff}{\"id\":2,\"unsubscribe\":{\"channel\":\"x\"}}",
    "\u{a0}{\"id\":2,\"unsubscribe\":{\"channel\":\"x\"}}",
    "\u{c}{\"id\":2,\"unsubscribe\":{\"channel\":\"x\"}}",
    "{\"id\":2,\u{b}\"unsubscribe\":{\"channel\":\"x\"}}",
    "{\"id\":2,\0\"unsubscribe\":{\"channel\":\"x\"}}",
    r#"{"id":2,"publish":{"channel":"x","data":tru}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":True}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":undefined}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":[1,]}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":[1 2]}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":[1}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":{"a"}}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":{1:2}}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":"#,
    "true",
    "\"{\\\"id\\\":2}\"",
    "<command id='2'/>",
    "GET / HTTP/1.1",
];

const NO_STRING: &[&str] = &[
    r#"{"id":2,"unsubscribe":{"channel":"x}}"#,
    r#"{"id":2,"unsubscribe":{"channel":"\x41"}}"#,
    r#"{"id":2,"unsubscribe":{"channel":"\u12"}}"#,
    r#"{"id":2,"unsubscribe":{"channel":"\u{41}"}}"#,
    r#"{"id":2,"unsubscribe":{"channel":"\U0041"}}"#,
    r#"{"id":2,"unsubscribe":{"channel":"\udc00"}}"#,
    r#"{"id":2,"unsubscribe":{"channel":"\ud83d"}}"#,
    r#"{"id":2,"unsubscribe":{"channel":"\ud83d\u0041"}}"#,
    "{\"id\":2,\"unsubscribe\":{\"channel\":\"\u{1}\"}}",
    "{\"id\":2,\"unsubscribe\":{\"channel\":\"a\tb\"}}",
    "{\"id\":2,\"unsubscribe\":{\"channel\":\"a\rb\"}}",
    "{\"id\":2,\"publish\":{\"channel\":\"x\",\"data\":\"\u{1f}\"}}",
    r#"{"id":2,"publish":{"channel":"x","data":"\q"}}"#,
];

const NO_NUMBER: &[&str] = &[
    r#"{"id":02,"unsubscribe":{"channel":"x"}}"#,
    r#"{"id":+2,"unsubscribe":{"channel":"x"}}"#,
    r#"{"id":0x2,"unsubscribe":{"channel":"x"}}"#,
    r#"{"id":2n,"unsubscribe":{"channel":"x"}}"#,
    r#"{"id":2_0,"unsubscribe":{"channel":"x"}}"#,
    r#"{"id":NaN,"unsubscribe":{"channel":"x"}}"#,
    r#"{"id":Infinity,"unsubscribe":{"channel":"x"}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":1.}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":.5}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":1e}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":-}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":00}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":-NaN}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":1,5}}"#,
];

const NO_LINE: &[&str] = &[
    " ",
    "\r\n",
    "\n\n",
    "\n{}",
    "{\"id\":2,\n\"unsubscribe\":{\"channel\":\"x\"}}",
    "{\"id\":2,\"publish\":{\"channel\":\"x\",\"data\":[1,\n2]}}",
    "{}\r{\"id\":2,\"unsubscribe\":{\"channel\":\"x\"}}",
    "{}\u{2028}{}",
];

const NO_ID: &[&str] = &[
    r#"{"subscribe":{"channel":"x"}}"#,
    r#"{"publish":{"channel":"x","data":1}}"#,
    r#"{"presence":{"channel":"x"}}"#,
    r#"{"presence_stats":{"channel":"x"}}"#,
    r#"{"history":{"channel":"x"}}"#,
    r#"{"rpc":{"method":"x"}}"#,
    r#"{"refresh":{"token":"x"}}"#,
    r#"{"sub_refresh":{"channel":"x","token":"x"}}"#,
    r#"{"id":0,"subscribe":{"channel":"x"}}"#,
    r#"{"id":null,"subscribe":{"channel":"x"}}"#,
    r#"{"ID":2,"subscribe":{"channel":"x"}}"#,
    r#"{"id":true,"subscribe":{"channel":"x"}}"#,
    r#"{"id":[2],"subscribe":{"channel":"x"}}"#,
    r#"{"id":{},"subscribe":{"channel":"x"}}"#,
    r#"{"id":"","subscribe":{"channel":"x"}}"#,
    r#"{"id":2e0,"subscribe":{"channel":"x"}}"#,
    r#"{"id":1e999,"subscribe":{"channel":"x"}}"#,
    r#"{"id":-2,"subscribe":{"channel":"x"}}"#,
    r#"{"id":18446744073709551616,"subscribe":{"channel":"x"}}"#,
];

const NOT_ONE_REQUEST: &[&str] = &[
    r#"{"id":2,"Subscribe":{"channel":"x"}}"#,
    r#"{"id":2,"error":{"code":1}}"#,
    r#"{"id":2,"push":{"channel":"x"}}"#,
    r#"{"id":2,"subscribe":null}"#,
    r#"{"id":2,"method":1,"params":{"channel":"x"}}"#,
    r#"{"id":2,"subscribe":{"channel":"x"},"unsubscribe":{"channel":"x"}}"#,
    r#"{"id":2,"publish":{"channel":"x","data":1},"history":{"channel":"x"}}"#,
    r#"{"id":2,"connect":{},"subscribe":{"channel":"x"}}"#,
    r#"{"id":2,"send":{},"rpc":{}}"#,
    r#"{"id":2,"subscribe":{"channel":"x"},"subscribe":{"channel":"x"}}"#,
];

const NO_CHANNEL: &[&str] = &[
    r#"{"id":2,"subscribe":{"channel":null}}"#,
    r#"{"id":2,"subscribe":{"Channel":"x"}}"#,
    r#"{"id":2,"publish":{"data":1}}"#,
    r#"{"id":2,"publish":{"channel":"","data":1}}"#,
    r#"{"id":2,"unsubscribe":{}}"#,
    r#"{"id":2,"presence":{}}"#,
    r#"{"id":2,"presence_stats":{}}"#,
    r#"{"id":2,"history":{"limit":1}}"#,
    r#"{"id":2,"sub_refresh":{"channel":"","token":"x"}}"#,
];

/// Nested beyond what is passed on, also where it is not looked at.
fn too_deep() -> Vec<String> {
    let arrays = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let objects = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let mixed = format!("{}1{}", "[{\"a\":".repeat(17), "}]".repeat(17));
    vec![
        format!(r#"{{"id":2,"publish":{{"channel":"x","data":{}}}}}"#, arrays(33)),
        format!(r#"{{"id":2,"publish":{{"channel":"x","data":{}}}}}"#, objects(33)),
        format!(r#"{{"id":2,"publish":{{"channel":"x","data":{mixed}}}}}"#),
        format!(r#"{{"id":2,"rpc":{{"method":"x","data":{}}}}}"#, arrays(34)),
        format!(r#"{{"id":2,"subscribe":{{"channel":"x","data":{}}}}}"#, objects(40)),
        format!(r#"{{"id":2,"subscribe":{{"channel":"x","novelty":{}}}}}"#, arrays(40)),
        format!(r#"{{"id":2,"novelty":{},"subscribe":{{"channel":"x"}}}}"#, objects(60)),
        format!(r#"{{"id":2,"unsubscribe":{{"channel":{}}}}}"#, arrays(20_000)),
        "[".repeat(60_000),
        "{\"a\":".repeat(13_000),
    ]
}

/// What comes before, or instead of, a connect.
fn first() -> impl Iterator<Item = Case> {
    const NOT_CONNECT: &[&str] = &[
        r#"{"id":1,"history":{"channel":"x"}}"#,
        r#"{"id":1,"presence":{"channel":"x"}}"#,
        r#"{"id":1,"presence_stats":{"channel":"x"}}"#,
        r#"{"id":1,"sub_refresh":{"channel":"x","token":"x"}}"#,
        r#"{"id":1,"ping":{}}"#,
        r#"{"id":1,"connect":null}"#,
        r#"{"id":1,"connect":[]}"#,
        r#"{"id":1,"connect":"x"}"#,
        r#"{"id":1,"connect":{"token":1}}"#,
        r#"{"id":1,"connect":{"token":{}}}"#,
        r#"{"id":1,"connect":{"token":null}}"#,
        r#"{"id":1,"connect":{"token":"","name":1}}"#,
        r#"{"id":1,"connect":{"version":[]}}"#,
        r#"{"id":1,"connect":{"data":}}"#,
        r#"{"id":1,"connect":{"subs":[]}}"#,
        r#"{"id":1,"connect":{"subs":"x"}}"#,
        r#"{"id":1,"connect":{"subs":{"a":true}}}"#,
        r#"{"id":1,"connect":{"subs":{"a":{"offset":"1"}}}}"#,
        r#"{"id":1,"connect":{"subs":{"a":{"recover":1}}}}"#,
    ];
    NOT_CONNECT
        .iter()
        .map(|text| Case::new(*text, Input::First((*text).into()), BAD, "protocol 2.4, 3.1, 3.2"))
}

/// Commands that cannot be carried out, and leave the connection standing unless
/// they end it by a code of their own.
const REFUSED: &[(&str, Expected, &str)] = &[
    (r#"{"id":2,"connect":{}}"#, BAD, "protocol 3.1"),
    (r#"{"id":2,"refresh":{}}"#, BAD, "protocol 3.4"),
    (r#"{"id":2,"refresh":{"token":null}}"#, BAD, "protocol 3.4"),
    (r#"{"id":2,"refresh":{"token":"a.b.c"}}"#, Close(3500), "protocol 3.4"),
    (r#"{"send":{}}"#, Close(3508), "protocol 3.9"),
    (r#"{"id":2,"send":{"data":null}}"#, Close(3508), "protocol 3.9"),
    (r#"{"id":2,"rpc":{"method":"","data":null}}"#, Error(108), "protocol 3.9"),
    (r#"{"id":2,"subscribe":{"channel":"x","delta":"Fossil"}}"#, BAD, "protocol 4.3"),
    (r#"{"id":2,"subscribe":{"channel":"x","delta":" "}}"#, BAD, "protocol 4.3"),
    (r#"{"id":2,"subscribe":{"channel":"nowhere:x"}}"#, Error(102), "protocol 4.3"),
    (r#"{"id":2,"subscribe":{"channel":":x"}}"#, Error(102), "protocol 4.1"),
    (r#"{"id":2,"subscribe":{"channel":"$"}}"#, Error(103), "protocol 4.1"),
    (r#"{"id":2,"subscribe":{"channel":"x","type":2147483647}}"#, Error(107), "protocol 12.35"),
    (r#"{"id":2,"publish":{"channel":"x"}}"#, Error(107), "protocol 4.6"),
    (r#"{"id":2,"publish":{"channel":"nowhere:x","data":1}}"#, Error(102), "protocol 4.6"),
    (r#"{"id":2,"publish":{"channel":"x","data":1,"type":1}}"#, Error(103), "protocol 12.12"),
    (r#"{"id":2,"publish":{"channel":"object:x","data":[]}}"#, Error(107), "protocol 4.6"),
    (r#"{"id":2,"publish":{"channel":"object:x","data":null}}"#, Error(107), "protocol 4.6"),
    (
        r#"{"id":2,"history":{"channel":"kept:x","since":{},"reverse":true}}"#,
        Error(107),
        "protocol 4.8",
    ),
    (
        r#"{"id":2,"history":{"channel":"kept:x","since":{"offset":1,"epoch":"x"}}}"#,
        Error(112),
        "protocol 4.8",
    ),
    (r#"{"id":2,"history":{"channel":"x","limit":-1}}"#, Error(108), "protocol 4.8"),
    (r#"{"id":2,"presence":{"channel":"kept:x"}}"#, Error(108), "protocol 4.7"),
    (r#"{"id":2,"presence_stats":{"channel":"nowhere:x"}}"#, Error(102), "protocol 4.7"),
    (
        r#"{"id":2,"subscribe":{"channel":"kept:x","recover":true,"recoverable":true,"epoch":"x","flag":2}}"#,
        Error(112),
        "protocol 4.5",
    ),
];

/// Names that are none, for each method that takes one but `unsubscribe`.
fn names() -> Vec<Case> {
    let mut cases = Vec::new();
    let longer = "n".repeat(256);
    for (method, more) in
        [("publish", ",\"data\":1"), ("presence", ""), ("presence_stats", ""), ("history", "")]
    {
        for name in ["a b", "\u{e9}", "a\\u0000b", "<b>", &longer] {
            let command = format!(r#"{{"id":2,"{method}":{{"channel":"{name}"{more}}}}}"#);
            cases.extend(texts(Error(107), "protocol 4.1, 12.13, R-32", [command]));
        }
    }
    cases
}
