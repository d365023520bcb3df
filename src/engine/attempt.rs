//! One attempt to connect: TCP, TLS and the protocol's own handshake, their stamps and time-outs.

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;

use super::device::{Attempt, Device};
use super::exchange;
use super::pause::Hold;
use super::reason::{attempt_cut_short, cut_by_fault};
use super::timer::{Alarm, Task};
use super::worker::{Stage, Worker};
use crate::clock::Tick;
use crate::protocol::{self, Endpoint, Failure, Identity, Progress, Session, Settings, Turns};
use crate::record::{ErrorKind, Kind, Outcome, Reason, Sink, Traced};
use crate::units::Span;

/// Makes one connection attempt and records it; `None` if it failed or the run is over.
pub(super) async fn connect<S: Sink>(
    worker: &Worker<S>,
    device: &Device,
    endpoint: &Endpoint,
    intended: Tick,
) -> Option<Box<dyn Session>> {
    let begun = worker.clock.now();
    worker.hold(device, Hold::Service, begun);
    let phase = worker.layout().phase_at(intended);
    let deadline = begun.plus_ns(worker.plan.scenario().run.connect_timeout.as_ns());
    {
        let mut sink = worker.sink.borrow_mut();
        sink.planned(phase, device.fleet, Kind::Connect);
        sink.sent(phase, device.fleet, Kind::Connect);
    }
    worker.open();
    // A cut ordered before the connection was made has nothing to cut.
    device.cut.set(None);
    let attempt = Attempt { phase, intended, actual: begun, handshake: None, made: None, held: Vec::new() };
    device.attempt.replace(Some(Box::new(attempt)));
    worker.schedule(deadline, device, Task::Wake);
    let fleet = usize::from(device.fleet.0);
    let identity = identity(worker, device, endpoint);
    let settings = &worker.settings[fleet];
    // Boxed with what it presents: the task of an idle device would keep room for both.
    let mut dialing = Box::pin(async move {
        let progress = Handshake { worker, device };
        protocol::connect_under(endpoint, settings, &identity, &progress).await
    });
    let reasons = worker.reasons(device);
    let attempted = poll_fn(|cx| {
        device.listen(cx);
        Poll::Ready(Err(match dialing.as_mut().poll(cx) {
            Poll::Ready(Ok(session)) => return Poll::Ready(Ok(session)),
            Poll::Ready(Err(failure)) => (Outcome::Error(failure.kind), *failure.reason),
            Poll::Pending => {
                let Some(given_up) = given_up(worker, device, deadline) else { return Poll::Pending };
                given_up
            }
        }))
    })
    .await;
    let now = worker.clock.now();
    worker.introduced(device, &attempted);
    let (outcome, reason, mut session) = match attempted {
        Ok(session) => (Outcome::Ok, None, Some(session)),
        Err((outcome, reason)) => (outcome, Some(reason), None),
    };
    reasons.connected(reason.as_ref());
    let pending = session.as_mut().is_some_and(|session| session.awaits_admission());
    // The worker has already settled the attempt if the drain ended meanwhile.
    match &mut *device.attempt.borrow_mut() {
        Some(attempt) if pending => attempt.made = Some(now),
        _ => {}
    }
    if !pending {
        worker.settle_attempt(device, outcome, reason.as_ref(), now);
    }
    worker.reach_of(device).borrow_mut().attempted(session.is_some(), now);
    if worker.stage() == Stage::Standing {
        device.stood.set(Some(session.is_some()));
        worker.idle.interrupt();
    }
    if let Some(session) = &session {
        device.ledger.borrow_mut().unblock(now);
        device.policy.note_activity(now);
        arm_keep_alive(worker, device, session.keep_alive_period(), now);
    }
    session
}

/// What a device presents at its next connection.
fn identity<S: Sink>(worker: &Worker<S>, device: &Device, endpoint: &Endpoint) -> Identity {
    let (plan, fleet, run) = (device.plan.borrow(), worker.plan.fleet(device.fleet), worker.run.get());
    let number = device.attempts.get().wrapping_add(1);
    device.attempts.set(number);
    Identity {
        trace: exchange::trace(fleet, &plan.device, Traced::Connection(number.into()), run),
        source: endpoint.source_of(worker.global(device) as usize),
        tls: device.tls.clone(),
        faults: device.faults.clone(),
        resume: device.suspended.borrow().clone(),
        ..exchange::identity(fleet, &plan.device, run)
    }
}

/// Has the session pinged when it is time; `stated`: how often the peer wants it.
pub(super) fn arm_keep_alive<S: Sink>(
    worker: &Worker<S>,
    device: &Device,
    stated: Option<Duration>,
    now: Tick,
) {
    let Settings { keep_alive, turns, .. } = &worker.settings[usize::from(device.fleet.0)];
    let period = stated.unwrap_or(*keep_alive);
    if device.keep_alive_at.get().is_none() && !period.is_zero() {
        let phase = |turns: &Turns| match turns {
            Turns::Phased => device.plan.borrow().phase(),
            Turns::Aligned => 0.0,
        };
        let at = turns.as_ref().map_or(now + period, |turns| next_turn(now, period, phase(turns)));
        device.keep_alive_at.set(Some(at));
        worker.wake_at(at, device, Alarm::KeepAlive);
    }
}

/// The first instant after `now` that is a `phase` of 0 to 1 behind a multiple of `period`.
fn next_turn(now: Tick, period: Duration, phase: f64) -> Tick {
    let period_ns = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
    let first = (phase * period_ns as f64) as u64;
    let turns = now.0.checked_sub(first).map_or(0, |since| since / period_ns + 1);
    Tick(first.saturating_add(turns.saturating_mul(period_ns)))
}

/// As what, and why, an attempt is given up that is still under way; `None` if it goes on.
fn given_up<S: Sink>(worker: &Worker<S>, device: &Device, deadline: Tick) -> Option<(Outcome, Reason)> {
    if let Some(ending) = device.cut.take() {
        device.attempt_cut.set(true);
        return Some((Outcome::Error(ErrorKind::Reset), cut_by_fault(ending)));
    }
    if worker.stage() == Stage::Closing {
        return Some((Outcome::Lost, attempt_cut_short(device.unfinished())));
    }
    let (now, reasons) = (worker.clock.now(), worker.reasons(device));
    let began = device.attempt.borrow().as_ref().and_then(|attempt| match attempt.handshake {
        Some((began, None)) => Some(began),
        _ => None,
    });
    let slow = |began: Tick| {
        let most = worker.handshake_timeout(device);
        now >= deadline || most.is_some_and(|most| now >= began.plus_ns(most.as_ns()))
    };
    let reason = match began {
        Some(began) if slow(began) => &reasons.tls_timeout,
        None if now >= deadline => &reasons.connect_timeout,
        _ => return None,
    };
    Some((Outcome::Timeout, reason.clone()))
}

/// Takes the times of one attempt of a device.
pub(super) struct Handshake<'w, S> {
    pub(super) worker: &'w Worker<S>,
    pub(super) device: &'w Device,
}

impl<S: Sink> Progress for Handshake<'_, S> {
    fn shaking_hands(&self) {
        let Self { worker, device } = self;
        // The run may have ended meanwhile.
        let Some(phase) = device.attempt.borrow().as_ref().map(|attempt| attempt.phase) else { return };
        let now = worker.clock.now();
        {
            let mut sink = worker.sink.borrow_mut();
            sink.planned(phase, device.fleet, Kind::Tls);
            sink.sent(phase, device.fleet, Kind::Tls);
        }
        worker.open();
        if let Some(attempt) = &mut *device.attempt.borrow_mut() {
            attempt.handshake = Some((now, None));
        }
        if let Some(timeout) = worker.handshake_timeout(device) {
            worker.schedule(now.plus_ns(timeout.as_ns()), device, Task::Wake);
        }
    }

    fn shook_hands(&self, resumed: bool) {
        let Self { worker, device } = self;
        let now = worker.clock.now();
        if let Some(attempt) = &mut *device.attempt.borrow_mut() {
            if resumed {
                worker.sink.borrow_mut().resumed(attempt.phase, device.fleet);
            }
            let began = attempt.handshake.map_or(attempt.actual, |(began, _)| began);
            attempt.handshake = Some((began, Some(now)));
        }
    }
}

impl<S: Sink> Worker<S> {
    /// Records that the server did not let the device in, which took itself for connected; what was sent waits again.
    pub(super) fn refuse(&self, device: &Device, failure: &Failure, now: Tick) {
        self.reasons(device).connected(Some(&failure.reason));
        let held = device.take_held();
        self.settle_attempt(device, Outcome::Error(failure.kind), Some(&failure.reason), now);
        self.reach_of(device).borrow_mut().attempted(false, now);
        let mut ledger = device.ledger.borrow_mut();
        for open in held.into_iter().filter_map(|held| held.open) {
            ledger.put_back(open);
        }
        ledger.recall(self.waited(device, now));
    }

    /// Longest time a handshake of the device may take, where its fleet says so.
    fn handshake_timeout(&self, device: &Device) -> Option<Span> {
        self.plan.fleet(device.fleet).tls.as_ref()?.timeout
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn turns_are_a_period_apart_whenever_they_are_asked_for(
            now in 0_u64..1 << 50,
            period in 1_u64..1 << 40,
            phase in 0.0_f64..1.0,
        ) {
            let span = Duration::from_nanos(period);
            let next = next_turn(Tick(now), span, phase);
            prop_assert!(next.0 > now || now == 0 && next.0 == 0);
            prop_assert!(next.0 - now <= period.max(1));
            prop_assert_eq!(next_turn(next, span, phase), Tick(next.0 + period));
            prop_assert_eq!(next_turn(Tick(next.0 - 1), span, phase), next);
        }
    }
}
