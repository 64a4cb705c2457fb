//! From an ELF file to an image.
//!
//! Any static, freestanding x86-64 executable will do; what a guest kernel adds (a declaration,
//! ports, exception stubs) is read from its sections, see [`atoll_ipc::abi`]. The same ELF and
//! options always make the same bytes. What is built is verified by the reader before it is
//! returned, so no image leaves here that the nucleus would refuse.

mod declarations;
mod elf;
mod error;
mod segments;
mod symbols;

pub use error::BuildError;

use crate::container;
use crate::image::Image;
use crate::layout::{FILE_MAX, METADATA_MAX};
use crate::{payload, wire};
use declarations::Declarations;

/// Stack of each vCPU when neither ELF nor options say, in bytes.
pub const DEFAULT_STACK: u64 = 64 << 10;

/// What goes before the ELF's own declaration, or stands in for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The server's name.
    pub name: Option<String>,
    /// Memory of a domain whose manifest names none, in bytes.
    pub memory: Option<u64>,
    /// Stack of each vCPU, in bytes.
    pub stack: Option<u64>,
}

/// An image, and what its maker should know of it.
#[derive(Clone, Debug)]
pub struct Built {
    /// The image, verified; [`Image::as_bytes`] is the file to write.
    pub image: Image,
    /// What works, but not as well as it could.
    pub warnings: Vec<Warning>,
}

/// What works, but not as well as it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// There is no stubs section.
    #[error(
        "no section .atoll.stubs: every exception of this program will be seen as a triple \
         fault, without its vector and registers; link it with the guest kernel"
    )]
    NoStubs,
    /// There are no function symbols.
    #[error(
        "no function symbols: backtraces will show addresses only; do not strip the ELF, \
         `mkimage` leaves out what is not needed"
    )]
    NoSymbols,
}

/// Makes an image of an ELF file.
///
/// # Errors
/// If the ELF cannot run in a domain, or the options do not give what it leaves open.
pub fn build(elf: &[u8], options: &Options) -> Result<Built, BuildError> {
    let elf = elf::Elf::read(elf)?;
    let declared = declarations::read(&elf)?;
    let stubs = segments::stubs(&elf)?;
    let laid_out = segments::lay_out(&elf, stubs)?;
    segments::check_entry(elf.entry, &laid_out)?;
    let functions = symbols::read(&elf)?;

    let parts: Vec<_> = laid_out.iter().map(|run| (run.shape(), run.bytes.as_slice())).collect();
    let payload = payload::write(&parts, elf.entry);
    let metadata = wire::Metadata {
        entry: elf.entry,
        stubs: stubs.map(|stubs| stubs.start),
        segments: laid_out.iter().map(segments::Run::record).collect(),
        symbols: functions.iter().map(symbols::Function::record).collect(),
        ..declared_metadata(&declared, options)?
    };
    let image = Image::parse(encode(&metadata, &payload)?).map_err(BuildError::Refused)?;
    Ok(Built { warnings: warnings(&image), image })
}

/// What the declaration and the options say; the rest is left empty.
fn declared_metadata<'a>(
    declared: &'a Declarations,
    options: &'a Options,
) -> Result<wire::Metadata<'a>, BuildError> {
    let server = declared.server.as_ref();
    let name = options.name.as_deref().or(server.map(|server| server.name.as_str()));
    let memory = options.memory.or(server.map(|server| server.default_memory));
    let stack = options.stack.or(server.map(|server| server.stack_size));
    Ok(wire::Metadata {
        name: name.ok_or(BuildError::NoName)?,
        default_memory: memory.ok_or(BuildError::NoMemory)?,
        stack_size: stack.unwrap_or(DEFAULT_STACK),
        max_vcpus: server.map_or(1, |server| server.max_vcpus),
        ports: declared.ports.iter().map(declarations::Port::record).collect(),
        entry: 0,
        stubs: None,
        segments: Vec::new(),
        symbols: Vec::new(),
    })
}

/// The file's bytes, unless they are too many.
fn encode(metadata: &wire::Metadata<'_>, payload: &[u8]) -> Result<Vec<u8>, BuildError> {
    let metadata = postcard::to_allocvec(metadata)
        .map_err(|error| BuildError::Encoding { detail: error.to_string() })?;
    let length = metadata.len() as u64;
    if length > METADATA_MAX {
        return Err(BuildError::TooManySymbols { length });
    }
    let file = container::join(&metadata, payload);
    let length = file.len() as u64;
    if length > FILE_MAX {
        return Err(BuildError::TooLarge { length });
    }
    Ok(file)
}

fn warnings(image: &Image) -> Vec<Warning> {
    let no_stubs = image.stubs().is_none().then_some(Warning::NoStubs);
    let no_symbols = (image.symbols().len() == 0).then_some(Warning::NoSymbols);
    no_stubs.into_iter().chain(no_symbols).collect()
}
