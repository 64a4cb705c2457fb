//! How calls ended, counted.

use alloc::format;
use alloc::string::String;

use atoll::IpcError;

/// How one call ended that was not served.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    /// As IPC says.
    Ipc(IpcError),
    /// With something else than its own answer.
    Wrong,
}

impl From<IpcError> for Failure {
    fn from(error: IpcError) -> Self {
        Self::Ipc(error)
    }
}

/// `Ok` if what arrived is what must arrive.
pub fn right(is_right: bool) -> Result<(), Failure> {
    if is_right { Ok(()) } else { Err(Failure::Wrong) }
}

/// Outcomes of many calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// The nonces of one-way messages, added up.
    pub sum: u64,
    ok: u64,
    restarted: u64,
    poisoned: u64,
    gone: u64,
    timeout: u64,
    rejected: u64,
    exhausted: u64,
    protocol: u64,
    other: u64,
    wrong: u64,
}

impl Tally {
    pub fn count(&mut self, outcome: Result<(), Failure>) {
        let counter = match outcome {
            Ok(()) => &mut self.ok,
            Err(Failure::Wrong) => &mut self.wrong,
            Err(Failure::Ipc(IpcError::PeerRestarted)) => &mut self.restarted,
            Err(Failure::Ipc(IpcError::Poisoned)) => &mut self.poisoned,
            Err(Failure::Ipc(IpcError::PeerGone)) => &mut self.gone,
            Err(Failure::Ipc(IpcError::Timeout)) => &mut self.timeout,
            Err(Failure::Ipc(IpcError::Rejected)) => &mut self.rejected,
            Err(Failure::Ipc(IpcError::Exhausted)) => &mut self.exhausted,
            Err(Failure::Ipc(IpcError::Protocol)) => &mut self.protocol,
            Err(Failure::Ipc(
                IpcError::Full | IpcError::TooLarge | IpcError::Denied | IpcError::NotFound,
            )) => &mut self.other,
        };
        *counter += 1;
    }

    /// As a line: names and numbers by turns.
    pub fn line(&self) -> String {
        let Self {
            sum,
            ok,
            restarted,
            poisoned,
            gone,
            timeout,
            rejected,
            exhausted,
            protocol,
            other,
            wrong,
        } = self;
        format!(
            "sum {sum} ok {ok} restarted {restarted} poisoned {poisoned} gone {gone} timeout {timeout} \
             rejected {rejected} exhausted {exhausted} protocol {protocol} other {other} wrong {wrong}"
        )
    }
}
