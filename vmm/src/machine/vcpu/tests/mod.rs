//! A reset equals a fresh machine: whatever a program did, and however it ended, nothing of it can
//! be read afterwards, in any register or any byte of memory.

mod guest;
mod programs;
mod seen;

use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::thread;

use super::*;
use crate::machine::interrupt::interrupt;
use guest::{Machine, plan};
use programs::Program;
use seen::Seen;

/// Vectors of exceptions.
const DEBUG: u64 = 1;
const DOUBLE_FAULT: u64 = 8;

/// The host's KVM. Without one that is said, and it is a failure where `ATOLL_REQUIRE_KVM` is set.
fn host() -> Option<Host> {
    match Host::open() {
        Ok(host) => Some(host),
        Err(error) => {
            let test = thread::current().name().unwrap_or("a test").to_owned();
            let required = std::env::var_os("ATOLL_REQUIRE_KVM").is_some_and(|v| v != "0");
            assert!(!required, "SKIPPED: {error}: {test}; ATOLL_REQUIRE_KVM makes this a failure");
            writeln!(std::io::stderr(), "SKIPPED: {error}: {test}").unwrap();
            None
        }
    }
}

#[test]
fn the_first_vcpu_of_a_vm_is_made_once_whoever_is_quicker() {
    for _ in 0..20 {
        let Some(host) = host().map(Arc::new) else { return };
        host.get_ready();
        host.want(1);
        for vm in [host.vm().unwrap(), host.vm().unwrap()] {
            let (tell, told) = mpsc::channel();
            match vm.attendant() {
                Some(attendant) => {
                    let errand = move |made: Result<Blank, _>| tell.send(made.map(drop)).unwrap();
                    attendant.send(Box::new(errand)).join().unwrap();
                }
                None => tell.send(Blank::new(&host, &vm, 0).map(drop)).unwrap(),
            }
            told.recv().expect("it is made").expect("by one thread");
        }
    }
}

/// Runs a machine to where its program begins, and takes the checkpoint there.
fn ready(machine: &mut Machine) {
    assert_eq!(machine.run(), Exit::Ready);
    machine.vcpu.take_checkpoint().unwrap();
    machine.memory.take_checkpoint().unwrap();
}

/// As the nucleus does: no more is set than may have changed.
fn roll_back(machine: &mut Machine, exit: Exit) {
    let reach = match exit {
        Exit::TripleFault | Exit::Stuck { .. } => Reach::All,
        Exit::Stub if matches!(machine.vector(), Some(DEBUG | DOUBLE_FAULT)) => Reach::Traced,
        _ => Reach::Ring3,
    };
    machine.vcpu.roll_back(reach).unwrap();
    machine.memory.roll_back().unwrap();
}

fn reset(machine: &mut Machine) {
    machine.vcpu.reset().unwrap();
    machine.memory.return_to_image().unwrap();
}

/// What of a program outlives it. `end` runs it to its end.
fn residue(
    host: &Host,
    program: Program,
    (has_stubs, has_page): (bool, bool),
    end: impl Fn(&mut Machine) -> Exit,
) -> Vec<String> {
    let mut machine = Machine::new(host, program.code, has_stubs);
    machine.vcpu.has_page &= has_page;
    let fresh = Seen::of(host, &mut machine);
    ready(&mut machine);
    let checkpoint = Seen::of(host, &mut machine);
    assert!(checkpoint.differences(&fresh).len() > 2, "the two places can be told apart");
    let mut residue = Vec::new();
    let mut tell = |which: &str, expected: &Seen, machine: &mut Machine| {
        let differences = expected.differences(&Seen::of(host, machine));
        let told = |difference| format!("{}, {which}: {difference}", program.name);
        residue.extend(differences.into_iter().map(told));
    };
    let exits = [0, 1].map(|_| {
        let exit = end(&mut machine);
        roll_back(&mut machine, exit);
        tell("back at the checkpoint", &checkpoint, &mut machine);
        exit
    });
    assert_eq!(exits[0], exits[1], "{}: an incarnation ends as the one before", program.name);
    end(&mut machine);
    reset(&mut machine);
    tell("back at the image", &fresh, &mut machine);
    let mut other = Machine::new(host, program.code, has_stubs);
    tell("a machine beside it", &fresh, &mut other);
    residue
}

#[test]
fn nothing_outlives_any_kind_of_end() {
    let Some(host) = host() else { return };
    let mut residues = Vec::new();
    for program in programs::all() {
        residues.extend(residue(&host, program, (true, true), Machine::run));
    }
    assert!(residues.is_empty(), "{}", residues.join("\n"));
}

#[test]
fn nothing_outlives_any_kind_of_end_where_registers_are_set_by_calls() {
    let Some(host) = host() else { return };
    let mut residues = Vec::new();
    for program in programs::all() {
        residues.extend(residue(&host, program, (true, false), Machine::run));
    }
    assert!(residues.is_empty(), "{}", residues.join("\n"));
}

#[test]
fn what_waits_in_the_page_is_the_vcpus_and_a_reset_takes_it_back() {
    let Some(host) = host() else { return };
    let mut machine = Machine::new(&host, &[0x0f, 0x0b], true);
    let fresh = Seen::of(&host, &mut machine);
    ready(&mut machine);
    let checkpoint = machine.vcpu.registers().unwrap();
    machine.run();
    roll_back(&mut machine, Exit::Stub);
    assert_eq!(machine.vcpu.registers().unwrap(), checkpoint);
    machine.vcpu.change_registers(|regs| regs.r15 = 0x1234).unwrap();
    assert_eq!(machine.vcpu.registers().unwrap().r15, 0x1234);
    machine.vcpu.enter_and_leave();
    assert_eq!(machine.vcpu.fd.get_regs().unwrap(), kvm_regs { r15: 0x1234, ..checkpoint });
    roll_back(&mut machine, Exit::Stub);
    reset(&mut machine);
    assert_eq!(Seen::of(&host, &mut machine).differences(&fresh), [""; 0]);
}

#[test]
fn nothing_outlives_a_triple_fault() {
    let Some(host) = host() else { return };
    let faults = ["invalid_opcode", "divide_error", "null_pointer", "sse", "flags"];
    for program in programs::all().into_iter().filter(|program| faults.contains(&program.name)) {
        let residue = residue(&host, program, (false, true), |machine| {
            let exit = machine.run();
            assert_eq!(exit, Exit::TripleFault, "{}", program.name);
            exit
        });
        assert!(residue.is_empty(), "{}", residue.join("\n"));
    }
}

/// `inc qword [rdi + wait_ns]; jmp` back: for ever, and it can be seen.
fn counting() -> Vec<u8> {
    let place = std::mem::offset_of!(atoll_ipc::abi::Control, wait_ns) as u8;
    vec![0x48, 0xff, 0x47, place, 0xeb, 0xfa]
}

#[test]
fn nothing_outlives_a_loop_that_is_interrupted() {
    if host().is_none() {
        return;
    }
    let (send, receive) = mpsc::channel();
    let runner = thread::spawn(move || {
        let host = host().unwrap();
        let mut machine = Machine::new(&host, &counting(), true);
        ready(&mut machine);
        let checkpoint = Seen::of(&host, &mut machine);
        for _ in 0..20 {
            send.send(machine.memory.clone()).unwrap();
            assert_eq!(machine.vcpu.run().unwrap(), Exit::Interrupted);
            roll_back(&mut machine, Exit::Interrupted);
            let differences = checkpoint.differences(&Seen::of(&host, &mut machine));
            assert!(differences.is_empty(), "{}", differences.join("\n"));
        }
    });
    while let Ok(memory) = receive.recv() {
        // Only a loop that has run can have left something.
        let count = || memory.control(plan().control(0)).unwrap().wait_ns.load(Relaxed);
        while count() < 1000 && !runner.is_finished() {
            thread::yield_now();
        }
        interrupt(&runner);
    }
    runner.join().unwrap();
}

#[test]
fn the_comparison_sees_what_there_is_to_see() {
    let Some(host) = host() else { return };
    let of = |name: &str| programs::all().into_iter().find(|p| p.name == name).unwrap();
    for (name, parts) in [
        ("sse", &["x87 and SSE", "XSAVE area"][..]),
        ("flags", &["registers"]),
        ("null_segments", &["system registers"]),
        ("unmapped_page", &["system registers"]),
        ("little_memory", &["page 0x"]),
    ] {
        let mut machine = Machine::new(&host, of(name).code, true);
        ready(&mut machine);
        let before = Seen::of(&host, &mut machine);
        assert!(before.len() > 60, "{before:?}");
        machine.run();
        let differences = before.differences(&Seen::of(&host, &mut machine));
        for part in parts {
            assert!(differences.iter().any(|d| d.starts_with(part)), "{name}: {differences:#?}");
        }
    }
}
