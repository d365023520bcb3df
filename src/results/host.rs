//! Facts on the machine that generates the load, for the manifest.

use std::fs;

use super::manifest::Host;

impl Host {
    /// This machine.
    pub fn here() -> Self {
        let (name, kernel) = names();
        Self {
            name,
            kernel,
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
            cpu_model: fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| entry(&text, "model name")),
            memory_bytes: fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
                let kib: u64 = entry(&text, "MemTotal")?.strip_suffix(" kB")?.parse().ok()?;
                kib.checked_mul(1024)
            }),
        }
    }
}

impl Host {
    /// How many ephemeral ports an address of this machine has; `None` where the system does not tell. Linux:
    /// `net.ipv4.ip_local_port_range` (ip(7)), which holds for IPv6 too.
    pub fn ephemeral_ports() -> Option<u64> {
        port_range(&fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?)
    }

    /// Memory of this process that is resident and not backed by files, bytes; `None` where the system does not tell. Linux:
    /// `RssAnon` of `/proc/self/status`.
    pub fn anonymous_memory() -> Option<u64> {
        let text = fs::read_to_string("/proc/self/status").ok()?;
        let kib: u64 = entry(&text, "RssAnon")?.strip_suffix(" kB")?.trim().parse().ok()?;
        kib.checked_mul(1024)
    }

    /// Memory that could be had without swapping, bytes, within the limit of this process's control group; `None` where the
    /// system does not tell.
    pub fn available_memory() -> Option<u64> {
        let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
            let kib: u64 = entry(&text, "MemAvailable")?.strip_suffix(" kB")?.parse().ok()?;
            kib.checked_mul(1024)
        });
        let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        // Version 2 and version 1, as they appear inside a container. Without a limit there is no number, or an absurd one.
        let group = [
            ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
        ];
        let group = group.iter().find_map(|(limit, used)| Some(number(limit)?.saturating_sub(number(used)?)));
        machine.into_iter().chain(group).min()
    }
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
