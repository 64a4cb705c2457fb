//! A domain's vCPU thread, as the host accounts for it.

use std::fs;
use std::io;

use crate::bench::atoll::AtollError;

/// Letters of a domain's name that are in its threads' names.
const NAME_MAX: usize = 12;
/// The place of the minor faults in a thread's `stat`, counted from behind its name.
const MINOR_FAULTS: usize = 7;

/// A vCPU's thread.
#[derive(Clone, Debug)]
pub(super) struct VcpuThread {
    stat: String,
}

impl VcpuThread {
    /// The thread of a domain's first vCPU, in this process.
    pub(super) fn of(domain: &str) -> Result<Self, AtollError> {
        let wanted = format!("{domain:.NAME_MAX$}/0");
        for task in fs::read_dir("/proc/self/task").map_err(denied)? {
            let path = task.map_err(denied)?.path();
            // A thread that has ended meanwhile is none that is looked for.
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            if name.trim_end() == wanted {
                return Ok(Self { stat: path.join("stat").to_string_lossy().into_owned() });
            }
        }
        Err(AtollError::Impossible(format!("no thread `{wanted}`")))
    }

    /// Page faults that were served without I/O so far: each gave it a page that it had not.
    pub(super) fn page_faults(&self) -> Result<u64, AtollError> {
        let text = fs::read_to_string(&self.stat).map_err(denied)?;
        minor_faults(&text)
            .ok_or_else(|| AtollError::Impossible(format!("`{text}` as a thread's state")))
    }
}

fn denied(cause: io::Error) -> AtollError {
    AtollError::Host { what: "looking at the threads of this process", cause }
}

/// The name is in parentheses, and may contain anything.
fn minor_faults(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(MINOR_FAULTS)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::thread;

    #[test]
    fn names_do_not_hide_the_faults() {
        let stat = "12 (a b) c/0) R 1 2 3 4 5 4194304 77 0 1 0 9 9";
        assert_eq!(minor_faults(stat), Some(77));
        assert_eq!(minor_faults("12 nothing"), None);
    }

    #[test]
    fn a_thread_that_touches_memory_is_seen_to() {
        let touch = || {
            let thread = VcpuThread::of("a-domain-with-a-long-name").unwrap();
            let before = thread.page_faults().unwrap();
            let memory = black_box(vec![1u8; 8 << 20]);
            assert!(thread.page_faults().unwrap() > before, "{}", memory.len());
        };
        let named = thread::Builder::new().name("a-domain-wit/0".to_owned());
        named.spawn(touch).unwrap().join().unwrap();
        assert!(VcpuThread::of("nobody").is_err());
    }
}
