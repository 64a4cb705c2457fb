//! What roll-backs leave, and what they cost.

use super::*;

fn memory() -> DomainMemory {
    DomainMemory::build(1 << 20, |image| {
        image.write_obj(7u64, GuestAddress(0x1000)).map_err(|_| MachineError::TablesFull)
    })
    .unwrap()
}

#[test]
fn a_roll_back_restores_the_image_and_zeroes_the_rest() {
    let memory = memory();
    memory.write(0x1000, &[9; 16]).unwrap();
    memory.write(0x5000, &[9; 16]).unwrap();
    memory.roll_back().unwrap();
    assert_eq!(memory.read_word(0x1000).unwrap(), 7);
    assert_eq!(memory.read_word(0x1008).unwrap(), 0);
    assert_eq!(memory.read_word(0x5000).unwrap(), 0);
}

#[test]
fn a_roll_back_leads_to_the_checkpoint_and_one_to_the_image_forgets_it() {
    let memory = memory();
    memory.write(0x1000, &[8; 8]).unwrap();
    memory.write(0x9000, &[8; 8]).unwrap();
    memory.take_checkpoint().unwrap();
    for _ in 0..2 {
        memory.write(0x1000, &[9; 16]).unwrap();
        memory.write(0x5000, &[9; 16]).unwrap();
        let done = memory.roll_back().unwrap();
        assert_eq!(done, RolledBack { copied: 3 * 4096, dropped: 0 });
        assert_eq!(memory.read_word(0x1000).unwrap(), 0x0808_0808_0808_0808);
        assert_eq!(memory.read_word(0x1008).unwrap(), 0);
        assert_eq!(memory.read_word(0x5000).unwrap(), 0);
        assert_eq!(memory.read_word(0x9000).unwrap(), 0x0808_0808_0808_0808);
    }
    memory.return_to_image().unwrap();
    assert!(!memory.has_checkpoint());
    assert_eq!(memory.read_word(0x1000).unwrap(), 7);
    assert_eq!(memory.read_word(0x9000).unwrap(), 0);
}

#[test]
fn a_checkpoint_that_is_forgotten_leaves_nothing_behind() {
    let memory = memory();
    let extents = || memory.base.extents().unwrap();
    for _ in 0..2 {
        memory.write(0x1008, &[8; 8]).unwrap();
        memory.write(0x9000, &[8; 8]).unwrap();
        memory.write(0xc000, &[0; 8]).unwrap();
        memory.take_checkpoint().unwrap();
        assert_eq!(extents(), [0x1000..0x2000, 0x9000..0xa000], "zeros need not be kept");
        memory.return_to_image().unwrap();
        assert!(extents().is_empty());
        assert_eq!([0x1000, 0x1008, 0x9000].map(|at| memory.read_word(at).unwrap()), [7, 0, 0]);
    }
}

const CODE: Range<u64> = 0x1000..0x4000;

fn memory_with_code() -> DomainMemory {
    let shape = Shape { first: vec![CODE], ..Shape::of(1 << 20) };
    let fill = |image: &GuestMemoryMmap| {
        image.write_obj(7u64, GuestAddress(0x2000)).map_err(|_| MachineError::TablesFull)?;
        image.write_obj(6u64, GuestAddress(0x8000)).map_err(|_| MachineError::TablesFull)?;
        Ok(vec![CODE])
    };
    DomainMemory::build_in(shape, fill).unwrap()
}

#[test]
fn constants_are_the_domains_own_and_nobody_has_written_them() {
    let memory = memory_with_code();
    assert_eq!(memory.own().unwrap(), [CODE, 0x8000..0x9000]);
    memory.take_checkpoint().unwrap();
    assert_eq!(memory.base.extents().unwrap(), std::slice::from_ref(&(0x8000..0x9000)));
    memory.write(0x4000, &[1]).unwrap();
    assert_eq!(memory.written().unwrap(), [0x4000..0x5000, 0x8000..0x9000]);
    assert_eq!(memory.roll_back().unwrap(), RolledBack { copied: 0x2000, dropped: 0 });
    assert_eq!([0x2000, 0x8000].map(|at| memory.read_word(at).unwrap()), [7, 6]);
}

#[test]
fn a_constant_that_was_written_all_the_same_is_taken_back() {
    let memory = memory_with_code();
    memory.write(0x8000, &[5]).unwrap();
    memory.take_checkpoint().unwrap();
    for _ in 0..2 {
        memory.write(0x1fff, &[9, 9]).unwrap();
        assert!(memory.written().unwrap().starts_with(std::slice::from_ref(&CODE)));
        memory.roll_back().unwrap();
        assert_eq!([0x1ff8, 0x2000, 0x8000].map(|at| memory.read_word(at).unwrap()), [0, 7, 5]);
    }
    memory.return_to_image().unwrap();
    assert_eq!([0x1ff8, 0x2000, 0x8000].map(|at| memory.read_word(at).unwrap()), [0, 7, 6]);
}

#[test]
fn a_constant_that_was_written_before_the_checkpoint_is_as_it_was_then() {
    let memory = memory_with_code();
    memory.write(0x2000, &[9]).unwrap();
    memory.take_checkpoint().unwrap();
    for _ in 0..2 {
        memory.write(0x2000, &[5]).unwrap();
        memory.roll_back().unwrap();
        assert_eq!(memory.read_word(0x2000).unwrap(), 9);
    }
    memory.return_to_image().unwrap();
    assert_eq!(memory.read_word(0x2000).unwrap(), 7);
}

#[test]
fn much_is_dropped_but_for_what_the_checkpoint_has() {
    let memory = DomainMemory::build(64 << 20, |_| Ok(())).unwrap();
    memory.write(0x3000, &[8; 8]).unwrap();
    memory.take_checkpoint().unwrap();
    let many = vec![9; 40 << 20];
    memory.write(0, &many).unwrap();
    let done = memory.roll_back().unwrap();
    assert_eq!(done, RolledBack { copied: 4096, dropped: (40 << 20) - 4096 });
    assert_eq!(memory.read_word(0x3000).unwrap(), 0x0808_0808_0808_0808);
    assert_eq!(memory.read_word(0x2ff8).unwrap(), 0);
    assert_eq!(memory.read_word(0x4000).unwrap(), 0);
}

#[test]
fn much_that_is_left_alone_after_the_checkpoint_is_dropped_once() {
    let memory = DomainMemory::build(64 << 20, |_| Ok(())).unwrap();
    memory.write(0x3000, &[8; 8]).unwrap();
    memory.write(1 << 20, &vec![7; 1 << 20]).unwrap();
    memory.write(4 << 20, &vec![0; 1 << 20]).unwrap();
    memory.take_checkpoint().unwrap();
    let hot = (1 << 20) + (100 << 10);
    memory.write(hot, &[9; 8]).unwrap();
    memory.write(0x9000, &[9; 8]).unwrap();
    let done = memory.roll_back().unwrap();
    // What lies before the page that was written to is too little to be dropped.
    let dropped = (1 << 20) + (1 << 20) - (104 << 10);
    assert_eq!(done, RolledBack { copied: 2 * 4096 + (104 << 10), dropped });
    let is_as_it_was = || {
        let word = |address| memory.read_word(address).unwrap();
        let sevens = 0x0707_0707_0707_0707;
        assert_eq!([0x3000, 0x9000].map(word), [0x0808_0808_0808_0808, 0]);
        assert_eq!([1 << 20, hot, (2 << 20) - 8].map(word), [sevens; 3]);
        assert_eq!(word(4 << 20), 0);
    };
    is_as_it_was();
    // A page that was cold, and is so no longer.
    memory.write((2 << 20) - 4096, &[9; 8]).unwrap();
    let done = memory.roll_back().unwrap();
    assert_eq!(done, RolledBack { copied: 3 * 4096 + (104 << 10), dropped: 0 });
    is_as_it_was();
    memory.return_to_image().unwrap();
    assert_eq!([1 << 20, hot].map(|address| memory.read_word(address).unwrap()), [0; 2]);
}

#[test]
fn what_there_is_can_be_found_without_more_coming_to_be() {
    let memory = memory();
    memory.write(0x5000, &[9; 16]).unwrap();
    memory.write(0x6000, &[9; 16]).unwrap();
    assert_eq!(memory.populated().unwrap(), [0x1000..0x2000, 0x5000..0x7000]);
    assert_eq!(memory.populated().unwrap(), [0x1000..0x2000, 0x5000..0x7000]);
}

#[test]
fn nothing_outside_is_touched() {
    let memory = memory();
    assert!(memory.read_word((1 << 20) - 7).is_err());
    assert!(memory.write(u64::MAX - 3, &[0; 8]).is_err());
    assert!(memory.control(0x1001).is_err());
    assert!(memory.control(1 << 20).is_err());
    assert!(memory.control(0xff000).is_ok());
}

#[test]
fn contents_are_what_is_not_zero_and_begin_another_memory() {
    let memory = memory();
    let whole = 0..memory.size();
    let all = std::slice::from_ref(&whole);
    memory.write(0x5000, &[5; 4096]).unwrap();
    memory.write(0x6000, &[6; 16]).unwrap();
    memory.write(0x8000, &[0; 16]).unwrap();
    let contents = memory.contents(all, Vec::new()).unwrap();
    assert_eq!(contents.extents, [0x1000..0x2000, 0x5000..0x7000]);
    assert_eq!(contents.bytes.len(), 3 * 4096);
    let room = memory.room(all);
    assert!(room.is_empty() && room.capacity() >= 3 * 4096);
    let (place, roomy) = (room.as_ptr(), memory.contents(all, room).unwrap());
    assert!(roomy == contents && roomy.bytes.as_ptr() == place, "no other memory is needed");
    let only = memory.contents(&[0x5000..0x6000, 0x9000..0xa000], Vec::new()).unwrap();
    assert_eq!((only.extents.len(), &only.bytes[..]), (1, &[5; 4096][..]));

    let other = self::memory();
    other.begin_with(all, &contents, Validity::Lasting).unwrap();
    for _ in 0..2 {
        assert_eq!(other.contents(all, Vec::new()).unwrap(), contents);
        other.write(0x5000, &[9; 16]).unwrap();
        other.write(0xa000, &[9; 16]).unwrap();
        other.roll_back().unwrap();
    }
    other.return_to_image().unwrap();
    assert!(!other.has_checkpoint());
    assert_eq!(
        other.contents(all, Vec::new()).unwrap(),
        self::memory().contents(all, Vec::new()).unwrap()
    );
}

#[test]
fn what_the_contents_lack_is_zero_within_the_ranges_and_the_image_elsewhere() {
    let memory = memory();
    let begin = |memory: &DomainMemory, range: Range<u64>, contents: &Contents| {
        memory.begin_with(std::slice::from_ref(&range), contents, Validity::Lasting)
    };
    begin(&memory, 0x1000..0x2000, &Contents::default()).unwrap();
    memory.roll_back().unwrap();
    assert_eq!(memory.read_word(0x1000).unwrap(), 0);
    let memory = self::memory();
    begin(&memory, 0x4000..0x5000, &Contents::default()).unwrap();
    assert_eq!(memory.read_word(0x1000).unwrap(), 7);
    let extents = std::iter::once(1 << 20..(1 << 20) + 4096).collect();
    let beyond = Contents { extents, bytes: vec![1; 4096] };
    for range in [0x1000..0x2000, 0..2 << 20] {
        let error = begin(&self::memory(), range, &beyond).unwrap_err();
        assert!(matches!(error, MachineError::OutOfBounds { address: 0x10_0000 }), "{error}");
    }
}

#[test]
fn a_checkpoint_can_be_for_one_beginning() {
    let memory = memory();
    let whole = 0..memory.size();
    let ranges = std::slice::from_ref(&whole);
    let extents = std::iter::once(0x5000..0x6000).collect();
    let contents = Contents { extents, bytes: vec![5; 4096] };
    memory.begin_with(ranges, &contents, Validity::Once).unwrap();
    memory.roll_back().unwrap();
    assert!(memory.has_checkpoint());
    memory.use_checkpoint();
    assert!(!memory.has_checkpoint());
    memory.return_to_image().unwrap();
    assert_eq!((memory.read_word(0x5000).unwrap(), memory.read_word(0x1000).unwrap()), (0, 7));
    memory.take_checkpoint().unwrap();
    memory.use_checkpoint();
    assert!(memory.has_checkpoint(), "one that was taken here lasts");
}
