//! The control API: HTTP and JSON over a Unix socket, for the command line and for `curl`.
//!
//! It runs on a thread of its own and owns nothing of the system: what it is asked it passes on to
//! the nucleus as a [`Request`], and what it streams it reads from the journal. A client that
//! stalls, floods or breaks off can hold up other clients of the API, and nothing else.

pub mod api;
mod claim;
mod client;
mod openapi;
mod paths;
mod request;
mod routes;
mod server;
mod stream;

pub use claim::{Claim, ClaimError, Departure};
pub use client::{Client, ClientError};
pub use openapi::document;
pub use paths::{default_dir, default_socket, systems_in};
pub use request::{Answer, ControlHandle, LetterRequest, Operation, Refusal, Request};
pub use server::{Server, ServerError};
