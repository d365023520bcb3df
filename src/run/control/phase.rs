//! The end of a phase by hand: whether it can be, and what is then left out of the plan.

use crate::clock::{Skip, Tick};
use crate::record::{Layout, PhaseId, PhaseRole};
use crate::units::figure::{instant, time};

/// From the order to the end of the phase, nanoseconds: all workers must have heard of it by then.
const LEAD_NS: u64 = 300_000_000;

/// With less than this left of it, a phase is left to end by itself, nanoseconds.
const LEAST_NS: u64 = 2 * LEAD_NS;

/// What is left out where the phase under way at `now` ends as soon as it can, at a whole millisecond, as files have instants.
///
/// # Errors
/// Why it cannot, for the client.
pub(super) fn end(layout: &Layout, now: Tick, is_shard: bool) -> Result<(PhaseId, Skip), String> {
    if is_shard {
        return Err("this run is one shard of a plan, and the others would go on by it: no phase of it can be ended alone".into());
    }
    let id = layout.phase_at(now);
    let phase = layout.phase(id);
    let (name, ends) = (&phase.name, layout.ends(phase));
    if phase.role == PhaseRole::Connect {
        return Err(format!(
            "the fleets are still connecting, until {}; only a phase in which they send can be ended",
            instant(ends.0)
        ));
    }
    if now >= ends {
        return Err(format!("phase `{name}` was the last and is over; what is open is being settled"));
    }
    if ends.since(now) <= LEAST_NS {
        return Err(format!("phase `{name}` ends in {} as it is", time(ends.since(now))));
    }
    let at = Tick(now.plus_ns(LEAD_NS).0.next_multiple_of(1_000_000));
    Ok((id, Skip { at, length_ns: ends.since(at) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Course;
    use crate::record::PhaseInfo;

    const MS: u64 = 1_000_000;

    fn layout() -> Layout {
        let phase = |name: &str, role, from: u64, to: u64| PhaseInfo {
            name: name.into(),
            role,
            start: Tick(from * MS),
            end: Tick(to * MS),
        };
        Layout {
            phases: vec![
                phase("connect", PhaseRole::Connect, 0, 1_000),
                phase("warm-up", PhaseRole::WarmUp, 1_000, 3_000),
                phase("calm", PhaseRole::Measured, 3_000, 13_000),
                phase("storm", PhaseRole::Measured, 13_000, 23_000),
            ],
            fleets: Vec::new(),
            interval_ns: MS,
            faults: Vec::new(),
            course: Course::default(),
        }
    }

    #[test]
    fn a_phase_ends_a_little_later_at_a_whole_millisecond_or_is_left_alone_for_a_reason() {
        for (now_ns, is_shard, expected) in [
            (500 * MS, false, Err("the fleets are still connecting, until 1.00 s")),
            (1_500 * MS, false, Ok((1, 1_800, 1_200))),
            (5_000 * MS + 1, false, Ok((2, 5_301, 7_699))),
            (12_400 * MS, false, Err("phase `calm` ends in 600 ms as it is")),
            (22_399 * MS, false, Ok((3, 22_699, 301))),
            (23_000 * MS, false, Err("phase `storm` was the last and is over")),
            (5_000 * MS, true, Err("this run is one shard of a plan")),
        ] {
            let found = end(&layout(), Tick(now_ns), is_shard);
            match (found, expected) {
                (Ok((phase, skip)), Ok(expected)) => {
                    assert_eq!((phase.0, skip.at.0 / MS, skip.length_ns / MS), expected, "{now_ns}");
                    assert_eq!(skip.at.0 % MS, 0);
                }
                (Err(error), Err(expected)) => assert!(error.starts_with(expected), "{error}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn an_order_that_is_repeated_does_not_end_the_next_phase() {
        let layout = layout();
        let (_, skip) = end(&layout, Tick(5_000 * MS), false).unwrap();
        layout.course.leave_out(skip);
        let error = end(&layout, Tick(5_100 * MS), false).unwrap_err();
        assert_eq!(error, "phase `calm` ends in 200 ms as it is");
        // Once the next is under way, it can be ended as well.
        assert_eq!(end(&layout, Tick(6_000 * MS), false).map(|(phase, _)| phase), Ok(PhaseId(3)));
    }
}
