//! Receiving: ports, and what arrives at them.

use core::hint::spin_loop;

use atoll_ipc::ready::ChannelSet;

use super::endpoints::{Endpoint, Endpoints, complain, with};
use super::message::Message;
use super::rest::rest_if_asked;
use super::wait::{Awaited, ring, wait};
use crate::clock::Instant;
use crate::{boot, ready};

/// A named receive endpoint of this domain (CHORUS). Any number of channels lead to it.
///
/// Made by the [`server!`](crate::server!) macro.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(u32);

impl Port {
    #[doc(hidden)]
    pub const fn __new(index: u32) -> Self {
        Self(index)
    }

    /// Waits for the next message (QNX `MsgReceive`).
    #[inline(always)]
    pub fn receive(self) -> Message {
        loop {
            if let Some((_, message)) = receive_any(&[self], None) {
                return message;
            }
        }
    }

    /// [`Port::receive`] by its name in RC 4000.
    pub fn wait_message(self) -> Message {
        self.receive()
    }

    /// Waits for the next message until a deadline.
    pub fn receive_until(self, deadline: Instant) -> Option<Message> {
        receive_any(&[self], Some(deadline)).map(|(_, message)| message)
    }

    /// Waits for the next message or for notifications, whichever comes first (seL4: a bound
    /// notification; QNX: a pulse on the channel), until a deadline if there is one.
    pub fn event(self, deadline: Option<Instant>) -> Option<Event> {
        ready::at_first_wait();
        let awaited = ForMessage { ports: &[self], notified: true };
        let found = with(|endpoints| {
            rest_if_asked(endpoints);
            wait(endpoints, deadline, ChannelSet::EMPTY, awaited)
        });
        found.map(|(_, event)| event)
    }

    /// The unique identifier of this port (CHORUS), if a channel leads to it: no other port has
    /// it, and it stays the same when this domain restarts.
    pub fn id(self) -> Option<u128> {
        let channel = with(|endpoints| endpoints.of_port(self.0)).iter().next()?;
        Some(u128::from_le_bytes(boot::channels()[channel].port_id))
    }
}

/// What arrives at a port.
#[derive(Debug)]
pub enum Event {
    /// A message.
    Message(Message),
    /// Bits that clients have raised since the last time; those of all clients coalesce.
    Notified(u64),
}

/// Waits for a message on any of the ports. A port that stands before another in `ports` goes
/// before it; among the channels of one port, each gets its turn.
#[inline(always)]
pub fn receive_any(ports: &[Port], deadline: Option<Instant>) -> Option<(Port, Message)> {
    match with(|endpoints| receive_quickly(endpoints, ports)) {
        Some(found) => Some(found),
        None => receive_at_length(ports, deadline),
    }
}

/// The next message that waits on any of the ports already, if one does: in the order of
/// [`receive_any`], and without a wait.
pub fn poll_any(ports: &[Port]) -> Option<(Port, Message)> {
    let mut awaited = ForMessage::on(ports);
    let found = with(|endpoints| {
        ring(&endpoints.take_put_off());
        awaited.look(endpoints)
    });
    match found? {
        (port, Event::Message(message)) => Some((port, message)),
        (_, Event::Notified(_)) => None,
    }
}

/// Looks for a message before anything else is looked at: about two microseconds.
const QUICK_LOOKS: u32 = 64;

/// The next message of the only channel that is watched, as in an exchange with one client. Now
/// and then it finds nothing, so that other channels are noticed.
#[inline(always)]
fn receive_quickly(endpoints: &mut Endpoints, ports: &[Port]) -> Option<(Port, Message)> {
    let channel = endpoints.sole()?;
    let port = *ports.iter().find(|port| endpoints.of_port(port.0).contains(channel))?;
    let looks = if boot::page().spin_ns == 0 { 1 } else { QUICK_LOOKS };
    let server = endpoints.server(channel);
    for _ in 0..looks {
        if server.has_request() {
            return match server.poll() {
                Ok(request) => Some((port, Message::new(channel, request?))),
                Err(error) => {
                    complain(channel, error);
                    None
                }
            };
        }
        spin_loop();
    }
    None
}

#[inline(never)]
fn receive_at_length(ports: &[Port], deadline: Option<Instant>) -> Option<(Port, Message)> {
    ready::at_first_wait();
    let awaited = ForMessage::on(ports);
    let found = with(|endpoints| {
        // One that is never out of work comes by here, too, now and then.
        rest_if_asked(endpoints);
        wait(endpoints, deadline, ChannelSet::EMPTY, awaited)
    });
    match found? {
        (port, Event::Message(message)) => Some((port, message)),
        (_, Event::Notified(_)) => None,
    }
}

pub(super) struct ForMessage<'p> {
    /// In the order of their priority.
    ports: &'p [Port],
    /// Notifications count, too.
    notified: bool,
}

impl<'p> ForMessage<'p> {
    /// A message on any of the ports.
    pub(super) const fn on(ports: &'p [Port]) -> Self {
        Self { ports, notified: false }
    }

    /// Notification bits that the clients of the ports have raised; collecting clears them.
    fn collect(&self, endpoints: &mut Endpoints) -> Option<(Port, Event)> {
        for &port in self.ports {
            let mut bits = 0;
            for channel in endpoints.of_port(port.0).iter() {
                if let Endpoint::Server(server) = &mut endpoints.all[channel] {
                    bits |= server.collect_notifications();
                }
            }
            if bits != 0 {
                return Some((port, Event::Notified(bits)));
            }
        }
        None
    }
}

impl Awaited for ForMessage<'_> {
    type Found = (Port, Event);

    const HEEDS_CLIENTS: bool = true;

    #[inline]
    fn peek(&self, endpoints: &mut Endpoints) -> bool {
        self.ports.iter().any(|port| {
            let channels = endpoints.of_port(port.0);
            endpoints.has_request(&channels)
        })
    }

    #[inline]
    fn look(&mut self, endpoints: &mut Endpoints) -> Option<(Port, Event)> {
        if self.notified
            && let Some(found) = self.collect(endpoints)
        {
            return Some(found);
        }
        self.ports.iter().find_map(|&port| {
            let channels = endpoints.of_port(port.0);
            let (channel, request) = endpoints.next_request(&channels)?;
            Some((port, Event::Message(Message::new(channel, request))))
        })
    }

    fn is_idle(&self, endpoints: &Endpoints) -> bool {
        !endpoints.are_serving()
    }

    fn declare_asleep(&self, endpoints: &mut Endpoints) {
        endpoints.declare_asleep();
    }

    fn declare_awake(&self, endpoints: &mut Endpoints) {
        endpoints.declare_awake();
    }
}
