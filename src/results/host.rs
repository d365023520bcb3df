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
    fn this_machine_has_cores_and_a_kernel() {
        let host = Host::here();
        assert!(host.cores >= 1 && !host.kernel.is_empty(), "{host:?}");
        assert_eq!(entry("MemTotal:  16 kB\nmodel name\t: X: Y\n", "model name"), Some("X: Y".to_owned()));
    }
}
