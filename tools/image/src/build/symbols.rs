//! The functions of an ELF, made ready for backtraces: named as in the source, sorted, each
//! address once.

use super::BuildError;
use super::elf::{Elf, malformed};
use crate::image::Rights;
use crate::wire;
use object::LittleEndian;
use object::elf::STT_FUNC;
use object::read::elf::Sym;

const LE: LittleEndian = LittleEndian;

/// One function.
pub(super) struct Function {
    start: u64,
    size: u64,
    name: String,
}

impl Function {
    pub fn record(&self) -> wire::Symbol<'_> {
        wire::Symbol { start: self.start, size: self.size, name: &self.name }
    }
}

/// Reads the functions, by ascending address.
pub(super) fn read(elf: &Elf<'_>) -> Result<Vec<Function>, BuildError> {
    let mut functions = Vec::new();
    for symbol in elf.symbols.iter() {
        let start: u64 = symbol.st_value(LE);
        if symbol.st_type() != STT_FUNC || symbol.is_undefined(LE) || text_end(elf, start).is_none()
        {
            continue;
        }
        let name = elf.symbols.symbol_name(LE, symbol).map_err(malformed("symbol name"))?;
        let name = readable(name);
        if !name.is_empty() {
            functions.push(Function { start, size: symbol.st_size(LE), name });
        }
    }
    // Of several names for one address, the one with a size, or else the first in the alphabet:
    // the choice must not depend on the linker's order.
    functions.sort_by(|a, b| {
        (a.start, b.size, a.name.as_str()).cmp(&(b.start, a.size, b.name.as_str()))
    });
    functions.dedup_by_key(|function| function.start);
    bound(elf, &mut functions);
    Ok(functions)
}

/// The name as in the source, on one line.
fn readable(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let mut readable = format!("{:#}", rustc_demangle::demangle(&name));
    readable.retain(|c| !c.is_control());
    readable
}

/// Where the text that holds this address ends.
fn text_end(elf: &Elf<'_>, address: u64) -> Option<u64> {
    let text = elf.loads.iter().filter(|load| load.rights == Rights::ReadExecute);
    text.map(|load| (load.vaddr, load.vaddr + load.mem_size))
        .find(|&(start, end)| (start..end).contains(&address))
        .map(|(_, end)| end)
}

/// Gives functions without a size (assembly has none) the room up to the next, and lets none
/// reach beyond its segment.
fn bound(elf: &Elf<'_>, functions: &mut [Function]) {
    for index in 0..functions.len() {
        let next = functions.get(index + 1).map_or(u64::MAX, |next| next.start);
        let function = &mut functions[index];
        let end = text_end(elf, function.start).unwrap_or(function.start);
        let room = end - function.start;
        function.size = match function.size {
            0 => room.min(next - function.start),
            size => size.min(room),
        };
    }
}
