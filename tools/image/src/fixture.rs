//! A small image for tests, to be broken one rule at a time.

use crate::image::{Rights, Segment};
use crate::{container, payload, wire};

pub const ENTRY: u64 = 0x40_1000;
pub const STUBS: u64 = 0x40_2000;
const STUBS_SIZE: u64 = 512;
/// Of the interface on the port `calls`.
pub const FINGERPRINT: u64 = 0x0123_4567_89ab_cdef;

/// Rodata, text, stubs, and data with a zeroed rest.
pub fn shapes() -> Vec<Segment> {
    let segment = |vaddr, file_size, mem_size, rights, supervisor| Segment {
        vaddr,
        file_size,
        mem_size,
        rights,
        supervisor,
    };
    vec![
        segment(0x40_0000, 24, 24, Rights::Read, false),
        segment(ENTRY, 48, 48, Rights::ReadExecute, false),
        segment(STUBS, STUBS_SIZE, STUBS_SIZE, Rights::ReadExecute, true),
        segment(0x40_3000, 8, 0x2000, Rights::ReadWrite, false),
    ]
}

const fn interface(name: &str, version: u32, fingerprint: u64) -> wire::Interface<'_> {
    wire::Interface { name, version, fingerprint }
}

/// The metadata of a good image.
pub fn metadata() -> wire::Metadata<'static> {
    let segments = shapes().into_iter().map(|segment| wire::Segment {
        vaddr: segment.vaddr,
        file_size: segment.file_size,
        mem_size: segment.mem_size,
        write: segment.rights.write(),
        execute: segment.rights.execute(),
        supervisor: segment.supervisor,
    });
    wire::Metadata {
        name: "echo",
        entry: ENTRY,
        default_memory: 1 << 20,
        stack_size: 16 << 10,
        max_vcpus: 2,
        stubs: Some(STUBS),
        segments: segments.collect(),
        ports: vec![
            wire::Port { name: "calls", kind: 0, interface: interface("echo", 3, FINGERPRINT) },
            wire::Port { name: "clients", kind: 1, interface: interface("redis", 1, 0) },
        ],
        symbols: vec![
            wire::Symbol { start: ENTRY, size: 16, name: "_start" },
            wire::Symbol { start: ENTRY + 16, size: 8, name: "echo::serve" },
            wire::Symbol { start: ENTRY + 32, size: 16, name: "echo::reply" },
        ],
    }
}

/// The payload of a good image; each segment's bytes are its index.
pub fn payload() -> Vec<u8> {
    let shapes = shapes();
    let bytes: Vec<Vec<u8>> = shapes
        .iter()
        .enumerate()
        .map(|(index, segment)| vec![index as u8; segment.file_size as usize])
        .collect();
    let parts: Vec<_> = shapes.into_iter().zip(bytes.iter().map(Vec::as_slice)).collect();
    payload::write(&parts, ENTRY)
}

/// A whole file with a right hash, whatever the metadata says.
pub fn seal(metadata: &wire::Metadata<'_>) -> Vec<u8> {
    container::join(&postcard::to_allocvec(metadata).unwrap(), &payload())
}
