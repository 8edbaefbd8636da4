//! The bench still runs: it measures a node of this build, briefly, and the numbers
//! are not looked at.

use std::time::Duration;

use crate::support::process::run_within;

#[tokio::test]
async fn a_quick_fan_out_is_measured() {
    let ended = run_within(Duration::from_secs(120), &["bench", "fanout", "--quick"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("subscribers"), "{ended:?}");
}
