//! Where the instants of a plan lie on the clock of a run that leaves parts of the plan out.

use std::sync::{Arc, OnceLock};

use super::Tick;

/// A stretch of a plan that a run leaves out: all that comes behind it comes earlier by its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Skip {
    /// Where it began, had it not been left out, and where what comes behind it begins now.
    pub(crate) at: Tick,
    /// Its length, nanoseconds.
    pub(crate) length_ns: u64,
}

impl Skip {
    /// When comes what was to come at `due`; `None`: it is left out.
    pub(crate) fn place(self, due: Tick) -> Option<Tick> {
        if due < self.at || due == Tick::FAR {
            return Some(due);
        }
        let into_ns = due.since(self.at);
        (into_ns >= self.length_ns).then(|| Tick(due.0 - self.length_ns))
    }

    /// The same of what must come all the same: not before what is left out, and at once behind it.
    pub(crate) fn moved(self, due: Tick) -> Tick {
        self.place(due).unwrap_or(self.at)
    }

    /// What is left of the stretch of time `from` inclusive to `until` exclusive; `None` if it lies in what is left out. One
    /// without length is an instant.
    pub(crate) fn shortened(self, (from, until): (Tick, Tick)) -> Option<(Tick, Tick)> {
        let is_inside = self.place(from).is_none() && until <= self.at.plus_ns(self.length_ns);
        (!is_inside).then(|| (self.moved(from), self.moved(until)))
    }
}

/// What a run leaves out of its plan, in the order of time: one mapping between the instants of the plan and those of the run,
/// which all that takes part in the run shares. Reading it takes no lock. It only ever grows, and only by what lies in the
/// future, so that no instant that has passed ever moves.
#[derive(Debug, Clone, Default)]
pub struct Course(Arc<Link>);

/// A skip and those behind it, or the end of them.
#[derive(Debug, Default)]
struct Link(OnceLock<Box<(Skip, Link)>>);

impl Course {
    /// What is left out, in the order of time.
    pub(crate) fn skips(&self) -> impl Iterator<Item = Skip> + '_ {
        let mut link = &*self.0;
        std::iter::from_fn(move || {
            let (skip, behind) = &**link.0.get()?;
            link = behind;
            Some(*skip)
        })
    }

    /// Leaves out one more stretch, which begins at an instant of the run that is to come, and behind all others.
    pub(crate) fn leave_out(&self, skip: Skip) {
        let (mut link, mut last) = (&*self.0, Box::new((skip, Link::default())));
        while let Err(refused) = link.0.set(last) {
            last = refused;
            let Some(taken) = link.0.get() else { return };
            link = &taken.1;
        }
    }

    /// When the run comes to the instant `planned` of the plan; `None`: it leaves it out.
    pub(crate) fn place(&self, planned: Tick) -> Option<Tick> {
        self.skips().try_fold(planned, |due, skip| skip.place(due))
    }

    /// When the run comes to the instant `planned` of the plan, or has passed it by.
    pub(crate) fn moved(&self, planned: Tick) -> Tick {
        self.skips().fold(planned, |due, skip| skip.moved(due))
    }

    /// What the run keeps of a stretch of the plan, `from` inclusive to `until` exclusive, on its own clock; `None`: nothing.
    pub(crate) fn shortened(&self, planned: (Tick, Tick)) -> Option<(Tick, Tick)> {
        self.skips().try_fold(planned, |stretch, skip| skip.shortened(stretch))
    }

    /// The instant of the plan that the run is at when its clock shows `at`.
    pub(crate) fn planned(&self, at: Tick) -> Tick {
        let passed = self.skips().take_while(|skip| skip.at <= at);
        passed.fold(at, |planned, skip| planned.plus_ns(skip.length_ns))
    }
}

impl PartialEq for Course {
    fn eq(&self, other: &Self) -> bool {
        self.skips().eq(other.skips())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn course(skips: &[(u64, u64)]) -> Course {
        let course = Course::default();
        for (at, length_ns) in skips {
            course.leave_out(Skip { at: Tick(*at), length_ns: *length_ns });
        }
        course
    }

    #[test]
    fn what_is_left_out_never_comes_and_what_follows_comes_earlier() {
        // Of the plan, 100 to 150 and 200 to 230 are left out.
        let course = course(&[(100, 50), (150, 30)]);
        for (planned, place, moved) in [
            (0, Some(0), 0),
            (99, Some(99), 99),
            (100, None, 100),
            (149, None, 100),
            (150, Some(100), 100),
            (199, Some(149), 149),
            (200, None, 150),
            (229, None, 150),
            (230, Some(150), 150),
            (u64::MAX, Some(u64::MAX), u64::MAX),
        ] {
            assert_eq!(course.place(Tick(planned)), place.map(Tick), "{planned}");
            assert_eq!(course.moved(Tick(planned)), Tick(moved), "{planned}");
        }
        for (at, planned) in [(0, 0), (99, 99), (100, 150), (149, 199), (150, 230), (900, 980)] {
            assert_eq!(course.planned(Tick(at)), Tick(planned), "{at}");
        }
    }

    #[test]
    fn a_stretch_ends_early_begins_late_or_never_comes() {
        let course = course(&[(100, 50)]);
        for (from, until, left) in [
            (10, 60, Some((10, 60))),
            (10, 100, Some((10, 100))),
            (90, 120, Some((90, 100))),
            (90, 170, Some((90, 120))),
            (100, 150, None),
            (110, 120, None),
            (120, 160, Some((100, 110))),
            (150, 160, Some((100, 110))),
            (149, 149, None),
            (150, 150, Some((100, 100))),
            (90, u64::MAX, Some((90, u64::MAX))),
        ] {
            let left = left.map(|(from, until)| (Tick(from), Tick(until)));
            assert_eq!(course.shortened((Tick(from), Tick(until))), left, "{from} to {until}");
        }
    }

    proptest! {
        #[test]
        fn a_run_follows_its_plan_less_what_it_leaves_out(
            gaps in proptest::collection::vec((0_u64..60, 1_u64..40), 0..5),
            planned in proptest::collection::vec(0_u64..600, 0..80),
        ) {
            let mut at = 0;
            let skips: Vec<_> = gaps.iter().map(|(gap, length)| { at += gap; (at, *length) }).collect();
            let course = course(&skips);
            let mut planned = planned;
            planned.sort_unstable();
            // Where the stretches that are left out lie in the plan.
            let mut left_out = 0;
            let stretches: Vec<_> = skips.iter().map(|(at, length)| {
                let from = at + left_out;
                left_out += length;
                from..from + length
            }).collect();
            let before = |planned: u64| {
                stretches.iter().map(|out| planned.clamp(out.start, out.end) - out.start).sum::<u64>()
            };
            let expected: Vec<_> = planned.iter().filter(|at| !stretches.iter().any(|out| out.contains(at)))
                .map(|at| Tick(at - before(*at))).collect();
            let placed: Vec<_> = planned.iter().filter_map(|at| course.place(Tick(*at))).collect();
            prop_assert!(placed.is_sorted());
            prop_assert_eq!(placed, expected);
            for at in (0..300).map(Tick) {
                prop_assert_eq!(course.place(course.planned(at)), Some(at));
            }
            for at in planned {
                prop_assert_eq!(course.moved(Tick(at)), Tick(at - before(at)));
            }
        }
    }
}
