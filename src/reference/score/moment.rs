//! When a reading was taken, as recordings and their labels write it.

use std::str::FromStr;
use std::time::UNIX_EPOCH;

/// A calendar instant, nanoseconds since 1970-01-01T00:00:00. What is written without a zone is taken for UTC: only
/// differences and order matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// Why a text is no [`Moment`], and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a timestamp; write for example `2014-07-01 00:30:00` or `2014-07-01T00:30:00.5Z`")]
pub(crate) struct BadMoment(String);

impl Moment {
    /// Seconds from `earlier` to here; 0 if that is later.
    pub(crate) fn seconds_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / 1e9
    }
}

impl FromStr for Moment {
    type Err = BadMoment;

    fn from_str(text: &str) -> Result<Self, BadMoment> {
        let bad = || BadMoment(text.to_owned());
        let time = humantime::parse_rfc3339_weak(text.trim()).map_err(|_| bad())?;
        let since = time.duration_since(UNIX_EPOCH).map_err(|_| bad())?;
        u64::try_from(since.as_nanos()).map(Self).map_err(|_| bad())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_instant_may_be_written_in_several_ways() {
        let moment: Moment = "2014-02-26 13:45:00".parse().unwrap();
        for text in ["2014-02-26 13:45:00.000000", "2014-02-26T13:45:00Z", " 2014-02-26T13:45:00 "] {
            assert_eq!(text.parse(), Ok(moment), "{text}");
        }
        let later: Moment = "2014-02-26 13:46:00.5".parse().unwrap();
        assert!(later > moment);
        assert!((later.seconds_since(moment) - 60.5).abs() < 1e-9 && moment.seconds_since(later) == 0.0);
    }

    #[test]
    fn what_is_no_instant_says_what_would_be() {
        for text in [
            "",
            "soon",
            "2014-13-01 00:00:00",
            "2014-07-01",
            "1404172800",
            "2014-02-30 00:00:00",
            "01/07/2014 00:30",
        ] {
            let said = text.parse::<Moment>().unwrap_err().to_string();
            assert!(said.starts_with(&format!("`{text}` is not a timestamp; write")), "{said}");
        }
    }
}
