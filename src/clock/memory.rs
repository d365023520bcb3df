//! Amounts of memory in the kernel's accounts (proc(5)).

use std::fs;

/// Memory that this machine could still give, bytes. Linux: `MemAvailable` of `/proc/meminfo`.
pub(crate) fn memory_available() -> Option<u64> {
    kibibytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// The figure of the line `key figure kB` of a file under `/proc`, in bytes.
pub(crate) fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1_024)
}
