//! What the tests that measure share: each has the machine for itself, and what the machine did to one is not a misfit of squall's.

use std::sync::{Mutex, MutexGuard, PoisonError};

use squall::engine::Report;

use crate::skip;

static MACHINE: Mutex<()> = Mutex::new(());

/// Waits until no other test of this binary measures. To be held for as long as the test does.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Attempts before a machine that others use all the time is given up on.
const ATTEMPTS: u32 = 3;

/// What did not fit in one attempt.
#[derive(Debug)]
pub(crate) struct Misfit {
    /// What.
    pub(crate) what: String,
    /// What the machine did to it that may be the reason, if it did anything.
    pub(crate) disturbance: Option<String>,
}

impl Misfit {
    pub(crate) fn new(what: impl Into<String>, disturbance: Option<String>) -> Self {
        Self { what: what.into(), disturbance }
    }
}

/// Measures until it fits. A fault of squall's own would show every time, so what fits once is right; what never does fails, unless
/// the machine disturbed every attempt, which proves nothing.
pub(crate) fn measure(mut attempt: impl FnMut() -> Result<(), Misfit>) {
    let mut undisturbed = None;
    for nth in 1..=ATTEMPTS {
        let Err(Misfit { what, disturbance }) = attempt() else { return };
        println!("attempt {nth}: {what} ({disturbance:?})");
        if disturbance.is_none() {
            undisturbed = Some(what);
        }
    }
    assert!(undisturbed.is_none(), "and it was not the machine: {}", undisturbed.unwrap_or_default());
    skip::disturbed("a machine that is disturbed for so long proves nothing");
}

/// What the machine kept from generator and server in a run, in words, if it may show: far below what a run of squall's own calls
/// suspect. `starved` is the share of the time that the server was ready to run and had no processor.
pub(crate) fn disturbance(report: &Report, starved: f64) -> Option<String> {
    let wall = report.workers.iter().map(|worker| worker.wall.as_secs_f64()).fold(0.001, f64::max);
    let starved = report.workers.iter().filter_map(|worker| worker.starved).fold(starved, f64::max);
    let stolen = report.stolen.unwrap_or_default().as_secs_f64() / wall;
    let standstill = report.standstills.total_ns as f64 / 1e9;
    (standstill > 0.005 || starved > 0.02 || stolen > 0.01).then(|| {
        format!(
            "it stood still for {:.0} ms, others had its cores for {:.1} % of the time, and other machines for {:.1} %",
            standstill * 1e3,
            starved * 1e2,
            stolen * 1e2
        )
    })
}
