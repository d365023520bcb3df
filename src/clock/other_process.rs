//! What another process of this machine uses, by the kernel's accounts.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::memory::kibibytes;

/// The accounts of a process at one instant. What may not be seen of a process of somebody else's is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accounts {
    /// When it was started, in ticks since the machine was: tells it from a later one with the same number.
    pub(crate) started: u64,
    /// Processor time of all its threads so far.
    pub(crate) cpu: Duration,
    /// Memory it holds, bytes.
    pub(crate) resident_bytes: Option<u64>,
    /// Its threads.
    pub(crate) threads: u64,
    /// Descriptors that it has open.
    pub(crate) descriptors: Option<u64>,
}

impl Accounts {
    /// Reads those of the process `pid`. Linux: `stat`, `status` and `fd` below `/proc/PID` (proc(5)).
    ///
    /// # Errors
    /// If there is no such process, or the system does not tell.
    pub(crate) fn of(pid: u32) -> io::Result<Self> {
        let place = PathBuf::from(format!("/proc/{pid}"));
        if !cfg!(target_os = "linux") {
            return Err(io::Error::other("this system does not tell what other processes use"));
        }
        let gone = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(error.kind(), format!("there is no process {pid}")),
            _ => error,
        };
        let stat = fs::read_to_string(place.join("stat")).map_err(gone)?;
        let resident = fs::read_to_string(place.join("status")).ok();
        let resident_bytes = resident.and_then(|status| kibibytes(&status, "VmRSS:"));
        let descriptors = fs::read_dir(place.join("fd")).ok().map(|entries| entries.count() as u64);
        let strange = || io::Error::other(format!("/proc/{pid}/stat is not as proc(5) says"));
        let (cpu, threads, started) = times(&stat).ok_or_else(strange)?;
        Ok(Self { started, cpu, resident_bytes, threads, descriptors })
    }
}

/// Processor time, threads and start in a line of `/proc/PID/stat`, whose second field may hold anything, blanks and brackets too.
/// Times are in hundredths of a second.
fn times(stat: &str) -> Option<(Duration, u64, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // The first of them is the third of the line.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = field(14)?.checked_add(field(15)?)?;
    Some((Duration::from_millis(ticks.checked_mul(10)?), field(20)?, field(22)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_moves_no_field() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 4 18 7700 1 2";
        for name in ["squall", "a) S 1 (b", ""] {
            let found = times(&format!("7 ({name}) {rest}"));
            assert_eq!(found, Some((Duration::from_secs(2), 4, 7_700)), "{name}");
        }
        assert_eq!(times("7 (squall) S 1 2"), None);
        assert_eq!(times(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn of_this_process_the_system_tells_all() {
        let accounts = Accounts::of(std::process::id()).unwrap();
        assert!(accounts.resident_bytes > Some(1_000_000) && accounts.descriptors > Some(2), "{accounts:?}");
        assert!(accounts.threads >= 1 && accounts.started > 0, "{accounts:?}");
        let error = Accounts::of(u32::MAX).unwrap_err().to_string();
        assert_eq!(error, "there is no process 4294967295");
    }
}
