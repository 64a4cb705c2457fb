//! Typed interfaces that agree, and that do not, and a server of all of them.

use atoll::ipc::receive_any;
use atoll::{Port, Status};

atoll::interface! {
    /// Sums.
    pub interface Sums = "sums" version 2, client SumsClient, server SumsServer {
        /// The sum of two.
        1 => idempotent fn add(a: u64, b: u64) -> u64;
        /// Adds to what is kept; returns that.
        2 => once fn gather(n: u64) -> u64;
    }
}

/// The version before.
pub mod older {
    atoll::interface! {
        pub interface Sums = "sums" version 1, client SumsClient, server SumsServer {
            1 => idempotent fn add(a: u64, b: u64) -> u64;
        }
    }
}

/// The same name and version, but somebody has changed a type.
pub mod twin {
    atoll::interface! {
        pub interface Sums = "sums" version 2, client SumsClient, server SumsServer {
            1 => idempotent fn add(a: u32, b: u64) -> u64;
            2 => once fn gather(n: u64) -> u64;
        }
    }
}

#[derive(Default)]
struct Kept(u64);

impl SumsServer for Kept {
    fn add(&mut self, a: u64, b: u64) -> Result<u64, Status> {
        a.checked_add(b).ok_or(Status::Denied)
    }

    fn gather(&mut self, n: u64) -> Result<u64, Status> {
        self.0 = self.0.checked_add(n).ok_or(Status::Exhausted)?;
        Ok(self.0)
    }
}

impl older::SumsServer for Kept {
    fn add(&mut self, a: u64, b: u64) -> Result<u64, Status> {
        SumsServer::add(self, a, b)
    }
}

impl twin::SumsServer for Kept {
    fn add(&mut self, a: u32, b: u64) -> Result<u64, Status> {
        SumsServer::add(self, a.into(), b)
    }

    fn gather(&mut self, n: u64) -> Result<u64, Status> {
        SumsServer::gather(self, n)
    }
}

/// Serves the three of them, for ever.
pub fn serve(ports: [Port; 3]) -> ! {
    let [sums, older, _] = ports;
    let mut kept = Kept::default();
    loop {
        let Some((port, message)) = receive_any(&ports, None) else { continue };
        if port == sums {
            Sums::dispatch(&mut kept, message);
        } else if port == older {
            older::Sums::dispatch(&mut kept, message);
        } else {
            twin::Sums::dispatch(&mut kept, message);
        }
    }
}
