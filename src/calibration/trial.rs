//! One short run whose only purpose is to see what the machine makes of it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use crate::clock::{Monotonic, WallTime};
use crate::engine::{self, Control, EngineError, Setup};
use crate::protocol::{Endpoint, EndpointError};
use crate::record::{Protocol, Shard};
use crate::results::{self, RunDirectory, Totals};
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
    /// The target is not there.
    #[error(transparent)]
    Target(#[from] EndpointError),
    /// It could not be driven.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// It cannot be planned.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// Its files could not be written.
    #[error("cannot write to the temporary directory: {0}")]
    Files(#[from] io::Error),
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
        let close = if protocol == Protocol::Mqtt { "close = \"ack\"\nmqtt = { qos = 1 }\n" } else { "" };
        format!(
            "[scenario]\nname = \"calibration\"\n[run]\nwarm_up = \"0s\"\ndrain = \"1s\"\ninterval = \"250ms\"\nconnect_rate = \"2000/s\"\n[[phase]]\n\
             name = \"steady\"\nduration = \"{seconds}s\"\n[fleet.devices]\nprotocol = \"{protocol}\"\ndevices = {devices}\n\
             payload = {{ size = \"120B\" }}\n{load}{close}"
        )
    }

    /// Runs it with one worker; its files go to a directory under `scratch`. `while_it_runs` is called at every interval's end.
    ///
    /// # Errors
    /// If the target is not there, or the run cannot be done.
    pub(crate) fn run(
        &self,
        scratch: &Path,
        while_it_runs: impl FnMut() + Send,
    ) -> Result<Totals, TrialError> {
        Ok(self.drive(scratch, while_it_runs)?.0)
    }

    pub(super) fn measure(&self, scratch: &Path) -> Result<Outcome, TrialError> {
        let (totals, overrun_s) = self.drive(scratch, || {})?;
        let readings = totals.readings(None);
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

    fn drive(
        &self,
        scratch: &Path,
        mut while_it_runs: impl FnMut() + Send,
    ) -> Result<(Totals, f64), TrialError> {
        let endpoint = Endpoint::resolve(self.protocol, self.url)?;
        let scenario = Scenario::parse("calibration.toml", &self.scenario(), &Overrides::default())?;
        let plan = Arc::new(Plan::new(scenario));
        let layout = Arc::new(plan.layout().clone());
        let started = WallTime::now();
        let mut files =
            RunDirectory::create(scratch, "calibration", "", started)?.start_files(&layout, started)?;
        let (recorders, collector) = results::recorders(&layout, 1);
        let setup = Setup {
            plan,
            shard: Shard::WHOLE,
            endpoints: Arc::new(vec![endpoint]),
            clock: Monotonic::start(),
            epoch_ns: started.epoch_ns(),
            control: Control::new(),
            switches: crate::record::SwitchLog::default(),
        };
        let (report, totals) = thread::scope(|scope| {
            let collecting = scope.spawn(|| collector.run(&mut files, |_| while_it_runs()));
            let report = engine::run(&setup, recorders);
            let totals =
                collecting.join().unwrap_or_else(|_| Err(io::Error::other("the collector panicked")));
            (report, totals)
        });
        let overrun = report?.workers.iter().map(|worker| worker.overrun.as_secs_f64()).fold(0.0, f64::max);
        Ok((totals?, overrun))
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
