//! Why readings failed where the engine itself knows: time-outs, the end of the run, full backlogs, faults of the scenario.

use std::cell::{Cell, RefCell};

use crate::fault::Ending;
use crate::record::{Code, Outcome, Reason, Sample};
use crate::scenario::{Fleet, Plan};
use crate::units::Span;

/// The beginning of what is said of a server that accepts connections and does not shake hands.
const SILENT: &str = "the server accepted the connection and did not complete TLS' handshake";

/// The reasons of one fleet, made once, why its devices are not connected, and why its readings fail.
#[derive(Debug)]
pub(super) struct FleetReasons {
    pub(super) timeout: Reason,
    /// Time was up for a further attempt, which had begun less than an attempt's time-out before.
    deadline: Reason,
    attempt_ns: u64,
    pub(super) connect_timeout: Reason,
    pub(super) tls_timeout: Reason,
    unanswered: Reason,
    dropped: Reason,
    /// Why the last connection attempt failed, while none has succeeded since.
    disconnected: RefCell<Option<Reason>>,
    /// Whether a connection has ever been made.
    reached: Cell<bool>,
    /// Whether a reading has ever been answered ok.
    served: Cell<bool>,
    /// Why the last reading failed that did not only wait for others, while none has been answered ok.
    failing: RefCell<Option<Reason>>,
}

impl FleetReasons {
    pub(super) fn new(plan: &Plan, fleet: &Fleet) -> Self {
        let within = |what: &str, span: Span| format!("{what} within {span}");
        let word = |word, sentence: String| Reason::new(Code::word(word), sentence);
        let connect_timeout = plan.scenario().run.connect_timeout;
        let tls_timeout = fleet.tls.as_ref().and_then(|tls| tls.timeout).unwrap_or(connect_timeout);
        Self {
            timeout: word("timeout", within("no answer", fleet.attempt_timeout())),
            deadline: word(
                "timeout",
                within("no answer to the last of several attempts, all", fleet.timeout),
            ),
            attempt_ns: fleet.attempt_timeout().as_ns(),
            connect_timeout: word("timeout", within("no connection", connect_timeout)),
            tls_timeout: word("timeout", within(SILENT, tls_timeout)),
            unanswered: word("unanswered", "sent, but not answered before the run ended".to_owned()),
            dropped: word("backlog full", "not sent: the device's backlog was full".to_owned()),
            disconnected: RefCell::new(None),
            reached: Cell::new(false),
            served: Cell::new(false),
            failing: RefCell::new(None),
        }
    }

    /// A connection attempt succeeded, or failed for `reason`.
    pub(super) fn connected(&self, reason: Option<&Reason>) {
        self.reached.set(self.reached.get() || reason.is_none());
        self.disconnected.replace(reason.cloned());
    }

    /// A reading ended as `outcome` says: ok, or for `reason`.
    pub(super) fn read(&self, outcome: Outcome, reason: Option<&Reason>) {
        match (outcome, reason) {
            (Outcome::Ok, _) if self.served.get() => {}
            (Outcome::Ok, _) => {
                self.served.set(true);
                self.failing.replace(None);
            }
            // Of these another reading or the connection is the cause.
            (Outcome::Lost | Outcome::Dropped, _) | (_, None) => {}
            // A service that answers some readings owes no single reason for those that wait.
            (_, Some(reason)) if !self.served.get() => {
                self.failing.replace(Some(reason.clone()));
            }
            (_, Some(_)) => {}
        }
    }

    /// Why `sample`, which the engine gave up by itself, ended as it did; `unfinished` is the step at which an attempt to connect
    /// stands that is still under way.
    pub(super) fn of(&self, sample: &Sample, unfinished: Option<&str>) -> Reason {
        match (sample.outcome, sample.actual) {
            (Outcome::Timeout, Some(actual)) if sample.completed.since(actual) < self.attempt_ns => {
                self.deadline.clone()
            }
            (Outcome::Timeout, _) => self.timeout.clone(),
            (Outcome::Dropped, _) => because(&self.dropped, self.cause(unfinished).as_deref()),
            (_, Some(_)) => self.unanswered.clone(),
            (_, None) => {
                let cause = self.cause(unfinished);
                let connected = self.reached.get() && unfinished.is_none();
                let sentence = match (self.disconnected.borrow().is_none(), connected) {
                    (false, _) => "not sent before the run ended",
                    (true, true) => {
                        "not sent before the run ended: the device was waiting for earlier readings"
                    }
                    (true, false) => "not sent before the run ended: no connection was made",
                };
                because(&Reason::new(Code::word("not sent"), sentence), cause.as_deref())
            }
        }
    }

    /// Why the devices are not connected, or else why none of their readings is answered ok, where that is known.
    fn cause(&self, unfinished: Option<&str>) -> Option<String> {
        if let Some(disconnected) = &*self.disconnected.borrow() {
            return Some(format!("the last connection failed: {}", disconnected.sentence));
        }
        if let Some(step) = unfinished {
            return Some(format!("{step} was not finished"));
        }
        let failing = self.failing.borrow();
        let failing = failing.as_ref()?;
        Some(format!("no reading was answered ok; the last failed: {}", failing.sentence))
    }
}

/// `reason`, and what caused it.
pub(super) fn because(reason: &Reason, cause: Option<&str>) -> Reason {
    let Some(cause) = cause else { return reason.clone() };
    Reason { sentence: format!("{}; {cause}", reason.sentence).into(), ..reason.clone() }
}

/// A connection attempt that the end of the run cut short at `unfinished`.
pub(super) fn attempt_cut_short(unfinished: Option<&str>) -> Reason {
    let reason = Reason::new(Code::word("unfinished"), "the run ended before the connection was made");
    because(&reason, unfinished.map(|step| format!("{step} was not finished")).as_deref())
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
            deadline: word("timeout", "no answer before the deadline"),
            attempt_ns: 1,
            connect_timeout: word("timeout", "no connection within 5s"),
            tls_timeout: word("timeout", "no TLS handshake within 5s"),
            unanswered: word("unanswered", "sent, but not answered before the run ended"),
            dropped: word("backlog full", "not sent: the device's backlog was full"),
            disconnected: RefCell::new(None),
            reached: Cell::new(true),
            served: Cell::new(false),
            failing: RefCell::new(None),
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
            attempts: u8::from(sent),
            own_wait_ns: 0,
            plan_wait_ns: 0,
            stages: None,
            mark: None,
            flagged: None,
            arm: None,
        }
    }

    #[test]
    fn what_was_not_sent_is_blamed_on_the_connection_that_failed() {
        let reasons = reasons();
        let said = |outcome, sent| reasons.of(&sample(outcome, sent), None).sentence.into_owned();
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

    #[test]
    fn what_was_not_sent_names_what_kept_the_devices_busy_or_unconnected() {
        let bad = Reason::new(Code::word("protocol"), "malformed Content-Length");
        let unsent = "not sent before the run ended: the device was waiting for earlier readings";
        let named = format!("{unsent}; no reading was answered ok; the last failed: {}", bad.sentence);
        let unconnected = "not sent before the run ended: no connection was made";
        let failed = Outcome::Error(crate::record::ErrorKind::Protocol);
        // Whether a connection was made, how readings ended, at which step an attempt stands, what is said.
        let table: [(bool, &[Outcome], Option<&str>, &str); 8] = [
            (true, &[], None, unsent),
            (true, &[failed], None, &named),
            (true, &[failed, Outcome::Lost, Outcome::Dropped], None, &named),
            (true, &[failed, Outcome::Ok], None, unsent),
            (true, &[Outcome::Ok, failed], None, unsent),
            (false, &[], None, unconnected),
            (
                false,
                &[],
                Some("the TLS handshake"),
                &format!("{unconnected}; the TLS handshake was not finished"),
            ),
            (true, &[], Some("it"), &format!("{unconnected}; it was not finished")),
        ];
        for (reached, ended, unfinished, expected) in table {
            let reasons = reasons();
            reasons.reached.set(reached);
            for outcome in ended {
                reasons.read(*outcome, (*outcome != Outcome::Ok).then_some(&bad));
            }
            assert_eq!(reasons.of(&sample(Outcome::Lost, false), unfinished).sentence, expected);
        }
    }

    #[test]
    fn an_attempt_that_is_cut_short_names_its_step() {
        let cut = attempt_cut_short(Some("the TLS handshake")).sentence;
        assert_eq!(cut, "the run ended before the connection was made; the TLS handshake was not finished");
    }
}
