//! What others told the bundled service to do while a run measured it: events of the run, and a reason to doubt it.

use std::sync::Arc;

use crate::clock::{Monotonic, Tick};
use crate::record::RunToken;
use crate::service::{Act, ActLog};
use crate::units::figure::{instant, plural};

/// Follows the log of the bundled service through a run.
#[derive(Debug)]
pub(super) struct OutsideActs {
    log: Arc<ActLog>,
    clock: Monotonic,
    own: String,
    /// Acts seen, those before the run included.
    seen: u64,
    /// How many were not the run's own.
    count: u64,
    /// The first of them, in words.
    first: Option<String>,
}

/// One order that was not the run's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutsideAct {
    /// When, on the clock of the run.
    pub(super) at: Tick,
    /// `POST /v1/cache flush from 127.0.0.1:40312 (anonymous)`.
    pub(super) what: String,
}

impl OutsideActs {
    /// Follows `log` from now on, for the run that signs its orders with `token`.
    pub(super) fn new(log: Arc<ActLog>, clock: Monotonic, token: RunToken) -> Self {
        Self { seen: log.total(), log, clock, own: token.to_string(), count: 0, first: None }
    }

    /// What was ordered since the last call, in the order of time.
    pub(super) fn take(&mut self) -> Vec<OutsideAct> {
        let (acts, missed, total) = self.log.after(self.seen);
        self.seen = total;
        let (there, here) = (self.log.now(), self.clock.now());
        let outside_act = |act: &Act| OutsideAct {
            at: Tick(here.0.saturating_sub(there.since(act.at))),
            what: format!("{} from {} ({})", act.what, act.from, act.who),
        };
        let foreign = |act: &&Act| act.run.as_ref() != Some(&self.own);
        let mut foreign_acts: Vec<OutsideAct> = acts.iter().filter(foreign).map(outside_act).collect();
        self.count += foreign_acts.len() as u64 + missed;
        if missed > 0 {
            let at = foreign_acts.first().map_or(here, |act| act.at);
            foreign_acts
                .insert(0, OutsideAct { at, what: format!("{missed} orders of which no more is known") });
        }
        if let (None, Some(act)) = (&self.first, foreign_acts.first()) {
            self.first = Some(format!("{} at {}", act.what, instant(act.at.0)));
        }
        foreign_acts
    }

    /// Why they make the run doubtful; `None` without any.
    pub(super) fn reason(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        let orders = plural(self.count, "order");
        Some(format!(
            "the service got {orders} from outside the run, the first {first}: what it did then was not the plan's doing"
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn what_the_run_did_not_sign_during_its_time_came_from_outside() {
        let (log, from) = (Arc::new(ActLog::default()), SocketAddr::from(([127, 0, 0, 1], 7)));
        let token: RunToken = "k3x9q2ab".parse().unwrap();
        log.note("POST /v1/realtime stop", "ann", from, None);
        let mut outside = OutsideActs::new(Arc::clone(&log), Monotonic::start(), token);
        log.note("POST /v1/faults start slow", "run", from, Some("k3x9q2ab"));
        assert_eq!((outside.take(), outside.reason()), (Vec::new(), None));
        log.note("POST /v1/cache flush", "ann", from, None);
        log.note("POST /v1/faults start slow", "anonymous", from, Some("another1"));
        let named: Vec<_> = outside.take().into_iter().map(|act| act.what).collect();
        let flush = "POST /v1/cache flush from 127.0.0.1:7 (ann)";
        assert_eq!(named, [flush, "POST /v1/faults start slow from 127.0.0.1:7 (anonymous)"]);
        assert_eq!(outside.take(), []);
        let reason = outside.reason().unwrap();
        assert!(
            reason.starts_with(&format!(
                "the service got 2 orders from outside the run, the first {flush} at "
            )),
            "{reason}"
        );
        for _ in 0..1_003 {
            log.note("POST /v1/realtime pause", "ann", from, None);
        }
        assert_eq!(outside.take()[0].what, "3 orders of which no more is known");
        assert!(outside.reason().unwrap().starts_with("the service got 1,005 orders"));
    }
}
