//! One bad ELF for each rule of the builder, with the exact words of its error.

#![cfg(feature = "build")]

#[allow(dead_code)] // each test program uses its part of the writer
mod elf_writer;

use atoll_image::build::{self, Options};
use elf_writer::{ALLOC, CALLS, Elf, R, RW, RX, Segment, load, port_record, section};

/// The message about a good server after this change.
fn refusal(change: impl FnOnce(&mut Elf)) -> String {
    let mut elf = Elf::server();
    change(&mut elf);
    refusal_of(&elf.write())
}

fn refusal_of(file: &[u8]) -> String {
    build::build(file, &Options::default()).unwrap_err().to_string()
}

fn header(kind: u32, bytes: &[u8]) -> Segment {
    Segment { kind, flags: R, vaddr: 0, mem_size: bytes.len() as u64, bytes: bytes.to_vec() }
}

#[test]
fn not_an_elf() {
    assert_eq!(
        refusal_of(b"#!/bin/sh"),
        "begins with \"#!/b\", which is no ELF file; give the linker's output"
    );
    assert_eq!(refusal_of(b""), "begins with \"\", which is no ELF file; give the linker's output");
}

#[test]
fn another_class_order_or_machine() {
    assert_eq!(
        refusal(|elf| elf.class = 1),
        "ELF is for a 32-bit machine; build the program for x86-64"
    );
    assert_eq!(
        refusal(|elf| elf.order = 2),
        "ELF is for a big-endian machine; build the program for x86-64"
    );
    assert_eq!(
        refusal(|elf| elf.machine = 183),
        "ELF is for machine 183; build the program for x86-64"
    );
}

#[test]
fn cut_short() {
    let file = Elf::server().write();
    assert_eq!(
        refusal_of(&file[..32]),
        "ELF is malformed: file header (Invalid ELF header size or alignment); link it again"
    );
    assert_eq!(
        refusal_of(&file[..80]),
        "ELF is malformed: program headers (Invalid ELF program header size or alignment); \
         link it again"
    );
    assert_eq!(
        refusal_of(&file[..file.len() - 1]),
        "ELF is malformed: section headers \
         (Invalid ELF section header offset/size/alignment); link it again"
    );
}

#[test]
fn relocatable_object() {
    assert_eq!(
        refusal(|elf| elf.kind = 1),
        "ELF is a relocatable object; link it to an executable first"
    );
}

#[test]
fn position_independent() {
    let message = "ELF is position-independent or a shared object; \
                   link with `-no-pie -static` (rustc: `-C relocation-model=static`)";
    assert_eq!(refusal(|elf| elf.kind = 3), message);
    let static_pie = |elf: &mut Elf| {
        elf.kind = 3;
        elf.segments.push(header(2, &[0; 16]));
    };
    assert_eq!(refusal(static_pie), message);
}

#[test]
fn core_dump() {
    assert_eq!(
        refusal(|elf| elf.kind = 4),
        "ELF has type 4, not 2 (executable); give the linker's output"
    );
}

#[test]
fn interpreter() {
    assert_eq!(
        refusal(|elf| elf.segments.push(header(3, b"/lib64/ld.so\0"))),
        "ELF wants the interpreter \"/lib64/ld.so\", of which a domain has none; \
         link with `-static`"
    );
}

#[test]
fn dynamic_section() {
    assert_eq!(
        refusal(|elf| elf.segments.push(header(2, &[0; 16]))),
        "ELF has a dynamic section, and a domain has no dynamic linker; link with `-static`"
    );
}

#[test]
fn thread_local_storage() {
    assert_eq!(
        refusal(|elf| elf.segments.push(header(7, &[0; 24]))),
        "ELF has 24 bytes of thread-local storage, which a domain does not set up; \
         use none, or build without `std`"
    );
}

#[test]
fn relocations_to_apply_at_load() {
    let with = |flags| {
        move |elf: &mut Elf| {
            let mut relocations = section(".rela.plt", 0x40_0080, vec![0; 24]);
            (relocations.kind, relocations.flags) = (4, flags);
            elf.sections.push(relocations);
        }
    };
    assert_eq!(
        refusal(with(ALLOC)),
        "section .rela.plt has 24 bytes of relocations, which nobody would apply; \
         link with `-no-pie -static`, without indirect functions"
    );
    let mut only_noted = Elf::server();
    with(0)(&mut only_noted);
    build::build(&only_noted.write(), &Options::default()).unwrap();
}

#[test]
fn no_segments() {
    assert_eq!(
        refusal(|elf| elf.segments.clear()),
        "ELF has no loadable segment; give the linker's output"
    );
}

#[test]
fn more_bytes_than_memory() {
    assert_eq!(
        refusal(|elf| elf.segments[0].mem_size = 23),
        "segment at 0x400000 has 0x18 bytes for 0x17 bytes of memory; link it again"
    );
}

#[test]
fn segment_bytes_beyond_the_file() {
    let mut file = Elf::server().write();
    // The file offset of the first program header.
    file[64 + 8..64 + 16].copy_from_slice(&(1u64 << 40).to_le_bytes());
    assert_eq!(
        refusal_of(&file),
        "ELF is malformed: segment at 0x400000 (its bytes lie beyond the end of the file); \
         link it again"
    );
}

#[test]
fn outside_the_window() {
    assert_eq!(
        refusal(|elf| elf.segments[0].vaddr = 0x20_0000),
        "segment at 0x200000 of 0x18 bytes lies outside 0x400000..0x40000000; \
         link with `--image-base=0x400000` (GNU ld: `-Ttext-segment=0x400000`)"
    );
    assert_eq!(
        refusal(|elf| elf.segments[2].mem_size = u64::MAX),
        "segment at 0x404010 of 0xffffffffffffffff bytes lies outside 0x400000..0x40000000; \
         link with `--image-base=0x400000` (GNU ld: `-Ttext-segment=0x400000`)"
    );
}

#[test]
fn writable_text() {
    assert_eq!(
        refusal(|elf| elf.segments[1].flags = 7),
        "segment at 0x401000 is both writable and executable; \
         link without `-N` and `--omagic`, and mark no section \"awx\""
    );
}

#[test]
fn overlapping_segments() {
    assert_eq!(
        refusal(|elf| elf.segments[0].mem_size = 0x1001),
        "segments at 0x400000 and 0x401000 overlap; correct the linker script"
    );
}

#[test]
fn one_page_with_two_rights() {
    assert_eq!(
        refusal(|elf| elf.segments[2].vaddr = 0x40_3020),
        "segments at 0x403000 (r-x) and 0x403020 (rw-) share the page at 0x403000 with \
         different rights; link with `-z separate-code -z max-page-size=4096`"
    );
}

#[test]
fn entry_outside_text() {
    let message = |entry: &str| {
        format!(
            "entry {entry} is not in the bytes of an executable user segment; \
             export the entry's symbol and link with `-e <symbol>`"
        )
    };
    assert_eq!(refusal(|elf| elf.entry = 0), message("0x0"), "nowhere");
    assert_eq!(refusal(|elf| elf.entry = 0x40_4010), message("0x404010"), "in data");
    assert_eq!(refusal(|elf| elf.entry = 0x40_2000), message("0x402000"), "in the stubs");
}

#[test]
fn too_large() {
    // A gap of 112 MiB of zeros, between bytes that have to be in the file.
    let wide = |elf: &mut Elf| {
        elf.segments[2].mem_size = 0x700_0000;
        elf.segments.push(load(RW, 0x740_4010, vec![1], 1));
    };
    assert_eq!(
        refusal(wide),
        "image would be 117440529 bytes long, 67108864 is the most; make the program smaller"
    );
}

#[test]
fn too_many_segments() {
    let many = |elf: &mut Elf| {
        for page in 0..16 {
            elf.segments.push(load(R, 0x50_0000 + page * 0x1000, vec![1], 1));
        }
    };
    assert_eq!(refusal(many), "image has 21 segments, 16 is the most; merge sections when linking");
}

#[test]
fn server_section_of_another_size() {
    assert_eq!(
        refusal(|elf| elf.section(".atoll.server").bytes.push(0)),
        "section .atoll.server has 57 bytes, one declaration has 56; \
         declare exactly one server, with the guest kernel of this version"
    );
}

#[test]
fn another_abi_version() {
    assert_eq!(
        refusal(|elf| elf.section(".atoll.server").bytes[0] = 9),
        format!(
            "ELF declares ABI version 9, this mkimage speaks version {}; \
             link it with the guest kernel of this version",
            atoll_ipc::abi::ABI_VERSION
        )
    );
}

#[test]
fn server_name() {
    assert_eq!(
        refusal(|elf| elf.section(".atoll.server").bytes[8] = b'0'),
        "section .atoll.server holds no valid server name; \
         declare the server with the guest kernel's macro"
    );
}

#[test]
fn name_given_by_an_option() {
    let options = Options { name: Some("a b".into()), ..Options::default() };
    assert_eq!(
        build::build(&Elf::server().write(), &options).unwrap_err().to_string(),
        "server name \"a b\" is not 1 to 32 ASCII letters, digits, '-' and '_' \
         that begin with a letter; rename the server"
    );
}

#[test]
fn ports_section_of_another_size() {
    assert_eq!(
        refusal(|elf| elf.section(".atoll.ports").bytes.push(0)),
        "section .atoll.ports has 177 bytes, no multiple of the 88 of a declaration; \
         declare ports with the guest kernel's macro only"
    );
}

#[test]
fn port_name() {
    assert_eq!(
        refusal(|elf| elf.section(".atoll.ports").bytes[88] = b' '),
        "port 1 in section .atoll.ports has no valid name; \
         declare ports with the guest kernel's macro only"
    );
}

#[test]
fn port_kind() {
    assert_eq!(
        refusal(|elf| elf.section(".atoll.ports").bytes[32] = 7),
        "port 0 \"calls\" has kind 7, known are 0 (message) and 1 (stream); \
         declare it with one of these"
    );
}

#[test]
fn interface_name() {
    for (at, byte) in [(88 + 40, b'9'), (88 + 40, 0), (88 + 71, b'x')] {
        assert_eq!(
            refusal(|elf| elf.section(".atoll.ports").bytes[at] = byte),
            "port 1 \"clients\" in section .atoll.ports has no valid interface name; \
             declare ports with the guest kernel's macro only"
        );
    }
}

#[test]
fn reserved_fields_of_a_port() {
    for (at, field) in [(36, "reserved"), (40 + 36, "interface.reserved")] {
        assert_eq!(
            refusal(|elf| elf.section(".atoll.ports").bytes[at + 1] = 0x20),
            format!(
                "port 0 \"calls\" in section .atoll.ports has 0x2000 in `{field}`, which must be \
                 zero; declare ports with the guest kernel's macro only"
            )
        );
    }
}

#[test]
fn duplicate_port() {
    assert_eq!(
        refusal(|elf| elf.section(".atoll.ports").bytes.extend(port_record("calls", 1, &CALLS))),
        "ports 0 and 2 are both named \"calls\"; rename one of them"
    );
}

#[test]
fn stubs_within_a_page() {
    assert_eq!(
        refusal(|elf| elf.section(".atoll.stubs").vaddr = 0x40_2010),
        "section .atoll.stubs begins at 0x402010, which is no multiple of 4096; align it to a page"
    );
}

#[test]
fn too_few_stubs() {
    assert_eq!(
        refusal(|elf| elf.section(".atoll.stubs").bytes.truncate(511)),
        "section .atoll.stubs has 511 bytes, 512 are needed for 32 stubs of 16; \
         link the guest kernel's stubs"
    );
}

#[test]
fn stubs_that_are_not_loaded() {
    assert_eq!(
        refusal(|elf| elf.section(".atoll.stubs").vaddr = 0x50_0000),
        "section .atoll.stubs at 0x500000 is not in the bytes of a loadable segment; \
         give it the flags \"ax\""
    );
}

#[test]
fn stubs_that_can_be_written() {
    assert_eq!(
        refusal(|elf| elf.segments[1].flags = RW),
        "section .atoll.stubs at 0x402000 is in a segment with rights rw-, not r-x; \
         give it the flags \"ax\""
    );
}

#[test]
fn stubs_that_share_a_page() {
    assert_eq!(
        refusal(|elf| elf.section(".text.late").vaddr = 0x40_2ff0),
        "section .text.late at 0x402ff0 lies in a page of .atoll.stubs, which ring 3 cannot use; \
         pad .atoll.stubs to whole pages (`.balign 4096` at its end)"
    );
}

#[test]
fn stubs_that_share_a_page_with_another_segment() {
    let share = |elf: &mut Elf| {
        elf.segments[1].bytes.truncate(0x1200);
        elf.segments[1].mem_size = 0x1200;
        elf.section(".atoll.stubs").bytes.truncate(0x200);
        elf.sections.retain(|section| section.name != ".text.late");
        elf.segments.push(load(RX, 0x40_2200, vec![0x90; 4], 4));
    };
    assert_eq!(
        refusal(share),
        "segments at 0x402000 (r-x of ring 0) and 0x402200 (r-x) share the page at 0x402000 \
         with different rights; link with `-z separate-code -z max-page-size=4096`"
    );
}

#[test]
fn what_a_plain_elf_leaves_open() {
    let plain = Elf::plain().write();
    assert_eq!(
        refusal_of(&plain),
        "ELF declares no server (section .atoll.server) and so no name; give one with `--name`"
    );
    let options = Options { name: Some("tiny".into()), ..Options::default() };
    assert_eq!(
        build::build(&plain, &options).unwrap_err().to_string(),
        "ELF declares no server (section .atoll.server) and so no memory size; \
         give one with `--memory`"
    );
}

#[test]
fn memory_too_small() {
    let options = Options { memory: Some(4096), ..Options::default() };
    assert_eq!(
        build::build(&Elf::server().write(), &options).unwrap_err().to_string(),
        "default memory 4096 is less than the 40960 bytes that segments and one stack need; \
         give more"
    );
}
