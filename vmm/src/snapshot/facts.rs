//! What a domain must be like for a checkpoint to fit it: all that its server can have learnt of
//! its surroundings, and that nobody would tell it anew.

use std::fmt;

use atoll_ipc::channel::Role;
use serde::{Deserialize, Serialize};

use super::error::Misfit;
use crate::domain::{Blueprint, ChannelEnd};

/// A domain, as far as its checkpoint depends on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainFacts {
    /// Its name.
    pub name: String,
    /// Name of the server in its image.
    pub image: String,
    /// Hash of the image.
    pub image_hash: [u8; 32],
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of its state region.
    pub state: u64,
    /// vCPUs.
    pub vcpus: u32,
    /// What its server is told.
    pub arguments: Vec<String>,
    /// Its channels, by number.
    pub channels: Vec<ChannelFacts>,
}

/// A domain that is in no snapshot, since its memory follows what is on a disk: it begins at its
/// image, with what is there by then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnDisk {
    /// The domain.
    pub domain: String,
    /// The disk.
    pub disk: String,
}

/// One end of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelFacts {
    /// The client's name for it; at the server, the port's.
    pub name: String,
    /// Whether this end is the server's.
    pub is_server: bool,
    /// The domain at the other end, if it is one.
    pub peer: Option<String>,
    /// The port's place in the server's image.
    pub port: u32,
    /// What is spoken, and its fingerprint.
    pub interface: (String, u64),
    /// Sizes of its areas.
    pub layout: [u32; 4],
}

impl DomainFacts {
    /// Of a domain.
    pub fn of(blueprint: &Blueprint) -> Self {
        Self {
            name: blueprint.name.to_string(),
            image: blueprint.image.name().to_string(),
            image_hash: blueprint.image.hash().to_bytes(),
            memory: blueprint.plan.memory,
            state: blueprint.boot_page().state_len,
            vcpus: blueprint.plan.vcpus,
            arguments: blueprint.arguments.clone(),
            channels: blueprint.channels.iter().map(ChannelFacts::of).collect(),
        }
    }

    /// Hash of its image, in hexadecimal.
    pub fn hash(&self) -> String {
        self.image_hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a checkpoint of a domain like this fits one like `ours`.
    ///
    /// # Errors
    /// With the first thing that is different.
    pub fn fit(&self, ours: &Self) -> Result<(), Misfit> {
        let domain = || ours.name.clone();
        if self.image_hash != ours.image_hash {
            return Err(Misfit::Image {
                domain: domain(),
                image: self.image.clone(),
                theirs: self.hash(),
                ours: ours.hash(),
            });
        }
        let changed = |what, theirs: String, ours: String| {
            Err(Misfit::Changed { domain: domain(), what, theirs, ours })
        };
        let bytes = |bytes| format!("{bytes} bytes");
        if self.memory != ours.memory {
            return changed("memory", bytes(self.memory), bytes(ours.memory));
        }
        if self.state != ours.state {
            return changed("state region", bytes(self.state), bytes(ours.state));
        }
        if self.vcpus != ours.vcpus {
            return changed("number of vCPUs", self.vcpus.to_string(), ours.vcpus.to_string());
        }
        if self.arguments != ours.arguments {
            let list = |arguments: &[String]| format!("{arguments:?}");
            return changed("list of arguments", list(&self.arguments), list(&ours.arguments));
        }
        let most = self.channels.len().max(ours.channels.len());
        match (0..most).find(|&at| self.channels.get(at) != ours.channels.get(at)) {
            None => Ok(()),
            Some(number) => Err(Misfit::Channel {
                domain: domain(),
                number,
                theirs: described(self.channels.get(number)),
                ours: described(ours.channels.get(number)),
            }),
        }
    }
}

impl ChannelFacts {
    fn of(end: &ChannelEnd) -> Self {
        let layout = &end.layout;
        Self {
            name: end.name.to_string(),
            is_server: end.role == Role::Server,
            // What is not a domain may be called otherwise each time: a gateway by its address.
            peer: end.peer_domain.map(|_| end.peer.clone()),
            port: end.port,
            interface: (end.interface.to_string(), end.interface.fingerprint),
            layout: [layout.requests, layout.replies, layout.lent_requests, layout.lent_replies],
        }
    }
}

impl fmt::Display for ChannelFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.peer.as_deref().unwrap_or("the VMM");
        let [requests, replies, lent_requests, lent_replies] = self.layout;
        write!(f, "`{}` {} {peer}", self.name, if self.is_server { "from" } else { "to" })?;
        write!(f, " (port {}, {}", self.port, self.interface.0)?;
        write!(f, ", {requests}, {replies}, {lent_requests} and {lent_replies} bytes)")
    }
}

fn described(channel: Option<&ChannelFacts>) -> String {
    channel.map_or_else(|| "not there".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn facts() -> DomainFacts {
        let channel = |name: &str, is_server, peer: Option<&str>| ChannelFacts {
            name: name.to_owned(),
            is_server,
            peer: peer.map(str::to_owned),
            port: 0,
            interface: ("`echo` version 1".to_owned(), 0),
            layout: [4096, 4096, 0, 0],
        };
        DomainFacts {
            name: "kv".to_owned(),
            image: "kv".to_owned(),
            image_hash: [7; 32],
            memory: 8 << 20,
            state: 0,
            vcpus: 1,
            arguments: vec!["debug=yes".to_owned()],
            channels: vec![channel("redis", true, None), channel("log", false, Some("logger"))],
        }
    }

    #[test]
    fn what_is_the_same_fits() {
        assert_eq!(facts().fit(&facts()), Ok(()));
    }

    #[test]
    fn each_difference_is_named_with_both_sides() {
        let says = |change: fn(&mut DomainFacts)| {
            let mut ours = facts();
            change(&mut ours);
            facts().fit(&ours).unwrap_err().to_string()
        };
        let image = says(|ours| ours.image_hash = [8; 32]);
        assert!(image.contains(&"07".repeat(32)) && image.contains(&"08".repeat(32)), "{image}");
        assert!(image.contains("--images"), "{image}");
        let memory = says(|ours| ours.memory = 16 << 20);
        assert!(memory.contains("8388608 bytes") && memory.contains("16777216"), "{memory}");
        let arguments = says(|ours| ours.arguments.clear());
        assert!(arguments.contains("[\"debug=yes\"]") && arguments.contains("[]"), "{arguments}");
        let state = says(|ours| ours.state = 4096);
        assert!(state.contains("its state region was 0 bytes"), "{state}");
        assert!(says(|ours| ours.vcpus = 2).contains("vCPUs"));
        let channel = says(|ours| ours.channels[1].peer = None);
        assert!(channel.contains("channel 1") && channel.contains("to logger"), "{channel}");
        assert!(channel.contains("to the VMM"), "{channel}");
        let gone = says(|ours| drop(ours.channels.pop()));
        assert!(gone.contains("is not there in the manifest"), "{gone}");
        let more = says(|ours| ours.channels.push(ours.channels[0].clone()));
        assert!(more.contains("channel 2 was not there"), "{more}");
    }
}
