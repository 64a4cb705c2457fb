//! Who is in no snapshot: a domain whose memory follows what is on a disk. The file goes on changing,
//! and what went on from an older moment beside it would answer wrongly, or write over what was
//! acknowledged since. Such a domain begins at its image, with what is on the disk by then.

use crate::disk::Desk;
use crate::nucleus::{Member, Nucleus};

impl Nucleus {
    pub(super) fn is_on_disk(&self, member: &Member) -> bool {
        self.disk_of(member).is_some()
    }

    /// Why there can be no snapshot of these, if nobody among them has memory of its own to go on with.
    pub(super) fn nothing_but_disks(&self, chosen: &[(usize, &Member)]) -> Option<String> {
        let (who, only) = match chosen {
            [] => ("each of its domains", None),
            [(_, member)] => (member.name(), Some(self.disk_of(member)?)),
            [_, ..] => return None,
        };
        let all = self.disks.iter().map(Desk::report);
        let files = all.filter(|disk| only.is_none_or(|only| disk.name == only));
        let files: Vec<_> = files.map(|disk| disk.file).collect();
        Some(format!(
            "{who} depends on what is on disk, which goes on changing beside a snapshot; to keep what \
             there is now, stop the system, and copy {}",
            files.join(", ")
        ))
    }

    /// What the memory of a domain follows.
    fn disk_of(&self, member: &Member) -> Option<&str> {
        let mut all = self.on_disks.iter();
        all.find(|it| it.domain == member.name()).map(|it| &*it.disk)
    }
}
