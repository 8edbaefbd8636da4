//! How tokens and tickets fared.

use metrics::Label;

use super::Metrics;

impl Metrics {
    /// Counts a token's verification; `reason` is one of a fixed few.
    pub fn auth(&self, result: &'static str, reason: &'static str) {
        self.authentication("jwt", result, reason);
    }

    /// Counts the use of a ticket; `reason` is one of a fixed few.
    pub fn ticket(&self, result: &'static str, reason: &'static str) {
        self.authentication("ticket", result, reason);
    }

    fn authentication(&self, method: &'static str, result: &'static str, reason: &'static str) {
        let labels = [("method", method), ("result", result), ("reason", reason)];
        let labels = labels.map(|(name, value)| Label::new(name, value));
        self.count("sealcast_auth_total", labels.to_vec());
    }
}
