//! How full the node is, looked at again and again, and what it gives up for that
//!

use std::path::Path;

use crate::hub::Hub;
use crate::limit::{Fill, Limits, Stage, excess};
use crate::metrics::{self, Machine};

/// How many looks pass until descriptors are counted again: on older systems that
/// takes a while.
const DESCRIPTORS_EVERY: u32 = 8;

/// What a connection must hold to be closed for the process' memory, bytes: what is
/// less would bring nothing back, and an honest client's frame is on its way at times.
const LARGE: usize = 64 << 10;

/// See the module's text.
pub(super) struct Pressure {
    /// Bytes of memory that the process may use, if there is a bound.
    memory: Option<f64>,
    descriptors: Option<f64>,
    /// What was last found of descriptors.
    open: f64,
    looks: u32,
}

impl Pressure {
    /// For a node with these limits.
    pub(super) fn new(limits: &Limits) -> Pressure {
        let memory = match limits.node_memory {
            0 => Machine::read(Path::new("/")).memory,
            most => Some(most as f64),
        };
        Pressure { memory, descriptors: None, open: 0.0, looks: 0 }
    }

    /// Looks, and gives up what must be given up.
    pub(super) fn look(&mut self, hub: &Hub) {
        if self.looks.is_multiple_of(DESCRIPTORS_EVERY) {
            self.descriptors = metrics::most_descriptors();
            self.open = metrics::open_descriptors().unwrap_or(0.0);
        }
        self.looks = self.looks.wrapping_add(1);
        let resident = metrics::resident_memory().unwrap_or(0.0);
        self.give_up(hub, resident, self.open);
    }

    /// The same with what was found: bytes of resident memory, and open descriptors.
    fn give_up(&self, hub: &Hub, resident: f64, open: f64) {
        let budget = hub.budget();
        let part = |used: f64, most: f64| if most > 0.0 { used / most } else { 0.0 };
        let queues = part(budget.held() as f64, budget.most() as f64);
        let process = self.memory.map_or(0.0, |most| part(resident, most));
        let descriptors = self.descriptors.map_or(0.0, |most| part(open, most));
        let before = hub.stage();
        let stage = before.next(Fill { memory: queues.max(process), descriptors });
        hub.set_stage(stage);
        hub.metrics().shedding.stage.set(f64::from(stage as u8));
        let mut closed = 0;
        if stage == Stage::Closing {
            let process = self.memory.map_or(0, |most| excess(resident as usize, most as usize));
            closed = hub.close_largest(excess(budget.held(), budget.most()), 1);
            closed += hub.close_largest(process, LARGE);
        }
        if stage != before || closed > 0 {
            let percent = |part: f64| (part * 100.0).round();
            tracing::warn!(
                event = "shedding",
                stage = stage.name(),
                queues_percent = percent(queues),
                memory_percent = percent(process),
                descriptors_percent = percent(descriptors),
                closed,
                "how full the node is has changed what it gives up"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::hub::{Clock, Hub};
    use crate::limit::Profile;
    use crate::metrics::Metrics;

    const MEMORY: usize = 100 << 20;
    const QUEUES: usize = 1_000_000;

    fn node() -> (Pressure, Arc<Hub>) {
        let limits =
            Limits { node_memory: MEMORY, node_queue_bytes: QUEUES, ..Profile::Standard.limits() };
        let pressure = Pressure { descriptors: Some(1_000.0), ..Pressure::new(&limits) };
        (pressure, Hub::new(1, &limits, Clock::start(), Metrics::new("test")))
    }

    #[test]
    fn memory_descriptors_and_queues_make_it_give_up_and_it_recovers() {
        let (pressure, hub) = node();
        let of_memory = |part: f64| MEMORY as f64 * part;
        for (resident, open, stage) in [
            (0.5, 500.0, Stage::Calm),
            (0.84, 849.0, Stage::Calm),
            (0.85, 0.0, Stage::Refusing),
            (0.5, 0.0, Stage::Calm),
            (0.5, 850.0, Stage::Refusing),
            (0.91, 850.0, Stage::Dropping),
            (0.96, 0.0, Stage::Closing),
            (0.5, 0.0, Stage::Calm),
        ] {
            pressure.give_up(&hub, of_memory(resident), open);
            assert_eq!(hub.stage(), stage, "{resident} {open}");
            let shown = format!("sealcast_shedding_stage {}\n", stage as u8);
            assert!(hub.metrics().render().contains(&shown), "{resident} {open}");
        }
        for (held, stage) in
            [(840_000, Stage::Calm), (850_000, Stage::Refusing), (900_000, Stage::Dropping)]
        {
            hub.budget().change(0, held);
            pressure.give_up(&hub, 0.0, 0.0);
            assert_eq!(hub.stage(), stage, "{held}");
            hub.budget().change(held, 0);
        }
    }

    #[test]
    fn a_bound_that_is_not_known_is_not_reached() {
        let (pressure, hub) = node();
        let pressure = Pressure { memory: None, descriptors: None, ..pressure };
        pressure.give_up(&hub, f64::MAX, f64::MAX);
        assert_eq!(hub.stage(), Stage::Calm);
    }

    #[test]
    fn a_look_finds_what_the_process_has() {
        let limits = Limits { node_memory: 1 << 20, ..Profile::Standard.limits() };
        let hub = Hub::new(1, &limits, Clock::start(), Metrics::new("test"));
        Pressure::new(&limits).look(&hub);
        assert_eq!(hub.stage(), Stage::Closing, "no process is that small");
        let limits = Limits { node_memory: 1 << 40, ..limits };
        let mut pressure = Pressure::new(&limits);
        pressure.look(&hub);
        assert!(pressure.open >= 3.0, "{}", pressure.open);
        assert_eq!(hub.stage(), Stage::Calm);
    }
}
