//! What the builder makes of good ELF files.

#![cfg(feature = "build")]

#[allow(dead_code)] // each test program uses its part of the writer
mod elf_writer;

use atoll_image::build::{self, Built, DEFAULT_STACK, Options, Warning};
use atoll_image::{Image, Rights, Segment};
use atoll_ipc::abi::{PortDecl, PortKind, ServerDecl};
use elf_writer::{CALLS, CLIENTS, Elf, RW, RX, function, load, port_record, server_record};
use proptest::prelude::*;

fn tiny() -> Options {
    Options { name: Some("tiny".into()), memory: Some(1 << 20), stack: None }
}

fn server() -> Built {
    build::build(&Elf::server().write(), &Options::default()).unwrap()
}

#[test]
fn the_writer_makes_records_of_the_abi() {
    assert_eq!(server_record("echo").len(), size_of::<ServerDecl>());
    assert_eq!(port_record("calls", 0, &CALLS).len(), size_of::<PortDecl>());
}

#[test]
fn a_server_keeps_what_it_declares() {
    let Built { image, warnings } = server();
    assert_eq!(warnings, []);
    assert_eq!(image.name().as_str(), "echo");
    assert_eq!((image.default_memory(), image.stack_size()), (1 << 20, 16 << 10));
    assert_eq!(image.max_vcpus(), 2);
    assert_eq!(image.entry(), 0x40_1000);
    let ports: Vec<_> =
        image.ports().iter().map(|port| (port.name.as_str(), port.kind, port.interface)).collect();
    assert_eq!(
        ports,
        [("calls", PortKind::Message, CALLS), ("clients", PortKind::Stream, CLIENTS)]
    );
}

#[test]
fn stubs_are_cut_out_of_the_text_and_partial_pages_are_widened() {
    let Built { image, .. } = server();
    let segment = |vaddr, file_size, mem_size, rights, supervisor| Segment {
        vaddr,
        file_size,
        mem_size,
        rights,
        supervisor,
    };
    assert_eq!(
        image.segments(),
        [
            segment(0x40_0000, 24, 24, Rights::Read, false),
            segment(0x40_1000, 0x1000, 0x1000, Rights::ReadExecute, false),
            segment(0x40_2000, 0x1000, 0x1000, Rights::ReadExecute, true),
            segment(0x40_3000, 32, 32, Rights::ReadExecute, false),
            segment(0x40_4000, 24, 0x1010, Rights::ReadWrite, false),
        ]
    );
    assert_eq!(image.stubs(), Some(0x40_2000));
    assert_eq!(image.segment_bytes(2), Some(&[0xcc; 0x1000][..]));
    assert_eq!(image.segment_bytes(3), Some(&[0x91; 32][..]));
    assert_eq!(image.segment_bytes(4), Some(&[[0; 16].as_slice(), &[0xdd; 8]].concat()[..]));
}

#[test]
fn functions_are_named_as_in_the_source_and_bounded() {
    let Built { image, .. } = server();
    let symbols: Vec<_> = image.symbols().map(|s| (s.start, s.size, s.name)).collect();
    assert_eq!(
        symbols,
        [
            (0x40_1000, 16, "_start"),
            (0x40_1010, 8, "echo::serve"),
            // Without a size: up to the next.
            (0x40_1020, 0x1fe0, "assembly"),
            // Too large: up to the end of its segment.
            (0x40_3000, 0x20, "late"),
        ]
    );
    assert_eq!(image.symbolise(0x40_1014), Some(("echo::serve", 4)));
}

#[test]
fn of_several_names_for_one_address_the_sized_one_is_kept() {
    let mut elf = Elf::plain();
    elf.symbols = vec![
        function("zeta", 0x40_1000, 0),
        function("beta", 0x40_1000, 16),
        function("alpha", 0x40_1000, 16),
    ];
    let names = |elf: &Elf| {
        let image = build::build(&elf.write(), &tiny()).unwrap().image;
        image.symbols().map(|symbol| symbol.name.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&elf), ["alpha"]);
    elf.symbols.reverse();
    assert_eq!(names(&elf), ["alpha"]);
}

#[test]
fn options_go_before_the_declaration() {
    let options =
        Options { name: Some("other".into()), memory: Some(2 << 20), stack: Some(32 << 10) };
    let image = build::build(&Elf::server().write(), &options).unwrap().image;
    assert_eq!(image.name().as_str(), "other");
    assert_eq!((image.default_memory(), image.stack_size()), (2 << 20, 32 << 10));
}

#[test]
fn a_plain_elf_is_accepted_with_a_warning() {
    let Built { image, warnings } = build::build(&Elf::plain().write(), &tiny()).unwrap();
    assert_eq!(warnings, [Warning::NoStubs]);
    assert!(warnings[0].to_string().contains("will be seen as a triple fault"));
    assert_eq!((image.name().as_str(), image.ports().len()), ("tiny", 0));
    assert_eq!((image.stack_size(), image.max_vcpus()), (DEFAULT_STACK, 1));
    assert_eq!(image.stubs(), None);
}

#[test]
fn a_stripped_elf_is_accepted_with_another_warning() {
    let mut elf = Elf::plain();
    elf.symbols.clear();
    let Built { warnings, .. } = build::build(&elf.write(), &tiny()).unwrap();
    assert_eq!(warnings, [Warning::NoStubs, Warning::NoSymbols]);
}

#[test]
fn segments_of_equal_rights_in_one_page_become_one() {
    let mut elf = Elf::plain();
    elf.segments.push(load(RW, 0x40_3010, vec![0xee; 4], 16));
    let image = build::build(&elf.write(), &tiny()).unwrap().image;
    let data = image.segments()[1];
    assert_eq!((data.vaddr, data.file_size, data.mem_size), (0x40_2000, 0x1014, 0x1020));
    let bytes = image.segment_bytes(1).unwrap();
    assert_eq!(bytes[8..16], [0xdd; 8]);
    assert!(bytes[16..0x1010].iter().all(|&byte| byte == 0));
    assert_eq!(bytes[0x1010..], [0xee; 4]);
}

#[test]
fn empty_segments_are_left_out() {
    let mut elf = Elf::plain();
    elf.segments.push(load(RX, 0, Vec::new(), 0));
    assert_eq!(build::build(&elf.write(), &tiny()).unwrap().image.segments().len(), 2);
}

#[test]
fn the_order_of_program_headers_does_not_matter() {
    let mut elf = Elf::server();
    elf.segments.reverse();
    let image = build::build(&elf.write(), &Options::default()).unwrap().image;
    assert_eq!(image.as_bytes(), server().image.as_bytes());
}

#[test]
fn an_elf_at_an_odd_address_is_read() {
    let shifted = [b"x".as_slice(), &Elf::server().write()].concat();
    let image = build::build(&shifted[1..], &Options::default()).unwrap().image;
    assert_eq!(image.as_bytes(), server().image.as_bytes());
}

#[test]
fn linked_by_a_real_linker() {
    // The test program itself was linked by one; it cannot run in a domain, and must say why.
    let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let message = build::build(&own, &Options::default()).unwrap_err().to_string();
    assert!(message.starts_with("ELF wants the interpreter \"/"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any number of segments of any rights on pages of their own come back byte for byte,
    /// and the same ELF makes the same image.
    #[test]
    fn whatever_is_built_is_read_back(
        parts in prop::collection::vec(
            (0usize..3, 0u64..4096, prop::collection::vec(any::<u8>(), 0..300), 0u64..9000),
            0..10,
        ),
    ) {
        let mut elf = Elf::plain();
        elf.segments.truncate(1);
        let mut page = 0x40_2000;
        for (rights, into, bytes, more) in parts {
            let mem_size = bytes.len() as u64 + more + 1;
            let flags = [elf_writer::R, RW, RX][rights];
            elf.segments.push(load(flags, page + into, bytes, mem_size));
            page = (page + into + mem_size).next_multiple_of(4096);
        }
        let file = elf.write();
        let built = build::build(&file, &tiny()).unwrap().image;
        let again = build::build(&file, &tiny()).unwrap().image;
        prop_assert_eq!(built.as_bytes(), again.as_bytes());
        let image = Image::parse(built.as_bytes()).unwrap();
        prop_assert_eq!(image.segments().len(), elf.segments.len());
        for (index, segment) in elf.segments.iter().enumerate() {
            let read = image.segments()[index];
            let into = (segment.vaddr - read.vaddr) as usize;
            prop_assert_eq!(read.end(), segment.vaddr + segment.mem_size);
            let bytes = image.segment_bytes(index).unwrap();
            prop_assert_eq!(bytes.get(into..).unwrap_or_default(), &segment.bytes[..]);
        }
    }

    /// A damaged ELF is refused or makes an image that the reader accepts; nothing panics.
    #[test]
    fn damaged_elf_files_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        let mut file = Elf::server().write();
        // Mostly where the headers are.
        let table = file.len() - 64 * 9;
        for (at, byte) in edits {
            let at = at.index(64 + 56 * 3 + 64 * 9);
            let at = if at < 64 + 56 * 3 { at } else { table + at - 64 - 56 * 3 };
            file[at] = byte;
        }
        if !keep {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(built) = build::build(&file, &Options::default()) {
            prop_assert!(Image::parse(built.image.as_bytes()).is_ok());
        }
    }
}
