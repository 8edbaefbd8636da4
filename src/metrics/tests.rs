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
