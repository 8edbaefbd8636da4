//! WebSocket frames: written, and read and unmasked in place.

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{BatchSize, Criterion, Throughput};
use sealcast_wire::ws::{self, Incoming, Limits, Opcode, Receiver, Role};

const LIMITS: Limits = Limits { message: 65_536, fragments: 64 };

pub(crate) fn bench(criterion: &mut Criterion) {
    for size in [100, 4_096, 65_536] {
        let payload = vec![b'x'; size];
        let mut group = criterion.benchmark_group("frame");
        group.throughput(Throughput::Bytes(size as u64));
        let mut out = Vec::with_capacity(size + 16);
        group.bench_function(format!("write {size} bytes"), |bencher| {
            bencher.iter(|| {
                out.clear();
                ws::put_frame(&mut out, Opcode::Binary, black_box(&payload));
                out.len()
            });
        });
        let mut masked = Vec::new();
        ws::put_masked_frame(&mut masked, Opcode::Binary, [1, 2, 3, 4], &payload);
        let mut receiver = Receiver::new(Role::Server, LIMITS);
        group.bench_function(format!("read and unmask {size} bytes"), |bencher| {
            bencher.iter_batched_ref(
                || masked.clone(),
                |bytes| {
                    let mut read = 0;
                    let fed = receiver.feed(bytes, |incoming| {
                        if let Incoming::Binary(payload) = incoming {
                            read += payload.len();
                        }
                        ControlFlow::Continue(())
                    });
                    assert!(fed.is_ok() && read == size);
                },
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }
}
