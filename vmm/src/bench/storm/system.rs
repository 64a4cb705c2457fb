//! The system that is killed: kv behind a gateway.

use std::path::Path;

/// The domain.
pub(super) const DOMAIN: &str = "kv";

/// The system.
pub(super) fn manifest(socket: &Path) -> String {
    format!(
        "name = \"bench\"\n\
         [domains.{DOMAIN}]\nimage = \"kv\"\nmemory = \"64 MiB\"\n\
         [[gateways]]\nlisten = \"unix:{}\"\nto = \"{DOMAIN}:redis\"\n",
        socket.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    #[test]
    fn the_system_is_one_that_can_be() {
        let text = manifest(Path::new("/run/kv"));
        let manifest = Manifest::parse(text.as_bytes(), Path::new("bench.toml")).unwrap();
        assert_eq!(manifest.gateways[0].to.to_string(), "kv:redis");
    }
}
