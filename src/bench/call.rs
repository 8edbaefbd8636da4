//! Calls of the server API: plain HTTP/1.1 over sockets that stay.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::failure::{Failure, While};
use super::target::Target;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest answer that is read, bytes.
const LONGEST: usize = 16 << 20;

/// A socket for calls.
pub(super) struct Caller {
    stream: TcpStream,
    head: String,
    answer: Vec<u8>,
}

impl Caller {
    /// # Errors
    /// If the server cannot be reached, or there is no key of its API.
    pub(super) fn new(target: &Target) -> Result<Caller, Failure> {
        let stream = TcpStream::connect(target.address()).during("connect")?;
        stream.set_nodelay(true).during("set up a socket")?;
        stream.set_read_timeout(Some(PATIENCE)).during("set up a socket")?;
        let (host, key) = (target.address(), target.api_key()?);
        let head = format!(
            " HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"
        );
        Ok(Caller { stream, head, answer: Vec::new() })
    }

    /// Sends a call, whose answer is then to be taken.
    ///
    /// # Errors
    /// If the socket is broken.
    pub(super) fn send(&mut self, method: &str, body: &Value) -> Result<(), Failure> {
        let (head, body) = (&self.head, body.to_string());
        let request =
            format!("POST /api/{method}{head}Content-Length: {}\r\n\r\n{body}", body.len());
        self.stream.write_all(request.as_bytes()).during("call the server API")
    }

    /// The answer to the call that was sent.
    ///
    /// # Errors
    /// If there is none, or it is an error.
    pub(super) fn take(&mut self) -> Result<Value, Failure> {
        self.answer.clear();
        let mut some = [0; 16 << 10];
        loop {
            let count = self.stream.read(&mut some).during("read an answer of the server API")?;
            self.answer.extend_from_slice(some.get(..count).unwrap_or_default());
            match parse(&self.answer) {
                Parsed::Whole(value) => return Ok(value),
                Parsed::Part if count > 0 && self.answer.len() <= LONGEST => {}
                Parsed::Part => return Err(failed(&self.answer)),
                Parsed::Wrong => return Err(failed(&self.answer)),
            }
        }
    }

    /// Both.
    ///
    /// # Errors
    /// As they.
    pub(super) fn call(&mut self, method: &str, body: &Value) -> Result<Value, Failure> {
        self.send(method, body)?;
        self.take()
    }
}

#[derive(Debug, PartialEq)]
enum Parsed {
    /// What a success answered.
    Whole(Value),
    Part,
    /// Anything else than a success.
    Wrong,
}

fn parse(answer: &[u8]) -> Parsed {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Parsed::Part;
    };
    let (head, body) = answer.split_at(end + 4);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let Some(length) = length.and_then(|length| length.trim().parse().ok()) else {
        return Parsed::Wrong;
    };
    if !head.starts_with("http/1.1 200 ") {
        return Parsed::Wrong;
    }
    let Some(body) = body.get(..length) else { return Parsed::Part };
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return Parsed::Wrong };
    let replies = value.get("replies").and_then(Value::as_array);
    let fails = |value: &Value| value.get("error").is_some();
    if fails(&value) || replies.is_some_and(|replies| replies.iter().any(fails)) {
        return Parsed::Wrong;
    }
    Parsed::Whole(value)
}

fn failed(answer: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(answer);
    let short: String = text.chars().take(300).collect();
    Failure::Server(format!("a call of the server API was answered by: {short:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Vec<u8> {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
    }

    #[test]
    fn only_a_whole_success_is_one() {
        let whole = answer(r#"{"result":{}}"#);
        assert_eq!(parse(&whole), Parsed::Whole(serde_json::json!({ "result": {} })));
        for cut in [0, 10, whole.len() - 1] {
            assert_eq!(parse(whole.get(..cut).unwrap_or_default()), Parsed::Part);
        }
        for wrong in [
            answer(r#"{"error":{"code":107,"message":"bad request"}}"#),
            answer(r#"{"replies":[{"publish":{}},{"error":{"code":100}}]}"#),
            answer("no JSON"),
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_vec(),
            b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
        ] {
            assert_eq!(parse(&wrong), Parsed::Wrong);
        }
    }
}
