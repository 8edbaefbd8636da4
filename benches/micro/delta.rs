//! Patches for payloads of which little changes.

use std::hint::black_box;

use criterion::Criterion;
use sealcast_wire::delta::{decode, encode};

pub(crate) fn bench(criterion: &mut Criterion) {
    let row = |at: usize, price: usize| format!(r#"{{"name":"item {at}","price":{price}}}"#);
    let table = |changed: usize| {
        let rows = (0..50).map(|at| row(at, if at == changed { 7 } else { 100 * at }));
        rows.collect::<Vec<_>>().join(",").into_bytes()
    };
    let (base, target) = (table(usize::MAX), table(25));
    let patch = encode(&base, &target).expect("smaller");
    criterion.bench_function("encode a patch of 1.5 KB", |bencher| {
        bencher.iter(|| encode(black_box(&base), black_box(&target)));
    });
    criterion.bench_function("decode a patch of 1.5 KB", |bencher| {
        bencher.iter(|| decode(black_box(&base), black_box(&patch), 65_536));
    });
}
