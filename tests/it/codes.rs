//! Every error, disconnect and unsubscribe code (protocol 3.6 to 3.8): what
//! provokes it at a node's socket, or why this server never sends it.

mod away;
mod disconnects;
mod errors;
mod unsubscribes;

use std::pin::Pin;

use futures_util::future::join_all;
use sealcast_client::Frame;
use sealcast_wire::{Disconnect, ErrorCode, Unsubscribed};
use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::client::Wire;

/// One code, as the protocol's table has it.
struct Row {
    code: u32,
    text: &'static str,
    temporary: bool,
    why: Why,
}

enum Why {
    /// This is what provokes it.
    Provoked(Scenario),
    /// It never goes out, for this reason.
    Never(&'static str),
}

type Scenario = fn() -> Pin<Box<dyn Future<Output = Told>>>;

/// What a scenario came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// A client was told.
    Said { code: u32, text: String, temporary: bool },
    /// No client can be told any more; the node counted it.
    Counted(u32),
}

/// A row whose code is provoked by the scenario.
macro_rules! provoked {
    ($code:literal, $text:literal, $scenario:path) => {
        $crate::codes::Row {
            code: $code,
            text: $text,
            temporary: false,
            why: $crate::codes::Why::Provoked(|| Box::pin($scenario())),
        }
    };
}
use provoked;

/// A row whose code never goes out.
fn never(code: u32, text: &'static str, reason: &'static str) -> Row {
    Row { code, text, temporary: false, why: Why::Never(reason) }
}

impl Row {
    fn temporary(mut self) -> Row {
        self.temporary = true;
        self
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_error_is_provoked_or_never_sent() {
    let known = |code: &ErrorCode| (code.code(), code.message(), code.temporary());
    is_complete(&errors::rows(), ErrorCode::ALL.iter().map(known));
    check(errors::rows()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_disconnect_is_provoked_or_never_sent() {
    let known = |one: &Disconnect| (u32::from(one.code), one.reason, false);
    is_complete(&disconnects::rows(), Disconnect::ALL.iter().map(known));
    check(disconnects::rows()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_unsubscribe_is_provoked_or_never_sent() {
    let known = |code: &Unsubscribed| (code.code(), code.reason(), false);
    let of_the_client = unsubscribes::OF_THE_CLIENT.map(|(code, text)| (code, text, false));
    is_complete(&unsubscribes::rows(), Unsubscribed::ALL.iter().map(known).chain(of_the_client));
    check(unsubscribes::rows()).await;
}

/// The rows are exactly what is known, each once.
#[track_caller]
fn is_complete(rows: &[Row], known: impl Iterator<Item = (u32, &'static str, bool)>) {
    let mut listed: Vec<_> = rows.iter().map(|row| (row.code, row.text, row.temporary)).collect();
    let mut known: Vec<_> = known.collect();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known);
    for row in rows {
        if let Why::Never(reason) = row.why {
            assert!(reason.len() > 20, "{} has no reason", row.code);
        }
    }
}

/// Runs every scenario, side by side, and shows all that came to something else.
async fn check(rows: Vec<Row>) {
    let outcomes = rows.iter().map(|row| async move {
        let Why::Provoked(scenario) = row.why else { return None };
        let told = tokio::time::timeout(PATIENCE, scenario()).await;
        let told = told.unwrap_or_else(|_| panic!("{}: nothing came of it", row.code));
        let expected = match told {
            Told::Counted(_) => Told::Counted(row.code),
            Told::Said { .. } => {
                Told::Said { code: row.code, text: row.text.into(), temporary: row.temporary }
            }
        };
        (told != expected).then(|| format!("{told:?} instead of {expected:?}"))
    });
    let wrong: Vec<String> = join_all(outcomes).await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// The error of an answer; `temporary` is left out unless it is true.
#[track_caller]
fn error_in(answer: &Value) -> Told {
    let error = &answer["error"];
    let temporary = match error.get("temporary") {
        None => false,
        Some(flag) => {
            assert_eq!(*flag, true, "{answer}");
            true
        }
    };
    let code = error["code"].as_u64().unwrap_or_else(|| panic!("no error: {answer}"));
    let text = error["message"].as_str().unwrap_or_else(|| panic!("no message: {answer}"));
    Told::Said { code: code.try_into().unwrap(), text: text.into(), temporary }
}

/// The close frame that comes next.
#[track_caller]
pub(crate) fn close_of(wire: &mut Wire) -> impl Future<Output = Told> {
    let place = std::panic::Location::caller();
    async move {
        match wire.0.next_frame(PATIENCE).await {
            Ok(Frame::Close(code, text)) => {
                Told::Said { code: code.unwrap_or(0).into(), text, temporary: false }
            }
            other => panic!("{place}: {other:?} instead of a close frame"),
        }
    }
}
