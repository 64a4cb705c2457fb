//! The reader on whole files: good ones, damaged ones, and arbitrary bytes.

use super::*;
use crate::fixture::{ENTRY, FINGERPRINT, STUBS, metadata, payload, seal, shapes};
use crate::{FORMAT_VERSION, wire};
use atoll_ipc::abi::ABI_VERSION;
use proptest::prelude::*;
use std::io::Cursor;

fn refusal(file: Vec<u8>) -> String {
    Image::parse(file).unwrap_err().to_string()
}

/// Puts a right hash on an edited file.
fn rehash(mut file: Vec<u8>) -> Vec<u8> {
    let hash = Hash::of(&file[40..]);
    file[8..40].copy_from_slice(&hash.to_bytes());
    file
}

#[test]
fn everything_written_is_read_back() {
    let image = Image::parse(seal(&metadata())).unwrap();
    assert_eq!(image.name().as_str(), "echo");
    assert_eq!(image.abi_version(), ABI_VERSION);
    assert_eq!(image.entry(), ENTRY);
    assert_eq!(image.stubs(), Some(STUBS));
    assert_eq!(image.default_memory(), 1 << 20);
    assert_eq!(image.stack_size(), 16 << 10);
    assert_eq!(image.max_vcpus(), 2);
    assert_eq!(image.segments(), shapes());
    assert_eq!(image.min_memory(), 0x5000);
    assert_eq!(image.segments_end(), 0x40_5000);
    assert_eq!(image.payload(), payload());
    assert_eq!(image.segment_bytes(1), Some(&[1; 48][..]));
    assert_eq!(image.segment_bytes(4), None);
    let stream = image.port("clients").unwrap();
    assert_eq!(stream.kind, PortKind::Stream);
    assert_eq!(stream.interface, Interface::untyped(Name::new("redis"), 1));
    let calls = image.port("calls").unwrap();
    assert_eq!(calls.kind, PortKind::Message);
    assert_eq!(calls.interface, Interface::new(Name::new("echo"), 3, FINGERPRINT));
    assert_eq!(image.port("absent"), None);
    assert_eq!(image.ports().len(), 2);
    assert_eq!(image.symbols().map(|symbol| symbol.size).collect::<Vec<_>>(), [16, 8, 16]);
}

#[test]
fn addresses_are_symbolised_within_their_functions_only() {
    let image = Image::parse(seal(&metadata())).unwrap();
    assert_eq!(image.symbolise(ENTRY), Some(("_start", 0)));
    assert_eq!(image.symbolise(ENTRY + 15), Some(("_start", 15)));
    assert_eq!(image.symbolise(ENTRY + 16), Some(("echo::serve", 0)));
    assert_eq!(image.symbolise(ENTRY + 24), None, "between two functions");
    assert_eq!(image.symbolise(ENTRY + 47), Some(("echo::reply", 15)));
    assert_eq!(image.symbolise(ENTRY + 48), None, "after the last");
    assert_eq!(image.symbolise(ENTRY - 1), None, "before the first");
    assert_eq!(image.symbolise(u64::MAX), None);
}

#[test]
fn the_hash_is_printed_as_64_hexadecimal_digits() {
    let text = Image::parse(seal(&metadata())).unwrap().hash().to_string();
    assert_eq!(text.len(), 64);
    assert_eq!(text, blake3::hash(&seal(&metadata())[40..]).to_hex().as_str());
}

#[test]
fn the_payload_loads_with_an_elf_loader() {
    use linux_loader::loader::{KernelLoader, elf::Elf};
    use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};
    let image = Image::parse(seal(&metadata())).unwrap();
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 8 << 20)]).unwrap();
    let loaded = Elf::load(&memory, None, &mut Cursor::new(image.payload()), None).unwrap();
    assert_eq!(loaded.kernel_load, GuestAddress(ENTRY));
    assert_eq!(loaded.kernel_end, 0x40_5000);
    for (index, segment) in image.segments().iter().enumerate() {
        let mut bytes = vec![0; segment.file_size as usize];
        memory.read_slice(&mut bytes, GuestAddress(segment.vaddr)).unwrap();
        assert_eq!(Some(bytes.as_slice()), image.segment_bytes(index));
    }
}

#[test]
fn every_flipped_byte_is_noticed() {
    let good = seal(&metadata());
    for at in 0..good.len() {
        let mut file = good.clone();
        file[at] ^= 0x01;
        assert!(Image::parse(file).is_err(), "byte {at}");
    }
}

#[test]
fn every_truncation_is_noticed() {
    let good = seal(&metadata());
    for length in 0..good.len() {
        assert!(Image::parse(&good[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn damage_is_called_by_its_name() {
    let good = seal(&metadata());
    let length = good.len();
    assert_eq!(
        refusal(good[..20].to_vec()),
        "image ends after 20 bytes, before its 64-byte header does; \
         it was cut short: copy or build it again"
    );
    assert_eq!(
        refusal(good[..100].to_vec()),
        format!(
            "image ends after 100 of {length} bytes; \
             it was cut short: copy or build it again"
        )
    );
    let longer = [good.as_slice(), b"x"].concat();
    assert_eq!(
        refusal(longer),
        format!("image has {} bytes where its header states {length}; build it again", length + 1)
    );
    let mut flipped = good.clone();
    flipped[200] ^= 1;
    let (stated, actual) = (Hash::of(&good[40..]), Hash::of(&flipped[40..]));
    assert_eq!(
        refusal(flipped),
        format!(
            "image states hash {stated}, its contents hash to {actual}; \
             it was damaged or edited: build it again"
        )
    );
}

#[test]
fn another_file_is_no_image() {
    assert_eq!(
        refusal(b"\x7fELF\x02\x01\x01\x00rest".to_vec()),
        "begins with \"\\x7fELF\\x02\\x01\\x01\\x00\", not \"ATOLLIMG\"; \
         make an image with `mkimage build`"
    );
}

#[test]
fn other_versions_are_refused_with_both_numbers() {
    let mut file = seal(&metadata());
    file[40] = 9;
    assert_eq!(
        refusal(file),
        format!(
            "image has format version 9, this program reads version {FORMAT_VERSION}; \
             build it again with the `mkimage` of this version"
        )
    );
    let mut file = seal(&metadata());
    file[44] = 9;
    assert_eq!(
        refusal(rehash(file)),
        format!(
            "image has ABI version 9, this program speaks version {ABI_VERSION}; \
             build its server again with the guest kernel of this version"
        )
    );
}

#[test]
fn metadata_that_does_not_decode_is_refused() {
    let encoded = postcard::to_allocvec(&metadata()).unwrap();
    let cut = container::join(&encoded[..encoded.len() - 1], &payload());
    assert_eq!(
        refusal(cut),
        "metadata cannot be decoded (Hit the end of buffer, expected more data); \
         build the image again"
    );
    let longer = container::join(&[encoded.as_slice(), b"xy"].concat(), &payload());
    assert_eq!(
        refusal(longer),
        "metadata cannot be decoded (2 bytes are left over); build the image again"
    );
}

#[test]
fn a_list_that_claims_to_be_endless_is_refused() {
    let endless = wire::Metadata { symbols: Vec::new(), ..metadata() };
    let mut encoded = postcard::to_allocvec(&endless).unwrap();
    // The last byte is the number of symbols; this is 2^63, and no symbol follows.
    encoded.pop();
    encoded.extend([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]);
    assert_eq!(
        refusal(container::join(&encoded, &payload())),
        "metadata cannot be decoded (Hit the end of buffer, expected more data); \
         build the image again"
    );
}

#[test]
fn metadata_has_a_limit() {
    let length = crate::METADATA_MAX + 1;
    assert_eq!(
        refusal(container::join(&vec![0; length as usize], &[])),
        "metadata is 4194305 bytes long, 4194304 is the most; give the program fewer symbols"
    );
}

#[test]
fn a_payload_of_another_length_is_refused() {
    let encoded = postcard::to_allocvec(&metadata()).unwrap();
    let payload = payload();
    let (is, should) = (payload.len() - 1, payload.len());
    assert_eq!(
        refusal(container::join(&encoded, &payload[..is])),
        format!(
            "payload is {is} bytes long where the segments take {should}; build the image again"
        )
    );
}

#[test]
fn a_payload_with_other_headers_is_refused() {
    let encoded = postcard::to_allocvec(&metadata()).unwrap();
    // The type of file, and the flags of the second program header.
    for (offset, place) in [(16, "file header"), (64 + 56 + 4, "program header 1")] {
        let mut payload = payload();
        payload[offset] ^= 2;
        assert_eq!(
            refusal(container::join(&encoded, &payload)),
            format!(
                "payload's {place} disagrees with the metadata at byte {offset}; \
                 build the image again"
            )
        );
    }
}

#[test]
fn an_image_is_opened_by_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("echo.img");
    std::fs::write(&path, seal(&metadata())).unwrap();
    assert_eq!(Image::open(&path).unwrap().as_bytes(), seal(&metadata()));
}

#[test]
fn opening_names_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("echo.img");
    let shown = path.display();
    let refusal = || Image::open(&path).unwrap_err().to_string();

    assert_eq!(refusal(), format!("{shown}: no such file; build the image, or correct the path"));
    std::fs::create_dir(&path).unwrap();
    assert_eq!(refusal(), format!("{shown}: not a regular file; name an image file"));
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, "ATOLL").unwrap();
    assert_eq!(
        refusal(),
        format!(
            "{shown}: image ends after 5 bytes, before its 64-byte header does; \
             it was cut short: copy or build it again"
        )
    );
}

#[test]
fn a_path_through_a_file_cannot_be_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().join("echo.img");
    assert_eq!(
        Image::open(&path).unwrap_err().to_string(),
        format!(
            "{}: cannot read the image (Not a directory (os error 20)); \
             see that the file may be read",
            path.display()
        )
    );
}

#[test]
fn a_file_too_long_is_refused_unread() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // A hole: it takes no space, and would take a while to read.
    file.as_file().set_len(1 << 40).unwrap();
    assert_eq!(
        Image::open(file.path()).unwrap_err().to_string(),
        format!(
            "{}: image is 1099511627776 bytes long, 67108864 is the most; \
             make its program smaller",
            file.path().display()
        )
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Image::parse(bytes).is_err());
    }

    /// Behind a right hash, so that the decoder and the checks see them.
    #[test]
    fn arbitrary_metadata_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Image::parse(container::join(&bytes, &payload())).is_err());
    }

    /// Edits of a good image behind a right hash: an error, or an image that keeps the rules.
    #[test]
    fn edited_images_keep_the_rules_or_are_refused(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut file = seal(&metadata());
        let metadata_end = file.len() - payload().len();
        for (at, byte) in edits {
            file[48 + at.index(metadata_end + 64 + 4 * 56 - 48)] = byte;
        }
        if let Ok(image) = Image::parse(rehash(file)) {
            for segment in image.segments() {
                prop_assert_eq!(segment.vaddr % 4096, 0);
                prop_assert!(segment.vaddr >= 0x40_0000 && segment.pages_end() <= 0x4000_0000);
                prop_assert!(!(segment.rights.write() && segment.rights.execute()));
                prop_assert!(!segment.supervisor || image.stubs() == Some(segment.vaddr));
            }
            for (index, segment) in image.segments().iter().enumerate() {
                let bytes = image.segment_bytes(index).unwrap();
                prop_assert_eq!(bytes.len() as u64, segment.file_size);
            }
            for symbol in image.symbols() {
                let found = image.symbolise(symbol.start);
                prop_assert_eq!(found, (symbol.size > 0).then_some((symbol.name, 0)));
            }
        }
    }

    #[test]
    fn symbols_are_found_as_a_linear_search_finds_them(
        sizes in prop::collection::vec((1u64..40, 1u64..40), 1..40),
        probe in 0u64..1600,
    ) {
        let mut start = 0x40_0000;
        let symbols: Vec<_> = sizes.into_iter().map(|(step, size)| {
            start += step;
            wire::Symbol { start, size: size.min(step), name: "f" }
        }).collect();
        let address = 0x40_0000 + probe;
        // The nearest function below decides.
        let expected = symbols.iter().rev().find(|symbol| symbol.start <= address)
            .filter(|symbol| address < symbol.start + symbol.size)
            .map(|symbol| symbol.start);
        let found = Symbols::new(&symbols).find(address).map(|symbol| symbol.start);
        prop_assert_eq!(found, expected);
    }
}
