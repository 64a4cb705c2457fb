//! Owns guest programs of a few instructions, without a guest kernel: what a foreign or broken
//! program in a domain is to the nucleus. It writes just enough ELF for the image builder.

use atoll_image::build::{Options, build};
use atoll_ipc::abi::layout::{IMAGE, PAGE};

/// Bytes of an ELF header, and of one program header.
const HEADER: u64 = 64;
const SEGMENT: u64 = 56;

/// Instructions for guest programs.
pub mod code {
    /// `ud2`: an instruction that is none.
    pub const UNDEFINED: &[u8] = &[0x0f, 0x0b];
    /// `1: pause; jmp 1b`: for ever.
    pub const FOREVER: &[u8] = &[0xf3, 0x90, 0xeb, 0xfc];
    /// `mov ecx, 0xc0000000; jmp rcx`: to an address beyond everything that is mapped.
    pub const JUMP_AWAY: &[u8] = &[0xb9, 0x00, 0x00, 0x00, 0xc0, 0xff, 0xe1];
    /// `xor eax, eax; mov [rax], eax`: through a null pointer.
    pub const WRITE_NULL: &[u8] = &[0x31, 0xc0, 0x89, 0x00];
    /// `mov dx, 0x401; out dx, al`: a doorbell of a channel that it does not have.
    pub const FOREIGN_DOORBELL: &[u8] = &[0x66, 0xba, 0x01, 0x04, 0xee];
    /// `mov dx, 0x3f8; out dx, al`: what is a serial port elsewhere.
    pub const SERIAL_PORT: &[u8] = &[0x66, 0xba, 0xf8, 0x03, 0xee];
    /// `out 0x0f, al`: what only exception stubs may write.
    pub const FAULT_PORT: &[u8] = &[0xe6, 0x0f];
}

/// An image of a program of this name, which does what `text` says from its first byte.
pub fn image(name: &str, text: &[u8]) -> Vec<u8> {
    let options =
        Options { name: Some(name.to_owned()), memory: Some(16 << 20), stack: Some(4 * PAGE) };
    build(&elf(text), &options).expect("the program makes an image").image.as_bytes().to_vec()
}

/// A static executable of one segment of text.
fn elf(text: &[u8]) -> Vec<u8> {
    const EXECUTABLE: u16 = 2;
    const X86_64: u16 = 62;
    const LOAD: u32 = 1;
    const READ_EXECUTE: u32 = 5;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([EXECUTABLE, X86_64].into_iter().flat_map(u16::to_le_bytes));
    file.extend(1u32.to_le_bytes());
    file.extend([IMAGE, HEADER, 0].into_iter().flat_map(u64::to_le_bytes));
    file.extend(0u32.to_le_bytes());
    let sizes = [HEADER as u16, SEGMENT as u16, 1, 64, 0, 0];
    file.extend(sizes.into_iter().flat_map(u16::to_le_bytes));
    file.extend([LOAD, READ_EXECUTE].into_iter().flat_map(u32::to_le_bytes));
    let (offset, length) = (HEADER + SEGMENT, text.len() as u64);
    let fields = [offset, IMAGE, IMAGE, length, length, 1];
    file.extend(fields.into_iter().flat_map(u64::to_le_bytes));
    file.extend(text);
    file
}
