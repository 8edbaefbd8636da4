//! A chat in the terminal: `cargo run -p sealcast-client --example chat -- ada lobby`,
//! beside `sealcast serve --dev`. What is typed is published; the page of the
//! development server shows it too.
#![expect(clippy::print_stdout, reason = "it is a program for the terminal")]

mod support;

use sealcast_client::{Client, Config, Event, Events, SubscriptionConfig, SubscriptionEvent};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let user = arguments.next().unwrap_or_else(|| "ada".into());
    let room = format!("room-{}", arguments.next().unwrap_or_else(|| "lobby".into()));

    let config =
        Config::new(support::url()).with_token_source(move || support::token(user.clone()));
    let (client, events) = Client::new(config)?;
    tokio::spawn(show_state(events));

    let (room, messages) = client.new_subscription(&room, SubscriptionConfig::default())?;
    tokio::spawn(show_messages(messages));
    room.subscribe().await?;
    client.connect().await?;
    room.ready().await?;

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let message = serde_json::json!({ "text": line }).to_string();
        if let Err(error) = room.publish(message).await {
            println!("! {error}");
        }
    }
    client.disconnect().await?;
    Ok(())
}

async fn show_state(mut events: Events<Event>) {
    while let Some(event) = events.next().await {
        match event {
            Event::Connecting(cause) => println!("* connecting: {cause}"),
            Event::Connected(connected) => println!("* connected as {}", connected.client),
            Event::Disconnected(cause) => println!("* disconnected: {cause}"),
            Event::Error(failure) => println!("! {failure}"),
            _ => {}
        }
    }
}

async fn show_messages(mut messages: Events<SubscriptionEvent>) {
    while let Some(event) = messages.next().await {
        match event {
            SubscriptionEvent::Publication(publication) => {
                let who = publication.info.map_or_else(|| "server".into(), |info| info.user);
                let text = String::from_utf8_lossy(&publication.data).into_owned();
                println!("{who}: {text}");
            }
            SubscriptionEvent::Unsubscribed(cause) => println!("* unsubscribed: {cause}"),
            SubscriptionEvent::Error(failure) => println!("! {failure}"),
            _ => {}
        }
    }
}
