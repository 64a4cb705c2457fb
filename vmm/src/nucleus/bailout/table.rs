//! Capabilities by number: a slot and how often it was used before, so that a number that was
//! kept too long, guessed, or belongs to somebody else's table names nothing.

use atoll_ipc::bailout::Capability;

/// What capabilities of one holder stand for.
#[derive(Debug)]
pub struct Table<T>(Vec<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    content: Option<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Table<T> {
    /// Makes a capability for something.
    pub fn grant(&mut self, content: T) -> Capability {
        let free = self.0.iter().position(|slot| slot.content.is_none());
        let at = free.unwrap_or_else(|| {
            self.0.push(Slot { generation: 0, content: None });
            self.0.len() - 1
        });
        let slot = &mut self.0[at];
        slot.generation = slot.generation.wrapping_add(1);
        slot.content = Some(content);
        Capability(u64::from(slot.generation) << 32 | at as u64)
    }

    /// What a capability stands for, if it is one.
    pub fn get(&self, capability: Capability) -> Option<&T> {
        let slot = usize::try_from(capability.0 & u64::from(u32::MAX)).ok();
        let slot = self.0.get(slot?).filter(|slot| slot.generation == generation(capability))?;
        slot.content.as_ref()
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, capability: Capability) -> Option<&mut T> {
        self.get(capability)?;
        self.0.get_mut(capability.0 as u32 as usize)?.content.as_mut()
    }

    /// Takes back all capabilities for things of which `is_over` says so.
    pub fn revoke(&mut self, mut is_over: impl FnMut(&mut T) -> bool) -> Vec<T> {
        let over = self.0.iter_mut().filter_map(|slot| slot.content.take_if(&mut is_over));
        over.collect()
    }

    /// Everything that there is a capability for.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(|slot| slot.content.as_ref())
    }
}

const fn generation(capability: Capability) -> u32 {
    (capability.0 >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_that_was_taken_back_stays_dead_when_its_slot_is_used_again() {
        let mut table = Table::default();
        let (a, b) = (table.grant('a'), table.grant('b'));
        assert_eq!((table.get(a), table.get(b)), (Some(&'a'), Some(&'b')));
        assert_eq!(table.revoke(|content| *content == 'a'), ['a']);
        assert_eq!(table.get(a), None);
        let c = table.grant('c');
        assert_eq!(c.0 as u32, a.0 as u32, "it has the slot that is free");
        assert_eq!((table.get(a), table.get(c)), (None, Some(&'c')));
        assert_eq!(table.iter().collect::<String>(), "cb");
    }

    #[test]
    fn numbers_that_nobody_was_given_name_nothing() {
        let mut table = Table::default();
        let granted = table.grant(());
        for forged in [0, 1, u64::MAX, granted.0 + 1, granted.0 ^ 1 << 32, granted.0 ^ 1 << 63] {
            assert_eq!(table.get(Capability(forged)), None, "{forged:#x}");
        }
        assert_eq!(Table::<()>::default().get(granted), None, "nor does one of another table");
    }
}
