//! Owns clients of servers that speak lines: `crashme` and `front`.

use std::io::{BufRead, BufReader, Write};

use crate::socket::{Socket, is_closed};

/// A connection on which each line is answered with a line.
#[derive(Debug)]
pub struct Lines(BufReader<Socket>);

impl Lines {
    /// Connects.
    pub fn connect(address: &str) -> Self {
        Self(BufReader::new(Socket::connect(address)))
    }

    /// Sends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("the connection takes bytes");
    }

    /// Sends a line. A connection that has just been closed may swallow it; [`Lines::hear`] tells.
    pub fn tell(&mut self, line: &str) {
        match self.0.get_mut().write_all(format!("{line}\n").as_bytes()) {
            Ok(()) => (),
            Err(error) if is_closed(&error) => (),
            Err(error) => panic!("`{line}` cannot be sent: {error}"),
        }
    }

    /// The next line; `None` if the connection was closed instead.
    pub fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => {
                assert_eq!(line.pop(), Some('\n'), "the connection ended within `{line}`");
                Some(line)
            }
            Err(error) if is_closed(&error) => None,
            Err(error) => panic!("no answer and no end: {error}"),
        }
    }

    /// Sends a line and returns its answer.
    pub fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        let shown: String = line.chars().take(80).collect();
        self.hear().unwrap_or_else(|| panic!("`{shown}` closed the connection"))
    }
}
