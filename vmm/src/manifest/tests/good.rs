//! What good manifests mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use atoll_ipc::channel::Layout;

use super::super::{
    ImageRef, Listen, OnCrashLoop, Restart, Wait, disks, domain, links, read, supervision,
};
use super::{parse, with};
use crate::exit_code::ExitCode;

const FULL: &str = r#"
name = "kv"

[domains.relay]
image = "../other/relay.img"
memory = 8388608

[domains.kv]
image = "kv"
memory = "256 MiB"
state = "64 MiB"
state-on-crash-loop = "drop"
vcpus = 2
arguments = ["maxmemory=128MiB", ""]
restart = "always"
wait = "polling"
cpus = [1, 0]

[domains.echo]
image = "/srv/echo"

[[channels]]
from = "relay"
as = "next"
to = "echo:main"
ring = "1 MiB"
buffers = 0

[[channels]]
from = "relay"
to = "echo:main"

[[gateways]]
listen = "127.0.0.1:6379"
to = "kv:redis"
max-connections = 5

[[gateways]]
listen = "[::1]:0"
to = "kv:redis"

[[gateways]]
listen = "[::1]:0"
to = "kv:redis"

[[gateways]]
listen = "unix:/run/kv.sock"
to = "kv:redis"
"#;

#[test]
fn every_key_is_read() {
    let manifest = parse(FULL).unwrap();
    assert_eq!(manifest.name.as_str(), "kv");
    assert_eq!(manifest.file(), Path::new("images/system.toml"));
    let kv = &manifest.domains["kv"];
    assert_eq!(kv.image, ImageRef::Named("kv".into()));
    assert_eq!(kv.memory.unwrap().bytes(), 256 << 20);
    let state = kv.state.unwrap();
    assert_eq!((state.size.bytes(), state.on_crash_loop), (64 << 20, OnCrashLoop::Drop));
    assert_eq!(kv.vcpus.get(), 2);
    assert_eq!(kv.arguments, ["maxmemory=128MiB", ""]);
    assert_eq!((kv.restart, kv.wait), (Restart::Always, Wait::Polling));
    assert_eq!(kv.cpus.as_ref().unwrap().as_slice(), [1, 0]);
}

#[test]
fn what_is_absent_has_its_default() {
    let manifest = parse(FULL).unwrap();
    let echo = &manifest.domains["echo"];
    assert_eq!((echo.memory, echo.vcpus.get(), echo.restart), (None, 1, Restart::OnFault));
    assert_eq!((echo.wait, echo.state), (Wait::Adaptive, None));
    let kept = parse(&with("state = 34359738368")).unwrap().domains["relay"].state.unwrap();
    assert_eq!((kept.size.bytes(), kept.on_crash_loop), (32 << 30, OnCrashLoop::Keep));
    assert!(echo.arguments.is_empty() && echo.cpus.is_none());
    assert_eq!(manifest.channels[1].layout, Layout::DEFAULT);
    assert_eq!(manifest.gateways[1].max_connections.get(), 10_000);
    let alone = parse("name = \"a\"\ndomains.b.image = \"c\"").unwrap();
    assert!(alone.channels.is_empty() && alone.gateways.is_empty());
}

#[test]
fn domains_keep_the_order_of_the_file() {
    let manifest = parse(FULL).unwrap();
    let names: Vec<_> = manifest.domains.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["relay", "kv", "echo"]);
}

#[test]
fn links_lead_to_ports() {
    let manifest = parse(FULL).unwrap();
    let aliases: Vec<_> = manifest.channels.iter().map(|c| c.alias.to_string()).collect();
    assert_eq!(aliases, ["next", "main"]);
    assert_eq!(manifest.channels[0].to.to_string(), "echo:main");
    let listens: Vec<_> = manifest.gateways.iter().map(|g| g.listen.to_string()).collect();
    assert_eq!(listens, ["127.0.0.1:6379", "[::1]:0", "[::1]:0", "unix:/run/kv.sock"]);
    assert_eq!(manifest.gateways[3].listen, Listen::Unix("/run/kv.sock".into()));
}

#[test]
fn every_way_of_waiting_has_its_word() {
    let time = Wait::For(Duration::from_micros(200));
    let ways = [Wait::Adaptive, Wait::Polling, Wait::Blocking, time];
    for (word, way) in ["adaptive", "polling", "blocking", "200 us"].into_iter().zip(ways) {
        let manifest = parse(&with(&format!("wait = \"{word}\""))).unwrap();
        assert_eq!(manifest.domains["relay"].wait, way);
        assert_eq!(manifest.domains["kv"].wait, Wait::default());
    }
}

/// The sizes of a channel with these lines; the same in both directions.
fn sizes(lines: &str) -> (u32, u32) {
    let text = format!("[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\n{lines}");
    let layout = parse(&with(&text)).unwrap().channels[0].layout;
    assert!(layout.is_valid());
    assert_eq!((layout.requests, layout.lent_requests), (layout.replies, layout.lent_replies));
    (layout.requests, layout.lent_requests)
}

#[test]
fn channels_are_as_large_as_they_ask_to_be() {
    const KIB: u32 = 1 << 10;
    const MIB: u32 = 1 << 20;
    assert_eq!(sizes(""), (256 * KIB, 2 * MIB));
    assert_eq!(sizes("ring = \"4 KiB\""), (4 * KIB, 2 * MIB));
    assert_eq!(sizes("ring = \"128 MiB\"\nbuffers = \"128 MiB\""), (128 * MIB, 128 * MIB));
    assert_eq!(sizes("ring = 65_536\nbuffers = 0x3000"), (64 * KIB, 12 * KIB));
    for none in ["0", "\"0\"", "\"0 KiB\""] {
        assert_eq!(sizes(&format!("buffers = {none}")), (256 * KIB, 0));
    }
}

#[test]
fn images_are_sought_beside_the_manifest_or_in_the_images_directory() {
    let manifest = parse(FULL).unwrap();
    let path = |domain: &str| manifest.domains[domain].image.path(Path::new("/built"));
    assert_eq!(path("kv"), PathBuf::from("/built/kv.img"));
    assert_eq!(path("relay"), PathBuf::from("images/../other/relay.img"));
    assert_eq!(path("echo"), PathBuf::from("/srv/echo"));
}

const REFERENCE: &str = include_str!("../../../../docs/manifest.md");

#[test]
fn the_references_example_is_a_good_manifest() {
    let (_, block) = REFERENCE.split_once("```toml\n").unwrap();
    let manifest = parse(block.split_once("```").unwrap().0).unwrap();
    assert_eq!(manifest.domains.len(), 3);
}

#[test]
fn the_reference_has_every_key_and_exit_code() {
    let keys =
        [&read::KEYS[..], &domain::KEYS, &links::CHANNEL_KEYS, &links::GATEWAY_KEYS, &disks::KEYS];
    let more = [&supervision::SYSTEM_KEYS[..], &supervision::GROUP_KEYS, &supervision::PORT_KEYS];
    for key in [keys.concat(), more.concat()].concat() {
        assert!(REFERENCE.contains(&format!("\n| `{key}` |")), "{key}");
    }
    for code in ExitCode::ALL {
        let row = format!("\n| {} | {}", code as u8, code.meaning());
        assert!(REFERENCE.contains(&row), "{row}");
    }
}
