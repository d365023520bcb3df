//! Binding processes to processors: a child inherits what the thread that starts it is bound to.

use super::args::Cpus;
use crate::cli::CliError;

#[cfg(target_os = "linux")]
mod bound {
    use std::io;

    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;

    use super::Cpus;

    fn this_thread() -> Pid {
        Pid::from_raw(0)
    }

    pub(super) fn check(cpus: &Cpus) -> Result<(), String> {
        let own = sched_getaffinity(this_thread()).map_err(|error| error.to_string())?;
        match cpus.0.iter().find(|cpu| !own.is_set(**cpu).unwrap_or(false)) {
            Some(cpu) => Err(format!("processor {cpu} is not one that this process may use")),
            None => Ok(()),
        }
    }

    /// Calls `start` on `cpus`, and goes back to where this thread was.
    pub(super) fn on<T>(cpus: &Cpus, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let before = sched_getaffinity(this_thread())?;
        let mut set = CpuSet::new();
        for cpu in &cpus.0 {
            set.set(*cpu)?;
        }
        sched_setaffinity(this_thread(), &set)?;
        let started = start();
        sched_setaffinity(this_thread(), &before)?;
        started
    }
}

#[cfg(not(target_os = "linux"))]
mod bound {
    use std::io;

    use super::Cpus;

    pub(super) fn check(_cpus: &Cpus) -> Result<(), String> {
        Err("binding to processors works on Linux only".to_owned())
    }

    pub(super) fn on<T>(_cpus: &Cpus, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        start()
    }
}

/// Makes sure that processes can be bound to `cpus`.
///
/// # Errors
/// If there are none such, or the system cannot.
pub(in crate::cli) fn check(option: &str, cpus: Option<&Cpus>) -> Result<(), CliError> {
    let Some(cpus) = cpus else { return Ok(()) };
    bound::check(cpus).map_err(|error| CliError::usage(format!("{option} {cpus}: {error}")))
}

/// Starts a process on `cpus`, or wherever the system likes.
pub(super) fn start<T>(
    cpus: Option<&Cpus>,
    start: impl FnOnce() -> std::io::Result<T>,
) -> std::io::Result<T> {
    match cpus {
        Some(cpus) => bound::on(cpus, start),
        None => start(),
    }
}
