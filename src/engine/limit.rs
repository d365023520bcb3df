//! What this machine allows: descriptors, checked and raised before a run starts.

/// The descriptor limit was too low for the fleets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the fleets need {needed} file descriptors, but this process may open only {allowed}; raise the limit \
     (`ulimit -n {needed}`, or LimitNOFILE in a service) or use fewer devices"
)]
pub(crate) struct LimitError {
    /// Descriptors the run needs.
    pub needed: u64,
    /// Descriptors the process may open at most (the hard limit).
    pub allowed: u64,
}

/// The process's limit on open file descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// The limit in force.
    pub soft: u64,
    /// How far the process may raise it by itself.
    pub hard: u64,
}

impl Descriptors {
    /// What a run keeps open besides its devices' sockets: files, timers, runtimes, standard streams.
    pub(crate) const OVERHEAD: u64 = 64;

    /// The limits in force; `None` where the system does not tell.
    #[cfg(unix)]
    pub(crate) fn read() -> Option<Self> {
        use nix::sys::resource::{Resource, getrlimit};
        getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, hard)| Self { soft, hard })
    }

    /// The limits in force; `None` where the system does not tell.
    #[cfg(not(unix))]
    pub fn read() -> Option<Self> {
        None
    }

    /// Decides whether `needed` descriptors can be had: `Ok(None)` if the limit suffices, `Ok(Some(limit))` if the
    /// soft limit must be raised to `limit`.
    ///
    /// # Errors
    /// If even the hard limit is too low.
    pub(crate) fn decide(self, needed: u64) -> Result<Option<u64>, LimitError> {
        if needed <= self.soft {
            Ok(None)
        } else if needed <= self.hard {
            Ok(Some(needed))
        } else {
            Err(LimitError { needed, allowed: self.hard })
        }
    }

    /// Makes sure that the process may open `needed` descriptors, raising the soft limit where that suffices.
    ///
    /// # Errors
    /// If the limit is too low and cannot be raised.
    pub(crate) fn ensure(needed: u64) -> Result<(), LimitError> {
        let Some(limits) = Self::read() else { return Ok(()) };
        match limits.decide(needed)? {
            None => Ok(()),
            Some(limit) => raise(limit, limits.hard).ok_or(LimitError { needed, allowed: limits.soft }),
        }
    }
}

#[cfg(unix)]
fn raise(soft: u64, hard: u64) -> Option<()> {
    use nix::sys::resource::{Resource, setrlimit};
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).ok()
}

#[cfg(not(unix))]
fn raise(_soft: u64, _hard: u64) -> Option<()> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_decide_as_the_table_says() {
        let limits = Descriptors { soft: 1_000, hard: 5_000 };
        assert_eq!(limits.decide(1_000), Ok(None));
        assert_eq!(limits.decide(1_001), Ok(Some(1_001)));
        assert_eq!(limits.decide(5_000), Ok(Some(5_000)));
        let error = limits.decide(5_001).unwrap_err();
        assert!(error.to_string().contains("ulimit -n 5001"), "{error}");
    }
}
