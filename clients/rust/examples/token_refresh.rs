//! Tokens from a backend, which here is the development server:
//! `cargo run -p sealcast-client --example token_refresh -- ada`, beside
//! `sealcast serve --dev`. It shows when tokens are asked for: at the start,
//! before one expires (after some 15 minutes), and when the server does not take
//! the old one any more.
#![expect(clippy::print_stdout, reason = "it is a program for the terminal")]

mod support;

use sealcast_client::{Client, Config, Event};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let user = std::env::args().nth(1).unwrap_or_else(|| "ada".into());
    let config = Config::new(support::url()).with_token_source(move || {
        let user = user.clone();
        async move {
            println!("* asks for a token of {user}");
            // `Unauthorized` disconnects for good; after any other error it asks again.
            support::token(user).await
        }
    });
    let (client, mut events) = Client::new(config)?;
    client.connect().await?;
    while let Some(event) = events.next().await {
        match event {
            Event::Connecting(cause) => println!("* connecting: {cause}"),
            Event::Connected(connected) => println!("* connected as {}", connected.client),
            Event::Error(failure) => println!("! {failure}"),
            Event::Disconnected(cause) => {
                println!("* disconnected: {cause}");
                // The keys of a restarted development server are new; a client that
                // is told to connect again comes with a new token.
                if cause.code != 3500 {
                    break;
                }
                client.connect().await?;
            }
            _ => {}
        }
    }
    Ok(())
}
