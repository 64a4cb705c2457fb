//! Which definitions may be bound to which.

use atoll_ipc::abi::Name;
use atoll_ipc::interface::{BindError, Interface, fingerprint};

use crate::loopback::Loopback;
use crate::{Bench, BenchClient};

fn refused(found: Interface) -> BindError {
    let channel = Loopback { interface: found, ..Loopback::default() };
    BenchClient::bind(channel).map(drop).expect_err("another interface")
}

#[test]
fn a_channel_to_something_else_is_refused_with_both_names() {
    let mine = Bench::INTERFACE;
    let error = refused(Interface { version: 4, ..mine });
    assert_eq!(
        error.to_string(),
        "channel `loop` leads to interface `bench` version 4, but `bench` version 3 is wanted: \
         join it to a port that speaks `bench` version 3"
    );
    let error = refused(Interface { name: Name::new("kv"), ..mine });
    assert!(error.to_string().contains("leads to interface `kv` version 3, but `bench`"));
    let error = refused(Interface { fingerprint: 0xabc, ..mine });
    let expected = format!(
        "channel `loop` leads to another definition of interface `bench` version 3 (fingerprint \
         0000000000000abc, wanted {:016x}): build both ends from one definition, and raise the \
         version when it changes",
        mine.fingerprint
    );
    assert_eq!(error.to_string(), expected);
}

/// The same interface again and again, with one thing changed each time.
mod drift {
    macro_rules! variant {
        ($module:ident $($operations:tt)*) => {
            pub mod $module {
                atoll_ipc::interface! {
                    pub interface Drift = "drift" version 1, client Client, server Server {
                        $($operations)*
                    }
                }
            }
        };
    }
    variant!(first 1 => once fn put(key: u64, to: &str) -> u32; 2 => oneway fn drop(key: u64););
    variant!(same 2 => oneway fn drop(k:u64); 1 => once fn put(k: u64, v: & str,) -> u32;);
    variant!(number 1 => once fn put(key: u64, to: &str) -> u32; 3 => oneway fn drop(key: u64););
    variant!(swapped 2 => once fn put(key: u64, to: &str) -> u32; 1 => oneway fn drop(key: u64););
    variant!(name 1 => once fn set(key: u64, to: &str) -> u32; 2 => oneway fn drop(key: u64););
    variant!(kind 1 => idempotent fn put(k: u64, v: &str) -> u32; 2 => oneway fn drop(k: u64););
    variant!(argument 1 => once fn put(k: u32, v: &str) -> u32; 2 => oneway fn drop(k: u64););
    variant!(arguments 1 => once fn put(key: u64) -> u32; 2 => oneway fn drop(key: u64););
    variant!(order 1 => once fn put(v: &str, k: u64) -> u32; 2 => oneway fn drop(key: u64););
    variant!(reply 1 => once fn put(key: u64, to: &str) -> u64; 2 => oneway fn drop(key: u64););
    variant!(silent 1 => once fn put(key: u64, to: &str); 2 => oneway fn drop(key: u64););
    variant!(fewer 1 => once fn put(key: u64, to: &str) -> u32;);
    variant!(none);
}

#[test]
fn the_fingerprint_tells_definitions_apart_but_not_their_layout() {
    let first = drift::first::Drift::INTERFACE;
    assert_eq!(drift::same::Drift::INTERFACE, first);
    let mut changed = vec![
        first.fingerprint,
        drift::number::Drift::INTERFACE.fingerprint,
        drift::swapped::Drift::INTERFACE.fingerprint,
        drift::name::Drift::INTERFACE.fingerprint,
        drift::kind::Drift::INTERFACE.fingerprint,
        drift::argument::Drift::INTERFACE.fingerprint,
        drift::arguments::Drift::INTERFACE.fingerprint,
        drift::order::Drift::INTERFACE.fingerprint,
        drift::reply::Drift::INTERFACE.fingerprint,
        drift::silent::Drift::INTERFACE.fingerprint,
        drift::fewer::Drift::INTERFACE.fingerprint,
        drift::none::Drift::INTERFACE.fingerprint,
    ];
    let all = changed.len();
    changed.sort_unstable();
    changed.dedup();
    assert_eq!(changed.len(), all);
}

/// A digest that changed with the toolchain or by accident would part images that agree.
#[test]
fn the_fingerprint_is_what_it_always_was() {
    let text = [(1, "once put(u64,&str,)->u32"), (2, "oneway drop(u64,)")];
    assert_eq!(drift::first::Drift::INTERFACE.fingerprint, fingerprint(&text));
    assert_eq!(fingerprint(&text), 0xd454_211b_09ff_1a0c);
}
