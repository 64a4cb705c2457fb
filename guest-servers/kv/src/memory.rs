//! Owns allocation that may fail: copies and boxes whose failure is an error reply, and
//! the pool that bounds what all sessions together may buffer.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::{Deref, DerefMut};

use crate::failure::Failure;

/// A buffer this small costs its session nothing: an idle session may keep it, and it is
/// not charged to the pool, so that an error reply is always possible.
pub(crate) const FREE: usize = 1024;

/// An owned copy of `bytes`, exactly as long.
pub(crate) fn copy(bytes: &[u8]) -> Result<Box<[u8]>, Failure> {
    Ok(copy_vec(bytes)?.into_boxed_slice())
}

/// An owned copy of `bytes` that may grow later.
pub(crate) fn copy_vec(bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut owned = Vec::new();
    owned.try_reserve_exact(bytes.len())?;
    owned.extend_from_slice(bytes);
    Ok(owned)
}

/// A box whose making may fail, which `Box::new` on stable Rust cannot report.
#[derive(Debug)]
pub(crate) struct Boxed<T>(Box<[T; 1]>);

impl<T> Boxed<T> {
    pub(crate) fn new(value: T) -> Result<Self, Failure> {
        let mut one = Vec::new();
        one.try_reserve_exact(1)?;
        one.push(value);
        one.into_boxed_slice().try_into().map(Self).map_err(|_| Failure::Memory)
    }
}

impl<T> Deref for Boxed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        let [value] = &*self.0;
        value
    }
}

impl<T> DerefMut for Boxed<T> {
    fn deref_mut(&mut self) -> &mut T {
        let [value] = &mut *self.0;
        value
    }
}

/// What the buffers of all sessions may still take, shared by the database and them.
#[derive(Clone, Debug)]
pub(crate) struct Pool(Rc<Cell<usize>>);

impl Pool {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Rc::new(Cell::new(bytes)))
    }

    /// Whatever was taken from it is so no more.
    pub(crate) fn refill(&self, bytes: usize) {
        self.0.set(bytes);
    }

    pub(crate) fn left(&self) -> usize {
        self.0.get()
    }

    /// Changes a charge from `old` to `new` bytes, unless the pool has too little.
    fn recharge(&self, old: usize, new: usize) -> Result<(), Failure> {
        let left = (self.0.get() + charge(old)).checked_sub(charge(new)).ok_or(Failure::Memory)?;
        self.0.set(left);
        Ok(())
    }

    fn release(&self, capacity: usize) {
        self.0.set(self.0.get() + charge(capacity));
    }
}

fn charge(capacity: usize) -> usize {
    if capacity <= FREE { 0 } else { capacity }
}

/// Bytes that a session holds for its client, charged to the pool while it is held.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    pool: Pool,
}

impl Buffer {
    pub(crate) fn new(pool: Pool) -> Self {
        Self { bytes: Vec::new(), pool }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Makes room for `more` bytes. The capacity doubles, but goes no further than `most`
    /// (or than is needed): a client that announces 8 MiB and sends nothing gets nothing.
    #[inline]
    pub(crate) fn reserve(&mut self, more: usize, most: usize) -> Result<(), Failure> {
        if self.bytes.capacity() - self.bytes.len() >= more {
            return Ok(());
        }
        self.grow(more, most)
    }

    #[cold]
    fn grow(&mut self, more: usize, most: usize) -> Result<(), Failure> {
        let needed = self.bytes.len().checked_add(more).ok_or(Failure::Memory)?;
        let roomy = (self.bytes.capacity() * 2).max(256).min(most).max(needed);
        self.set_capacity(roomy).or_else(|_| self.set_capacity(needed))
    }

    fn set_capacity(&mut self, capacity: usize) -> Result<(), Failure> {
        let old = self.bytes.capacity();
        self.pool.recharge(old, capacity)?;
        let grown = self.bytes.try_reserve_exact(capacity - self.bytes.len());
        // What was charged is what is held, whatever the allocator made of the request.
        self.pool.release(capacity);
        self.pool.0.set(self.pool.0.get().saturating_sub(charge(self.bytes.capacity())));
        Ok(grown?)
    }

    /// Appends bytes for which [`reserve`](Self::reserve) has made room.
    #[inline]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// The bytes from `start`, to be rearranged in place.
    pub(crate) fn tail_mut(&mut self, start: usize) -> &mut [u8] {
        &mut self.bytes[start..]
    }

    /// Forgets the first `count` bytes.
    pub(crate) fn drop_front(&mut self, count: usize) {
        self.bytes.drain(..count);
    }

    /// Empties the buffer; what is more than an idle session may keep goes back.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        if self.bytes.capacity() > FREE {
            self.pool.release(self.bytes.capacity());
            self.bytes = Vec::new();
        }
    }

    pub(crate) fn pool(&self) -> Pool {
        self.pool.clone()
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.release(self.bytes.capacity());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_pays_for_what_it_holds_and_pays_back() {
        let pool = Pool::new(10_000);
        let mut buffer = Buffer::new(pool.clone());
        buffer.reserve(3_000, usize::MAX).unwrap();
        assert_eq!(pool.left(), 10_000 - buffer.capacity());
        buffer.clear();
        assert_eq!(pool.left(), 10_000);
        buffer.reserve(9_000, usize::MAX).unwrap();
        drop(buffer);
        assert_eq!(pool.left(), 10_000);
    }

    #[test]
    fn the_pool_is_a_limit_but_small_buffers_are_free() {
        let pool = Pool::new(5_000);
        let mut first = Buffer::new(pool.clone());
        first.reserve(5_000, usize::MAX).unwrap();
        let mut second = Buffer::new(pool.clone());
        assert_eq!(second.reserve(2_000, usize::MAX), Err(Failure::Memory));
        assert_eq!(pool.left(), 0);
        second.reserve(FREE, FREE).unwrap();
        assert_eq!(pool.left(), 0);
    }

    #[test]
    fn growth_doubles_but_stops_at_what_was_announced() {
        let mut buffer = Buffer::new(Pool::new(1 << 20));
        buffer.reserve(2_000, 5_000).unwrap();
        buffer.extend(&[0; 2_000]);
        buffer.reserve(1, 5_000).unwrap();
        assert_eq!(buffer.capacity(), 4_000);
        buffer.extend(&[0; 2_000]);
        buffer.reserve(1, 5_000).unwrap();
        assert_eq!(buffer.capacity(), 5_000);
    }

    #[test]
    fn boxed_reaches_its_value() {
        let mut boxed = Boxed::new(7).unwrap();
        *boxed += 1;
        assert_eq!(*boxed, 8);
    }
}
