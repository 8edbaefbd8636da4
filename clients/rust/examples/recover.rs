//! Misses nothing, also while it does not run:
//! `cargo run -p sealcast-client --example recover -- room-lobby place.json`,
//! beside `sealcast serve --dev`. Its place in the channel's stream is kept in the
//! file. Stop it, publish something, and start it again.
#![expect(clippy::print_stdout, reason = "it is a program for the terminal")]

mod support;

use std::path::Path;

use sealcast_client::{Client, Config, Position, SubscriptionConfig, SubscriptionEvent};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let channel = arguments.next().unwrap_or_else(|| "room-lobby".into());
    let file = arguments.next().unwrap_or_else(|| "place.json".into());
    let file = Path::new(&file);

    let config = Config::new(support::url()).with_token_source(|| support::token("ada".into()));
    let (client, events) = Client::new(config)?;
    // Nobody reads them here.
    drop(events);
    client.connect().await?;

    let mut wanted = SubscriptionConfig::default();
    wanted.recoverable = true;
    wanted.since = load(file);
    let (subscription, mut events) = client.new_subscription(&channel, wanted)?;
    subscription.subscribe().await?;

    let mut place: Option<Position> = None;
    while let Some(event) = events.next().await {
        match event {
            SubscriptionEvent::Subscribed(subscribed) => {
                match (subscribed.was_recovering, subscribed.recovered) {
                    (true, true) => println!("* back; {} were missed:", subscribed.missed),
                    (true, false) => println!("* back; what was missed is gone"),
                    (false, _) => println!("* subscribed"),
                }
                place = subscribed.position;
            }
            SubscriptionEvent::Publication(publication) => {
                println!("{}: {}", publication.offset, String::from_utf8_lossy(&publication.data));
                // Only now it is done with.
                if let Some(place) = &mut place {
                    place.offset = publication.offset;
                }
            }
            SubscriptionEvent::Unsubscribed(cause) => {
                println!("* unsubscribed: {cause}");
                break;
            }
            SubscriptionEvent::Subscribing(cause) => println!("* subscribing: {cause}"),
            SubscriptionEvent::Error(failure) => println!("! {failure}"),
            _ => {}
        }
        if let Some(place) = &place {
            let place = serde_json::json!({ "offset": place.offset, "epoch": &*place.epoch });
            std::fs::write(file, place.to_string())?;
        }
    }
    Ok(())
}

fn load(file: &Path) -> Option<Position> {
    let text = std::fs::read_to_string(file).ok()?;
    let place: serde_json::Value = serde_json::from_str(&text).ok()?;
    let epoch = place.get("epoch")?.as_str()?.into();
    Some(Position { offset: place.get("offset")?.as_u64()?, epoch })
}
