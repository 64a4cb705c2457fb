//! The least that an ordinary Rust server can be: it sends back each byte that it gets, until there
//! are no more. Started and killed to be measured.

use std::io::{self, Read, Write};

fn main() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut byte = [0];
    while input.read(&mut byte)? > 0 {
        output.write_all(&byte)?;
        output.flush()?;
    }
    Ok(())
}
