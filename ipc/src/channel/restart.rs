//! What the nucleus does to a channel when one of its ends restarts.
//!
//! A server that died may have gone wild before, and written anything into the shared words. So
//! what they say of where its successor goes on is believed only if it can be true, and then only
//! until the client has looked: the client alone knows what it has sent. One that finds the place
//! impossible, or its unread requests destroyed, begins the request ring anew in the *spare*
//! generation that each view of the status page offers, and the new server follows it there.

use core::mem::size_of_val;

use super::again::Again;
use super::status::Resume;
use super::{Epochs, Region};
use crate::record::ALIGN;
use crate::ring::Claims;

/// Positions that no honest ring reaches: at 10 GB/s, this many bytes take 14 years.
const POSITION_MAX: u64 = 1 << 62;

/// For the nucleus, while the server stands still: it will go on in `epoch`.
/// [Renew](super::Status::renew) the secret first.
pub fn restart_server(channel: &impl Region, epoch: u32) {
    let (status, requests) = (channel.status(), channel.shared().requests());
    let ring_bytes = size_of_val(channel.requests()) as u64;
    let resume = resume_point(&requests.claims(), &status.epochs(), ring_bytes);
    begin(channel, epoch, resume, &Again::nothing());
}

/// Lets the next incarnation begin there.
pub(super) fn begin(channel: &impl Region, epoch: u32, resume: Option<Resume>, again: &Again) {
    // What the new server will say when it begins: nobody is to take the dead one's words for it.
    let Resume { generation, position } =
        resume.unwrap_or(Resume { generation: Epochs::NO_REQUESTS, position: 0 });
    channel.shared().requests().consume_from(generation, position);
    // Nor is the new server to believe that its client has heard of it before it has.
    channel.shared().replies().forget_consumer();
    channel.status().server_restarts(epoch, resume, again);
}

/// For the nucleus, while the client stands still: it will go on in `epoch`, with an empty request
/// ring. [Renew](super::Status::renew) the secret first.
pub fn restart_client(channel: &impl Region, epoch: u32) {
    channel.status().client_restarts(epoch);
}

/// Where the next incarnation of a server that has died goes on in a request ring of `ring_bytes`,
/// from what the two ends last said of it: where it stopped taking, if both spoke of the same
/// generation, and one that exists.
///
/// As long as they do not, the client cannot have sent anything in its generation, so nothing is
/// lost by beginning anew.
pub(super) fn resume_point(claims: &Claims, now: &Epochs, ring_bytes: u64) -> Option<Resume> {
    let &Claims { tail, taken, generation, producing, .. } = claims;
    let exists = generation == now.requests || generation == now.spare();
    let is_possible = exists
        && generation != Epochs::NO_REQUESTS
        && generation == producing
        && is_position(tail)
        && is_position(taken)
        && taken <= tail
        && tail - taken <= ring_bytes;
    is_possible.then_some(Resume { generation, position: taken })
}

/// Whether a record can begin there.
pub(crate) const fn is_position(position: u64) -> bool {
    position.is_multiple_of(ALIGN as u64) && position < POSITION_MAX
}
