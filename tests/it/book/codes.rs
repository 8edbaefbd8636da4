//! The code tables of the protocol notes are the code's own.

use std::fs;
use std::path::Path;

use sealcast_wire::{Disconnect, ErrorCode, Unsubscribed};

#[test]
fn every_code_is_in_its_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let page = fs::read_to_string(&path).unwrap();
    let mut made = page.clone();
    for (name, table) in
        [("errors", errors()), ("disconnects", disconnects()), ("unsubscribes", unsubscribes())]
    {
        let begin = format!("<!-- {name}: begin -->\n");
        let end = format!("<!-- {name}: end -->");
        let (before, rest) = made.split_once(&begin).unwrap();
        let (_, after) = rest.split_once(&end).unwrap();
        made = format!("{before}{begin}{table}{end}{after}");
    }
    if std::env::var_os("WRITE_DOCS").is_some() {
        fs::write(&path, &made).unwrap();
    } else {
        assert!(page == made, "run this test with WRITE_DOCS=1");
    }
}

fn errors() -> String {
    let rows = ErrorCode::ALL.iter().map(|error| {
        let again = if error.temporary() { "yes" } else { "" };
        format!("| {} | {} | {again} |\n", error.code(), error.message())
    });
    format!("| code | message | again |\n|---|---|---|\n{}", rows.collect::<String>())
}

fn disconnects() -> String {
    let rows = Disconnect::ALL
        .iter()
        .map(|Disconnect { code, reason }| format!("| {code} | {} |\n", reason.trim()));
    format!("| code | reason |\n|---|---|\n{}", rows.collect::<String>())
}

fn unsubscribes() -> String {
    let rows = Unsubscribed::ALL
        .iter()
        .map(|ended| format!("| {} | {} |\n", ended.code(), ended.reason()));
    format!("| code | reason |\n|---|---|\n{}", rows.collect::<String>())
}
