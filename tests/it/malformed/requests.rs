//! Requests of the server API, whatever their body (protocol 7.1, 12.41).

use super::{Case, Expected, Input, Status};
use crate::support::node::API_KEY;

const BODY: &str = r#"{"channel":"room","data":1}"#;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(paths());
    cases.extend(methods());
    cases.extend(keys());
    cases.extend(codings());
    cases.extend(framing());
    cases
}

fn case(line: &str, headers: &str, body: &str, expected: Expected, clause: &'static str) -> Case {
    let request = format!("{line}\r\nHost: it\r\nConnection: close\r\n{headers}\r\n{body}");
    Case::new(format!("{line} {headers}"), Input::Request(request.into_bytes()), expected, clause)
}

fn whole(line: &str, headers: &str, expected: Expected, clause: &'static str) -> Case {
    let headers = format!("{headers}Content-Length: {}\r\n", BODY.len());
    case(line, &headers, BODY, expected, clause)
}

fn key() -> String {
    format!("X-API-Key: {API_KEY}\r\n")
}

fn paths() -> impl Iterator<Item = Case> {
    [
        "/api",
        "/api/",
        "/API/publish",
        "/api/PUBLISH",
        "/api/publish%20",
        "/api/publish%00",
        "/api//publish",
        "/api/publish/publish",
        "/api/./publish",
        "/api/map",
        "/api/map_publish_all",
        "/api/users",
        "/api/survey",
        "/api/connections",
        "/api/%70%75",
    ]
    .into_iter()
    .map(|path| whole(&format!("POST {path} HTTP/1.1"), &key(), Status(404), "protocol 7.1, 12.41"))
}

fn methods() -> impl Iterator<Item = Case> {
    ["PATCH", "OPTIONS", "TRACE", "BREW"].into_iter().map(|method| {
        let line = format!("{method} /api/publish HTTP/1.1");
        whole(&line, &key(), Status(405), "protocol 12.41, R-18")
    })
}

fn keys() -> impl Iterator<Item = Case> {
    [
        "Authorization: apikey\r\n".to_owned(),
        "Authorization: apikey \r\n".into(),
        format!("Authorization: api key {API_KEY}\r\n"),
        format!("Authorization: Basic {API_KEY}\r\n"),
        format!("Authorization: apikey={API_KEY}\r\n"),
        format!("Authorization: apikey {API_KEY},{API_KEY}\r\n"),
        format!("X-API-Key: {API_KEY},{API_KEY}\r\n"),
        format!("X-API-Key: \"{API_KEY}\"\r\n"),
        format!("X-API-Key: apikey {API_KEY}\r\n"),
        format!("X-API-Key: {}\r\n", API_KEY.to_uppercase()),
        format!("X-API-Key: {API_KEY}\u{e9}\r\n"),
        format!("X-Api-Keys: {API_KEY}\r\n"),
        format!("Cookie: X-API-Key={API_KEY}\r\n"),
    ]
    .into_iter()
    .map(|header| whole("POST /api/publish HTTP/1.1", &header, Status(401), "protocol 7.1, R-08"))
}

fn codings() -> impl Iterator<Item = Case> {
    ["zstd", "x-gzip", "identity", "GZIP", "nonsense", ""].into_iter().map(|coding| {
        let headers = format!("{}Content-Encoding: {coding}\r\n", key());
        whole("POST /api/publish HTTP/1.1", &headers, Status(415), "R-18")
    })
}

/// Bodies whose end is doubtful, or does not come.
fn framing() -> impl Iterator<Item = Case> {
    [
        ("Content-Length: 27, 27", BODY),
        ("Content-Length: 27\r\nContent-Length: 26", BODY),
        ("Content-Length: -1", ""),
        ("Content-Length: 1e1", BODY),
        ("Content-Length: 99999999999999999999", ""),
        ("Transfer-Encoding: identity", BODY),
        ("Transfer-Encoding: gzip, chunked", "1b\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 27", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "-2\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "0x2\r\n{}\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "2\r\n{}xx0\r\n\r\n"),
        ("Transfer-Encoding: chunked", "ffffffffffffffff0\r\n{}"),
        ("Transfer-Encoding: chunked", "2\n{}\n0\n\n"),
    ]
    .into_iter()
    .map(|(header, body)| {
        let headers = format!("{}{header}\r\n", key());
        case("POST /api/publish HTTP/1.1", &headers, body, Status(400), "R-18, RFC 9112 6")
    })
}
