//! Deltas over a wire that is cut: what comes is always whole, and less is sent.

use super::*;

fn payload(number: u64) -> Value {
    json!({
        "name": "a document of which little changes from one publication to the next",
        "lines": vec!["the same line, over and over again"; 20],
        "number": number,
        "text": "wörter",
    })
}

async fn all_are_whole(encoding: Encoding) {
    const MANY: u64 = 200;
    let world = World::with(json!({ "delta_publish": true })).await;
    let (client, _events) = world.client(encoding).await;
    let mut config = recoverable();
    config.delta = true;
    let (_room, mut events) = subscribed(&client, "room", config).await;
    let publishing = async {
        for number in 0..MANY {
            world.publish("room", payload(number)).await;
            if number % 60 == 31 {
                world.proxy.cut();
            }
        }
    };
    let listening = async {
        for expected in 0..MANY {
            let publication = publication(&mut events).await;
            assert_eq!(publication.data, payload(expected).to_string());
            assert!(!publication.delta);
        }
    };
    tokio::join!(publishing, listening);
    let whole = MANY * payload(0).to_string().len() as u64;
    assert!(world.proxy.down() * 2 < whole, "{} of {whole} bytes", world.proxy.down());
}

#[tokio::test]
async fn publications_are_whole_in_json() {
    all_are_whole(Encoding::Json).await;
}

#[tokio::test]
async fn publications_are_whole_in_protobuf() {
    all_are_whole(Encoding::Protobuf).await;
}
