//! Memory that is written to and kept: what a restart has to take back.

use alloc::vec::Vec;
use core::hint::black_box;

/// What the host gives and takes back.
const PAGE: usize = 4096;

/// All of it: each piece is room of which only some bytes were written.
#[derive(Default)]
pub(crate) struct Dirt(Vec<Vec<u8>>);

impl Dirt {
    /// Takes so many bytes that were not written to, and writes to each of their pages. Returns
    /// whether there were any left.
    pub(crate) fn add(&mut self, bytes: usize) -> bool {
        let mut piece = Vec::new();
        if self.0.try_reserve(1).is_err() || piece.try_reserve_exact(bytes).is_err() {
            return false;
        }
        for byte in piece.spare_capacity_mut().iter_mut().step_by(PAGE) {
            byte.write(1);
        }
        self.0.push(black_box(piece));
        true
    }
}
