//! Owns what the two processes of a measurement hold between them: the descriptors that each is
//! started with as its standard input and output, and their use to start together.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Stdio;

use anyhow::{Context, Result};

/// What a side is started with.
#[derive(Debug)]
pub struct Ends {
    /// Its standard input.
    pub input: Stdio,
    /// Its standard output.
    pub output: Stdio,
}

impl Ends {
    /// From two descriptors.
    pub fn of(input: impl Into<OwnedFd>, output: impl Into<OwnedFd>) -> Self {
        Self { input: Stdio::from(input.into()), output: Stdio::from(output.into()) }
    }
}

/// Two pipes, one each way: the ends of the first side and those of the second.
pub fn pipes() -> Result<[Ends; 2]> {
    let (first_input, second_output) = io::pipe().context("cannot make a pipe")?;
    let (second_input, first_output) = io::pipe().context("cannot make a pipe")?;
    Ok([Ends::of(first_input, first_output), Ends::of(second_input, second_output)])
}

/// This process's standard input, as the side that was started with it uses it.
pub fn input() -> Result<File> {
    own(io::stdin().as_fd()).context("cannot use the standard input")
}

/// This process's standard output, likewise.
pub fn output() -> Result<File> {
    own(io::stdout().as_fd()).context("cannot use the standard output")
}

fn own(descriptor: BorrowedFd) -> io::Result<File> {
    Ok(File::from(descriptor.try_clone_to_owned()?))
}

/// Where the two sides wait for each other.
#[derive(Debug)]
pub struct Meeting {
    input: File,
    output: File,
}

impl Meeting {
    /// Over the standard input and output.
    pub fn new() -> Result<Self> {
        Ok(Self { input: input()?, output: output()? })
    }

    /// Over other descriptors.
    pub fn over(input: &File, output: &File) -> Result<Self> {
        let again = |file: &File| file.try_clone().context("cannot hold a descriptor twice");
        Ok(Self { input: again(input)?, output: again(output)? })
    }

    /// Returns once both sides have come to this point.
    pub fn meet(&mut self) -> Result<()> {
        self.output.write_all(b".").context("cannot tell the other side")?;
        self.input.read_exact(&mut [0]).context("the other side did not come: it has ended")
    }
}
