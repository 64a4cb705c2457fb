//! Manifests, images and surroundings that cannot be: each is refused with its exit code, and with
//! words that name the place, the value and the remedy.

use std::fs;
use std::net::TcpListener;

use atoll_tests::environment::{has_kvm, images};
use atoll_tests::process::Outcome;
use atoll_tests::{Place, Reply, Resp, System};
use serde_json::Value;

const MANIFEST: i32 = 3;
const IMAGE: i32 = 4;
const HOST: i32 = 5;

const CRASHME: &str = "name = \"bad\"\n[domains.one]\nimage = \"crashme\"\n";

fn assert_refused(outcome: &Outcome, code: i32, words: &[&str]) {
    assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
    for word in words {
        assert!(outcome.stderr.contains(word), "no `{word}` in: {}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, "", "nothing was begun");
}

#[test]
fn manifests_that_break_a_rule_are_refused_at_the_place_where_they_do() {
    let gateway =
        |to: &str| format!("{CRASHME}[[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"{to}\"\n");
    let cases: &[(String, &[&str])] = &[
        ("name = ".into(), &["system.toml:1:", "not valid TOML"]),
        (
            format!("{CRASHME}memroy = \"1 MiB\"\n"),
            &["system.toml:4:1", "unknown key `memroy`", "`memory`"],
        ),
        ("name = \"bad\"\n".into(), &["no domains", "[domains.kv]"]),
        ("[domains.one]\nimage = \"crashme\"\n".into(), &["no `name`", "name = "]),
        (
            format!("{CRASHME}[domains.one]\nimage = \"kv\"\n"),
            &["system.toml:4:", "not valid TOML"],
        ),
        (format!("{CRASHME}memory = \"1 parsec\"\n"), &["system.toml:4:", "`memory`", "parsec"]),
        (format!("{CRASHME}vcpus = 0\n"), &["system.toml:4:", "use 1 to 16"]),
        (format!("{CRASHME}restart = \"somtimes\"\n"), &["system.toml:4:", "somtimes"]),
        (gateway("two:crash"), &["domain `two`", "`one`"]),
        (gateway("crash"), &["DOMAIN:PORT"]),
        (gateway("one:crush"), &["crush", "crash"]),
        (
            gateway("one:crash").replace("127.0.0.1:0", "localhost:1"),
            &["no address", "localhost:1"],
        ),
        (format!("{CRASHME}memory = \"2 MiB\"\n"), &["system.toml:4:", "2 MiB", "at least"]),
        (format!("{CRASHME}vcpus = 5\n"), &["system.toml:4:", "4"]),
        (
            format!("{CRASHME}[[channels]]\nfrom = \"one\"\nto = \"one:crash\"\n"),
            &["leads from `one` to itself"],
        ),
    ];
    for (text, words) in cases {
        let place = Place::new(text);
        assert_refused(&place.check(), MANIFEST, words);
        // `run` says the same, before it has touched anything.
        assert_refused(&place.run(), MANIFEST, words);
        assert_eq!(place.files().len(), 1, "{text}");
    }
}

#[test]
fn a_manifest_that_cannot_be_read_is_named() {
    let place = Place::new("");
    fs::remove_file(place.path("system.toml")).unwrap();
    assert_refused(
        &place.run(),
        MANIFEST,
        &["cannot read manifest", "system.toml", "check the path"],
    );
    place.put("system.toml", [0x6e, 0x61, 0xff]);
    assert_refused(&place.run(), MANIFEST, &["0xff", "UTF-8"]);
}

#[test]
fn scripts_get_every_problem_as_json() {
    let place =
        Place::new("name = \"bad\"\ncolour = 1\n[domains.one]\nimage = \"crashme\"\nvcpus = 99\n");
    let outcome = atoll_tests::process::run(place.run_command().arg("--json"));
    assert_eq!(outcome.code, Some(MANIFEST));
    let error: Value = serde_json::from_str(&outcome.stderr).unwrap();
    let problems = error["error"]["problems"].as_array().unwrap();
    let lines: Vec<_> = problems.iter().map(|problem| problem["line"].as_u64().unwrap()).collect();
    assert_eq!((&error["error"]["code"], lines), (&MANIFEST.into(), vec![2, 5]));
}

/// The bytes of a good image after a change, with its hash made right again if asked for.
fn image(right_hash: bool, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = fs::read(images().join("echo.img")).unwrap();
    change(&mut bytes);
    if right_hash {
        // Where the format has the hash, and from where on it counts.
        let hash = blake3::hash(&bytes[40..]);
        bytes[8..40].copy_from_slice(hash.as_bytes());
    }
    bytes
}

#[test]
fn images_that_are_not_whole_are_refused_for_what_is_wrong_with_them() {
    let flip = |at: usize| move |bytes: &mut Vec<u8>| bytes[at] ^= 0xff;
    let cases: &[(Vec<u8>, &[&str])] = &[
        (
            image(false, |bytes| bytes.truncate(0)),
            &["ends after 0 bytes", "copy or build it again"],
        ),
        (image(false, |bytes| bytes.truncate(30)), &["cut short"]),
        (image(false, |bytes| bytes.truncate(20_000)), &["ends after 20000 of", "cut short"]),
        (image(false, |bytes| bytes.push(0)), &["its header states", "build it again"]),
        (image(false, flip(0)), &["not \"ATOLLIMG\"", "mkimage build"]),
        (b"\x7fELF, and no image".to_vec(), &["\\x7fELF", "not \"ATOLLIMG\""]),
        (image(false, flip(9)), &["states hash", "damaged or edited"]),
        (image(false, flip(30_000)), &["hash", "damaged or edited"]),
        (image(true, |bytes| bytes[40] = 9), &["format version 9", "build it again"]),
        (image(true, |bytes| bytes[44] = 9), &["ABI version 9", "build its server again"]),
        // With a hash that is right, every other rule still holds.
        (image(true, |bytes| bytes[64..80].fill(0xff)), &["build the image again"]),
    ];
    let place = Place::new("name = \"bad\"\n[domains.one]\nimage = \"./one.img\"\n");
    for (bytes, words) in cases {
        place.put("one.img", bytes);
        let named = [&["domain `one`", "one.img"], *words].concat();
        assert_refused(&place.check(), IMAGE, &named);
        assert_refused(&place.run(), IMAGE, &named);
    }
    fs::remove_file(place.path("one.img")).unwrap();
    assert_refused(&place.run(), IMAGE, &["one.img: no such file", "build the image"]);
    let place = Place::new("name = \"bad\"\n[domains.one]\nimage = \"nonesuch\"\n");
    assert_refused(&place.run(), IMAGE, &["nonesuch.img: no such file"]);
}

#[test]
fn every_byte_of_an_image_counts() {
    let place = Place::new("name = \"bad\"\n[domains.one]\nimage = \"./one.img\"\n");
    let length = fs::metadata(images().join("echo.img")).unwrap().len() as usize;
    for at in (0..length).step_by(length / 25) {
        place.put("one.img", image(false, |bytes| bytes[at] ^= 0x10));
        assert_refused(&place.check(), IMAGE, &["one.img"]);
    }
}

#[test]
fn a_good_manifest_is_found_in_order_without_being_run() {
    let place = Place::new(CRASHME);
    let outcome = place.check();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("system `bad` is in order: 1 domain, 0 channels, 0 gateways"));
    assert_eq!(place.files().len(), 1);
}

#[test]
fn an_address_in_use_is_named_and_nothing_is_left_behind() {
    if !has_kvm() {
        return;
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let place =
        Place::new(&format!("{CRASHME}[[gateways]]\nlisten = \"{address}\"\nto = \"one:crash\"\n"));
    assert_refused(&place.run(), HOST, &[&address, "in use", "change `listen`"]);
    assert_eq!(place.files().len(), 1);

    let place = Place::new(&format!(
        "{CRASHME}[[gateways]]\nlisten = \"unix:{{dir}}/gate\"\nto = \"one:crash\"\n"
    ));
    place.put("gate", "a file that somebody needs");
    assert_refused(&place.run(), HOST, &["gate", "in use"]);
    assert_eq!(fs::read(place.path("gate")).unwrap(), b"a file that somebody needs");
}

#[test]
fn a_system_runs_once_at_a_time() {
    let Some(system) = System::start(CRASHME) else { return };
    let pid = format!("pid {}", system.pid());
    assert_refused(&system.place().run(), HOST, &["`bad` already runs", &pid, "vmm stop"]);
    assert_eq!(system.state("one"), "running", "the first one does not notice");
}

#[test]
fn a_control_socket_that_is_a_file_is_left_alone() {
    if !has_kvm() {
        return;
    }
    let place = Place::new(CRASHME);
    place.put("control.sock", "precious");
    assert_refused(&place.run(), HOST, &["control.sock", "is not a socket", "--socket"]);
    assert_eq!(fs::read(place.socket()).unwrap(), b"precious");
}

#[test]
fn what_a_killed_system_left_does_not_hinder_the_next() {
    let manifest = "name = \"bad\"\n[domains.kv]\nimage = \"kv\"\nmemory = \"64 MiB\"\n\
        [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"kv:redis\"\n\
        [[gateways]]\nlisten = \"unix:{dir}/kv.socket\"\nto = \"kv:redis\"\n";
    let Some(system) = System::start(manifest) else { return };
    let address = system.gateway("kv:redis");
    let mut client = Resp::connect(&address);
    assert!(client.is_in_step("before"));
    let place = system.murder();
    assert_eq!(client.reply(), None, "the host closes what the VMM had");
    assert!(place.files().contains("control.sock") && place.files().contains("kv.socket"));
    // The same address again, while the host still knows the old connection.
    let text = fs::read_to_string(place.path("system.toml")).unwrap();
    place.put("system.toml", text.replace("127.0.0.1:0", &address));

    let system = System::start_at(place);
    assert_eq!(system.gateway("kv:redis"), address);
    for address in system.gateways("kv:redis") {
        assert_eq!(Resp::connect(&address).ask("PING"), Reply::Simple("PONG".into()));
    }
}
