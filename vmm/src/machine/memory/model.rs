//! Memory in small and in large pages beside a model of it: whatever is written, a roll-back leads
//! to the checkpoint or to the image.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SIZE: u64 = 56 << 20;
/// Where large pages begin and end, and what is the image's.
const LARGE: u64 = 4 << 20;
const END: u64 = SIZE - (2 << 20);
const IMAGE: u64 = 0x1000;
const CODE: u64 = 0x3000;
/// More than a roll-back copies.
const FLOOD: Range<u64> = 2 << 20..SIZE - (1 << 20);

/// The byte of each page that is not zero.
type Pages = BTreeMap<u64, u8>;

#[derive(Clone, Debug)]
enum Step {
    Write { page: u64, pages: u64, byte: u8 },
    Flood { byte: u8 },
    Checkpoint,
    RollBack,
    ToImage,
    Move,
}

fn step() -> impl Strategy<Value = Step> {
    let ends = END / PAGE - 40..END / PAGE;
    let page = prop_oneof![0..16u64, 1020..1040u64, 1536..1600u64, ends, 0..SIZE / PAGE - 80];
    let write = (page, 1..80u64, 0..4u8);
    prop_oneof![
        6 => write.prop_map(|(page, pages, byte)| Step::Write { page, pages, byte }),
        1 => (0..4u8).prop_map(|byte| Step::Flood { byte }),
        2 => Just(Step::Checkpoint),
        3 => Just(Step::RollBack),
        1 => Just(Step::ToImage),
        1 => Just(Step::Move),
    ]
}

fn large(
    size: u64,
    large: Range<u64>,
    fill: impl Fn(&GuestMemoryMmap) -> Result<Vec<Range<u64>>, MachineError> + Send + Sync + 'static,
) -> Result<DomainMemory, MachineError> {
    DomainMemory::build_in(Shape { large, ..Shape::of(size) }, fill)
}

struct Pair {
    memory: DomainMemory,
    now: Pages,
    checkpoint: Option<Pages>,
}

impl Pair {
    fn new() -> Self {
        let page = [9; PAGE as usize];
        let memory = large(SIZE, LARGE..END, move |image| {
            image.write_slice(&page, GuestAddress(IMAGE)).map_err(|_| MachineError::TablesFull)?;
            image.write_slice(&page, GuestAddress(CODE)).map_err(|_| MachineError::TablesFull)?;
            // Some of what is written at random is what a domain could not write.
            Ok(std::iter::once(CODE..CODE + 2 * PAGE).collect())
        });
        let memory = memory.unwrap();
        Self { memory, now: Self::image(), checkpoint: None }
    }

    fn image() -> Pages {
        Pages::from([(IMAGE, 9), (CODE, 9)])
    }

    fn write(&mut self, range: Range<u64>, byte: u8) {
        let bytes = vec![byte; (range.end - range.start) as usize];
        self.memory.write(range.start, &bytes).unwrap();
        self.now.extend(range.step_by(PAGE as usize).map(|at| (at, byte)));
        self.now.retain(|_, byte| *byte != 0);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Write { page, pages, byte } => {
                self.write(page * PAGE..(page + pages) * PAGE, byte)
            }
            Step::Flood { byte } => self.write(FLOOD, byte),
            Step::Checkpoint if self.checkpoint.is_none() => {
                self.memory.take_checkpoint().unwrap();
                self.checkpoint = Some(self.now.clone());
            }
            // The nucleus never takes another one.
            Step::Checkpoint => (),
            Step::RollBack => {
                self.memory.roll_back().unwrap();
                self.now = self.checkpoint.clone().unwrap_or_else(Self::image);
            }
            Step::ToImage => {
                self.memory.return_to_image().unwrap();
                (self.now, self.checkpoint) = (Self::image(), None);
            }
            Step::Move => {
                let contents = self.contents();
                self.memory = Self::new().memory;
                let all = std::slice::from_ref(&(0..SIZE)).to_vec();
                self.memory.begin_with(&all, &contents, Validity::Lasting).unwrap();
                self.checkpoint = Some(self.now.clone());
            }
        }
    }

    fn contents(&self) -> Contents {
        self.memory.contents(std::slice::from_ref(&(0..SIZE)), Vec::new()).unwrap()
    }

    fn found(&self) -> Pages {
        let contents = self.contents();
        let pages = contents.iter().flat_map(|(range, bytes)| {
            let pages = bytes.chunks(PAGE as usize).map(|page| {
                assert!(page.iter().all(|byte| *byte == page[0]));
                page[0]
            });
            range.step_by(PAGE as usize).zip(pages.collect::<Vec<_>>())
        });
        pages.collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn memory_is_what_the_model_says(steps in prop::collection::vec(step(), 1..24)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.take(step.clone());
            prop_assert!(pair.found() == pair.now, "after {step:?}");
        }
    }
}

#[test]
fn a_large_page_that_the_checkpoint_has_a_part_of_is_never_dropped() {
    let mut pair = Pair::new();
    pair.write(LARGE + 3 * PAGE..LARGE + 4 * PAGE, 8);
    pair.take(Step::Checkpoint);
    let kept = pair.memory.lock().checkpoint.as_ref().unwrap().pages.len();
    assert_eq!(kept, 2, "zeros need not be kept");
    pair.write(FLOOD, 7);
    let done = pair.memory.roll_back().unwrap();
    let dropped = FLOOD.end - FLOOD.start - LARGE_PAGE;
    assert_eq!(done, RolledBack { copied: LARGE_PAGE + PAGE, dropped }, "and the image's page");
}

#[test]
fn an_image_in_large_pages_is_refused() {
    let fill = |image: &GuestMemoryMmap| {
        image.write_obj(7u64, GuestAddress(LARGE)).map_err(|_| MachineError::TablesFull)?;
        Ok(Vec::new())
    };
    let error = large(SIZE, LARGE..END, fill).unwrap_err();
    assert!(matches!(error, MachineError::OutOfBounds { address: LARGE }), "{error}");
}

#[test]
fn memory_lies_alike_in_the_host_and_in_the_guest() {
    let build = |size, part| large(size, part, |_| Ok(Vec::new())).unwrap();
    let memory = build(SIZE - PAGE, LARGE + 1..SIZE);
    assert!(memory.host_address().is_multiple_of(LARGE_PAGE));
    assert_eq!(memory.large, LARGE + LARGE_PAGE..END);
    for none in [LARGE..LARGE, LARGE + 1..LARGE + LARGE_PAGE, SIZE..SIZE * 2] {
        assert!(build(SIZE, none).large.is_empty());
    }
}

#[test]
fn what_is_only_read_is_not_written() {
    let memory = large(SIZE, LARGE..END, |_| Ok(Vec::new())).unwrap();
    assert_eq!(memory.read_word(LARGE + (6 << 20)).unwrap(), 0);
    assert!(memory.written().unwrap().is_empty());
}
