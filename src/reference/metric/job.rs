//! What is counted of jobs, by class.

use crate::metric::{Family, Kind, Value};
use crate::reference::job::{Figures, Tally};

/// The kind of a figure, its name, its help, and what it is.
type Figure = (Kind, &'static str, &'static str, fn(&Tally) -> u64);

impl Figures {
    /// Without classes there are none.
    pub(super) fn families(&self) -> Vec<Family> {
        if self.classes.is_empty() {
            return Vec::new();
        }
        let figures: [Figure; 6] = [
            (Kind::Counter, "jobs_submitted", "Jobs taken in", |tally| tally.submitted),
            (
                Kind::Counter,
                "jobs_refused",
                "Jobs refused because as many of their class waited as may",
                |tally| tally.refused,
            ),
            (
                Kind::Counter,
                "jobs_skipped",
                "Jobs left out of the schedule because one was open still",
                |tally| tally.skipped,
            ),
            (Kind::Counter, "job_effects", "Effects that jobs had", |tally| tally.effects),
            (Kind::Gauge, "jobs_waiting", "Jobs that wait, for their first try or another", |tally| {
                tally.waiting as u64
            }),
            (Kind::Gauge, "jobs_running", "Jobs that a worker is at", |tally| tally.running as u64),
        ];
        let mut families: Vec<Family> = figures
            .into_iter()
            .map(|(kind, name, help, read)| {
                let samples = self.classes.iter().map(|of| (of.name.as_str(), read(&of.tally) as f64));
                Family::of(kind, name, help).by("class", samples)
            })
            .collect();
        families.extend(self.ends());
        families.extend(self.times());
        let counter = |name, help, count: u64| Family::of(Kind::Counter, name, help).with([], count as f64);
        families.push(counter("job_worker_crashes", "Workers for jobs that crashed", self.worker_crashes));
        families.push(counter(
            "job_events_missed",
            "Events that subscribers missed because they were too slow",
            self.events_missed,
        ));
        families
    }

    fn ends(&self) -> [Family; 2] {
        let mut jobs = Family::of(Kind::Counter, "jobs_ended", "Jobs that are over, by how");
        let mut tries = Family::of(Kind::Counter, "job_tries", "Tries that ended, by how");
        for of in &self.classes {
            let Tally { done, dead, failures, crashes, .. } = of.tally;
            let labels = |end| [("class", of.name.as_str()), ("end", end)];
            for (end, count) in [("done", done), ("dead", dead)] {
                jobs.add(labels(end), Value::Number(count as f64));
            }
            for (end, count) in [("done", done), ("failed", failures), ("crashed", crashes)] {
                tries.add(labels(end), Value::Number(count as f64));
            }
        }
        [jobs, tries]
    }

    fn times(&self) -> [Family; 2] {
        let mut tries = Family::of(Kind::Histogram, "job_try_seconds", "How long tries took");
        let mut whole =
            Family::of(Kind::Histogram, "job_seconds", "How long jobs took from submission to end");
        for of in &self.classes {
            let class = [("class", of.name.as_str())];
            tries.add(class, Value::Times(Box::new(of.times.tries.clone())));
            whole.add(class, Value::Times(Box::new(of.times.whole.clone())));
        }
        [tries, whole]
    }
}
