//! Which system a command is for, and how to ask it.

use std::future::Future;
use std::os::unix::net::UnixStream;

use crate::control::{Client, default_dir, default_socket, systems_in};

use super::args::Target;
use super::error::CliError;

impl Target {
    /// The system's control API. Without a name or a socket, the only one that runs.
    pub(super) fn client(&self) -> Result<Client, CliError> {
        if let Some(socket) = &self.socket {
            return Ok(Client::new(socket, None));
        }
        if let Some(name) = &self.system {
            return Ok(named(name.as_str()));
        }
        let directory = default_dir();
        let mut running = systems_in(&directory);
        running.retain(|name| UnixStream::connect(default_socket(name)).is_ok());
        match running.as_slice() {
            [] => Err(CliError::NoneRuns(directory)),
            [only] => Ok(named(only)),
            _ => Err(CliError::SeveralRun(running)),
        }
    }
}

fn named(name: &str) -> Client {
    Client::new(default_socket(name), Some(name.to_owned()))
}

/// Runs a conversation with a system to its end.
pub(super) fn converse<T, E>(talk: impl Future<Output = Result<T, E>>) -> Result<T, CliError>
where
    CliError: From<E>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(CliError::EventLoop)?.block_on(talk)?)
}
