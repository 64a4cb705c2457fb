//! Messages: receive and reply on [`Port`]s, call through [`Channel`]s.
//!
//! | operation | here | after |
//! |---|---|---|
//! | call, and wait for the reply | [`Channel::call`] | QNX `MsgSend`, L4 call |
//! | send a message, wait for its answer later | [`Channel::send_message`], [`Pending::wait_answer`] | RC 4000 |
//! | send without a reply | [`Channel::send`] | CHORUS `ipcSend` |
//! | notify | [`Channel::notify`], [`Port::event`] | seL4 notification, QNX pulse |
//! | receive | [`Port::receive`], [`receive_any`] | QNX `MsgReceive`, RC 4000 *wait message* |
//! | receive a message or an answer | [`receive_any_or_answer`] | RC 4000 *wait event* |
//! | reply, at once or later | [`Message::reply`] | QNX `MsgReply`, RC 4000 *send answer*, Hydra's reply right |
//! | hand over a buffer | [`Channel::lend`], [`Message::lend`] | L4 grant, for as long as the message lives |
//!
//! One vCPU does all IPC of a domain, so nothing here locks. Nothing exits either while the other
//! side runs: a doorbell is rung only for a peer that sleeps.

mod body;
mod channel;
mod either;
mod endpoints;
mod lent;
mod message;
mod port;
mod reply;
mod rest;
mod typed;
mod wait;

pub use channel::{Channel, Pending};
pub use either::{Arrival, receive_any_or_answer};
pub use lent::{LentReply, Loan, ReplyLoan};
pub use message::Message;
pub use port::{Event, Port, poll_any, receive_any};
pub use reply::Reply;
pub use wait::{sleep_until, together};

pub(crate) use endpoints::{adopt, attach_anew, is_idle};
