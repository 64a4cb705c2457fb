//! Where a run was made: what a reader of its report needs in order to compare it with another.

use std::fs;
use std::thread;

use serde::Serialize;

/// The host, as it describes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Host {
    /// The version of this program.
    pub version: &'static str,
    /// The kernel's release; None if it does not say.
    pub kernel: Option<String>,
    /// The processor's model; None if it does not say.
    pub processor: Option<String>,
    /// CPUs that this process may use.
    pub cpus: usize,
}

impl Host {
    /// Reads what there is to read.
    pub(super) fn read() -> Self {
        let text = |path| fs::read_to_string(path).ok();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            kernel: text("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()),
            processor: text("/proc/cpuinfo").and_then(|text| model(&text)),
            cpus: thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

fn model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_that_of_the_first_cpu() {
        let text = "processor\t: 0\nmodel name\t: Swift 9: fast\nprocessor\t: 1\nmodel name\t: B\n";
        assert_eq!(model(text).as_deref(), Some("Swift 9: fast"));
        assert_eq!(model("processor : 0\n"), None);
    }

    #[test]
    fn this_host_has_a_kernel_and_a_cpu() {
        let host = Host::read();
        assert!(host.cpus > 0 && host.kernel.is_some_and(|kernel| !kernel.is_empty()));
    }
}
