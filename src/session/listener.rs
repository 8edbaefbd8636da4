//! A client that only listens: after its connect request it has nothing to say.

use std::task::Context;

use sealcast_wire::{Disconnect, Encoding, ErrorCode, Request, json};

use super::{Client, Message, Session};

/// The connect command of a client that gives its connect request alone: one JSON
/// object, or `null` for one without members. `None` for anything else.
#[must_use]
pub fn connect_command(request: &[u8]) -> Option<Vec<u8>> {
    let request = request.trim_ascii();
    let request = if request == b"null" { b"{}" } else { request };
    if !request.starts_with(b"{") || !json::is_value(request) {
        return None;
    }
    let mut command = b"{\"id\":1,\"connect\":".to_vec();
    // Inside JSON they can only be white space; in a frame they would end the command.
    command.extend(request.iter().filter(|byte| !matches!(byte, b'\n' | b'\r')));
    command.push(b'}');
    let read = Encoding::Json.commands(&command).next();
    matches!(read, Some(Ok(command)) if matches!(command.request, Request::Connect(_)))
        .then_some(command)
}

/// How a connect error is told to a client that gets no replies (protocol: error
/// codes of unidirectional clients).
pub(super) fn disconnect_by(code: ErrorCode) -> Disconnect {
    match code {
        ErrorCode::TokenExpired | ErrorCode::Expired => Disconnect::EXPIRED,
        ErrorCode::TooManyRequests => Disconnect::TOO_MANY_REQUESTS,
        ErrorCode::PermissionDenied => Disconnect::PERMISSION_DENIED,
        _ => Disconnect::INTERNAL,
    }
}

/// A client that only listens, over a WebSocket. What it says later is passed over.
pub struct Listener {
    client: Client,
    /// The connect command, if the handshake brought one.
    first: Option<Vec<u8>>,
    asked: bool,
}

impl Listener {
    /// `first` is its connect command, where that is known.
    #[must_use]
    pub fn new(client: Client, first: Option<Vec<u8>>) -> Listener {
        Listener { client, asked: first.is_some(), first }
    }

    fn connect(&mut self, command: &[u8], context: &mut Context<'_>) {
        // What is no command ends the connection as any other does.
        self.client.message(Message::Text(std::str::from_utf8(command).unwrap_or("")), context);
    }
}

impl Session for Listener {
    fn message(&mut self, message: Message<'_>, context: &mut Context<'_>) {
        if std::mem::replace(&mut self.asked, true) {
            return;
        }
        let request = match message {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        };
        self.connect(&connect_command(request).unwrap_or_default(), context);
    }

    fn resume(&mut self, context: &mut Context<'_>) {
        if let Some(first) = self.first.take() {
            self.connect(&first, context);
        }
        self.client.resume(context);
    }

    fn wants_input(&self) -> bool {
        self.client.wants_input()
    }

    fn pseudonym(&self) -> Option<String> {
        self.client.pseudonym()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_becomes_a_command_and_nothing_more() {
        let command = |text: &str| connect_command(text.as_bytes());
        assert_eq!(command("null").as_deref(), Some(&b"{\"id\":1,\"connect\":{}}"[..]));
        let pretty = "{\n  \"token\": \"a\",\r\n  \"data\": {}\n}\n";
        let read = command(pretty).expect("valid");
        assert!(!read.contains(&b'\n') && !read.contains(&b'\r'));
        for bad in [
            "",
            "1",
            "[]",
            "\"a\"",
            "{",
            "{}}",
            "{},\"id\":2",
            "{}} {\"id\":2",
            "{\"token\":1}",
            "{}\n{}",
        ] {
            assert_eq!(command(bad), None, "{bad:?}");
        }
    }
}
