//! One broken image for each rule, with the exact words of its error. All of them have a right
//! hash: these are the files that somebody made on purpose.

use crate::fixture::{metadata, seal};
use crate::image::Image;
use crate::wire;

/// The message about a good image after this change to its metadata.
fn refusal(change: impl FnOnce(&mut wire::Metadata<'static>)) -> String {
    let mut metadata = metadata();
    change(&mut metadata);
    Image::parse(seal(&metadata)).unwrap_err().to_string()
}

#[test]
fn unchanged_metadata_is_accepted() {
    Image::parse(seal(&metadata())).unwrap();
}

#[test]
fn server_name() {
    assert_eq!(
        refusal(|m| m.name = "9\u{1b}[31m"),
        "server name \"9\\u{1b}[31m\" is not 1 to 32 ASCII letters, digits, '-' and '_' \
         that begin with a letter; rename the server"
    );
}

#[test]
fn a_long_name_is_cut_in_the_message() {
    const LONG: &str = "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn";
    let shown = format!("server name \"{}…\" is not", &LONG[..40]);
    assert!(refusal(|m| m.name = LONG).starts_with(&shown));
}

#[test]
fn too_many_segments() {
    assert_eq!(
        refusal(|m| m.segments = vec![m.segments[0]; 17]),
        "image has 17 segments, 16 is the most; merge sections when linking"
    );
}

#[test]
fn segment_without_memory() {
    assert_eq!(
        refusal(|m| (m.segments[3].file_size, m.segments[3].mem_size) = (0, 0)),
        "segment 3 at 0x403000 has 0x0 bytes for 0x0 bytes of memory; it needs some memory, \
         and no more bytes than memory"
    );
}

#[test]
fn segment_with_more_bytes_than_memory() {
    assert_eq!(
        refusal(|m| m.segments[3].mem_size = 7),
        "segment 3 at 0x403000 has 0x8 bytes for 0x7 bytes of memory; it needs some memory, \
         and no more bytes than memory"
    );
}

#[test]
fn segment_within_a_page() {
    assert_eq!(
        refusal(|m| m.segments[3].vaddr += 16),
        "segment 3 begins at 0x403010, which is no multiple of 4096; build the image again"
    );
}

#[test]
fn segment_below_the_window() {
    assert_eq!(
        refusal(|m| m.segments[0].vaddr = 0x3f_f000),
        "segment 0 at 0x3ff000 of 0x18 bytes lies outside 0x400000..0x40000000; \
         link the program to that window"
    );
}

#[test]
fn segment_that_reaches_out_of_the_window() {
    assert_eq!(
        refusal(|m| m.segments[3].mem_size = 0x3fbf_d001),
        "segment 3 at 0x403000 of 0x3fbfd001 bytes lies outside 0x400000..0x40000000; \
         link the program to that window"
    );
}

#[test]
fn segment_whose_end_overflows() {
    assert_eq!(
        refusal(|m| m.segments[3].mem_size = u64::MAX),
        "segment 3 at 0x403000 of 0xffffffffffffffff bytes lies outside 0x400000..0x40000000; \
         link the program to that window"
    );
}

#[test]
fn writable_text() {
    assert_eq!(
        refusal(|m| m.segments[1].write = true),
        "segment 1 at 0x401000 is both writable and executable; \
         link code and data into separate segments"
    );
}

#[test]
fn overlapping_segments() {
    assert_eq!(
        refusal(|m| m.segments[0].mem_size = 0x1001),
        "segment 1 begins at 0x401000, before the pages of segment 0 end at 0x402000; \
         link them apart"
    );
}

#[test]
fn descending_segments() {
    assert_eq!(
        refusal(|m| m.segments.swap(2, 3)),
        "segment 3 at 0x402000 comes after one at 0x403000; build the image again"
    );
}

#[test]
fn entry_outside_text() {
    let message = |entry: &str| {
        format!(
            "entry {entry} is not in the bytes of an executable user segment; \
             link the program with its entry in its text"
        )
    };
    assert_eq!(refusal(|m| m.entry = 0), message("0x0"), "nowhere");
    assert_eq!(refusal(|m| m.entry = 0x40_3000), message("0x403000"), "in data");
    assert_eq!(refusal(|m| m.entry = 0x40_2000), message("0x402000"), "in the stubs");
    assert_eq!(refusal(|m| m.entry = 0x40_1030), message("0x401030"), "past the last byte");
    assert_eq!(refusal(|m| m.segments.clear()), message("0x401000"), "no segments");
}

#[test]
fn stubs_where_no_segment_begins() {
    assert_eq!(
        refusal(|m| m.stubs = Some(0x40_2010)),
        "stubs are said to be at 0x402010, where no segment begins; build the image again"
    );
}

#[test]
fn stubs_that_ring_3_can_reach() {
    assert_eq!(
        refusal(|m| m.segments[2].supervisor = false),
        "stubs segment 2 at 0x402000 is not a supervisor segment; build the image again"
    );
}

#[test]
fn stubs_that_can_be_written() {
    assert_eq!(
        refusal(|m| (m.segments[2].write, m.segments[2].execute) = (true, false)),
        "stubs segment 2 at 0x402000 has rights rw-, it must have r-x; \
         put the stubs into a read-only, executable section"
    );
}

#[test]
fn too_few_stubs() {
    assert_eq!(
        refusal(|m| m.segments[2].file_size = 511),
        "stubs segment 2 has 511 bytes, 512 are needed for 32 stubs of 16; \
         link the guest kernel's stubs"
    );
}

#[test]
fn supervisor_segment_besides_the_stubs() {
    assert_eq!(
        refusal(|m| m.segments[3].supervisor = true),
        "segment 3 at 0x403000 is a supervisor segment and not the stubs; \
         only the stubs may run in ring 0"
    );
    assert_eq!(
        refusal(|m| m.stubs = None),
        "segment 2 at 0x402000 is a supervisor segment and not the stubs; \
         only the stubs may run in ring 0"
    );
}

#[test]
fn too_many_ports() {
    assert_eq!(
        refusal(|m| m.ports = vec![m.ports[0]; 65]),
        "image declares 65 ports, 64 is the most; declare fewer"
    );
}

#[test]
fn port_name() {
    assert_eq!(
        refusal(|m| m.ports[1].name = ""),
        "port 1 has the name \"\", which is not 1 to 32 ASCII letters, digits, '-' and '_' \
         that begin with a letter; rename the port"
    );
}

#[test]
fn duplicate_port() {
    assert_eq!(
        refusal(|m| m.ports[1].name = "calls"),
        "ports 0 and 1 are both named \"calls\"; rename one of them"
    );
}

#[test]
fn port_of_no_kind() {
    assert_eq!(
        refusal(|m| m.ports[1].kind = 2),
        "port 1 \"clients\" has kind 2, known are 0 (message) and 1 (stream); \
         declare it with one of these"
    );
}

#[test]
fn interface_name() {
    for (name, said) in [("", ""), ("a b", "a b"), ("x\n", "x\\n")] {
        assert_eq!(
            refusal(|m| m.ports[1].interface.name = name),
            format!(
                "port 1 \"clients\" has an interface named \"{said}\", which is not 1 to 32 \
                 ASCII letters, digits, '-' and '_' that begin with a letter; rename the interface"
            )
        );
    }
}

#[test]
fn ports_may_speak_one_interface() {
    let mut metadata = metadata();
    metadata.ports[1].interface = metadata.ports[0].interface;
    let image = Image::parse(seal(&metadata)).unwrap();
    assert_eq!(image.ports()[0].interface, image.ports()[1].interface);
}

#[test]
fn vcpus() {
    for count in [0, 17] {
        assert_eq!(
            refusal(|m| m.max_vcpus = count),
            format!("most vCPUs is {count}, it must be 1 to 16; declare another number")
        );
    }
}

#[test]
fn memory_too_large() {
    assert_eq!(
        refusal(|m| m.default_memory = (64 << 30) + 1),
        "default memory 68719476737 is more than the 68719476736 of any domain; give less"
    );
}

#[test]
fn stack_size() {
    let message = |size: u64| {
        format!(
            "stack size {size} is not a multiple of 4096 between 4096 and 1073741824; \
             give another"
        )
    };
    for size in [0, 4095, 6000, u64::MAX, (1 << 30) + 4096] {
        assert_eq!(refusal(|m| m.stack_size = size), message(size));
    }
}

#[test]
fn memory_too_small() {
    // 0x5000 for the segments, 0x4000 for a stack.
    assert_eq!(
        refusal(|m| m.default_memory = 0x8fff),
        "default memory 36863 is less than the 36864 bytes that segments and one stack need; \
         give more"
    );
}

#[test]
fn symbols_that_do_not_ascend() {
    assert_eq!(
        refusal(|m| m.symbols[1].start = m.symbols[0].start),
        "symbol 1 at 0x401000 does not ascend; build the image again"
    );
    assert_eq!(
        refusal(|m| m.symbols[2].start = u64::MAX),
        "symbol 2 at 0xffffffffffffffff does not ascend; build the image again"
    );
}

#[test]
fn symbol_name() {
    for name in ["", "a\nb"] {
        assert_eq!(
            refusal(|m| m.symbols[2].name = name),
            "symbol 2 at 0x401020 has an empty name or control characters in it; \
             build the image again"
        );
    }
}
