//! Facts on the machine that generates the load, for the manifest.

use std::fs;
use std::time::Duration;

use super::manifest::Host;
use crate::clock::{kibibytes, memory_available, memory_left};

impl Host {
    /// This machine.
    pub fn here() -> Self {
        let (name, kernel) = names();
        Self {
            name,
            kernel,
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
            cpu_model: fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| entry(&text, "model name")),
            memory_bytes: fs::read_to_string("/proc/meminfo")
                .ok()
                .and_then(|text| kibibytes(&text, "MemTotal:")),
        }
    }
}

impl Host {
    /// How many ephemeral ports an address of this machine has; `None` where the system does not tell. Linux:
    /// `net.ipv4.ip_local_port_range` (ip(7)), which holds for IPv6 too.
    pub fn ephemeral_ports() -> Option<u64> {
        port_range(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?)
    }

    /// How long a port cannot be used for a connection to the same target after one has ended, to one on this machine or not. Linux:
    /// a minute (`TCP_TIMEWAIT_LEN`), or a second where `net.ipv4.tcp_tw_reuse` says so (ip-sysctl).
    pub fn port_rest(loopback: bool) -> Duration {
        let reuse = fs::read_to_string("/proc/sys/net/ipv4/tcp_tw_reuse").unwrap_or_default();
        let reused = match reuse.trim() {
            "1" => true,
            "2" => loopback,
            _ => false,
        };
        Duration::from_secs(if reused { 1 } else { 60 })
    }

    /// Memory of this process that is resident and not backed by files, bytes; `None` where the system does not tell. Linux:
    /// `RssAnon` of `/proc/self/status`.
    pub fn anonymous_memory() -> Option<u64> {
        kibibytes(&fs::read_to_string("/proc/self/status").ok()?, "RssAnon:")
    }

    /// Memory that could be had without swapping, bytes, within the limits of this process and of its control groups; `None`
    /// where the system does not tell.
    pub fn available_memory() -> Option<u64> {
        memory_available().into_iter().chain(memory_left()).chain(address_space_left()).min()
    }
}

/// Memory that this process may still take by its own limits (`ulimit -v`, `ulimit -d`), bytes; `None` where there is none.
#[cfg(target_os = "linux")]
fn address_space_left() -> Option<u64> {
    use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let left = |(resource, key): (Resource, &str)| {
        let (limit, _) = getrlimit(resource).ok().filter(|(soft, _)| *soft != RLIM_INFINITY)?;
        Some(limit.saturating_sub(kibibytes(&status, key)?))
    };
    [(Resource::RLIMIT_AS, "VmSize:"), (Resource::RLIMIT_DATA, "VmData:")].into_iter().filter_map(left).min()
}

#[cfg(not(target_os = "linux"))]
fn address_space_left() -> Option<u64> {
    None
}

fn port_range(text: &str) -> Option<u64> {
    let mut bounds = text.split_ascii_whitespace().map(|bound| bound.parse::<u64>().ok());
    let (low, high) = (bounds.next()??, bounds.next()??);
    (low <= high).then(|| high - low + 1)
}

/// The value of the first line `key : value` of a file under `/proc`.
fn entry(text: &str, key: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().to_owned())
}

#[cfg(unix)]
fn names() -> (String, String) {
    nix::sys::utsname::uname().map_or_else(
        |_| (String::new(), std::env::consts::OS.to_owned()),
        |names| {
            let text = |part: &std::ffi::OsStr| part.to_string_lossy().into_owned();
            (text(names.nodename()), format!("{} {}", text(names.sysname()), text(names.release())))
        },
    )
}

#[cfg(not(unix))]
fn names() -> (String, String) {
    (String::new(), std::env::consts::OS.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_ranges_are_counted() {
        assert_eq!(port_range("32768\t60999\n"), Some(28_232));
        assert_eq!(port_range("5 4"), None);
        assert_eq!(port_range("x"), None);
    }

    #[test]
    fn this_machine_has_cores_and_a_kernel() {
        let host = Host::here();
        assert!(host.cores >= 1 && !host.kernel.is_empty(), "{host:?}");
        assert_eq!(entry("MemTotal:  16 kB\nmodel name\t: X: Y\n", "model name"), Some("X: Y".to_owned()));
    }
}
