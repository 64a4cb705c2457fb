//! A line that changes at every look at it, under a server that answers over it and under a client
//! that waits for the answer.

use std::rc::Rc;
use std::sync::Mutex;
use std::vec::Vec;

use super::*;
use crate::calls::Outcome;
use crate::channel::{Shared, Status as Page};
use crate::client::ClientEvent;
use crate::record::{LINE, SHORT};

/// What is written at a look: where in the line, and what.
#[derive(Clone, Copy, Debug)]
struct Change {
    word: usize,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// The tag of a request, or of a reply, in that place.
    RequestTag,
    ReplyTag,
    Bits(u64),
    Head(Head),
}

fn change() -> impl Strategy<Value = Change> {
    let kind = prop_oneof![Just(Kind::Exchange), Just(Kind::Reply), Just(Kind::Call)];
    let head = (0..64_u32, kind, 0..2_u8, 0..3_u32)
        .prop_map(|(length, kind, items, word)| What::Head(Head { length, kind, items, word }));
    prop_oneof![
        3 => Just(Change { word: 0, what: What::RequestTag }),
        3 => Just(Change { word: 0, what: What::ReplyTag }),
        3 => head.prop_map(|what| Change { word: 1, what }),
        1 => (0..LINE / WORD, any::<u64>())
            .prop_map(|(word, bits)| Change { word, what: What::Bits(bits) }),
    ]
}

/// A channel whose request ring is changed whenever this end looks at it.
#[derive(Clone, Debug)]
struct Shifting {
    channel: HeapChannel,
    changes: Rc<Mutex<Vec<Change>>>,
}

impl Shifting {
    fn new(channel: HeapChannel, changes: &[Change]) -> Self {
        Self { channel, changes: Rc::new(Mutex::new(changes.to_vec())) }
    }

    fn shift(&self) {
        let Some(Change { word, what }) = self.changes.lock().unwrap().pop() else { return };
        let now = self.channel.status().snapshot();
        let key = key(now.secrets.requests, now.epochs.requests);
        let at = self.channel.shared().requests().claims().taken;
        let value = match what {
            What::RequestTag => at ^ key,
            What::ReplyTag => !(at ^ key),
            What::Bits(bits) => bits,
            What::Head(head) => head.to_bits(),
        };
        let data = self.channel.requests();
        data[(at as usize / WORD + word) % data.len()].store(value, Relaxed);
    }
}

impl Region for Shifting {
    fn status(&self) -> &Page {
        self.channel.status()
    }

    fn shared(&self) -> &Shared {
        self.channel.shared()
    }

    fn requests(&self) -> &[AtomicU64] {
        self.shift();
        self.channel.requests()
    }

    fn replies(&self) -> &[AtomicU64] {
        self.channel.replies()
    }

    fn lent_requests(&self) -> &[AtomicU64] {
        self.channel.lent_requests()
    }

    fn lent_replies(&self) -> &[AtomicU64] {
        self.channel.lent_replies()
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn a_server_keeps_to_what_it_read_once_of_a_line_that_changes(
        changes in prop::collection::vec(change(), 1..=steps(200)),
        length in 0..100_usize,
    ) {
        let channel = channel();
        let mut client = Client::attach(channel.clone());
        let mut server = Server::attach(Shifting::new(channel, &changes));
        for _ in 0..changes.len() {
            let _ = client.exchange(1, 8, |line| line.write(0, b"question"));
            match server.poll() {
                Ok(Some(request)) => {
                    prop_assert!(request.len() <= client.max_request());
                    server.read(&request, 0, &mut vec![0; request.len()]);
                    let bytes = vec![7; length];
                    if let Err((request, error)) =
                        server.reply(request, Status::Ok, length, |room| room.write(0, &bytes))
                    {
                        prop_assert_eq!(error, IpcError::Full);
                        server.owe(request, Status::Exhausted);
                    }
                }
                Ok(None) => {}
                Err(error) => prop_assert_eq!(error, IpcError::Protocol),
            }
            if let Ok(Some(ClientEvent::Reply(reply))) = client.poll() {
                client.release(reply);
            }
        }
    }

    #[test]
    fn a_client_is_told_something_short_or_nothing_of_a_line_that_changes(
        changes in prop::collection::vec(change(), 1..=steps(200)),
    ) {
        let channel = channel();
        let mut server = Server::attach(channel.clone());
        prop_assert_eq!(server.poll(), Ok(None));
        let region = Shifting::new(channel, &changes);
        let mut calls = Calls::new(Client::attach(region.clone()));
        while !region.changes.lock().unwrap().is_empty() {
            let Ok(ticket) = calls.client_mut().exchange(1, 0, |_| ()) else { break };
            calls.enter(ticket);
            // More looks than there are changes, so that this ends.
            for _ in 0..=changes.len() {
                let _ = calls.has_news();
                match calls.outcome(ticket) {
                    Ok(None) => continue,
                    Ok(Some(Outcome::Short(_, short))) => {
                        prop_assert!(short.bytes().len() <= SHORT);
                    }
                    Ok(found) => prop_assert!(false, "{found:?} from nowhere"),
                    Err(error) => prop_assert_eq!(error, IpcError::Protocol),
                }
                prop_assert!(calls.is_idle() && !calls.has_news());
                prop_assert_eq!(calls.outcome(ticket).unwrap_err(), IpcError::NotFound);
                break;
            }
            if !calls.is_idle() {
                break;
            }
        }
    }
}
