//! Calls of the server API: a counter for each key, method and result, made with the
//! first call of its kind and found again without making its labels.

use std::collections::HashMap;

use metrics::{Counter, Label};
use parking_lot::RwLock;

use super::{Metrics, register_counter};

/// Behind each kind the few names of keys.
#[derive(Default)]
pub(super) struct Calls(RwLock<HashMap<Kind, Vec<(String, Counter)>>>);

/// A method, and the error's code if it was one.
type Kind = (&'static str, Option<u32>);

impl Metrics {
    /// Counts a server API call by the name of its key, which is one of those
    /// configured, its method, and its error's code or `ok`.
    pub fn api_call(&self, key: &str, method: &'static str, error: Option<u32>) {
        let of = (method, error);
        if let Some(known) = self.api_calls.0.read().get(&of)
            && let Some((_, counter)) = known.iter().find(|(name, _)| name == key)
        {
            return counter.increment(1);
        }
        let result = error.map_or_else(|| "ok".to_owned(), |code| code.to_string());
        let labels = vec![
            Label::new("key", key.to_owned()),
            Label::new("method", method),
            Label::new("result", result),
        ];
        let counter = register_counter(&self.recorder, "sealcast_api_calls_total", labels);
        counter.increment(1);
        // Two who come first at once note the same counter, and the first is found.
        self.api_calls.0.write().entry(of).or_default().push((key.to_owned(), counter));
    }
}
