//! Tags filters in commands: their form, and which are refused how.

use sealcast_wire::filter::{Comparison, Condition, MAX_NODES, MAX_TEXT, MAX_VALUES};
use sealcast_wire::{BadFilter, Command, Encoding, Filter, Malformed, Request, json, protobuf};

type Read = Option<Result<Box<Filter>, BadFilter>>;

/// The filter of a subscribe whose member `tf` is `json`; the command is
/// written again and must come out the same, in both encodings.
#[track_caller]
fn read(json: &str) -> Result<Read, Malformed> {
    let line = format!(r#"{{"id":1,"subscribe":{{"channel":"c","tf":{json}}}}}"#);
    let mut commands = json::commands(line.as_bytes());
    let command = commands.next().expect("a command")?;
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let mut written = Vec::new();
        encoding.put_command(&mut written, &command);
        let again: Vec<_> = encoding.commands(&written).collect();
        assert_eq!(again, [Ok(command.clone())]);
    }
    Ok(filter_of(command))
}

fn filter_of(command: Command<'_>) -> Read {
    match command.request {
        Request::Subscribe(subscribe) => subscribe.filter,
        other => panic!("{other:?}"),
    }
}

fn is(key: &str, by: Comparison, value: &str) -> Filter {
    Filter::tag(key, Condition::Is(by, value.into())).expect("valid")
}

/// Is written as the text, and read from it the same.
#[track_caller]
fn both_ways(json: &str, filter: Result<Filter, BadFilter>) {
    let line = format!(r#"{{"id":1,"subscribe":{{"channel":"c","tf":{json}}}}}"#);
    let command = json::commands(line.as_bytes()).next().expect("a command").expect("valid");
    let mut written = Vec::new();
    json::put_command(&mut written, &command);
    assert_eq!(String::from_utf8(written).as_deref(), Ok(line.as_str()));
    assert_eq!(read(json), Ok(Some(filter.map(Box::new))));
}

#[test]
fn each_kind_of_node_has_its_form() {
    for (name, by) in [
        ("eq", Comparison::Equal),
        ("neq", Comparison::NotEqual),
        ("sw", Comparison::StartsWith),
        ("ew", Comparison::EndsWith),
        ("ct", Comparison::Contains),
        ("lt", Comparison::Less),
        ("lte", Comparison::LessOrEqual),
        ("gt", Comparison::Greater),
        ("gte", Comparison::GreaterOrEqual),
    ] {
        both_ways(&format!(r#"{{"key":"k","cmp":"{name}","val":"v"}}"#), Ok(is("k", by, "v")));
    }
    let tag = |condition| Filter::tag("k", condition);
    both_ways(r#"{"key":"k","cmp":"ex"}"#, tag(Condition::Exists));
    both_ways(r#"{"key":"k","cmp":"nex"}"#, tag(Condition::NotExists));
    let list = || ["".into(), "a\n".into(), "b".into()].into();
    both_ways(r#"{"key":"k","cmp":"in","vals":["","a\n","b"]}"#, tag(Condition::In(list())));
    both_ways(r#"{"key":"k","cmp":"nin","vals":["","a\n","b"]}"#, tag(Condition::NotIn(list())));
    let leaf = || is("k", Comparison::Equal, "v");
    both_ways(
        r#"{"op":"and","nodes":[{"key":"k","cmp":"eq","val":"v"},{"op":"not","nodes":[{"key":"k","cmp":"eq","val":"v"}]}]}"#,
        Filter::all(vec![leaf(), Filter::negated(leaf()).expect("valid")]),
    );
    both_ways(
        r#"{"op":"or","nodes":[{"key":"k","cmp":"eq","val":"v"}]}"#,
        Filter::any(vec![leaf()]),
    );
    // What breaks the rules is written as what breaks them, too.
    both_ways("{}", Err(BadFilter));
}

#[test]
fn protobuf_bytes() {
    let tree: &[&[u8]] = &[
        &[0x0a, 2, b'o', b'r', 0x32, 13],
        &[0x12, 1, b'k', 0x1a, 2, b'i', b'n', 0x2a, 1, b'b', 0x2a, 1, b'a'],
        &[0x32, 10, 0x12, 1, b'n', 0x1a, 2, b'g', b't', 0x22, 1, b'5'],
    ];
    let frame = frame(&tree.concat());
    let command = protobuf::commands(&frame).next().expect("a command").expect("valid");
    let list = Filter::tag("k", Condition::In(["a".into(), "b".into()].into())).expect("valid");
    let expected = Filter::any(vec![list, is("n", Comparison::Greater, "5")]).expect("valid");
    let mut written = Vec::new();
    protobuf::put_command(&mut written, &command);
    assert_eq!(filter_of(command), Some(Ok(Box::new(expected))));
    // But for the order of the list.
    assert_eq!(written.len(), frame.len());
}

#[test]
fn absent_and_forgiven() {
    assert_eq!(read("null"), Ok(None));
    let leaf = Ok(Some(Ok(Box::new(is("k", Comparison::Equal, "v")))));
    for json in [
        r#"{ "val" : "v" , "cmp":"eq", "key":"\u006b" }"#,
        r#"{"op":"","key":"k","cmp":"eq","val":"v","vals":[],"nodes":[]}"#,
        r#"{"op":null,"key":"k","cmp":"eq","val":"v","vals":null,"nodes":null,"future":[1]}"#,
        // Members that are of no use in a node of the kind.
        r#"{"key":"k","cmp":"eq","val":"v","nodes":[{}]}"#,
        // The last one counts.
        r#"{"key":"a","cmp":"in","vals":["x"],"val":"v","key":"k","cmp":"eq","vals":[]}"#,
    ] {
        assert_eq!(read(json), leaf, "{json}");
    }
    let not = Filter::negated(is("k", Comparison::Equal, "v")).map(Box::new);
    let json = r#"{"op":"not","key":"x","cmp":"y","val":"z","vals":["w"],"nodes":[{"key":"k","cmp":"eq","val":"v"}]}"#;
    assert_eq!(read(json), Ok(Some(not)));
    assert!(matches!(read(r#"{"cmp":"ex"}"#), Ok(Some(Ok(_)))));
}

#[test]
fn filters_that_break_the_rules() {
    let leaf = r#"{"key":"k","cmp":"ex"}"#;
    for json in [
        r#"{"key":"k"}"#.to_owned(),
        r#"{"key":"k","val":"v"}"#.to_owned(),
        r#"{"key":"k","cmp":"EQ","val":"v"}"#.to_owned(),
        r#"{"key":"k","cmp":"=","val":"v"}"#.to_owned(),
        r#"{"key":"k","cmp":"eq"}"#.to_owned(),
        r#"{"key":"k","cmp":"eq","val":""}"#.to_owned(),
        r#"{"key":"k","cmp":"eq","vals":["v"]}"#.to_owned(),
        r#"{"key":"k","cmp":"eq","val":"v","vals":["v"]}"#.to_owned(),
        r#"{"key":"k","cmp":"gte"}"#.to_owned(),
        r#"{"key":"k","cmp":"in"}"#.to_owned(),
        r#"{"key":"k","cmp":"in","vals":[]}"#.to_owned(),
        r#"{"key":"k","cmp":"in","val":"v"}"#.to_owned(),
        r#"{"key":"k","cmp":"nin","val":"v","vals":["v"]}"#.to_owned(),
        r#"{"key":"k","cmp":"ex","val":"v"}"#.to_owned(),
        r#"{"key":"k","cmp":"nex","vals":["v"]}"#.to_owned(),
        format!(r#"{{"op":"xor","nodes":[{leaf}]}}"#),
        format!(r#"{{"op":"AND","nodes":[{leaf}]}}"#),
        r#"{"op":"and"}"#.to_owned(),
        r#"{"op":"or","nodes":[]}"#.to_owned(),
        r#"{"op":"not"}"#.to_owned(),
        r#"{"op":"not","key":"k","cmp":"ex"}"#.to_owned(),
        format!(r#"{{"op":"not","nodes":[{leaf},{leaf}]}}"#),
        format!(r#"{{"nodes":[{leaf}]}}"#),
        format!(r#"{{"op":"or","nodes":[{leaf},{{}}]}}"#),
        format!(r#"{{"op":"or","nodes":[null,{leaf}]}}"#),
        format!(r#"{{"op":"or","nodes":[{leaf},{{"op":"not"}},{leaf}]}}"#),
    ] {
        assert_eq!(read(&json), Ok(Some(Err(BadFilter))), "{json}");
    }
}

/// Those end the connection, as wrong types do everywhere.
#[test]
fn filters_that_are_none() {
    for json in [
        "1",
        "\"\"",
        "[]",
        "true",
        r#"{"op":1}"#,
        r#"{"key":1,"cmp":"ex"}"#,
        r#"{"key":"k","cmp":"eq","val":1}"#,
        r#"{"key":"k","cmp":"in","vals":"v"}"#,
        r#"{"key":"k","cmp":"in","vals":[1]}"#,
        r#"{"key":"k","cmp":"in","vals":{}}"#,
        r#"{"op":"and","nodes":{}}"#,
        r#"{"op":"and","nodes":[[]]}"#,
        r#"{"op":"and","nodes":["x"]}"#,
        r#"{"op":"\ud800"}"#,
        "{",
    ] {
        assert_eq!(read(json), Err(Malformed::Syntax), "{json}");
    }
    let bad: [(&[u8], Malformed); 7] = [
        (&[0x08, 1], Malformed::Syntax),
        (&[0x12, 1, 0xff], Malformed::Syntax),
        (&[0x2a, 1, 0xff], Malformed::Syntax),
        (&[0x30, 1], Malformed::Syntax),
        (&[0x32, 2, 0x28, 1], Malformed::Syntax),
        (&[0x32, 2, 0x12, 1], Malformed::Truncated),
        (&[0x32, 0x7f], Malformed::Truncated),
    ];
    for (node, malformed) in bad {
        assert_eq!(protobuf::commands(&frame(node)).next(), Some(Err(malformed)), "{node:?}");
    }
}

#[test]
fn filters_at_their_limits() {
    let nested = |levels: usize| {
        let [open, close] = [r#"{"op":"not","nodes":["#, "]}"].map(|it| it.repeat(levels - 1));
        format!(r#"{open}{{"cmp":"ex"}}{close}"#)
    };
    assert!(matches!(read(&nested(17)), Ok(Some(Ok(_)))));
    assert_eq!(read(&nested(18)), Err(Malformed::TooDeep));

    let wide = |nodes: usize| {
        let leaves = vec![r#"{"cmp":"ex"}"#; nodes - 1].join(",");
        read(&format!(r#"{{"op":"or","nodes":[{leaves}]}}"#))
    };
    assert!(matches!(wide(MAX_NODES), Ok(Some(Ok(_)))));
    assert_eq!(wide(MAX_NODES + 1), Ok(Some(Err(BadFilter))));
    assert_eq!(wide(5_000), Ok(Some(Err(BadFilter))));

    let long = |values: usize| {
        let values: Vec<_> = (0..values).map(|n| format!(r#""{n}""#)).collect();
        read(&format!(r#"{{"key":"k","cmp":"in","vals":[{}]}}"#, values.join(",")))
    };
    assert!(matches!(long(MAX_VALUES), Ok(Some(Ok(_)))));
    assert_eq!(long(MAX_VALUES + 1), Ok(Some(Err(BadFilter))));
    assert_eq!(long(10_000), Ok(Some(Err(BadFilter))));

    let large = "v".repeat(MAX_TEXT + 1);
    let json = format!(r#"{{"cmp":"eq","val":"{large}"}}"#);
    assert_eq!(read(&json), Ok(Some(Err(BadFilter))));
}

#[test]
fn protobuf_filters_may_have_all_levels() {
    let nested = |levels: usize| {
        let mut node = vec![0x1a, 2, b'e', b'x'];
        for _ in 1..levels {
            node = [&[0x0a, 3, b'n', b'o', b't'], &*field(0x32, &node)].concat();
        }
        frame(&node)
    };
    let deepest = nested(32);
    let command = protobuf::commands(&deepest).next().expect("a command").expect("valid");
    let mut written = Vec::new();
    protobuf::put_command(&mut written, &command);
    assert_eq!(written, deepest);
    assert!(matches!(filter_of(command), Some(Ok(_))));
    assert_eq!(protobuf::commands(&nested(33)).next(), Some(Err(Malformed::TooDeep)));
}

/// A frame with a subscribe whose filter is `node`.
fn frame(node: &[u8]) -> Vec<u8> {
    let message = [&[0x08, 1], &*field(0x2a, &field(0x6a, node))].concat();
    field(0, &message).split_off(1)
}

fn field(key: u8, message: &[u8]) -> Vec<u8> {
    let mut out = vec![key];
    let mut length = message.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(message);
    out
}
