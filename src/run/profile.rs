//! The profile of a machine, as it is stored.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::results::Host;
use crate::units::plural;

/// Version of the stored form.
pub(crate) const SCHEMA: u32 = 1;

/// Where the profile is kept if the user names no place: this variable names the file; empty, it says that there is none.
pub(crate) const VARIABLE: &str = "SQUALL_PROFILE";

/// What a machine was found to be able to measure. Stored as JSON; unknown fields are passed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// [`SCHEMA`] of the version that wrote it.
    pub schema_version: u32,
    /// Version of squall.
    pub tool_version: String,
    /// When, RFC 3339.
    pub calibrated: String,
    /// Which machine.
    pub host: Host,
    /// The smallest step of its monotonic clock, nanoseconds.
    pub clock_resolution_ns: u64,
    /// Pacing lag by planned rate, of one worker.
    pub pacing: Vec<Pacing>,
    /// By protocol.
    pub drivers: BTreeMap<String, Driver>,
}

/// Pacing lag at one planned rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pacing {
    /// Readings per second, Poisson.
    pub per_second: u32,
    /// Median, nanoseconds.
    pub p50_ns: u64,
    /// 99 %, nanoseconds.
    pub p99_ns: u64,
    /// 99.9 %, nanoseconds.
    pub p99_9_ns: u64,
}

/// What one protocol's driver does against a raw target on the same machine, with one worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Driver {
    /// Median response time at a rate far from any queue, nanoseconds.
    pub floor_p50_ns: u64,
    /// 99 % of it, nanoseconds.
    pub floor_p99_ns: u64,
    /// Readings per second in a closed loop of 50 devices.
    pub closed_loop_per_second: f64,
    /// The largest rate found at which a run is valid; `None` if none was.
    pub sustained_per_second: Option<f64>,
    /// Memory of a connected device, bytes; `None` where the system does not tell.
    pub bytes_per_device: Option<u64>,
}

/// Why a stored profile is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProfileError {
    /// It is not a profile.
    #[error("it cannot be read ({0})")]
    Unreadable(String),
    /// It was written in another form.
    #[error("it was written by another version of squall (form {0}, this is form {SCHEMA})")]
    Form(u32),
    /// It is of another machine, or of this one before it changed.
    #[error("it is of another machine: {0}")]
    Machine(String),
}

impl Profile {
    /// Reads a stored profile and makes sure that it is of `here`.
    ///
    /// # Errors
    /// If it is unreadable, of another form, or of another machine.
    pub(crate) fn read(text: &str, here: &Host) -> Result<Self, ProfileError> {
        #[derive(Deserialize)]
        struct Form {
            schema_version: u32,
        }
        let unreadable = |error: serde_json::Error| ProfileError::Unreadable(error.to_string());
        let form: Form = serde_json::from_str(text).map_err(unreadable)?;
        if form.schema_version != SCHEMA {
            return Err(ProfileError::Form(form.schema_version));
        }
        let profile: Self = serde_json::from_str(text).map_err(unreadable)?;
        let differences = [
            (profile.host.name != here.name, format!("{} is not {}", profile.host.name, here.name)),
            (
                profile.host.cores != here.cores,
                format!("it has {} now, not {}", plural(here.cores.into(), "core"), profile.host.cores),
            ),
            (profile.host.kernel != here.kernel, format!("{} is now {}", profile.host.kernel, here.kernel)),
            (profile.host.cpu_model != here.cpu_model, "it has another processor now".to_owned()),
        ];
        match differences.into_iter().find(|(differs, _)| *differs) {
            Some((_, what)) => Err(ProfileError::Machine(what)),
            None => Ok(profile),
        }
    }

    /// The stored form.
    ///
    /// # Errors
    /// Never for a profile that was measured: only numbers that are not finite cannot be written.
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// How many times the floor of `protocol` a median response time of `p50_ns` is.
    pub(crate) fn times_floor(&self, protocol: &str, p50_ns: u64) -> Option<f64> {
        let floor = self.drivers.get(protocol)?.floor_p50_ns;
        (floor > 0).then(|| p50_ns as f64 / floor as f64)
    }

    /// The least of the rates that the drivers of `protocols` were found to sustain with one worker.
    pub(crate) fn sustained(&self, protocols: impl IntoIterator<Item = impl AsRef<str>>) -> Option<f64> {
        let of = |protocol: &str| self.drivers.get(protocol)?.sustained_per_second;
        protocols.into_iter().filter_map(|protocol| of(protocol.as_ref())).reduce(f64::min)
    }
}

/// The file of the profile, by the environment.
pub(crate) fn place() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return (!named.is_empty()).then(|| named.into());
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data =
        absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")))?;
    Some(data.join("squall").join("profile.json"))
}

/// The profile of this machine in the file `path`, if it is there; else a note for the user if it cannot be used.
pub(crate) fn read(path: &Path) -> (Option<Profile>, Option<String>) {
    let Ok(text) = std::fs::read_to_string(path) else { return (None, None) };
    match Profile::read(&text, &Host::here()) {
        Ok(profile) => (Some(profile), None),
        Err(error) => {
            let path = path.display();
            (
                None,
                Some(format!("note: the profile {path} is not used: {error}; run `squall calibrate` again")),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn profile() -> Profile {
        let driver = |floor_p50_ns, sustained_per_second| Driver {
            floor_p50_ns,
            floor_p99_ns: 3 * floor_p50_ns,
            closed_loop_per_second: 100_000.0,
            sustained_per_second,
            bytes_per_device: Some(3_500),
        };
        Profile {
            schema_version: SCHEMA,
            tool_version: "0.1.0".into(),
            calibrated: "2026-11-20T21:41:15.123Z".into(),
            host: Host::here(),
            clock_resolution_ns: 20,
            pacing: vec![Pacing { per_second: 1_000, p50_ns: 10_000, p99_ns: 60_000, p99_9_ns: 200_000 }],
            drivers: BTreeMap::from([
                ("http".into(), driver(40_000, Some(80_000.0))),
                ("mqtt".into(), driver(0, None)),
                ("ws".into(), driver(50_000, Some(60_000.0))),
            ]),
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_reads_back(p50_ns: u64, rate in 1_u32..10_000_000, resolution: u64) {
            let mut stored = profile();
            stored.pacing[0].p50_ns = p50_ns;
            stored.clock_resolution_ns = resolution;
            stored.drivers.get_mut("http").unwrap().closed_loop_per_second = f64::from(rate);
            prop_assert_eq!(Profile::read(&stored.to_json().unwrap(), &stored.host), Ok(stored.clone()));
        }
    }

    #[test]
    fn a_profile_counts_only_where_it_was_made() {
        let stored = profile();
        let text = stored.to_json().unwrap();
        let other = |change: fn(&mut Host)| {
            let mut host = stored.host.clone();
            change(&mut host);
            Profile::read(&text, &host).unwrap_err().to_string()
        };
        assert!(other(|host| host.name.push('x')).contains("is not"));
        assert!(other(|host| host.cores += 1).contains(" now, not "));
        assert!(other(|host| host.kernel.push('x')).contains("is now"));
        assert!(other(|host| host.cpu_model = Some("abacus".into())).contains("another processor"));
        let read = |text: &str| Profile::read(text, &stored.host).map(drop);
        assert!(matches!(read("{"), Err(ProfileError::Unreadable(_))));
        assert!(matches!(read("{\"schema_version\":1}"), Err(ProfileError::Unreadable(_))));
        assert_eq!(read("{\"schema_version\":7}"), Err(ProfileError::Form(7)));
        let further = text.replacen('{', "{\"later\": [1],", 1);
        assert_eq!(read(&further), Ok(()));
    }

    #[test]
    fn runs_are_seen_against_the_floor() {
        let stored = profile();
        assert_eq!(stored.times_floor("http", 60_000), Some(1.5));
        assert_eq!(stored.times_floor("mqtt", 60_000), None);
        assert_eq!(stored.times_floor("coap", 60_000), None);
        assert_eq!(stored.sustained(["http", "ws", "mqtt"]), Some(60_000.0));
        assert_eq!(stored.sustained(["mqtt"]), None);
    }
}
