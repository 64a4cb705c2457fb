//! A storm of kills under load: every request has one definite outcome.

use atoll_tests::environment::{has_kvm, images, rounds};
use atoll_tests::process;
use atoll_tests::system::command;
use serde_json::Value;

#[test]
fn every_request_to_a_server_that_is_killed_all_the_time_has_one_outcome() {
    if !has_kvm() {
        return;
    }
    let mut storm = command();
    storm.args(["bench", "storm", "--seconds", "1", "--rounds", "2", "--json", "--images"]);
    let outcome = process::run(storm.arg(images()));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let report: Value = serde_json::from_str(&outcome.stdout).expect("the report is JSON");
    assert_eq!(report["failures"], serde_json::json!([]));
    let requests = &report["requests"];
    for none in ["closed", "lost", "doubled", "wrong"] {
        assert_eq!(requests[none], 0, "{none}: {requests}");
    }
    assert!(requests["good"].as_u64() > Some(0), "{requests}");
    let least = rounds(20, 1) as u64;
    assert!(report["kills"].as_u64() >= Some(least), "{} kills", report["kills"]);
}
