//! Why readings failed where the engine itself knows: time-outs, the end of the run, full backlogs, faults of the scenario.

use std::cell::RefCell;

use crate::fault::Ending;
use crate::record::{Code, Outcome, Reason, Sample};
use crate::scenario::{Fleet, Plan};
use crate::units::Span;

/// The beginning of what is said of a server that accepts connections and does not shake hands.
const SILENT: &str = "the server accepted the connection and did not complete TLS' handshake";

/// The reasons of one fleet, made once, and why its devices are not connected.
#[derive(Debug)]
pub(super) struct FleetReasons {
    pub(super) timeout: Reason,
    pub(super) connect_timeout: Reason,
    pub(super) tls_timeout: Reason,
    unanswered: Reason,
    dropped: Reason,
    /// Why the last connection attempt failed, while none has succeeded since.
    disconnected: RefCell<Option<Reason>>,
}

impl FleetReasons {
    pub(super) fn new(plan: &Plan, fleet: &Fleet) -> Self {
        let within = |what: &str, span: Span| format!("{what} within {span}");
        let word = |word, sentence: String| Reason::new(Code::word(word), sentence);
        let connect_timeout = plan.scenario().run.connect_timeout;
        let tls_timeout = fleet.tls.as_ref().and_then(|tls| tls.timeout).unwrap_or(connect_timeout);
        Self {
            timeout: word("timeout", within("no answer", fleet.timeout)),
            connect_timeout: word("timeout", within("no connection", connect_timeout)),
            tls_timeout: word("timeout", within(SILENT, tls_timeout)),
            unanswered: word("unanswered", "sent, but not answered before the run ended".to_owned()),
            dropped: word("backlog full", "not sent: the device's backlog was full".to_owned()),
            disconnected: RefCell::new(None),
        }
    }

    /// A connection attempt succeeded, or failed for `reason`.
    pub(super) fn connected(&self, reason: Option<&Reason>) {
        self.disconnected.replace(reason.cloned());
    }

    /// Why `sample`, which the engine gave up by itself, ended as it did.
    pub(super) fn of(&self, sample: &Sample) -> Reason {
        match (sample.outcome, sample.actual) {
            (Outcome::Timeout, _) => self.timeout.clone(),
            (Outcome::Dropped, _) => self.because(&self.dropped),
            (_, Some(_)) => self.unanswered.clone(),
            (_, None) => {
                let unsent = "not sent before the run ended: the device was waiting for earlier readings";
                let unsent = Reason::new(Code::word("not sent"), unsent);
                match &*self.disconnected.borrow() {
                    Some(_) => {
                        let unsent = Reason::new(unsent.code.clone(), "not sent before the run ended");
                        self.because(&unsent)
                    }
                    None => unsent,
                }
            }
        }
    }

    /// `reason`, and why the devices are not connected, where that is known.
    fn because(&self, reason: &Reason) -> Reason {
        let Some(disconnected) = &*self.disconnected.borrow() else { return reason.clone() };
        let sentence = format!("{}; the last connection failed: {}", reason.sentence, disconnected.sentence);
        Reason { sentence: sentence.into(), ..reason.clone() }
    }
}

/// A connection attempt that the end of the run cut short.
pub(super) fn attempt_cut_short() -> Reason {
    Reason::new(Code::word("unfinished"), "the run ended before the connection was made")
}

/// What was under way on a connection that a fault of the scenario cut.
pub(super) fn cut_by_fault(ending: Ending) -> Reason {
    Reason::new(
        Code::word("fault"),
        match ending {
            Ending::Fin => "a fault of the scenario closed the connection",
            Ending::Died => "a fault of the scenario had the device die",
            Ending::Reset => "a fault of the scenario reset the connection",
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Tick;
    use crate::record::{FleetId, Kind, PhaseId};

    fn reasons() -> FleetReasons {
        let word = |word, sentence| Reason::new(Code::word(word), sentence);
        FleetReasons {
            timeout: word("timeout", "no answer within 5s"),
            connect_timeout: word("timeout", "no connection within 5s"),
            tls_timeout: word("timeout", "no TLS handshake within 5s"),
            unanswered: word("unanswered", "sent, but not answered before the run ended"),
            dropped: word("backlog full", "not sent: the device's backlog was full"),
            disconnected: RefCell::new(None),
        }
    }

    fn sample(outcome: Outcome, sent: bool) -> Sample {
        Sample {
            phase: PhaseId(0),
            fleet: FleetId(0),
            device: 0,
            kind: Kind::Reading,
            seq: 1,
            intended: Tick::ZERO,
            eligible: None,
            actual: sent.then_some(Tick(1)),
            completed: Tick(2),
            outcome,
            own_wait_ns: 0,
            plan_wait_ns: 0,
            stages: None,
            mark: None,
            flagged: None,
        }
    }

    #[test]
    fn what_was_not_sent_is_blamed_on_the_connection_that_failed() {
        let reasons = reasons();
        let said = |outcome, sent| reasons.of(&sample(outcome, sent)).sentence.into_owned();
        assert_eq!(said(Outcome::Timeout, true), "no answer within 5s");
        assert_eq!(said(Outcome::Lost, true), "sent, but not answered before the run ended");
        assert!(said(Outcome::Lost, false).ends_with("waiting for earlier readings"));
        let refused = Reason::new(Code::word("ECONNREFUSED"), "Connection refused (ECONNREFUSED)");
        reasons.connected(Some(&refused));
        let blamed = "; the last connection failed: Connection refused (ECONNREFUSED)";
        assert_eq!(said(Outcome::Lost, false), format!("not sent before the run ended{blamed}"));
        assert_eq!(said(Outcome::Dropped, false), format!("not sent: the device's backlog was full{blamed}"));
        assert_eq!(said(Outcome::Lost, true), "sent, but not answered before the run ended");
        reasons.connected(None);
        assert_eq!(said(Outcome::Dropped, false), "not sent: the device's backlog was full");
    }
}
