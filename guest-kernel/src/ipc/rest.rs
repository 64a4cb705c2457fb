//! Coming to rest: a server that is asked to stands still where nothing is under way, so that a
//! checkpoint can be taken of it there, for a snapshot.
//!
//! It does so between two messages, when it has answered all that it took, and no call of its own is
//! under way. Then all that it knows is in its memory, and nothing of it depends on what is in its
//! channels: an incarnation that goes on from there finds others.

use super::endpoints::Endpoints;
use super::wait::ring;
use crate::clock::{self, Instant};
use crate::{boot, exits};

/// Comes to rest if that is asked for and nothing is under way; returns when the server may go on.
/// That can be in another incarnation, in another system, much later.
pub(super) fn rest_if_asked(endpoints: &mut Endpoints) {
    if boot::is_resting() && !endpoints.are_serving() && !endpoints.are_calling() {
        rest(endpoints);
    }
}

#[cold]
fn rest(endpoints: &mut Endpoints) {
    // Peers may wait for what the last message has given back.
    ring(&endpoints.take_kicks());
    let epoch = boot::epoch();
    let (moment, unix_time) = (Instant::now(), clock::unix_time());
    exits::rest();
    if boot::epoch() != epoch {
        clock::adopt_after(moment, unix_time);
        endpoints.attach_anew(boot::channels());
    }
}
