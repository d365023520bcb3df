//! Waiting for a service to recover from a probe: the next one must not find the backlog of the one before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cli::CliError;
use crate::cli::trial::build::TargetAddress;
use crate::clock::Monotonic;
use crate::protocol::{Endpoint, control};
use crate::record::Protocol;
use crate::run::{Run, Settings};
use crate::scenario::{Plan, Scenario};
use crate::units::{Quantile, Span};

/// Between two looks at a service.
const LOOK: Duration = Duration::from_millis(200);
/// How long a service may take to say how it stands.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long light readings are sent, and before them.
const LENGTH: Span = Span::from_ms(1_000);
const WARM_UP: Span = Span::from_ms(200);
/// Light readings that take so many times as long as before the search, and so much longer, show that a service is still at work.
const TIMES: f64 = 1.5;
const SLACK_NS: f64 = 1e6;
/// Readings answered at the least for their median to mean something.
const FEWEST: u64 = 5;

/// How a service stood before a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Recovery {
    /// How that is known, in a clause.
    pub(super) how: String,
    /// How long it was waited for.
    pub(super) waited_s: f64,
    /// Whether it had recovered by then.
    pub(super) is_recovered: bool,
}

impl Default for Recovery {
    fn default() -> Self {
        Self::known("no probe came before")
    }
}

impl Recovery {
    /// A service that needs no time.
    pub(super) fn known(how: &str) -> Self {
        Self { how: how.to_owned(), waited_s: 0.0, is_recovered: true }
    }
}

/// What is looked at to tell whether a service has recovered.
pub(super) struct Watch {
    sight: Sight,
    patience: Duration,
    folder: PathBuf,
}

enum Sight {
    /// Its own counters, as the bundled reference system has them, at this URL.
    Counters(String),
    /// Light readings of this scenario, and their median before the search, nanoseconds.
    Readings(Box<Scenario>, f64),
}

impl Watch {
    /// Looks at the service at `targets` before the first probe; `light` is the scenario under the lowest load, and runs go under
    /// `folder`.
    ///
    /// # Errors
    /// If nothing is answered even now.
    pub(super) fn begin(
        targets: &[TargetAddress],
        light: &Scenario,
        patience: Duration,
        folder: &Path,
    ) -> Result<Self, CliError> {
        let folder = folder.join("recovery");
        if let Some(url) = targets.iter().find_map(counters) {
            return Ok(Self { sight: Sight::Counters(url), patience, folder });
        }
        let mut light = light.clone();
        light.budgets.clear();
        light.run.warm_up = WARM_UP;
        shorten(&mut light);
        let Some(level) = median(&light, targets, &folder)? else {
            return Err(CliError::failed(
                "the service answers hardly any reading even at the lowest load: see whether it is the right target, or give a higher --lowest",
            ));
        };
        Ok(Self { sight: Sight::Readings(Box::new(light), level), patience, folder })
    }

    /// Waits until the service has recovered, or its time is up, or `halted`. `is_settled` says that every reading of the probe before
    /// was answered.
    ///
    /// # Errors
    /// If readings cannot be sent.
    pub(super) fn wait(
        &self,
        targets: &[TargetAddress],
        is_settled: bool,
        halted: impl Fn() -> bool,
    ) -> Result<Recovery, CliError> {
        let clock = Monotonic::start();
        let how = match &self.sight {
            Sight::Counters(_) => "its own counters: nothing waits in its queue",
            Sight::Readings(..) if is_settled => {
                return Ok(Recovery::known("every reading of the probe before was answered"));
            }
            Sight::Readings(..) => "light readings: as fast as before the search",
        };
        loop {
            let is_recovered = match &self.sight {
                Sight::Counters(url) => waiting(url) == Some(0),
                Sight::Readings(light, level) => median(light, targets, &self.folder)?
                    .is_some_and(|median| median <= level * TIMES + SLACK_NS),
            };
            let waited_s = clock.now().as_secs_f64();
            if is_recovered || waited_s >= self.patience.as_secs_f64() || halted() {
                return Ok(Recovery { how: how.to_owned(), waited_s, is_recovered });
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Where the counters of a bundled reference system at `place` are, if one is there and shows them.
fn counters(place: &TargetAddress) -> Option<String> {
    let endpoint = Endpoint::resolve(place.protocol, &place.url).ok()?;
    if !endpoint.facts().speaks_http || endpoint.is_tls() {
        return None;
    }
    let url = format!("http://{}/v1/realtime", endpoint.address());
    waiting(&url).map(|_| url)
}

/// How many readings wait in the queue of the service whose counters are at `url`.
fn waiting(url: &str) -> Option<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let status = runtime.block_on(control::ask(url, PATIENCE))?;
    status.get("queue")?.get("depth")?.as_u64()
}

/// Makes the measured phases one of a second at the first one's load.
fn shorten(scenario: &mut Scenario) {
    scenario.phases.truncate(1);
    for phase in &mut scenario.phases {
        phase.duration = LENGTH;
    }
    (scenario.faults, scenario.scrapes) = (Vec::new(), Vec::new());
    for fleet in &mut scenario.fleets {
        (fleet.behaviour.join, fleet.behaviour.leave, fleet.behaviour.cut) = (None, None, None);
    }
}

/// The median response time of light readings, nanoseconds; `None` where too few were answered.
fn median(light: &Scenario, targets: &[TargetAddress], folder: &Path) -> Result<Option<f64>, CliError> {
    let given: Vec<(Protocol, String)> = targets
        .iter()
        .filter(|place| !place.by_scenario)
        .map(|place| (place.protocol, place.url.clone()))
        .collect();
    let settings = Settings { out: folder.to_owned(), label: "light".to_owned(), ..Settings::default() };
    let finished = Run::prepare(Plan::new(light.clone()), &given, settings)?.start(Vec::new())?.wait()?;
    let readings = finished.totals.readings(None);
    let is_answered = readings.ok() >= FEWEST && readings.ok() * 2 >= readings.planned();
    Ok(readings.response(Quantile::P50).filter(|_| is_answered).map(|time| time.ns as f64))
}
