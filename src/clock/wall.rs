//! Calendar time: for names and stamps in files, never for measuring.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A calendar instant, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(SystemTime);

impl WallTime {
    /// The calendar time now.
    #[expect(clippy::disallowed_methods, reason = "the clock room is where time is read")]
    pub fn now() -> Self {
        Self(SystemTime::now())
    }

    /// The calendar time `since_epoch` after 1970-01-01T00:00:00Z.
    pub fn from_epoch(since_epoch: Duration) -> Self {
        Self(UNIX_EPOCH + since_epoch)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn epoch_secs(self) -> f64 {
        self.0.duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
    }

    /// Whole nanoseconds since 1970-01-01T00:00:00Z.
    pub fn epoch_ns(self) -> u64 {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Usable in file names, sortable: `2026-11-20T21-41-15Z`.
    pub fn file_stamp(self) -> String {
        humantime::format_rfc3339_seconds(self.0).to_string().replace(':', "-")
    }
}

impl fmt::Display for WallTime {
    /// RFC 3339 with milliseconds: `2026-11-20T21:41:15.123Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_rfc3339_millis(self.0))
    }
}
