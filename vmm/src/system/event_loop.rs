//! The event loop: sockets, messages to the nucleus, answers of servers, time.
//!
//! It blocks only when there is nothing to do: gateways declare themselves asleep before, and
//! look into their rings once more. What is served in between costs no wake-up.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use atoll_ipc::abi::NO_DOMAIN;
use event_manager::{EventManager, MutEventSubscriber, SubscriberId, SubscriberOps};

use super::SystemError;
use super::sleep::Moment;
use crate::control::api::DomainState;
use crate::gateway::Gateway;
use crate::nucleus::Nucleus;
use crate::supervisor::Ending;

/// The nucleus's thread may run on any processor.
const NUCLEUS_GROUP: usize = 0;

type Subscriber = Rc<RefCell<dyn MutEventSubscriber>>;

/// Runs a system that was started until it is to stop. Once its domains are up, and a little later, it has the cost
/// of a sleep measured, which must not keep this thread.
///
/// # Errors
/// If the host's event mechanism fails.
pub fn run(nucleus: Nucleus, measure: impl FnOnce()) -> Result<(), SystemError> {
    let mut manager = EventManager::<Subscriber>::new().map_err(failed)?;
    let nucleus = Rc::new(RefCell::new(nucleus));
    manager.add_subscriber(nucleus.clone());
    let gateways: Vec<(SubscriberId, Rc<RefCell<Gateway>>)> = nucleus
        .borrow()
        .gateways
        .iter()
        .map(|gateway| (manager.add_subscriber(gateway.clone() as Subscriber), gateway.clone()))
        .collect();
    let host_page = nucleus.borrow().host_page.clone();
    host_page.enter(NUCLEUS_GROUP, NO_DOMAIN);
    let (mut measure, mut moment) = (Some(measure), Moment::Up);
    while nucleus.borrow().over.is_none() {
        let idle = gateways.iter().all(|(_, gateway)| gateway.borrow_mut().may_sleep());
        let patience = if idle { nucleus.borrow().patience() } else { Some(Duration::ZERO) };
        let patience = moment.patience(patience);
        // While it works, this thread takes a processor like any vCPU.
        host_page.leave(NUCLEUS_GROUP, NO_DOMAIN);
        let ran = manager.run_with_timeout(milliseconds(patience));
        host_page.enter(NUCLEUS_GROUP, NO_DOMAIN);
        ran.map_err(failed)?;
        for (id, gateway) in &gateways {
            let mut ops = manager.event_ops(*id).map_err(failed)?;
            gateway.borrow_mut().pump(&mut ops);
        }
        nucleus.borrow_mut().tick();
        if moment.comes(|| is_up(&nucleus.borrow()))
            && let Some(measure) = measure.take()
        {
            measure();
        }
    }
    match nucleus.borrow().over {
        Some(Ending::GaveUp) => Err(SystemError::GaveUp),
        Some(Ending::Asked(_)) | None => Ok(()),
    }
}

/// Whether no domain is starting any more.
fn is_up(nucleus: &Nucleus) -> bool {
    nucleus.members.iter().all(|member| member.state() != DomainState::Starting)
}

/// For `epoll`: rounded up, so that what is due is due when it returns; -1 for ever.
fn milliseconds(patience: Option<Duration>) -> i32 {
    patience.map_or(-1, |patience| {
        i32::try_from(patience.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
    })
}

fn failed(error: event_manager::Error) -> SystemError {
    SystemError::EventLoop(io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_rounded_up() {
        assert_eq!(milliseconds(None), -1);
        assert_eq!(milliseconds(Some(Duration::ZERO)), 0);
        assert_eq!(milliseconds(Some(Duration::from_micros(1))), 1);
        assert_eq!(milliseconds(Some(Duration::from_secs(1 << 40))), i32::MAX);
    }
}
