//! The kernel's accounts of processor time: what a thread waited for, and what the machine was not given.

use std::fs;
use std::time::Duration;

/// Time the calling thread was ready to run and had no processor, so far: somebody else used its core. `None` where the
/// system does not tell. Linux: second figure of `/proc/thread-self/schedstat`, nanoseconds (Documentation/scheduler/sched-stats).
pub fn thread_wait_time() -> Option<Duration> {
    waited(&fs::read_to_string("/proc/thread-self/schedstat").ok()?)
}

/// Processor time, of all cores together, that the hypervisor gave to others while this machine wanted it, since it started.
/// `None` where the system does not tell. Linux: eighth figure of the line `cpu` of `/proc/stat`, in hundredths of a second
/// (proc(5)).
pub(crate) fn stolen_time() -> Option<Duration> {
    stolen(&fs::read_to_string("/proc/stat").ok()?)
}

fn waited(schedstat: &str) -> Option<Duration> {
    schedstat.split_ascii_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

fn stolen(stat: &str) -> Option<Duration> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: u64 = line.split_ascii_whitespace().nth(7)?.parse().ok()?;
    ticks.checked_mul(10).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_from_their_places() {
        assert_eq!(waited("2134 77000 12\n"), Some(Duration::from_micros(77)));
        assert_eq!(waited("2134"), None);
        assert_eq!(waited("a b c"), None);
        let stat = "cpu  10 20 30 40 50 60 70 80 90 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n";
        assert_eq!(stolen(stat), Some(Duration::from_millis(800)));
        assert_eq!(stolen("cpu  10 20 30\n"), None);
        assert_eq!(stolen(""), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_tells_what_a_thread_waited() {
        assert!(thread_wait_time().is_some());
    }
}
