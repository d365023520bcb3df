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

    /// Reads an RFC 3339 instant: `2026-11-20T21:41:15Z`, also with a fraction and with an offset such as `+01:00` for the `Z`.
    /// `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        // The parser is lenient about what follows the seconds.
        let utc = |local: &str| {
            let ends = local.ends_with(|last: char| last.is_ascii_digit());
            ends.then(|| humantime::parse_rfc3339(&format!("{local}Z")).ok()).flatten()
        };
        if let Some(local) = text.strip_suffix('Z') {
            return utc(local).map(Self);
        }
        let (local, offset) = text.split_at_checked(text.len().checked_sub("+01:00".len())?)?;
        let digits = |part: &str| {
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u64>().ok()).flatten()
        };
        let (hours, minutes) = offset.get(1..)?.split_once(':')?;
        let (hours, minutes) = (digits(hours)?, digits(minutes)?);
        if hours > 23 || minutes > 59 {
            return None;
        }
        let instant = utc(local)?;
        let offset_s = Duration::from_secs(hours * 3_600 + minutes * 60);
        match offset.as_bytes().first()? {
            b'+' => instant.checked_sub(offset_s).map(Self),
            b'-' => instant.checked_add(offset_s).map(Self),
            _ => None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_with_and_without_an_offset() {
        for (text, utc) in [
            ("2026-11-20T21:41:15Z", Some("2026-11-20T21:41:15.000Z")),
            ("2026-11-20T21:41:15.25Z", Some("2026-11-20T21:41:15.250Z")),
            ("2026-11-20T22:41:15+01:00", Some("2026-11-20T21:41:15.000Z")),
            ("2026-11-20T17:11:15.5-04:30", Some("2026-11-20T21:41:15.500Z")),
            ("2026-11-20T21:41:15-00:00", Some("2026-11-20T21:41:15.000Z")),
            ("2026-11-20T21:41:15", None),
            ("2026-11-20T21:41:15+1:00", None),
            ("2026-11-20T21:41:15+24:00", None),
            ("2026-11-20T21:41:15Z+01:00", None),
            ("2026-11-20T21:41:15ZZ", None),
            ("2026-11-20T21:41:15.Z", None),
            ("2026-13-20T21:41:15Z", None),
            ("+01:00", None),
            ("\u{e9}\u{e9}\u{e9}\u{e9}", None),
            ("", None),
        ] {
            assert_eq!(WallTime::parse(text).map(|at| at.to_string()).as_deref(), utc, "{text}");
        }
    }
}
