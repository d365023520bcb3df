//! What the process uses of the machine, by the kernel's accounts.

use std::fs;
use std::time::Duration;

use super::memory::kibibytes;

/// What the process uses now. What the system does not tell is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ProcessUse {
    /// Processor time of all its threads so far.
    pub(crate) cpu: Option<Duration>,
    /// Memory it holds, bytes.
    pub(crate) resident_bytes: Option<u64>,
    /// Descriptors that are open.
    pub(crate) descriptors: Option<u64>,
    /// Descriptors that may be open.
    pub(crate) most_descriptors: Option<u64>,
}

impl ProcessUse {
    /// Reads the accounts. Linux: `/proc/self/status` and `/proc/self/fd` (proc(5)).
    pub(crate) fn read() -> Self {
        Self {
            cpu: cpu_time(),
            resident_bytes: resident_bytes(),
            descriptors: descriptors(),
            most_descriptors: most_descriptors(),
        }
    }
}

/// Memory that the process holds, bytes. Linux: `VmRSS` of `/proc/self/status`.
pub(crate) fn resident_bytes() -> Option<u64> {
    resident(&fs::read_to_string("/proc/self/status").ok()?)
}

fn resident(status: &str) -> Option<u64> {
    kibibytes(status, "VmRSS:")
}

/// How many descriptors are open. Kernels since 6.2 say so in the size of the folder; before, its entries have to be counted.
fn descriptors() -> Option<u64> {
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    if size > 0 { Some(size) } else { Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64) }
}

#[cfg(unix)]
fn cpu_time() -> Option<Duration> {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok().map(Duration::from)
}

#[cfg(not(unix))]
fn cpu_time() -> Option<Duration> {
    None
}

#[cfg(unix)]
fn most_descriptors() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit};
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft)
}

#[cfg(not(unix))]
fn most_descriptors() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::memory_available;

    #[test]
    fn memory_is_read_from_its_line() {
        let status = "Name:\tsquall\nVmHWM:\t  9000 kB\nVmRSS:\t    2048 kB\nThreads:\t4\n";
        assert_eq!(resident(status), Some(2_048 * 1_024));
        assert_eq!(resident("VmRSS:\tmany kB\n"), None);
        assert_eq!(resident(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_tells_all_of_it() {
        let used = ProcessUse::read();
        assert!(used.cpu.is_some() && used.resident_bytes > Some(0) && memory_available() > Some(0));
        assert!(used.descriptors > Some(2) && used.most_descriptors >= used.descriptors, "{used:?}");
    }
}
