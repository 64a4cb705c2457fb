//! Clients that misbehave: nothing they send or leave unread harms the server, the VMM or each other.

use std::io::Read;
use std::thread;

use atoll_tests::control::until;
use atoll_tests::environment::{allow_many_files, rounds};
use atoll_tests::resp::{command, request};
use atoll_tests::socket::Socket;
use atoll_tests::{Reply, Resp, System};
use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};

fn start(gateway: &str) -> Option<System> {
    System::start(&format!(
        "name = \"kv\"\n\
         [domains.kv]\nimage = \"kv\"\nmemory = \"64 MiB\"\n\
         [[gateways]]\nlisten = \"127.0.0.1:0\"\nto = \"kv:redis\"\n{gateway}\n"
    ))
}

fn client(system: &System) -> Resp {
    Resp::connect(&system.gateway("kv:redis"))
}

fn await_connections(system: &System, count: u64) {
    until(&format!("{count} connections"), || {
        (system.number("kv", "/gateways/0/connections") == count).then_some(())
    });
}

#[test]
fn what_is_not_resp_gets_one_error_and_the_end_of_the_connection() {
    let Some(system) = start("") else { return };
    let long = vec![b'x'; 80 << 10];
    let cases: &[&[u8]] = &[
        b"*x\r\n",
        b"*1000000000\r\n",
        b"*99999999999999999999999999\r\n",
        b"*1\r\n:5\r\n",
        b"*1\r\n$-5\r\n",
        b"*1\r\n$536870912\r\n",
        b"*1\r\n$99999999999999999999\r\n",
        b"*2\r\n$4\r\nECHO\r\nhello\r\n",
        b"SET a \"unbalanced\r\n",
        &long,
    ];
    let mut bystander = client(&system);
    for case in cases {
        let shown = case[..case.len().min(40)].escape_ascii().to_string();
        let mut kv = client(&system);
        kv.send(case);
        let reply = kv.reply();
        assert!(
            matches!(&reply, Some(Reply::Error(text)) if text.starts_with("ERR Protocol error")),
            "{shown}: {reply:?}"
        );
        assert_eq!(kv.reply(), None, "{shown}");
        assert!(bystander.is_in_step(&shown));
    }
    assert_eq!(system.epoch("kv"), 1);
    assert_eq!(system.number("kv", "/gateways/0/aborted"), 0);
}

#[test]
fn what_was_asked_before_the_nonsense_is_answered() {
    let Some(system) = start("") else { return };
    let mut kv = client(&system);
    kv.send(&[command("ECHO good").as_slice(), b"*bad\r\n", &command("ECHO never")].concat());
    assert_eq!(kv.reply(), Some(Reply::bulk("good")));
    assert!(kv.reply().is_some_and(|reply| reply.is_error("ERR")));
    assert_eq!(kv.reply(), None);
}

#[test]
fn unknown_commands_and_wrong_arguments_keep_the_connection() {
    let Some(system) = start("") else { return };
    let mut kv = client(&system);
    for line in ["NONESUCH", "GET", "GET a b", "SET a 1 EX nonsense", "INCR"] {
        let reply = kv.ask(line);
        assert!(reply.is_error("ERR"), "{line}: {reply:?}");
    }
    kv.send(&request(&[b"ECHO", &[0, 255, b'\r', b'\n', 0]]));
    assert_eq!(kv.reply(), Some(Reply::bulk([0, 255, b'\r', b'\n', 0])));
    // Empty requests are nothing, and get nothing.
    kv.send(b"*0\r\n\r\n*-1\r\n");
    assert!(kv.is_in_step("none for those"));
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let Some(system) = start("") else { return };
    let mut kv = client(&system);
    for byte in command("ECHO slowly") {
        kv.send(&[byte]);
    }
    assert_eq!(kv.reply(), Some(Reply::bulk("slowly")));
}

#[test]
fn a_client_that_says_it_is_done_gets_what_it_asked_for() {
    let Some(system) = start("") else { return };
    let mut kv = client(&system);
    kv.send(&command("ECHO last").repeat(100));
    kv.socket().finish();
    for _ in 0..100 {
        assert_eq!(kv.reply(), Some(Reply::bulk("last")));
    }
    assert_eq!(kv.reply(), None);
    // One that leaves in the middle of a request is owed nothing.
    let mut kv = client(&system);
    kv.send(b"*2\r\n$4\r\nECHO\r\n$100\r\nhalf");
    kv.socket().finish();
    assert_eq!(kv.reply(), None);
    await_connections(&system, 0);
}

#[test]
fn what_a_client_sent_before_it_left_is_carried_out() {
    let unix = "[[gateways]]\nlisten = \"unix:{dir}/kv.socket\"\nto = \"kv:redis\"";
    let Some(system) = start(unix) else { return };
    let gateways = system.inspect("kv")["gateways"].clone();
    let addresses = gateways.as_array().unwrap().iter().map(|g| g["listen"].as_str().unwrap());
    let addresses: Vec<_> = addresses.map(str::to_owned).collect();
    assert_eq!(addresses.len(), 2);
    let mut watcher = client(&system);
    for (number, address) in addresses.iter().enumerate() {
        let mut leaver = Resp::connect(address);
        leaver.send(&command(&format!("SET left{number} behind")));
        drop(leaver);
        until(&format!("what was sent to {address}"), || {
            (watcher.ask(&format!("GET left{number}")) == Reply::bulk("behind")).then_some(())
        });
    }
}

/// Closes a connection with a reset.
fn reset(mut kv: Resp) {
    let Socket::Tcp(stream) = kv.socket() else { panic!("it is a TCP connection") };
    setsockopt(&*stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 }).unwrap();
}

#[test]
fn connections_that_are_reset_at_any_point_leave_nothing() {
    let Some(system) = start("") else { return };
    let value = vec![b'v'; 1 << 20];
    let mut setter = client(&system);
    setter.send(&request(&[b"SET", b"large", &value]));
    assert_eq!(setter.reply(), Some(Reply::ok()));
    let half = &request(&[b"SET", b"large", &value])[..300_000];
    for round in 0..rounds(40, 8) {
        for bytes in [&b""[..], b"*2\r\n$3\r\n", half, &command("GET large"), &command("PING")] {
            let mut kv = client(&system);
            kv.send(bytes);
            reset(kv);
        }
        assert!(setter.is_in_step(&round.to_string()));
    }
    await_connections(&system, 1);
    until("the server's having forgotten them", || {
        let info = setter.ask("INFO clients").text();
        (info.contains("connected_clients:1\r") && info.contains("client_buffers:0\r"))
            .then_some(())
    });
    assert_eq!(system.epoch("kv"), 1);
}

#[test]
fn a_thousand_connections_at_once_are_all_served() {
    allow_many_files();
    let Some(system) = start("") else { return };
    let count = rounds(1000, 250);
    let mut all: Vec<_> = (0..count).map(|_| client(&system)).collect();
    for (number, kv) in all.iter_mut().enumerate() {
        kv.send(&command(&format!("ECHO {number}")));
    }
    for (number, kv) in all.iter_mut().enumerate() {
        assert_eq!(kv.reply(), Some(Reply::bulk(number.to_string())));
    }
    assert_eq!(system.number("kv", "/gateways/0/connections"), count as u64);
    // They are all idle now: a crash costs none of them its connection.
    system.renew("kv", "kill");
    for (number, kv) in all.iter_mut().enumerate() {
        assert!(kv.is_in_step(&format!("after {number}")));
    }
    drop(all);
    await_connections(&system, 0);
}

#[test]
fn a_client_that_does_not_read_costs_little_and_delays_nobody() {
    let Some(system) = start("") else { return };
    let mut setter = client(&system);
    setter.send(&request(&[b"SET", b"large", &vec![b'v'; 1 << 20]]));
    assert_eq!(setter.reply(), Some(Reply::ok()));
    let before = system.process_kib("VmRSS");
    let mut greedy: Vec<_> = (0..4).map(|_| client(&system)).collect();
    for kv in &mut greedy {
        kv.send(&command("GET large").repeat(1000));
    }
    // Each has got what its socket holds, and no more is made.
    for round in 0..rounds(500, 50) {
        assert!(setter.is_in_step(&round.to_string()));
    }
    let after = system.process_kib("VmRSS");
    assert!(after < before + (32 << 10), "{before} KiB became {after} KiB");
    assert!(system.number("kv", "/gateways/0/bytes_out") < 64 << 20);
    // Whoever reads in the end gets all of it, in order.
    let mut patient = greedy.swap_remove(0);
    for _ in 0..rounds(100, 3) {
        let Some(Reply::Bulk(Some(value))) = patient.reply() else {
            panic!("a value was asked for")
        };
        assert!(value.len() == 1 << 20 && value.iter().all(|&byte| byte == b'v'));
    }
    drop((patient, greedy));
    await_connections(&system, 1);
}

#[test]
fn a_client_that_only_sends_is_held_back() {
    let Some(system) = start("") else { return };
    let mut flood = client(&system);
    let Socket::Tcp(stream) = flood.socket() else { panic!("it is a TCP connection") };
    let mut sender = stream.try_clone().unwrap();
    let before = system.process_kib("VmRSS");
    let goal = rounds(64 << 20, 32 << 20);
    thread::scope(|scope| {
        let sending = scope.spawn(move || {
            use std::io::Write;
            let piece = command(&format!("ECHO {}", "x".repeat(1000))).repeat(64);
            let pieces = goal.div_ceil(piece.len());
            (0..pieces).for_each(|_| sender.write_all(&piece).unwrap());
            sender.shutdown(std::net::Shutdown::Write).unwrap();
            pieces * 64
        });
        let mut other = client(&system);
        for round in 0..rounds(200, 20) {
            assert!(other.is_in_step(&round.to_string()));
        }
        let after = system.process_kib("VmRSS");
        assert!(after < before + (16 << 10), "{before} KiB became {after} KiB");
        assert!(!sending.is_finished(), "what nobody reads cannot all have been taken");
        let mut received = 0;
        let mut bytes = vec![0; 1 << 20];
        loop {
            match flood.socket().read(&mut bytes).unwrap() {
                0 => break,
                count => received += count,
            }
        }
        let questions = sending.join().unwrap();
        assert_eq!(received, questions * "$1000\r\n\r\n".len() + questions * 1000);
    });
}

#[test]
fn more_connections_than_allowed_are_refused_until_one_ends() {
    let Some(system) = start("max-connections = 2") else { return };
    let (mut first, mut second) = (client(&system), client(&system));
    assert!(first.is_in_step("first") && second.is_in_step("second"));
    let mut third = client(&system);
    assert_eq!(third.reply(), None, "refused at once, and not left to wait");
    let refused =
        system.records().after(0, "the refusal", |record| record["kind"] == "connection-refused");
    assert!(refused["reason"].as_str().unwrap().contains("as many connections"), "{refused}");
    assert_eq!(system.number("kv", "/gateways/0/refused"), 1);
    drop(first);
    await_connections(&system, 1);
    assert!(client(&system).is_in_step("again"));
    assert!(second.is_in_step("still"));
}
