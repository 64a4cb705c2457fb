//! Owns servers that are plain processes: started, and asked until they answer.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::process::{self, Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::peers::Peers;
use super::resp::{Client, Reply};
use super::system;

/// No process takes longer to its first reply.
const PATIENCE: Duration = Duration::from_secs(20);

/// Below those that Linux gives to clients unless it is told otherwise (32768 and up).
const PORTS: Range<u16> = 20000..32000;

/// A server process that is there until this value goes.
#[derive(Debug)]
pub struct Plain {
    command: Command,
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Plain {
    /// Starts redis-server with nothing kept on disk.
    pub fn redis(peers: &Peers) -> Result<Self> {
        let mut command = peers.redis_server();
        command.args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port"]);
        Self::start(command)
    }

    /// Starts the program of `command`, to which a free port is added as its last argument.
    pub fn start(mut command: Command) -> Result<Self> {
        let address = free_address()?;
        command.arg(address.port().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = spawn(&mut command)?;
        let mut plain = Self { command, child, address };
        plain.first_reply()?;
        Ok(plain)
    }

    /// Process id of the one that runs.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Connects anew until it answers. Another try is made at once: a pause would be in the result.
    fn first_reply(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            match Client::connect(self.address).and_then(|mut client| client.ask("PING")) {
                Ok(Reply::Simple(_)) => return Ok(()),
                _ if start.elapsed() < PATIENCE => (),
                Ok(reply) => bail!("{} answers PING with {reply:?}", self.address),
                Err(error) => return Err(error.into()),
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("`{}` ended ({status})", self.command.get_program().display());
            }
            thread::yield_now();
        }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        system::end(&mut self.child);
    }
}

fn spawn(command: &mut Command) -> Result<Child> {
    let child = command.spawn();
    child.with_context(|| format!("starting {}", command.get_program().display()))
}

/// An address that nobody listens at now. Its port is none that the kernel gives to clients: one that tries
/// again and again to reach a port of that kind at last gets it as its own, and is connected to itself.
fn free_address() -> Result<SocketAddr> {
    let first = PORTS.start + u16::try_from(process::id() % 8192).unwrap_or(0);
    let mut candidates =
        (first..PORTS.end).map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let free = candidates.find(|address| TcpListener::bind(address).is_ok());
    free.with_context(|| format!("every port from {first} to {} is taken", PORTS.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_ends_is_no_server() {
        let error = Plain::start(Command::new("true")).unwrap_err().to_string();
        assert_eq!(error, "`true` ended (exit status: 0)");
    }

    #[test]
    fn free_addresses_can_be_had() {
        let address = free_address().unwrap();
        assert!(PORTS.contains(&address.port()));
        let taken = TcpListener::bind(address).unwrap();
        assert_ne!(free_address().unwrap(), taken.local_addr().unwrap());
    }
}
