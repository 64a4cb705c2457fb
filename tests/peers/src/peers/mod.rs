//! The peers, one a file. [`stream`] and [`iceoryx`] hold what several of them share.

pub mod crossbeam;
pub mod eventfd;
pub mod futex;
pub mod iceoryx;
pub mod ipc_channel;
pub mod memcpy;
pub mod ping_pong;
pub mod pipe;
pub mod publish_subscribe;
pub mod request_response;
pub mod rtrb;
pub mod stream;
pub mod unix_stream;
