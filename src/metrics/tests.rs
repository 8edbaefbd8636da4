use super::*;

#[test]
fn numbers_move_and_are_rendered_with_their_meaning() {
    let metrics = Metrics::new("0.0.0");
    metrics.command("publish");
    metrics.disconnect(3008);
    metrics.attempt("websocket", Attempt::Limited);
    metrics.connections("websocket").increment(1.0);
    let text = metrics.render();
    assert!(text.contains("sealcast_commands_total{method=\"publish\"} 1"), "{text}");
    assert!(text.contains("sealcast_disconnects_total{code=\"3008\"} 1"));
    assert!(text.contains("result=\"limited\"} 1"));
    assert!(text.contains("# HELP sealcast_connections "));
    assert!(text.contains("process_resident_memory_bytes"));
    for (name, meaning) in COUNTERS.iter().chain(GAUGES).chain(HISTOGRAMS) {
        let help = format!("# HELP {name} {meaning}\n");
        assert_eq!(text.matches(&help).count(), 1, "{name}: {text}");
        assert_eq!(text.matches(&format!("# TYPE {name} ")).count(), 1, "{name}: {text}");
    }
}

#[test]
fn two_nodes_in_one_process_keep_their_numbers_apart() {
    let (one, two) = (Metrics::new("0.0.0"), Metrics::new("0.0.0"));
    one.panics.increment(1);
    assert!(one.render().contains("sealcast_panics_total 1"));
    assert!(two.render().contains("sealcast_panics_total 0"));
}

#[test]
fn one_mode_of_limits_on_rates_is_in_force() {
    let metrics = Metrics::new("0.0.0");
    let modes = || {
        let text = metrics.render();
        ["cluster", "local", "off"].map(|mode| {
            let on = format!("sealcast_ratelimit_mode{{mode=\"{mode}\"}} 1\n");
            text.contains(&on)
        })
    };
    metrics.rates_unlimited(false);
    assert_eq!(modes(), [false, true, false]);
    metrics.limits_local_share(false);
    assert_eq!(modes(), [true, false, false]);
    // A reload says again what the profile is.
    metrics.rates_unlimited(false);
    assert_eq!(modes(), [true, false, false]);
    metrics.limits_local_share(true);
    assert_eq!(modes(), [false, true, false]);
    metrics.limits_local_share(false);
    metrics.rates_unlimited(true);
    assert_eq!(modes(), [false, false, true]);
}
