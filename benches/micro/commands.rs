//! Commands decoded, publications and replies encoded, in both encodings.

use std::hint::black_box;

use criterion::Criterion;
use sealcast_wire::command::{Command, Publish, Request};
use sealcast_wire::{Body, Data, Encoding, Publication, Reply};

const DATA: &[u8] = br#"{"text":"hello, everybody who is here","at":1700000000}"#;

pub(crate) fn bench(criterion: &mut Criterion) {
    for (name, encoding) in [("JSON", Encoding::Json), ("Protobuf", Encoding::Protobuf)] {
        let publish =
            Publish { channel: "chat:lobby".into(), data: Some(Data::Json(DATA)), kind: 0 };
        let mut one = Vec::new();
        encoding.put_command(&mut one, &Command { id: 7, request: Request::Publish(publish) });
        criterion.bench_function(&format!("decode a publish, {name}"), |bencher| {
            bencher.iter(|| {
                let mut commands = encoding.commands(black_box(&one));
                assert!(commands.next().is_some_and(|command| command.is_ok()));
            });
        });
        let publication = Publication { data: DATA.into(), offset: 12_345, ..Default::default() };
        let mut out = Vec::with_capacity(1_024);
        criterion.bench_function(&format!("encode a publication, {name}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                encoding.put_publication(&mut out, black_box("chat:lobby"), &publication);
                out.len()
            });
        });
        let reply = Reply { id: 7, body: Body::Publish };
        criterion.bench_function(&format!("encode a reply, {name}"), |bencher| {
            bencher.iter(|| {
                out.clear();
                encoding.put_reply(&mut out, black_box(&reply));
                out.len()
            });
        });
    }
}
