//! Joins disks to the domains that have them: a channel each, with the disk's thread as its server.

use std::sync::Arc;

use super::{Assembly, SystemError, event};
use crate::disk::{self, Desk, DiskFault, DiskFile, Line, Presence};
use crate::nucleus::Party;

impl Assembly<'_> {
    /// The manifest's disks, whose files are open: what there is to say of them, and what is to be
    /// served.
    pub(super) fn open_disks(
        &mut self,
        files: &[Arc<DiskFile>],
        faults: &[DiskFault],
    ) -> Result<(Vec<Desk>, Vec<Line>), SystemError> {
        let presence = Presence::new(self.host_page.clone());
        let manifest = self.manifest;
        let joined = manifest.disks.values().zip(files).map(|(disk, file)| {
            let domain = self.draft(&disk.domain)?.id;
            let own = Party { domain: None, name: "vmm".to_owned(), wake: event()? };
            let (alias, wake, spin) = (disk.alias.to_abi(), own.wake.clone(), self.spin(None));
            let end = self.serve(&disk.domain, alias, disk::INTERFACE, disk.layout, own, spin)?;
            Ok(disk::join(domain, file.clone(), faults, end, wake, presence.clone()))
        });
        let joined = joined.collect::<Result<Vec<_>, SystemError>>()?;
        Ok(joined.into_iter().unzip())
    }
}
