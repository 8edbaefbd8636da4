//! Why a bench has no figure.

use std::fmt;
use std::io;

/// A bench that fails prints this and no figure.
#[derive(Debug)]
pub(super) enum Failure {
    /// This machine is too small for what was asked.
    Machine(String),
    /// The options do not fit together.
    Options(String),
    /// A server could not be started, reached or measured, or it turned someone
    /// away.
    Server(String),
    /// Not every message came exactly once and in order.
    Delivery(String),
    /// The operating system refused something else.
    System(&'static str, io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Machine(why) => write!(f, "this machine is too small: {why}"),
            Failure::Options(why) => write!(f, "{why}"),
            Failure::Server(why) => write!(f, "{why}"),
            Failure::Delivery(why) => write!(f, "not delivered exactly once and in order: {why}"),
            Failure::System(doing, error) => write!(f, "{doing}: {error}"),
        }
    }
}

/// Puts what was being done to an error of the operating system.
pub(super) trait While<T> {
    fn during(self, doing: &'static str) -> Result<T, Failure>;
}

impl<T> While<T> for io::Result<T> {
    fn during(self, doing: &'static str) -> Result<T, Failure> {
        self.map_err(|error| Failure::System(doing, error))
    }
}
