//! One short run whose only purpose is to see what the machine makes of it.

use std::path::Path;
use std::sync::Arc;

use crate::engine;
use crate::protocol::driver;
use crate::record::Protocol;
use crate::run::{Finished, Observer, Run, RunError, Settings};
use crate::scenario::{Overrides, Plan, Scenario, ScenarioError};
use crate::units::Quantile;

/// What a trial does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Load {
    /// Each device sends its next reading when the last was answered.
    Closed,
    /// Readings of all devices together are due as a Poisson process of this rate, per second.
    Open(f64),
}

/// A run of one fleet against one target.
#[derive(Debug, Clone)]
pub(crate) struct Trial<'a> {
    /// What it speaks.
    pub protocol: Protocol,
    /// Where to, as a target URL.
    pub url: &'a str,
    /// How many devices.
    pub devices: u32,
    /// What they do.
    pub load: Load,
    /// For how long, seconds, after they have connected.
    pub seconds: f64,
}

/// Why a trial could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrialError {
    /// It could not be run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// It cannot be planned.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
}

/// What came of a trial; times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Outcome {
    pub(super) planned: u64,
    pub(super) ok: u64,
    pub(super) ok_per_second: f64,
    /// Pacing lag at p50, p99 and p99.9.
    pub(super) lag_ns: [u64; 3],
    /// Response time at p50 and p99.
    pub(super) response_ns: [u64; 2],
    /// How long after its end the plan was released in full, seconds.
    pub(super) overrun_s: f64,
}

impl Trial<'_> {
    fn scenario(&self) -> String {
        let (protocol, devices, seconds) = (self.protocol, self.devices, self.seconds);
        let load = match self.load {
            Load::Closed => "model = \"closed\"\n".to_owned(),
            Load::Open(rate) => {
                format!("rate = \"{:.6}/s\"\narrival = \"poisson\"\n", rate / f64::from(devices))
            }
        };
        let close = driver(protocol).map_or("", |driver| driver.facts().calibration);
        format!(
            "[scenario]\nname = \"calibration\"\n[run]\nwarm_up = \"0s\"\ndrain = \"1s\"\ninterval = \"250ms\"\nconnect_rate = \"2000/s\"\n[[phase]]\n\
             name = \"steady\"\nduration = \"{seconds}s\"\n[fleet.devices]\nprotocol = \"{protocol}\"\ndevices = {devices}\n\
             payload = {{ size = \"120B\" }}\n{load}{close}"
        )
    }

    /// Runs it with one worker; its files go to a directory under `scratch`.
    ///
    /// # Errors
    /// If the target is not there, or the run cannot be done.
    pub(crate) fn run(&self, scratch: &Path, observer: Arc<dyn Observer>) -> Result<(), TrialError> {
        self.drive(scratch, vec![observer]).map(drop)
    }

    pub(super) fn measure(&self, scratch: &Path) -> Result<Outcome, TrialError> {
        let finished = self.drive(scratch, Vec::new())?;
        let workers = finished.engine.workers.iter();
        let overrun_s = workers.map(|worker| worker.overrun.as_secs_f64()).fold(0.0, f64::max);
        let readings = finished.totals.readings(None);
        let lag = |q| readings.pacing_lag_ns(q).unwrap_or(0);
        let response = |q| readings.response(q).map_or(0, |percentile| percentile.ns);
        Ok(Outcome {
            planned: readings.planned(),
            ok: readings.ok(),
            ok_per_second: readings.ok() as f64 / (self.seconds + overrun_s),
            lag_ns: [Quantile::P50, Quantile::P99, Quantile::P99_9].map(lag),
            response_ns: [Quantile::P50, Quantile::P99].map(response),
            overrun_s,
        })
    }

    fn drive(&self, scratch: &Path, observers: Vec<Arc<dyn Observer>>) -> Result<Finished, TrialError> {
        let scenario = Scenario::parse("calibration.toml", &self.scenario(), &Overrides::default())?;
        let settings = Settings { out: scratch.to_owned(), workers: Some(1), ..Settings::default() };
        let run = Run::prepare(Plan::new(scenario), &[(self.protocol, self.url.to_owned())], settings)?;
        Ok(run.start(observers)?.wait()?)
    }
}

impl Outcome {
    /// Whether the rate was kept: as good as every reading answered, on time, and the pacing lag within the limit under which a
    /// run is valid.
    pub(super) fn sustained(&self) -> bool {
        let answered = self.ok as f64 >= 0.99 * self.planned as f64;
        answered && self.overrun_s < 0.05 && self.lag_ns[1] <= engine::LAG_FLOOR_NS
    }
}
