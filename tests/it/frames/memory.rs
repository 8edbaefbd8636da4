//! What a peer merely claims costs no memory. A process of its own, so that nothing
//! else is measured.

use sealcast_client::{Connection, Options};
use sealcast_wire::Encoding;
use serde_json::json;

use super::{announced, frame};
use crate::support::process::Process;
use crate::support::{PATIENCE, token};

const CONNECTIONS: usize = 300;
/// For what so many connections cost anyway, and for the allocator's moods. Were
/// only half of what is claimed allocated, it would be 10 MiB.
const MARGIN: u64 = 6 << 10;

#[tokio::test]
async fn claimed_sizes_are_not_allocated() {
    let process = Process::serve(json!({ "limits": { "message_deadline": "60s" } }));
    // Connections cost something by themselves; they pay first.
    let warm = open(&process, b"").await;
    drop(warm);
    let before = process.resident();
    let claims = open(&process, &announced(0x82, 65_536)).await;
    let after = process.resident();
    assert!(after < before + MARGIN, "{before} KiB, then {after} KiB with frames announced");
    drop(claims);

    // Two GiB and four GiB, as the length of one Protobuf command.
    for prefix in [b"\x80\x80\x80\x80\x08", b"\xff\xff\xff\xff\x0f"] {
        drop(open(&process, &frame(0x82, prefix)).await);
        let after = process.resident();
        assert!(after < before + MARGIN, "{before} KiB, then {after} KiB after {prefix:?}");
    }
}

/// Opens connections, each of which connects and then sends `bytes`.
async fn open(process: &Process, bytes: &[u8]) -> Vec<Connection> {
    let mut options = Options::new(process.url());
    options.timeout = PATIENCE;
    options.encoding = Encoding::Protobuf;
    options.token = Some(token::of("ada"));
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(&options).await.unwrap();
        connection.connect(&options).await.unwrap();
        connection.send_bytes(bytes).await.unwrap();
        open.push(connection);
    }
    // Whoever connects now is served after all that was sent before.
    Connection::open(&options).await.unwrap().connect(&options).await.unwrap();
    open
}
