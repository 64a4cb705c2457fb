//! A panic ends the incarnation, with its message delivered.

use core::arch::asm;
use core::fmt::Write;
use core::panic::PanicInfo;

use atoll_ipc::abi::TEXT_MAX;

use crate::exits;

/// Formats without allocating: a panic may come from the allocator.
struct Text {
    bytes: [u8; TEXT_MAX],
    length: usize,
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = &mut self.bytes[self.length..];
        let end = text.floor_char_boundary(room.len());
        room[..end].copy_from_slice(&text.as_bytes()[..end]);
        self.length += end;
        Ok(())
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let mut text = Text { bytes: [0; TEXT_MAX], length: 0 };
    // Writing cannot fail; what does not fit is cut.
    let _ = write!(text, "{}", info.message());
    if let Some(place) = info.location() {
        let _ = write!(text, " (at {place})");
    }
    let (pc, frame): (u64, u64);
    // SAFETY: reads two registers.
    unsafe {
        asm!("lea {}, [rip]", "mov {}, rbp", out(reg) pc, out(reg) frame, options(nostack, nomem));
    }
    exits::panic(str::from_utf8(&text.bytes[..text.length]).unwrap_or("?"), [pc, frame])
}

/// The compiler's tables name this; without unwinding nothing calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// Likewise: precompiled parts of the standard library refer to it.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    exits::panic("unwinding is not possible here", [0, 0])
}
