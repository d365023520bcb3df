//! What a manifest says of the plan, from the beginning of the run on: how long the run will be, its phases, and when its faults
//! are to be on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::demand::Demand;
use crate::clock::Course;
use crate::record::{FaultInfo, Layout, PhaseRole};
use crate::units::figure::{instant, time};

/// Windows that are told of a fault; how many more there are is counted.
const MOST_WINDOWS: usize = 1_000;

/// The plan of a run on the run's own clock, in seconds since it began, less what the run has left out of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanFacts {
    /// End of the last phase. What is open then is waited for, at most `drain_s` longer.
    pub end_s: f64,
    /// The longest wait for answers after the last phase.
    pub drain_s: f64,
    /// Length of a recording interval.
    pub interval_s: f64,
    /// The phases in their order, the first connections included.
    pub phases: Vec<PhaseFacts>,
    /// The faults, in the order of the scenario.
    pub faults: Vec<FaultFacts>,
    /// The budgets that the run is judged by; those of a shard are its merge's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Demand>,
}

/// The end of a phase that the run left out of its plan, because somebody ended the phase by hand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanAlteration {
    /// Of which phase.
    pub phase: String,
    /// When the phase ended.
    pub at_s: f64,
    /// How much was left of it. All that follows came earlier by that.
    pub left_out_s: f64,
    /// Faults that were to be on in what was left out, and then never began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

impl PlanAlteration {
    /// What to tell a person.
    pub(crate) fn sentence(&self) -> String {
        let Self { phase, at_s, left_out_s, faults } = self;
        let faults = if faults.is_empty() {
            String::new()
        } else {
            format!(" (faults left out: {})", faults.join(", "))
        };
        let (at, left_out) = (instant((at_s * 1e9) as u64), time((left_out_s * 1e9) as u64));
        format!("phase `{phase}` was ended by hand at {at}, {left_out} early{faults}")
    }
}

/// A phase of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseFacts {
    /// Its name.
    pub name: String,
    /// `connect`, `warm_up` or `measured`.
    pub role: PhaseRole,
    /// When it begins.
    pub begin_s: f64,
    /// How long it lasts.
    pub length_s: f64,
    /// Readings per second that are expected of all open fleets, on average; of all shards together.
    pub rate_per_s: f64,
    /// The same by fleet; `None` where it is closed, and its rate the service's doing.
    pub rates_per_s: BTreeMap<String, Option<f64>>,
}

/// A fault of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultFacts {
    /// Its name.
    pub name: String,
    /// `network`, `message`, `device`, `service` or `command`.
    pub layer: String,
    /// The kind, in the word the scenario uses.
    pub kind: String,
    /// Devices it hits, of all shards together; 0 where it does not act on single devices.
    pub devices: u32,
    /// When it is to be on: from, until. Equal where it is but an instant; empty where it is only switched by hand.
    pub windows_s: Vec<(f64, f64)>,
    /// Further windows that are left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub windows_omitted: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl PlanFacts {
    /// The plan that `layout` is of, whose phases have the `rates` of each fleet, in the order of the layout.
    pub(crate) fn new(layout: &Layout, drain_s: f64, rates: impl Fn(usize, usize) -> Option<f64>) -> Self {
        let phases = layout.phases.iter().enumerate().map(|(nth, phase)| {
            let fleets = layout.fleets.iter().enumerate();
            let rates_per_s: BTreeMap<_, _> =
                fleets.map(|(fleet, info)| (info.name.clone(), rates(nth, fleet))).collect();
            PhaseFacts {
                name: phase.name.clone(),
                role: phase.role,
                begin_s: layout.begins(phase).as_secs_f64(),
                length_s: layout.ends(phase).since(layout.begins(phase)) as f64 / 1e9,
                // The sum of nothing is -0 to the standard library.
                rate_per_s: rates_per_s.values().flatten().sum::<f64>() + 0.0,
                rates_per_s,
            }
        });
        Self {
            end_s: layout.end().as_secs_f64(),
            drain_s,
            interval_s: layout.interval_ns as f64 / 1e9,
            phases: phases.collect(),
            faults: layout.faults.iter().map(|fault| FaultFacts::of(fault, &layout.course)).collect(),
            budgets: Vec::new(),
        }
    }
}

impl FaultFacts {
    fn of(fault: &FaultInfo, course: &Course) -> Self {
        let windows: Vec<_> = fault.activations.iter().filter_map(|on| course.shortened(*on)).collect();
        Self {
            name: fault.name.clone(),
            layer: fault.layer.to_string(),
            kind: fault.kind.to_string(),
            devices: fault.devices,
            windows_omitted: windows.len().saturating_sub(MOST_WINDOWS) as u64,
            windows_s: windows
                .into_iter()
                .take(MOST_WINDOWS)
                .map(|(from, until)| (from.as_secs_f64(), until.as_secs_f64()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Skip, Tick};
    use crate::results::tests::layout;

    const fn second(s: u64) -> Tick {
        Tick(s * 1_000_000_000)
    }

    /// A layout whose only fault is on in `activations`.
    fn faulty(activations: Vec<(Tick, Tick)>) -> Layout {
        let fault = FaultInfo {
            fleets: Vec::new(),
            cuts: false,
            counted: false,
            name: "slow".into(),
            layer: "network".into(),
            kind: "latency".into(),
            devices: 30,
            activations,
        };
        Layout { faults: vec![fault], ..(*layout()).clone() }
    }

    #[test]
    fn a_plan_of_which_a_part_is_left_out_is_told_without_it() {
        let layout = faulty(vec![(second(3), second(5)), (second(5), second(6)), (second(6), second(9))]);
        // The last phase is from 2 s to 8 s.
        layout.course.leave_out(Skip { at: second(4), length_ns: second(4).0 });
        let plan = PlanFacts::new(&layout, 5.0, |_, _| None);
        let last = plan.phases.last().unwrap();
        assert_eq!((plan.end_s, last.begin_s, last.length_s), (4.0, 2.0, 2.0));
        assert_eq!(plan.faults[0].windows_s, [(3.0, 4.0), (4.0, 5.0)]);
        let altered = |faults: &[&str]| PlanAlteration {
            phase: "steady".into(),
            at_s: 4.0,
            left_out_s: 4.0,
            faults: faults.iter().map(|name| (*name).to_owned()).collect(),
        };
        let told = "phase `steady` was ended by hand at 4.00 s, 4.00 s early";
        assert_eq!(altered(&[]).sentence(), told);
        assert_eq!(altered(&["slow", "cut"]).sentence(), format!("{told} (faults left out: slow, cut)"));
    }

    #[test]
    fn a_plan_is_told_on_the_clock_of_the_run_and_stays_short() {
        let on = |nth| (second(nth), second(nth).plus_ns(500_000_000));
        let layout = faulty((0..1_007).map(on).collect());
        let rate = |phase: usize, fleet: usize| (fleet == 0).then_some(phase as f64 * 10.0);
        let plan = PlanFacts::new(&layout, 5.0, rate);
        let last = layout.phases.last().unwrap();
        assert_eq!((plan.end_s, plan.drain_s), (last.end.as_secs_f64(), 5.0));
        for (nth, (told, phase)) in plan.phases.iter().zip(&layout.phases).enumerate() {
            let ends = told.begin_s + told.length_s;
            assert_eq!((&told.name, told.role, ends), (&phase.name, phase.role, phase.end.as_secs_f64()));
            // Of the two fleets one is closed.
            assert_eq!((told.rate_per_s, told.rates_per_s.len()), (nth as f64 * 10.0, 2));
        }
        let fault = &plan.faults[0];
        assert_eq!((fault.windows_s.len(), fault.windows_omitted), (1_000, 7));
        assert_eq!(fault.windows_s[1], (1.0, 1.5));
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<PlanFacts>(&text).unwrap(), plan);
    }
}
