//! A value that is replaced as a whole.

use alloc::vec;
use alloc::vec::Vec;

use atoll_ipc::abi::Name;
use atoll_ipc::state::{self, Foreign, Kind, Owner, TooLong};
use atoll_ipc::sync::AtomicU64;

use super::Region;
use crate::{boot, ready};

type Inner = state::Value<&'static [AtomicU64]>;

/// Bytes that a restart keeps, and that are replaced as a whole: whenever the server dies, there is
/// the value of before or the new one. Half of the region is for either.
#[derive(Debug)]
pub struct Value {
    region: Region,
    owner: Owner,
    inner: Inner,
    /// The incarnation that looked.
    epoch: u32,
}

impl Value {
    /// The value of that name and version.
    ///
    /// # Errors
    /// If the region holds something else. [`Value::start_over`] forgets that.
    pub fn open(region: Region, name: &str, version: u32) -> Result<Self, Foreign> {
        ready::at_first_wait();
        let owner = owner(name, version);
        let inner = Inner::open(region.words(), owner)?;
        Ok(Self { region, owner, inner, epoch: boot::epoch() })
    }

    /// Begins without a value, whatever the region holds.
    pub fn start_over(region: Region, name: &str, version: u32) -> Self {
        ready::at_first_wait();
        let owner = owner(name, version);
        let inner = Inner::start_over(region.words(), owner);
        Self { region, owner, inner, epoch: boot::epoch() }
    }

    /// The value; `None` if there was none so far.
    pub fn get(&mut self) -> Option<Vec<u8>> {
        self.look_again();
        self.inner.stamp()?;
        let mut bytes = vec![0; self.inner.length()];
        self.inner.read(&mut bytes);
        Some(bytes)
    }

    /// The incarnation that wrote the value.
    pub fn written_in(&mut self) -> Option<u32> {
        self.look_again();
        self.inner.stamp().map(|stamp| stamp.epoch)
    }

    /// Most bytes of a value.
    pub fn room(&self) -> usize {
        self.inner.room()
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// If it does not fit.
    pub fn commit(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        self.look_again();
        self.inner.commit(self.epoch, bytes)
    }

    /// After a restart, what this one remembers may be older than the region.
    fn look_again(&mut self) {
        if self.epoch == boot::epoch() {
            return;
        }
        match Inner::open(self.region.words(), self.owner) {
            Ok(inner) => self.inner = inner,
            Err(foreign) => panic!("{foreign}"),
        }
        self.epoch = boot::epoch();
    }
}

fn owner(name: &str, version: u32) -> Owner {
    Owner { kind: Kind::Value, name: Name::new(name), version, image: [0; 32] }
}
