//! Event streams over HTTP/2, as a client reads them.

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use hyper::Response;
use hyper::http::request::Builder;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::wire::{Http2, Sent};
use crate::stream::reader::{Emulated, Event, first_block};
use crate::support::{PATIENCE, token};

pub(super) const TRANSPORTS: [&str; 4] = ["sse", "http_stream", "uni_sse", "uni_http_stream"];

/// One open stream.
pub(super) struct Stream {
    pub(super) head: Response<()>,
    say: SendStream<Bytes>,
    hear: RecvStream,
    content: Vec<u8>,
}

impl Http2 {
    /// A POST of JSON.
    pub(super) fn json(&self, path: &str) -> Builder {
        self.post(path).header("content-type", "application/json")
    }

    /// A stream that must be opened.
    pub(super) async fn stream(&self, request: Builder, body: Option<&str>) -> Stream {
        Stream::of(self.send(request, body).await).await
    }

    /// The same with bytes that are no text.
    pub(super) async fn stream_of(&self, request: Builder, body: Vec<u8>) -> Stream {
        let (answer, mut say) = self.begin(request).await;
        say.send_data(body.into(), true).unwrap();
        Stream::of((answer, say)).await
    }

    /// The same for `user`, with its connect request; one that only listens hears what
    /// is said in `channel`.
    pub(super) async fn opened(&self, transport: &str, user: &str, channel: &str) -> Stream {
        let request = self.json(&format!("/connection/{transport}"));
        let token = token::of(user);
        let connect = match transport.starts_with("uni_") {
            true => json!({ "token": token, "subs": { channel: {} } }),
            false => json!({ "id": 1, "connect": { "token": token } }),
        };
        self.stream(request, Some(&connect.to_string())).await
    }

    /// The same, and it is subscribed, whatever transport it is.
    pub(super) async fn subscribed(&self, transport: &str, user: &str, channel: &str) -> Stream {
        let mut stream = self.opened(transport, user, channel).await;
        let said = stream.next(transport).await;
        assert!(said["connect"].is_object(), "{said}");
        if !transport.starts_with("uni_") {
            let session = Emulated::of(&said);
            let subscribe = json!({ "id": 2, "subscribe": { "channel": channel } });
            assert_eq!(self.say(&session, &[], &subscribe).await, 204);
            assert!(stream.next(transport).await["subscribe"].is_object());
        }
        stream
    }

    /// Sends a command by `/emulation`; the status.
    pub(super) async fn say(
        &self,
        session: &Emulated,
        headers: &[(&str, &str)],
        command: &Value,
    ) -> u16 {
        let body = json!({
            "session": session.session, "node": session.node, "data": command.to_string(),
        });
        let request = self.json("/emulation");
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.ask(request, Some(&body.to_string())).await.status
    }
}

impl Stream {
    async fn of((answer, say): Sent) -> Stream {
        let answer = timeout(PATIENCE, answer).await.expect("no answer").unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
        let (head, hear) = answer.into_parts();
        Stream { head: Response::from_parts(head, ()), say, hear, content: Vec::new() }
    }

    /// What comes next; `None` at its end in order.
    pub(super) async fn data(&mut self) -> Option<Bytes> {
        let data = timeout(PATIENCE, self.hear.data()).await.expect("silence")?.expect("a reset");
        // The peer may have reset the stream meanwhile.
        let _ = self.hear.flow_control().release_capacity(data.len());
        Some(data)
    }

    /// The next reply or push that says something.
    pub(super) async fn next(&mut self, transport: &str) -> Value {
        loop {
            let text = match transport.ends_with("sse") {
                true => match self.block().await.expect("the end").said() {
                    Some(data) => data.to_owned(),
                    None => continue,
                },
                false => self.line().await.expect("the end"),
            };
            return serde_json::from_str(&text).unwrap();
        }
    }

    /// The next line; `None` at the end.
    pub(super) async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.content.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.content.drain(..=end).collect();
                return Some(String::from_utf8(line[..end].to_vec()).unwrap());
            }
            let data = self.data().await?;
            self.content.extend_from_slice(&data);
        }
    }

    /// The next block of an event stream; `None` at the end.
    pub(super) async fn block(&mut self) -> Option<Event> {
        loop {
            let text = String::from_utf8(self.content.clone()).unwrap();
            if let Some((block, taken)) = first_block(&text) {
                self.content.drain(..taken);
                return Some(block);
            }
            let data = self.data().await?;
            self.content.extend_from_slice(&data);
        }
    }

    /// Nothing more comes, and the stream ends in order.
    pub(super) async fn ended(&mut self) {
        while let Some(data) = self.data().await {
            assert!(data.is_empty(), "{data:?}");
        }
        assert!(self.content.is_empty());
    }

    /// Takes the request back.
    pub(super) fn cancel(mut self) {
        self.say.send_reset(Reason::CANCEL);
    }
}
