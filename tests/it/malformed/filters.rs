//! Tags filters that break their rules (protocol 4.11), in both encodings.

use sealcast_wire::filter::{MAX_NODES, MAX_TEXT, MAX_VALUES};

use super::{Case, Error, Input, texts};
use crate::frames::{field, varint};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for filter in FILTERS.iter().map(|filter| (*filter).to_owned()).chain(too_large()) {
        let command = format!(r#"{{"id":2,"subscribe":{{"channel":"kept:f","tf":{filter}}}}}"#);
        cases.extend(texts(Error(107), "protocol 4.3, 4.11", [command]));
    }
    let valid = r#"{"key":"a","cmp":"ex"}"#;
    let command = format!(r#"{{"id":2,"subscribe":{{"channel":"room","tf":{valid}}}}}"#);
    cases.extend(texts(Error(107), "protocol 4.3, 4.13", [command]));
    cases.extend(in_protobuf());
    cases
}

const LEAF: &str = r#"{"key":"a","cmp":"ex"}"#;

const FILTERS: &[&str] = &[
    "{}",
    r#"{"key":"a"}"#,
    r#"{"key":"a","cmp":"=="}"#,
    r#"{"key":"a","cmp":"EQ","val":"1"}"#,
    r#"{"key":"a","cmp":"eq"}"#,
    r#"{"key":"a","cmp":"eq","val":""}"#,
    r#"{"key":"a","cmp":"eq","vals":["1"]}"#,
    r#"{"key":"a","cmp":"eq","val":"1","vals":["1"]}"#,
    r#"{"key":"a","cmp":"gt"}"#,
    r#"{"key":"a","cmp":"sw","vals":["1"]}"#,
    r#"{"key":"a","cmp":"in"}"#,
    r#"{"key":"a","cmp":"in","vals":[]}"#,
    r#"{"key":"a","cmp":"in","val":"1"}"#,
    r#"{"key":"a","cmp":"nin","val":"1","vals":["1"]}"#,
    r#"{"key":"a","cmp":"ex","val":"1"}"#,
    r#"{"key":"a","cmp":"nex","vals":["1"]}"#,
    r#"{"op":"and"}"#,
    r#"{"op":"and","nodes":[]}"#,
    r#"{"op":"or","nodes":null}"#,
    r#"{"op":"not"}"#,
    r#"{"op":"not","nodes":[{"key":"a","cmp":"ex"},{"key":"b","cmp":"ex"}]}"#,
    r#"{"op":"xor","nodes":[{"key":"a","cmp":"ex"}]}"#,
    r#"{"op":"AND","nodes":[{"key":"a","cmp":"ex"}]}"#,
    r#"{"op":"and","nodes":[{"key":"a","cmp":"ex"},{}]}"#,
    r#"{"op":"or","nodes":[{"op":"not","nodes":[{"key":"a"}]}]}"#,
];

fn too_large() -> Vec<String> {
    let nodes = vec![LEAF; MAX_NODES].join(",");
    let values: Vec<String> = (0..=MAX_VALUES).map(|n| format!("\"{n}\"")).collect();
    let text = "x".repeat(MAX_TEXT + 1);
    vec![
        format!(r#"{{"op":"or","nodes":[{nodes}]}}"#),
        format!(r#"{{"key":"a","cmp":"in","vals":[{}]}}"#, values.join(",")),
        format!(r#"{{"key":"a","cmp":"eq","val":"{text}"}}"#),
        format!(r#"{{"key":"{text}","cmp":"ex"}}"#),
    ]
}

fn in_protobuf() -> Vec<Case> {
    let text = |number: usize, text: &str| [&field(number, text.len()), text.as_bytes()].concat();
    let leaf = [text(2, "a"), text(3, "ex")].concat();
    let node = |inner: &[u8]| [&field(6, inner.len()), inner].concat();
    [
        ("an empty filter", vec![]),
        ("no comparison", text(2, "a")),
        ("an unknown comparison", [text(2, "a"), text(3, "like"), text(4, "1")].concat()),
        ("a list without values", [text(2, "a"), text(3, "in")].concat()),
        ("a value too many", [leaf.clone(), text(4, "1")].concat()),
        ("an unknown operation", [text(1, "nand"), node(&leaf)].concat()),
        ("all of none", text(1, "and")),
        ("not two", [text(1, "not"), node(&leaf), node(&leaf)].concat()),
        ("too many nodes", [text(1, "or"), node(&leaf).repeat(MAX_NODES)].concat()),
        (
            "too many values",
            [text(2, "a"), text(3, "in"), text(5, "v").repeat(MAX_VALUES + 1)].concat(),
        ),
    ]
    .into_iter()
    .map(|(name, filter)| {
        let subscribe = [text(1, "kept:f"), field(13, filter.len()), filter].concat();
        let command = [&[0x08, 2][..], &field(5, subscribe.len()), &subscribe].concat();
        let frame = [varint(command.len()), command].concat();
        Case::new(name, Input::Binary(frame), Error(107), "protocol 4.3, 4.11")
    })
    .collect()
}
