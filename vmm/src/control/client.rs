//! The control API's client, as the command line uses it.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixStream;

use super::api::Problem;

/// Largest answer that is taken: ten thousand domains fit many times over.
const BODY_MAX: usize = 64 << 20;

/// Longest line of a stream that is taken; the server's are far shorter.
const LINE_MAX: usize = 1 << 20;

/// Why the system gave no answer that could be used.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error(
        "no system{} runs here (looked at {}); start it with `vmm run SYSTEM.toml`",
        named(.system.as_deref()),
        path.display()
    )]
    NoSystem {
        /// The system's name, if it was asked for by name.
        system: Option<String>,
        /// The socket.
        path: PathBuf,
    },
    /// The socket is there, but out of reach.
    #[error(
        "cannot connect to {}: {source}; \
         a control socket serves only the user who started the system",
        path.display()
    )]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// The connection broke, or it was not HTTP.
    #[error(
        "lost the connection to {}: {source}; `vmm ps` tells whether it still runs",
        path.display()
    )]
    Lost {
        /// The socket.
        path: PathBuf,
        /// What went wrong.
        source: hyper::Error,
    },
    /// The system said no.
    #[error("{}", .0.message)]
    Refused(Problem),
    /// An answer that makes no sense.
    #[error(
        "the answer from {} to `{request}` cannot be read: {why}; \
         use the `vmm` of the version that runs the system",
        path.display()
    )]
    Answer {
        /// The socket.
        path: PathBuf,
        /// What was asked.
        request: String,
        /// What is wrong.
        why: String,
    },
}

fn named(system: Option<&str>) -> String {
    system.map(|name| format!(" named `{name}`")).unwrap_or_default()
}

/// A system's control API, seen from outside. Each request has a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    system: Option<String>,
    path: PathBuf,
}

impl Client {
    /// The API behind this socket; `system` is the name that it was asked for by, for messages.
    pub fn new(path: impl Into<PathBuf>, system: Option<String>) -> Self {
        Self { system, path: path.into() }
    }

    /// The control socket.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What GET of `target` answers.
    ///
    /// # Errors
    /// When the system is not there, says no, or cannot be understood.
    pub async fn get<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        let response = self.request(Method::GET, target).await?;
        let body = self.body(target, response).await?;
        serde_json::from_slice(&body).map_err(|error| self.answer(target, error))
    }

    /// Gives the order behind `target`, and returns what it answers.
    ///
    /// # Errors
    /// When the system is not there, says no, or cannot be understood.
    pub async fn ask<T: DeserializeOwned>(&self, target: &str) -> Result<T, ClientError> {
        let response = self.request(Method::POST, target).await?;
        let body = self.body(target, response).await?;
        serde_json::from_slice(&body).map_err(|error| self.answer(target, error))
    }

    /// Gives the order behind `target`.
    ///
    /// # Errors
    /// When the system is not there, says no, or cannot be understood.
    pub async fn post(&self, target: &str) -> Result<(), ClientError> {
        let response = self.request(Method::POST, target).await?;
        self.body(target, response).await.map(drop)
    }

    /// Hands each record of the stream behind `target` to `each`, until one of the three ends it.
    ///
    /// # Errors
    /// When the system is not there, says no, breaks off, or cannot be understood.
    pub async fn stream<T: DeserializeOwned, B>(
        &self,
        target: &str,
        mut each: impl FnMut(T) -> ControlFlow<B>,
    ) -> Result<Option<B>, ClientError> {
        let mut response = self.request(Method::GET, target).await?;
        let mut pending = Vec::new();
        while let Some(frame) = response.frame().await {
            let frame = frame.map_err(|source| self.lost(source))?;
            pending.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
            let whole = pending.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            for line in pending[..whole].split(|&byte| byte == b'\n').filter(|l| !l.is_empty()) {
                let record =
                    serde_json::from_slice(line).map_err(|error| self.answer(target, error))?;
                if let ControlFlow::Break(outcome) = each(record) {
                    return Ok(Some(outcome));
                }
            }
            pending.drain(..whole);
            if pending.len() > LINE_MAX {
                return Err(self.answer(target, "a line has no end"));
            }
        }
        Ok(None)
    }

    /// Hands the body behind `target` to `each`, piece by piece, until one of the two ends it. A
    /// body that is shorter than its header says is an error.
    ///
    /// # Errors
    /// When the system is not there, says no, or breaks off.
    pub async fn fetch<B>(
        &self,
        method: Method,
        target: &str,
        mut each: impl FnMut(&[u8]) -> ControlFlow<B>,
    ) -> Result<Option<B>, ClientError> {
        let mut response = self.request(method, target).await?;
        while let Some(frame) = response.frame().await {
            let frame = frame.map_err(|source| self.lost(source))?;
            let Some(piece) = frame.data_ref() else { continue };
            if let ControlFlow::Break(outcome) = each(piece) {
                return Ok(Some(outcome));
            }
        }
        Ok(None)
    }

    /// Sends a request; whatever is outside 2xx comes back as an error.
    async fn request(
        &self,
        method: Method,
        target: &str,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.path).await.map_err(|error| self.absent(error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|source| self.lost(source))?;
        // The connection's own error also reaches the request or the body, which report it.
        tokio::spawn(async move { connection.await.ok() });
        let request = hyper::Request::builder()
            .method(method)
            .uri(target)
            .header(hyper::header::HOST, "localhost")
            .body(Empty::<Bytes>::new())
            .map_err(|error| self.answer(target, error))?;
        let response = sender.send_request(request).await.map_err(|source| self.lost(source))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(target, response).await)
    }

    async fn refusal(&self, target: &str, response: Response<Incoming>) -> ClientError {
        let status = response.status();
        match self.body(target, response).await {
            Ok(body) => match serde_json::from_slice(&body) {
                Ok(problem) => ClientError::Refused(problem),
                Err(_) => self.answer(target, unexplained(status)),
            },
            Err(error) => error,
        }
    }

    async fn body(&self, target: &str, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let body = Limited::new(response.into_body(), BODY_MAX).collect().await;
        body.map(http_body_util::Collected::to_bytes).map_err(|error| {
            match error.downcast::<hyper::Error>() {
                Ok(source) => self.lost(*source),
                Err(error) => self.answer(target, error),
            }
        })
    }

    fn absent(&self, source: io::Error) -> ClientError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ClientError::NoSystem { system: self.system.clone(), path }
            }
            _ => ClientError::Unreachable { path, source },
        }
    }

    fn lost(&self, source: hyper::Error) -> ClientError {
        ClientError::Lost { path: self.path.clone(), source }
    }

    fn answer(&self, request: &str, why: impl ToString) -> ClientError {
        let (path, request) = (self.path.clone(), request.to_owned());
        ClientError::Answer { path, request, why: why.to_string() }
    }
}

fn unexplained(status: StatusCode) -> String {
    format!("it has status {status} and no explanation")
}
