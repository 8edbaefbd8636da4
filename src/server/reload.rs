//! A node is configured anew while it runs: all or nothing.

use std::sync::Arc;

use super::{Node, modes, policy, unix_now};
use crate::config::{Config, Fault, Setting};
use crate::http::App;

impl Node {
    /// Puts a configuration in force, for all who are connected too: what it
    /// removes holds for nothing that begins after this has returned. What stands
    /// stays: connections, and subscriptions. A configuration that is at fault
    /// changes nothing.
    ///
    /// Says in the log and in the numbers how it went, and gives the faults.
    ///
    /// # Errors
    /// If the configuration is at fault, or changes what cannot change while the
    /// node runs.
    pub fn reload(&self, loaded: Result<Config, Vec<Fault>>) -> Result<(), Vec<Fault>> {
        let done = loaded.and_then(|config| self.put_in_force(config));
        let metrics = self.app.metrics();
        metrics.config_reload(done.is_ok());
        match &done {
            Ok(()) => {
                metrics.config_in_force(unix_now());
                tracing::info!(event = "config_reloaded", "the new configuration is in force");
            }
            Err(faults) => {
                for fault in faults {
                    tracing::error!(event = "config_fault", place = fault.place, "{fault}");
                }
                tracing::error!(
                    event = "config_not_reloaded",
                    faults = faults.len(),
                    "the new configuration is at fault; the one before stays in force"
                );
            }
        }
        done
    }

    fn put_in_force(&self, mut config: Config) -> Result<(), Vec<Fault>> {
        let mut settings = self.settings.lock();
        let fixed = fixed(&settings, &config.settings);
        if !fixed.is_empty() {
            return Err(fixed);
        }
        for warning in &config.warnings {
            tracing::warn!(event = "config_warning", place = warning.place, "{warning}");
        }
        let now = self.live.app();
        now.connections.set_most(config.limits.websocket_connections);
        now.streams.set_most(config.limits.sse_connections);
        now.waiting.set_most(config.limits.waiting_connections);
        now.metrics()
            .connection_limits(config.limits.websocket_connections, config.limits.sse_connections);
        modes::tell(&config, now.metrics());
        *settings = std::mem::take(&mut config.settings);
        let pseudonyms = config.pseudonyms.take();
        let pseudonyms = pseudonyms.unwrap_or_else(|| now.policy.pseudonyms.clone());
        self.live.replace(Arc::new(App {
            policy: Arc::new(policy(
                &mut config,
                Arc::clone(&now.policy.relay),
                (Arc::clone(&now.policy.usage), now.policy.unix_time),
                pseudonyms,
            )),
            policies: Arc::clone(&now.policies),
            origins: config.origins,
            proxies: config.proxies,
            api_keys: config.api_keys,
            api_errors: config.api_errors,
            api_rates: config.api_rates,
            health: now.health.clone(),
            connections: now.connections.clone(),
            streams: now.streams.clone(),
            waiting: now.waiting.clone(),
            transports: config.transports,
            tasks: now.tasks.clone(),
            cluster: Arc::clone(&now.cluster),
            dev: None,
        }));
        Ok(())
    }
}

/// What changed and cannot.
fn fixed(before: &[Setting], after: &[Setting]) -> Vec<Fault> {
    let same =
        |new: &Setting| before.iter().any(|old| old.place == new.place && old.value == new.value);
    after
        .iter()
        .filter(|new| new.restart && !same(new))
        .map(|new| Fault {
            place: new.place.clone(),
            problem: "cannot change while the node runs: restart it, or take the change back"
                .to_owned(),
        })
        .collect()
}
