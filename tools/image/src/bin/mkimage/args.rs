//! The command line, with the help that teaches it.

use crate::size;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Makes image files for Atoll, and shows what is in them.
///
/// An image is one server program, ready to be loaded into a domain: the segments of a static
/// ELF with their rights, its entry, the ports that it declares, its function names for
/// backtraces, and a hash that tells when the file is damaged.
#[derive(Debug, Parser)]
#[command(name = "mkimage", version, after_help = EXIT_CODES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a file could not be read or written
  2  wrong usage
  4  the ELF or the image is bad; the message says what to do";

const EXAMPLES: &str = "\
Examples:
  mkimage build target/kv -o kv.img
      Make an image of a server that was linked with the guest kernel.
  mkimage build tiny.elf -o tiny.img --name tiny --memory 16M
      Make one of any other static ELF, saying what its declaration would.
  mkimage inspect kv.img
      Show segments, ports and sizes, after checking all of it.
  mkimage inspect kv.img --json | jq .hash
      The same for scripts; sizes and addresses are plain numbers.
  mkimage extract kv.img -o kv.elf && gdb kv.elf kv.core
      Look at a core file that `vmm core` wrote.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an image from a static ELF executable
    ///
    /// The ELF must be static, not position-independent, for x86-64, and linked to addresses
    /// from 0x400000 to 0x40000000, with code and data in separate pages. With rustc:
    ///
    ///   -C relocation-model=static -C link-args="-nostartfiles -static -no-pie
    ///   -Wl,-z,separate-code,-z,max-page-size=4096,--image-base=0x400000"
    ///
    /// Name, memory, stack and ports come from the declaration that the guest kernel's macros
    /// leave in the ELF. The same ELF and options always make the same bytes. The image replaces
    /// OUT in one step, so that nobody ever sees half of it.
    #[command(verbatim_doc_comment)]
    Build(Build),
    /// Check an image and show what is in it
    Inspect(Inspect),
    /// Write an image's executable, with the names of its functions, for gdb
    Extract(Extract),
}

#[derive(Debug, Args)]
pub struct Build {
    /// The linker's output
    pub elf: PathBuf,
    /// The image to write, by custom with the extension .img
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    /// Name of the server [default: as declared in the ELF]
    #[arg(long)]
    pub name: Option<String>,
    /// Memory of a domain whose manifest names none, such as 16M [default: as declared]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub memory: Option<u64>,
    /// Stack of each vCPU, such as 64K [default: as declared, or else 64K]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub stack: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Extract {
    /// The image
    pub image: PathBuf,
    /// The ELF file to write
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
}

#[derive(Debug, Args)]
pub struct Inspect {
    /// The image
    pub image: PathBuf,
    /// Print JSON, for scripts
    #[arg(long)]
    pub json: bool,
    /// List the functions, too
    #[arg(long)]
    pub symbols: bool,
}
