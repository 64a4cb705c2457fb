//! What a domain is made from, and how its memory looks before the first instruction.

use std::io::Cursor;
use std::ops::Range;
use std::sync::Arc;

use atoll_image::{Image, Rights};
use atoll_ipc::abi::layout::{
    ALERTS, BOOT_SIZE, CHANNEL_STRIDE, CHANNELS, CLUSTER, DESCRIPTORS, HOST, HOST_SIZE, LARGE_PAGE,
    PAGE, READY, STATE,
};
use atoll_ipc::abi::{
    ARGUMENTS_MAX, BootPage, ChannelEntry, Crowd, HostPage, Interface, NAME_MAX, NO_ALERT,
    NO_DOMAIN, Name, ports,
};
use atoll_ipc::channel::{Layout, Role};
use atoll_ipc::ready::Ready;
use linux_loader::loader::KernelLoader;
use linux_loader::loader::elf::Elf;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};
use vmm_sys_util::eventfd::EventFd;

use crate::channel::ChannelMemory;
use crate::machine::MachineError;
use crate::machine::descriptors;
use crate::machine::kept::KeptMemory;
use crate::machine::lendable::{Beside, Lendable};
use crate::machine::memory::{DomainMemory, Shape};
use crate::machine::plan::Plan;
use crate::machine::ranges::union;
use crate::machine::shared_page::SharedPage;
use crate::machine::tables::{Access, Tables};

/// One end of a channel, as a domain is given it.
#[derive(Clone, Debug)]
pub struct ChannelEnd {
    /// The client's name for the channel; on the server's side, the port's.
    pub name: Name,
    /// The name of the other end.
    pub peer: String,
    /// Its number, if it is a domain.
    pub peer_domain: Option<u32>,
    /// Which end it is.
    pub role: Role,
    /// The server's port, as its place in the image.
    pub port: u32,
    /// The port's unique identifier.
    pub port_id: u128,
    /// What is spoken on it.
    pub interface: Interface,
    /// The memory.
    pub memory: ChannelMemory,
    /// Sizes of its areas.
    pub layout: Layout,
    /// For a client: the server's ready page, and the channel's number at the server.
    pub alert: Option<(Arc<SharedPage<Ready>>, u32)>,
    /// What the doorbell signals: the other end.
    pub doorbell: Arc<EventFd>,
}

/// What a domain is made from.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// The system's name.
    pub system: Name,
    /// The domain's name.
    pub name: Name,
    /// Its number.
    pub id: u32,
    /// Its server.
    pub image: Arc<Image>,
    /// Where its parts lie.
    pub plan: Plan,
    /// Host processors that its threads are pinned to; empty for any.
    pub cpus: Vec<usize>,
    /// What the server is told.
    pub arguments: Vec<String>,
    /// Its state region, if it has one: memory that restarts keep, and a rebuilt machine, too.
    pub state: Option<Arc<KeptMemory>>,
    /// Whether that is emptied when no restart helps.
    pub drops_state: bool,
    /// Its channels, by number.
    pub channels: Vec<ChannelEnd>,
    /// What wakes it.
    pub wake: Arc<EventFd>,
    /// How long its waits spin, in nanoseconds.
    pub spin_ns: u64,
    /// Which of its channels want attention.
    pub ready: Arc<SharedPage<Ready>>,
    /// Who runs in the system.
    pub host_page: Arc<SharedPage<HostPage>>,
    /// Its group of processors, by number.
    pub group: usize,
    /// Whom it shares its processors with.
    pub crowd: Crowd,
}

/// Something that a domain is lent.
struct Lent {
    /// Where the domain finds it.
    address: u64,
    /// So many bytes at its beginning can only be read.
    read_only: u64,
    beside: Beside,
}

impl Blueprint {
    /// Makes the domain's memory: image, page tables, descriptors, boot page.
    ///
    /// # Errors
    /// If the host denies memory, or something does not fit.
    pub fn build_memory(self: &Arc<Self>) -> Result<DomainMemory, MachineError> {
        let shape = Shape {
            size: self.plan.memory,
            large: self.plan.large(),
            first: self.touched_first(),
            beside: self.lent().into_iter().map(|lent| lent.beside).collect(),
        };
        let blueprint = self.clone();
        DomainMemory::build_in(shape, move |memory| blueprint.write_image(memory))
    }

    /// Writes all that is there at first; returns where nobody in the domain can write.
    fn write_image(&self, memory: &GuestMemoryMmap) -> Result<Vec<Range<u64>>, MachineError> {
        self.load_image(memory)?;
        self.write_descriptors(memory)?;
        self.write_control_pages(memory)?;
        let tables = self.write_tables(memory)?;
        self.write_boot_page(memory)?;
        Ok([tables].into_iter().chain(self.code()).collect())
    }

    /// What the image has, and what any server writes before it is ready, in its order.
    fn touched_first(&self) -> Vec<Range<u64>> {
        let plan = &self.plan;
        let variables = self.pages_with(|rights| rights == Rights::ReadWrite);
        let variables = variables.map(|it| it.start..it.end.min(it.start + CLUSTER));
        let tops = (0..plan.vcpus).map(|vcpu| plan.stack_top(vcpu));
        let stacks = tops.map(|top| top - CLUSTER.min(plan.stack_size())..top);
        let rest = [
            DESCRIPTORS..plan.descriptors_end(),
            plan.control(0)..plan.boot() + PAGE,
            plan.heap()..plan.heap() + CLUSTER,
        ];
        let image: Vec<_> = self.code().chain(variables).collect();
        union(&image, &rest.into_iter().chain(stacks).collect::<Vec<_>>())
    }

    /// What nobody in the domain can write, of what the image has: code and constants.
    fn code(&self) -> impl Iterator<Item = Range<u64>> {
        self.pages_with(|rights| rights != Rights::ReadWrite)
    }

    /// The pages of the image's segments with such rights, in their order.
    fn pages_with(&self, is_asked: impl Fn(Rights) -> bool) -> impl Iterator<Item = Range<u64>> {
        let asked = self.image.segments().iter().filter(move |it| is_asked(it.rights));
        asked.map(|it| it.vaddr / PAGE * PAGE..it.pages_end())
    }

    /// The fixed part of the boot page, but for what differs between incarnations.
    pub fn boot_page(&self) -> BootPage {
        BootPage {
            vcpus: self.plan.vcpus,
            heap_start: self.plan.heap(),
            heap_end: self.plan.heap_end(),
            spin_ns: self.spin_ns,
            crowd: self.crowd,
            channels: self.channels.len() as u32,
            arguments: self.arguments.len() as u32,
            arguments_len: self.arguments_len() as u32,
            state_len: self.state.as_ref().map_or(0, |state| state.size()),
            image: self.image.hash().to_bytes(),
            ..BootPage::new(self.system, self.name, self.id)
        }
    }

    /// The memory that ring 3 can write and that is the domain's alone, in its order.
    pub fn writable(&self) -> Vec<Range<u64>> {
        let plan = &self.plan;
        let segments = self.pages_with(|rights| rights == Rights::ReadWrite);
        let stacks = (0..plan.vcpus).map(|vcpu| plan.stack(vcpu)..plan.stack_top(vcpu));
        let rest = [plan.control(0)..plan.control(plan.vcpus), plan.heap()..plan.heap_end()];
        let mut ranges: Vec<_> = segments.chain(stacks).chain(rest).collect();
        ranges.sort_by_key(|range| range.start);
        ranges
    }

    /// Where a channel is mapped.
    pub fn channel_address(number: usize) -> u64 {
        CHANNELS + number as u64 * CHANNEL_STRIDE
    }

    /// Where a client has the ready page of a channel's server mapped.
    pub fn alert_address(number: usize) -> u64 {
        ALERTS + number as u64 * PAGE
    }

    /// What it is lent.
    fn lent(&self) -> Vec<Lent> {
        let pages: [(_, _, Arc<dyn Lendable>); 2] =
            [(HOST, HOST_SIZE, self.host_page.clone()), (READY, 0, self.ready.clone())];
        let alerts = self.channels.iter().enumerate().filter_map(|(number, channel)| {
            let (ready, _) = channel.alert.as_ref()?;
            Some((Self::alert_address(number), 0, ready.clone() as _))
        });
        let state = self.state.iter().map(|state| (STATE, 0, state.clone() as _));
        let channels = self.channels.iter().enumerate().map(|(number, channel)| {
            (Self::channel_address(number), PAGE, channel.memory.lendable())
        });
        let all: Vec<_> = pages.into_iter().chain(alerts).chain(state).chain(channels).collect();
        let beside = Beside::lay_out(self.plan.memory, all.iter().map(|(_, _, it)| it.clone()));
        let lent = all.iter().zip(beside);
        lent.map(|((address, read_only, _), beside)| Lent {
            address: *address,
            read_only: *read_only,
            beside,
        })
        .collect()
    }

    fn arguments_len(&self) -> usize {
        self.arguments.iter().map(|argument| argument.len() + 1).sum()
    }

    fn load_image(&self, memory: &GuestMemoryMmap) -> Result<(), MachineError> {
        let mut payload = Cursor::new(self.image.payload());
        Elf::load(memory, None, &mut payload, None)
            .map_err(|error| MachineError::Load { cause: error.to_string() })?;
        Ok(())
    }

    fn write_descriptors(&self, memory: &GuestMemoryMmap) -> Result<(), MachineError> {
        let plan = &self.plan;
        put(memory, plan.gdt(), &descriptors::gdt(plan))?;
        if let Some(stubs) = self.image.stubs() {
            put(memory, plan.idt(), &descriptors::idt(stubs))?;
        }
        (0..plan.vcpus)
            .try_for_each(|vcpu| put(memory, plan.tss(vcpu), &descriptors::tss(plan, vcpu)))
    }

    /// A control page begins with its own address.
    fn write_control_pages(&self, memory: &GuestMemoryMmap) -> Result<(), MachineError> {
        let pages = (0..self.plan.vcpus).map(|vcpu| self.plan.control(vcpu));
        pages.into_iter().try_for_each(|page| put(memory, page, &page.to_le_bytes()))
    }

    /// Returns where they are.
    fn write_tables(&self, memory: &GuestMemoryMmap) -> Result<Range<u64>, MachineError> {
        let plan = &self.plan;
        let mut tables = Tables::new(memory, plan.tables());
        tables.map(DESCRIPTORS, plan.descriptors_end(), Access::SupervisorReadWrite)?;
        tables.map(plan.control(0), plan.control(plan.vcpus), Access::ReadWrite)?;
        tables.map(plan.boot(), plan.boot() + BOOT_SIZE, Access::Read)?;
        for segment in self.image.segments() {
            let access = match (segment.supervisor, segment.rights) {
                (false, Rights::Read) => Access::Read,
                (false, Rights::ReadWrite) => Access::ReadWrite,
                (false, Rights::ReadExecute) => Access::ReadExecute,
                (true, _) => Access::SupervisorReadExecute,
            };
            tables.map(segment.vaddr, segment.pages_end(), access)?;
        }
        for vcpu in 0..plan.vcpus {
            tables.map(plan.stack(vcpu), plan.stack_top(vcpu), Access::ReadWrite)?;
        }
        debug_assert!(plan.heap().is_multiple_of(LARGE_PAGE));
        tables.map(plan.heap(), plan.heap_end(), Access::ReadWrite)?;
        for lent in self.lent() {
            let Range { start, end } = lent.beside.range();
            let (address, read_only) = (lent.address, lent.read_only);
            tables.map_to(address, address + read_only, start, Access::Read)?;
            let (rest, address) = (start + read_only..end, address + read_only);
            tables.map_to(address, address + (end - rest.start), rest.start, Access::ReadWrite)?;
        }
        Ok(tables.range())
    }

    fn write_boot_page(&self, memory: &GuestMemoryMmap) -> Result<(), MachineError> {
        let mut at = self.plan.boot();
        let mut append = |bytes: &[u8]| {
            let result = put(memory, at, bytes);
            at += bytes.len() as u64;
            result
        };
        append(bytes_of_boot_page(&self.boot_page()))?;
        for (number, channel) in self.channels.iter().enumerate() {
            append(bytes_of_entry(&entry(number, channel)))?;
        }
        debug_assert!(self.arguments_len() <= ARGUMENTS_MAX);
        for argument in &self.arguments {
            append(argument.as_bytes())?;
            append(&[0])?;
        }
        Ok(())
    }
}

fn entry(number: usize, channel: &ChannelEnd) -> ChannelEntry {
    let mut peer = [0; NAME_MAX];
    let end = channel.peer.floor_char_boundary(NAME_MAX);
    peer[..end].copy_from_slice(&channel.peer.as_bytes()[..end]);
    ChannelEntry {
        name: channel.name,
        peer,
        interface: channel.interface,
        port_id: channel.port_id.to_le_bytes(),
        role: channel.role as u32,
        port: channel.port,
        address: Blueprint::channel_address(number),
        layout: channel.layout,
        doorbell: u32::from(ports::KICK) + number as u32,
        alert: channel.alert.as_ref().map_or(NO_ALERT, |(_, channel)| *channel),
        peer_domain: channel.peer_domain.unwrap_or(NO_DOMAIN),
        reserved: 0,
    }
}

/// A boot page's fixed part as the guest reads it.
pub fn bytes_of_boot_page(page: &BootPage) -> &[u8] {
    // SAFETY: a `repr(C)` struct of integers and byte arrays whose sizes add up to its own, so it
    // has no padding, and every byte is initialised.
    unsafe { std::slice::from_raw_parts((&raw const *page).cast(), size_of::<BootPage>()) }
}

fn bytes_of_entry(entry: &ChannelEntry) -> &[u8] {
    // SAFETY: as for the boot page.
    unsafe { std::slice::from_raw_parts((&raw const *entry).cast(), size_of::<ChannelEntry>()) }
}

const _: () = assert!(
    size_of::<BootPage>() == 8 + 4 * 2 + 32 * 2 + 4 * 2 + 8 * 5 + 8 + 32 + 4 * 4 + 8 + 4 * 2 + 32
);
const _: () = assert!(size_of::<Interface>() == 32 + 4 * 2 + 8);
const _: () =
    assert!(size_of::<ChannelEntry>() == 32 * 2 + size_of::<Interface>() + 16 + 4 * 2 + 8 + 4 * 8);

fn put(memory: &GuestMemoryMmap, address: u64, bytes: &[u8]) -> Result<(), MachineError> {
    memory
        .write_slice(bytes, GuestAddress(address))
        .map_err(|_| MachineError::OutOfBounds { address })
}
