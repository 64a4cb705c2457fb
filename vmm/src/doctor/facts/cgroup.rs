//! Control groups: what bounds this process, and how the hierarchies are mounted.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{number, text};

/// Version 1 says so of memory that is not bounded: all that its counters hold.
const UNLIMITED: u64 = 1 << 62;

/// What is asked of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::doctor) struct Cgroups {
    /// Where hierarchies are mounted.
    pub(in crate::doctor) mounts: Vec<String>,
    /// Whether one is mounted with this option. It holds for all: without it, putting a task into
    /// a group waits for all processors.
    pub(in crate::doctor) favordynmods: bool,
    /// Most tasks of this process's group.
    pub(in crate::doctor) max_tasks: Option<u64>,
    /// Most bytes of memory of this process's group.
    pub(in crate::doctor) max_memory: Option<u64>,
}

impl Cgroups {
    pub(super) fn read() -> Self {
        let mounts = mounts(&text("/proc/mounts").unwrap_or_default());
        let own = text("/proc/self/cgroup").unwrap_or_default();
        let limit = |controller, v2, v1| {
            limit(&mounts, &own, &Setting { controller, v2, v1 }, &|file| number(file))
        };
        Self {
            max_tasks: limit("pids", "pids.max", "pids.max"),
            max_memory: limit("memory", "memory.max", "memory.limit_in_bytes")
                .filter(|&bytes| bytes < UNLIMITED),
            favordynmods: mounts.iter().any(|mount| mount.has("favordynmods")),
            mounts: mounts.iter().map(|mount| mount.path.display().to_string()).collect(),
        }
    }
}

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mount {
    path: PathBuf,
    is_v2: bool,
    options: Vec<String>,
}

impl Mount {
    fn has(&self, option: &str) -> bool {
        self.options.iter().any(|found| found == option)
    }
}

fn mounts(table: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (path, kind, options) = (fields.next()?, fields.next()?, fields.next()?);
        let options = options.split(',').map(str::to_owned).collect();
        matches!(kind, "cgroup" | "cgroup2").then(|| Mount {
            path: PathBuf::from(path),
            is_v2: kind == "cgroup2",
            options,
        })
    };
    table.lines().filter_map(mount).collect()
}

/// A limit, as the two versions call it.
struct Setting {
    controller: &'static str,
    v2: &'static str,
    v1: &'static str,
}

/// The tightest value of a setting, from this process's groups up to their hierarchies' roots.
fn limit(
    mounts: &[Mount],
    own: &str,
    setting: &Setting,
    read: &dyn Fn(&Path) -> Option<u64>,
) -> Option<u64> {
    let mut tightest = None;
    for line in own.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else { continue };
        let is_v2 = controllers.is_empty();
        if !is_v2 && !controllers.split(',').any(|name| name == setting.controller) {
            continue;
        }
        let fits =
            |mount: &&Mount| mount.is_v2 == is_v2 && (is_v2 || mount.has(setting.controller));
        let Some(mount) = mounts.iter().find(fits) else { continue };
        let file = if is_v2 { setting.v2 } else { setting.v1 };
        let groups = Path::new(group.trim_start_matches('/')).ancestors();
        let values = groups.filter_map(|group| read(&mount.path.join(group).join(file)));
        tightest = values.chain(tightest).min();
    }
    tightest
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
proc /proc proc rw 0 0
tmpfs /sys/fs/cgroup tmpfs rw,mode=755 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids,favordynmods 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0
";

    const PIDS: Setting = Setting { controller: "pids", v2: "pids.max", v1: "pids.max" };

    #[test]
    fn mounts_of_both_versions_are_found_with_their_options() {
        let mounts = mounts(MOUNTS);
        let found: Vec<_> = mounts
            .iter()
            .map(|mount| (mount.path.to_str().unwrap(), mount.is_v2, mount.has("favordynmods")))
            .collect();
        let expected =
            [("/sys/fs/cgroup/pids", false, true), ("/sys/fs/cgroup/unified", true, false)];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_tightest_limit_on_the_way_up_counts_in_either_version() {
        let read = |file: &Path| match file.to_str()? {
            "/sys/fs/cgroup/pids/a/pids.max" => Some(90),
            "/sys/fs/cgroup/pids/a/b/pids.max" => Some(100),
            "/sys/fs/cgroup/unified/c/pids.max" => Some(95),
            _ => None,
        };
        let limit = |own| limit(&mounts(MOUNTS), own, &PIDS, &read);
        assert_eq!(limit("8:pids:/a/b\n0::/c\n"), Some(90));
        assert_eq!(limit("8:memory:/a/b\n0::/c/d\n"), Some(95));
        assert_eq!(limit("0::/\n"), None);
        assert_eq!(limit("nonsense\n"), None);
    }
}
