//! The judge of durability is judged: it agrees with a server that loses nothing, and condemns one
//! that does.

use std::panic;

use atoll_tests::System;
use atoll_tests::ledger::{Ledger, connect_in_time};

const VOLATILE: &str = r#"
name = "ledger"
[domains.kv]
image = "kv"
memory = "64 MiB"
arguments = ["debug=yes"]
[[gateways]]
listen = "127.0.0.1:0"
to = "kv:redis"
"#;

#[test]
fn it_agrees_with_a_server_that_loses_nothing_and_condemns_one_that_does() {
    let Some(system) = System::start(VOLATILE) else { return };
    let address = system.gateway("kv:redis");
    let connect = || connect_in_time(&address);
    let mut ledger = Ledger::new("client", 1);
    let mut connection = connect();
    for _ in 0..50 {
        assert!(ledger.work(&mut connection, 16));
        ledger.check(connect);
    }
    assert_eq!((ledger.tally.acknowledged, ledger.tally.looks), (800, 50));
    // A volatile kv forgets all of it.
    assert!(connect().ask("DEBUG SEGFAULT").is_restarted());
    let condemned = panic::catch_unwind(panic::AssertUnwindSafe(|| ledger.check(connect)));
    let words = *condemned.expect_err("all is lost").downcast::<String>().expect("words");
    assert!(words.starts_with("client finds what cannot be:"), "{words}");
}
