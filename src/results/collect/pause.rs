//! Where squall's own waiting, and not the service, makes a percentile what it is.

use super::total::{Totals, is_headline};
use crate::record::{FleetId, Kind, PhaseId, PhaseRole};
use crate::results::record::cell::{Bounds, Cell};
use crate::units::Quantile;

/// Own waiting that moves a percentile by less than this share of it does not decide it.
const SHARE: f64 = 0.1;

/// Nor does less than this, nanoseconds.
const LEAST_NS: u64 = 1_000_000;

/// Samples beyond a percentile, from which on screens print it.
const SUPPORT: u64 = 10;

/// A response-time percentile that squall's own waiting decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnPause {
    /// The fleet.
    pub fleet: FleetId,
    /// The phase; `None`: all measured ones together.
    pub phase: Option<PhaseId>,
    /// Which percentile.
    pub quantile: Quantile,
    /// As measured, nanoseconds.
    pub response_ns: u64,
    /// Had nothing waited by squall's own rule, nanoseconds.
    pub without_ns: u64,
}

impl Totals {
    /// The reported percentiles of readings that squall's own waiting decides, by fleet: over all measured phases, or, where there
    /// it decides none, of single ones.
    pub fn own_pauses(&self) -> Vec<OwnPause> {
        let layout = self.layout();
        let bounds = Bounds::of(layout);
        let mut found = Vec::new();
        for index in 0..layout.fleets.len() {
            let fleet = FleetId(index as u16);
            let whole = self.merged(|key| key.fleet == index && is_headline(layout, key));
            let before = found.len();
            found.extend(decided(&whole, bounds, fleet, None));
            if found.len() > before {
                continue;
            }
            let measured = layout.phases.iter().enumerate();
            for (phase, _) in measured.filter(|(_, phase)| phase.role == PhaseRole::Measured) {
                let of_phase =
                    self.merged(|key| (key.fleet, key.phase) == (index, phase) && key.kind == Kind::Reading);
                found.extend(decided(&of_phase, bounds, fleet, Some(PhaseId(phase as u16))));
            }
        }
        found
    }
}

fn decided(cell: &Cell<u64>, bounds: Bounds, fleet: FleetId, phase: Option<PhaseId>) -> Vec<OwnPause> {
    let mut scratch = bounds.histogram();
    let ended = cell.counters.ended();
    let judge = |quantile: Quantile| {
        let beyond = quantile.samples_beyond(ended);
        // Files state all of them; far in the tail one pause among thousands of readings would do.
        if beyond < if quantile <= Quantile::P99 { 1 } else { SUPPORT } {
            return None;
        }
        let without_ns = cell.unpaused_at(quantile, &mut scratch)?;
        let response_ns = cell.response_at(quantile, &mut scratch)?.ns;
        let gap_ns = response_ns.saturating_sub(without_ns);
        let decides = gap_ns > LEAST_NS && gap_ns as f64 > SHARE * response_ns as f64;
        decides.then_some(OwnPause { fleet, phase, quantile, response_ns, without_ns })
    };
    Quantile::REPORTED.into_iter().filter_map(judge).collect()
}
