//! The second pass: each rule about images with its exact message.

use atoll_ipc::abi::{Interface, Name, PortKind};
use atoll_ipc::bailout::Bailout;

use super::super::{ImageFacts, MemorySize, PortFacts, check_against};
use super::{parse, with};

fn facts() -> ImageFacts {
    let port = |name: &str, kind| {
        let interface = Interface::untyped(Name::new("main"), 1);
        PortFacts { name: name.into(), kind, interface }
    };
    let faults = PortFacts { interface: Bailout::INTERFACE, ..port("faults", PortKind::Message) };
    ImageFacts {
        ports: vec![port("main", PortKind::Message), port("redis", PortKind::Stream), faults],
        min_memory: MemorySize::from_bytes(2 << 20).unwrap(),
        default_memory: MemorySize::from_bytes(4 << 20).unwrap(),
        max_vcpus: 2,
    }
}

fn message(text: &str) -> String {
    let manifest = parse(text).unwrap();
    let error = check_against(&manifest, |_| Some(facts())).unwrap_err();
    error.to_string().replace("images/system.toml:", "")
}

#[test]
fn what_fits_passes() {
    let text = with(
        "memory = \"2 MiB\"\nvcpus = 2\n[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\n\
         [[gateways]]\nlisten = \"[::1]:80\"\nto = \"kv:redis\"",
    );
    check_against(&parse(&text).unwrap(), |_| Some(facts())).unwrap();
}

#[test]
fn a_domain_without_facts_is_passed_over() {
    let text = with("vcpus = 9\n[[gateways]]\nlisten = \"[::1]:80\"\nto = \"kv:nothing\"");
    check_against(&parse(&text).unwrap(), |_| None).unwrap();
}

#[test]
fn memory_too_small() {
    assert_eq!(
        message(&with("memory = \"1020 KiB\"")),
        "6:10: domain `relay` has 1020 KiB of memory, but image `relay` needs at least 2 MiB; \
         raise or remove `memory`"
    );
}

#[test]
fn too_many_vcpus() {
    assert_eq!(
        message(&with("vcpus = 3")),
        "6:9: domain `relay` has 3 vCPUs, but image `relay` uses at most 2; lower `vcpus`"
    );
}

#[test]
fn unknown_port() {
    assert_eq!(
        message(&with("[[gateways]]\nlisten = \"[::1]:80\"\nto = \"kv:reddis\"")),
        "8:6: image `kv` of domain `kv` has no port `reddis`; did you mean `redis`?"
    );
    assert_eq!(
        message(&with("[[gateways]]\nlisten = \"[::1]:80\"\nto = \"kv:x\"")),
        "8:6: image `kv` of domain `kv` has no port `x`; it has `main`, `redis`, `faults`"
    );
}

#[test]
fn port_of_the_other_kind() {
    assert_eq!(
        message(&with(
            "[[gateways]]\nlisten = \"[::1]:80\"\nto = \"kv:main\"\n\
             [[channels]]\nfrom = \"relay\"\nto = \"kv:redis\""
        )),
        "8:6: port `kv:main` carries messages, but a gateway needs a port for byte streams; \
         join it with a channel\n\
         11:6: port `kv:redis` carries byte streams, but a channel needs a port for messages; \
         join it with a gateway"
    );
}

#[test]
fn ports_of_supervision() {
    let bailout = |port: &str| with(&format!("bailout = \"kv:{port}\""));
    check_against(&parse(&bailout("faults")).unwrap(), |_| Some(facts())).unwrap();
    let wanted = format!("{:016x}", Bailout::INTERFACE.fingerprint);
    assert_eq!(
        message(&bailout("main")),
        format!(
            "6:11: port `kv:main` speaks `main` version 1 (fingerprint 0000000000000000), but \
             faults are reported in `bailout` version 1 (fingerprint {wanted}); name a port that \
             its server declares with `speaks Bailout`, and build the image anew if it does"
        )
    );
    assert_eq!(
        message(&bailout("mian")),
        "6:11: image `kv` of domain `kv` has no port `mian`; did you mean `main`?"
    );
    assert_eq!(
        message(&bailout("redis")),
        "6:11: port `kv:redis` carries byte streams, but faults are messages; name a port for \
         messages"
    );
    assert_eq!(
        message(&with("[domains.kv.ports.redis]\non-crash = \"redeliver\"")),
        "6:19: port `kv:redis` carries byte streams, whose requests cannot be delivered again: a \
         gateway tells the next incarnation to answer each with an error instead; remove \
         `on-crash = \"redeliver\"`"
    );
    assert_eq!(
        message(&with("[domains.kv.ports.rediss]\non-crash = \"redeliver\"")),
        "6:19: image `kv` of domain `kv` has no port `rediss`; did you mean `redis`?"
    );
}
