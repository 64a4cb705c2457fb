//! Exits to the nucleus: the I/O ports of [`atoll_ipc::abi::ports`] and the control page.

use core::arch::asm;

use atoll_ipc::abi::{Control, DEAF, TEXT_MAX, ports};
use atoll_ipc::sync::{AtomicU64, Ordering::Relaxed};
use atoll_ipc::words;

/// Where the control page of the vCPU that asks is: the first is vCPU 0's.
#[inline]
pub(crate) fn control_page() -> u64 {
    let page: u64;
    // SAFETY: the nucleus points FS at this vCPU's control page, which begins with its address.
    unsafe {
        asm!(
            "mov {}, fs:[0]",
            out(reg) page,
            options(nostack, preserves_flags, readonly, pure)
        );
    }
    page
}

/// The control page of the vCPU that asks.
fn control() -> &'static Control {
    let page = control_page() as *const Control;
    // SAFETY: the nucleus maps the page for as long as the domain runs; it is made of atomics,
    // for which any bits are valid.
    unsafe { &*page }
}

/// Exits of this domain so far, for display. Counted by whoever makes them, without a lock.
static MADE: AtomicU64 = AtomicU64::new(0);

/// How often this domain has left its micro-VM, doorbells included.
pub fn made() -> u64 {
    MADE.load(Relaxed)
}

fn out(port: u16) {
    MADE.store(MADE.load(Relaxed) + 1, Relaxed);
    // SAFETY: writing one of these ports leaves the micro-VM; the nucleus changes nothing that
    // the compiler knows of but atomics.
    unsafe { asm!("out dx, al", in("dx") port, in("al") 0u8, options(nostack, preserves_flags)) }
}

/// Rings the doorbells in `kick`, then sleeps until kicked or for `wait_ns` nanoseconds; and, if
/// `heeds_clients`, not while one of them wants attention.
pub fn wait(kick: [u64; 4], wait_ns: u64, heeds_clients: bool) {
    crate::state::refuse_amid_edit();
    let control = control();
    for (word, bits) in control.kick.iter().zip(kick) {
        word.store(bits, Relaxed);
    }
    control.wait_ns.store(wait_ns, Relaxed);
    control.status.store(if heeds_clients { 0 } else { DEAF }, Relaxed);
    out(ports::WAIT);
}

/// Rings one doorbell; the vCPU runs on.
pub fn kick(doorbell: u16) {
    out(doorbell);
}

/// Ends the server.
pub fn exit(status: u32) -> ! {
    control().status.store(status, Relaxed);
    loop {
        out(ports::EXIT);
    }
}

/// Hands a console line to the nucleus.
pub fn log(level: u32, text: &str) {
    let control = control();
    control.level.store(level, Relaxed);
    put_text(control, text);
    out(ports::LOG);
}

/// Tells whoever looks that the server is alive.
pub fn heartbeat() {
    let count = &control().heartbeats;
    count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
}

/// Tells the nucleus that the server has begun. With a checkpoint, each incarnation that is taken
/// back there returns from here, too.
pub fn ready(checkpoint: bool) {
    crate::state::refuse_amid_edit();
    control().status.store(u32::from(!checkpoint), Relaxed);
    out(ports::READY);
}

/// Tells the nucleus that the server is at rest. It goes on from here when it may; and so does each
/// incarnation that begins at the checkpoint which was taken meanwhile.
pub fn rest() {
    out(ports::REST);
}

/// Tells the nucleus that the peer of a channel broke the protocol.
pub fn complain(channel: u32) {
    control().status.store(channel, Relaxed);
    out(ports::COMPLAIN);
}

/// Gives up, with the reason and the frame from which to trace back.
pub fn panic(text: &str, frame: [u64; 2]) -> ! {
    let control = control();
    control.frame[0].store(frame[0], Relaxed);
    control.frame[1].store(frame[1], Relaxed);
    put_text(control, text);
    loop {
        out(ports::PANIC);
    }
}

fn put_text(control: &Control, text: &str) {
    let end = text.floor_char_boundary(TEXT_MAX);
    words::write(&control.text, &text.as_bytes()[..end]);
    control.length.store(end as u32, Relaxed);
}
