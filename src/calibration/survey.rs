//! The survey: everything that is measured, one after the other.

use std::collections::BTreeMap;
use std::path::Path;

use super::search::largest;
use super::trial::{Load, Trial, TrialError};
use crate::clock::{Monotonic, WallTime};
use crate::record::Protocol;
use crate::results::Host;
use crate::run::profile::{Driver, Pacing, Profile, SCHEMA};

/// How long the survey may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// About a minute and a half.
    Full,
    /// About half a minute, and coarser.
    Quick,
}

/// What the survey is about to do, for a person to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step(pub String);

/// Devices of every trial but those for memory.
const DEVICES: u32 = 50;

/// Rate at which the floor is measured, per second: far from any queue.
const FLOOR_RATE: f64 = 200.0;

impl Effort {
    fn rates(self) -> &'static [u32] {
        match self {
            Self::Full => &[100, 1_000, 10_000, 50_000],
            Self::Quick => &[1_000, 10_000],
        }
    }

    const fn seconds(self) -> f64 {
        match self {
            Self::Full => 3.0,
            Self::Quick => 1.0,
        }
    }

    const fn trials(self) -> u32 {
        match self {
            Self::Full => 5,
            Self::Quick => 2,
        }
    }
}

/// Measures this machine against raw `targets`, one URL per protocol, served by another process. `memory` gives what one device of
/// a protocol takes, bytes. `tell` is called before every step.
///
/// # Errors
/// If a trial could not be done.
pub(crate) fn survey(
    targets: &[(Protocol, String)],
    effort: Effort,
    scratch: &Path,
    mut memory: impl FnMut(Protocol, &str) -> Option<u64>,
    mut tell: impl FnMut(Step),
) -> Result<Profile, TrialError> {
    let mut pacing = Vec::new();
    if let Some((protocol, url)) = targets.first() {
        for &rate in effort.rates() {
            tell(Step(format!("pacing lag at {rate} readings/s")));
            let load = Load::Open(f64::from(rate));
            let trial = Trial { protocol: *protocol, url, devices: DEVICES, load, seconds: effort.seconds() };
            let [p50_ns, p99_ns, p99_9_ns] = trial.measure(scratch)?.lag_ns;
            pacing.push(Pacing { per_second: rate, p50_ns, p99_ns, p99_9_ns });
        }
    }
    let mut drivers = BTreeMap::new();
    for (protocol, url) in targets {
        tell(Step(format!("{protocol}: floor of the response time, largest rate, memory of a device")));
        let trial = |load, seconds| Trial { protocol: *protocol, url, devices: DEVICES, load, seconds };
        let floor = trial(Load::Open(FLOOR_RATE), effort.seconds()).measure(scratch)?;
        let closed = trial(Load::Closed, 1.0).measure(scratch)?;
        let sustains = |rate| Ok::<_, TrialError>(trial(Load::Open(rate), 1.0).measure(scratch)?.sustained());
        let sustained = largest(closed.ok_per_second, effort.trials(), sustains)?;
        let driver = Driver {
            floor_p50_ns: floor.response_ns[0],
            floor_p99_ns: floor.response_ns[1],
            closed_loop_per_second: closed.ok_per_second.round(),
            sustained_per_second: sustained,
            bytes_per_device: memory(*protocol, url),
        };
        drivers.insert(protocol.to_string(), driver);
    }
    Ok(Profile {
        schema_version: SCHEMA,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        calibrated: WallTime::now().to_string(),
        host: Host::here(),
        clock_resolution_ns: Monotonic::start().resolution_ns(),
        pacing,
        drivers,
    })
}
