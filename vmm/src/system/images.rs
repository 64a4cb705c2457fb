//! The images of a system: each file is read and verified once.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use atoll_image::Image;

use super::SystemError;
use crate::machine::plan::Plan;
use crate::manifest::{
    Domain, DomainName, ImageFacts, Manifest, MemorySize, PortFacts, check_against,
};

/// The image of each domain.
#[derive(Debug)]
pub struct Images(HashMap<DomainName, Arc<Image>>);

impl Images {
    /// Loads all images that a manifest names, and checks the one against the others.
    ///
    /// # Errors
    /// If an image is missing or wrong, or does not fit.
    pub fn load(manifest: &Manifest, dir: &Path) -> Result<Self, SystemError> {
        let mut files = HashMap::new();
        let mut images = HashMap::new();
        for (name, domain) in &manifest.domains {
            let path = domain.image.path(dir);
            if !files.contains_key(&path) {
                let image = Image::open(&path)
                    .map_err(|cause| SystemError::Image { domain: name.to_string(), cause })?;
                files.insert(path.clone(), Arc::new(image));
            }
            images.insert(*name, files[&path].clone());
        }
        let images = Self(images);
        check_against(manifest, |name| Some(facts(images.of(name)?, manifest.domains.get(name)?)))?;
        Ok(images)
    }

    /// The image of a domain.
    pub fn of(&self, domain: &DomainName) -> Option<&Arc<Image>> {
        self.0.get(domain)
    }
}

fn facts(image: &Image, domain: &Domain) -> ImageFacts {
    let least = Plan::least_memory(image, domain.vcpus.get());
    // Sizes of a verified image are in bounds; should one not be, the largest refuses all.
    let size = |bytes| MemorySize::from_bytes(bytes).unwrap_or(MemorySize::MAX);
    ImageFacts {
        ports: image
            .ports()
            .iter()
            .map(|port| PortFacts {
                name: port.name.to_string(),
                kind: port.kind,
                interface: port.interface,
            })
            .collect(),
        min_memory: size(least),
        default_memory: size(image.default_memory().max(least)),
        max_vcpus: image.max_vcpus(),
    }
}
