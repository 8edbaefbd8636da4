//! Where tokens and states come from: callbacks of the application.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use sealcast_wire::Position;

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The user may not connect, or may not subscribe. The client disconnects,
    /// or the subscription unsubscribes, with code 1.
    #[error("unauthorized")]
    Unauthorized,
    /// There is none for now; the client asks again later. The text is for
    /// people.
    #[error("{0}")]
    Other(String),
}

impl TokenError {
    /// Something that is no refusal, such as a failed request.
    #[must_use]
    pub fn other(error: impl fmt::Display) -> TokenError {
        TokenError::Other(error.to_string())
    }
}

/// What a callback gives back.
pub(crate) type Fetching<T> = Pin<Box<dyn Future<Output = Result<T, TokenError>> + Send>>;

type Callback<T> = dyn Fn(&str) -> Fetching<T> + Send + Sync;

/// A callback, by the channel it is about; empty for the connection.
pub(crate) struct Source<T>(Arc<Callback<T>>);

/// Gives tokens.
pub(crate) type TokenSource = Source<String>;

/// Gives the position of the state that the application has loaded.
pub(crate) type StateSource = Source<Position>;

impl<T> Source<T> {
    pub(crate) fn new<F>(fetch: impl Fn(&str) -> F + Send + Sync + 'static) -> Source<T>
    where
        F: Future<Output = Result<T, TokenError>> + Send + 'static,
    {
        Source(Arc::new(move |channel| Box::pin(fetch(channel))))
    }

    pub(crate) fn fetch(&self, channel: &str) -> Fetching<T> {
        (self.0)(channel)
    }
}

impl<T> Clone for Source<T> {
    fn clone(&self) -> Source<T> {
        Source(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Source<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}
