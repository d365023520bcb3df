//! The life of one device: connect, converse, reconnect. One task per device, on its worker's thread.

use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll};

use super::agenda::Task;
use super::device::{Attempt, Device};
use super::ledger::{Closing, Settled};
use super::worker::{Stage, Worker, attempt_sample};
use crate::clock::Tick;
use crate::protocol::{Answer, Endpoint, Event, Failure, Identity, Message, Session};
use crate::record::{Finding, Kind, Outcome, Sink};

/// Why a conversation ended.
enum Parting {
    /// The run is over.
    Closing,
    /// The connection is unusable.
    Broken(Failure),
    /// A reading timed out on a session that cannot go on after that.
    Abandoned,
}

/// Drives one device until its worker closes.
pub(super) async fn drive<S: Sink>(worker: Rc<Worker<S>>, device: Rc<Device>) {
    let protocol = worker.layout().fleet(device.fleet).protocol;
    let Some(endpoint) = worker.endpoints.iter().find(|endpoint| endpoint.protocol() == protocol) else {
        return;
    };
    let (mut intended, mut failures) = (device.connect_at, 0_u32);
    while wait_for(&worker, &device, intended).await {
        if let Some(mut session) = connect(&worker, &device, endpoint, intended).await {
            let answered_before = device.answered.get();
            let parting = converse(&worker, &device, &mut session).await;
            device.linked.set(false);
            let now = worker.clock.now();
            match parting {
                Parting::Closing => return poll_fn(|cx| session.poll_close(cx)).await,
                // The time-out itself has spaced the attempts out.
                Parting::Abandoned => {
                    // Nor can any other reading that was sent on it be answered any more.
                    give_up_all(&worker, &device, Outcome::Timeout, now);
                    (intended, failures) = (now, 0);
                    continue;
                }
                Parting::Broken(failure) => give_up_all(&worker, &device, Outcome::Error(failure.kind), now),
            }
            // A connection that served is followed by the next at once; only failing ones are spaced out.
            if device.answered.get() > answered_before {
                (intended, failures) = (now, 0);
                continue;
            }
        }
        let pause = device.plan.borrow_mut().backoff(failures);
        failures = failures.saturating_add(1);
        intended = worker.clock.now().plus_ns(pause.as_ns());
        worker.schedule(intended, &device, Task::Connect);
    }
}

/// Waits until a connection is due; false if none will be needed any more.
async fn wait_for<S: Sink>(worker: &Worker<S>, device: &Device, at: Tick) -> bool {
    poll_fn(|cx| {
        device.listen(cx);
        let idle = device.ledger.borrow().is_settled();
        match worker.stage() {
            Stage::Closing => Poll::Ready(false),
            Stage::Draining if idle => Poll::Ready(false),
            _ if worker.clock.now() >= at => Poll::Ready(true),
            _ => Poll::Pending,
        }
    })
    .await
}

/// Makes one connection attempt and records it; `None` if it failed or the run is over.
async fn connect<S: Sink>(
    worker: &Worker<S>,
    device: &Device,
    endpoint: &Endpoint,
    intended: Tick,
) -> Option<Session> {
    let begun = worker.clock.now();
    let phase = worker.layout().phase_at(intended);
    let deadline = begun.plus_ns(worker.plan.scenario().run.connect_timeout.as_ns());
    let identity = Identity::of(device.plan.borrow().device.id());
    {
        let mut sink = worker.sink.borrow_mut();
        sink.planned(phase, device.fleet, Kind::Connect);
        sink.sent(phase, device.fleet, Kind::Connect);
    }
    worker.open();
    device.attempt.set(Some(Attempt { phase, intended, actual: begun }));
    worker.schedule(deadline, device, Task::Expire);
    let settings = &worker.settings[usize::from(device.fleet.0)];
    let mut dialing = Box::pin(Session::connect(endpoint, settings, &identity));
    let (outcome, session) = poll_fn(|cx| {
        device.listen(cx);
        match dialing.as_mut().poll(cx) {
            Poll::Ready(Ok(session)) => Poll::Ready((Outcome::Ok, Some(session))),
            Poll::Ready(Err(failure)) => Poll::Ready((Outcome::Error(failure.kind), None)),
            Poll::Pending if worker.stage() == Stage::Closing => Poll::Ready((Outcome::Lost, None)),
            Poll::Pending if worker.clock.now() >= deadline => Poll::Ready((Outcome::Timeout, None)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    let now = worker.clock.now();
    // The worker has already settled the attempt if the drain ended meanwhile.
    if let Some(attempt) = device.attempt.take() {
        worker.settle(device, &attempt_sample(device, attempt, outcome, now));
    }
    if session.is_some() {
        device.ledger.borrow_mut().unblock(now);
        arm_keep_alive(worker, device, now);
    }
    session
}

fn arm_keep_alive<S: Sink>(worker: &Worker<S>, device: &Device, now: Tick) {
    let period = worker.settings[usize::from(device.fleet.0)].keep_alive;
    if device.keep_alive_at.get().is_none() && !period.is_zero() {
        let at = now + period;
        device.keep_alive_at.set(Some(at));
        worker.schedule(at, device, Task::KeepAlive);
    }
}

/// Sends what is due and takes in what comes back, until the connection or the run ends.
async fn converse<S: Sink>(worker: &Worker<S>, device: &Device, session: &mut Session) -> Parting {
    device.linked.set(session.ready() && device.ledger.borrow().has_room());
    poll_fn(|cx| {
        device.listen(cx);
        loop {
            match session.poll_event(cx) {
                Poll::Ready(Ok(event)) => {
                    take_in(worker, device, session, event);
                    continue;
                }
                Poll::Ready(Err(failure)) => return Poll::Ready(Parting::Broken(failure)),
                Poll::Pending => {}
            }
            let now = worker.clock.now();
            worker.nudge(now);
            if worker.stage() == Stage::Closing {
                return Poll::Ready(Parting::Closing);
            }
            if expire(worker, device, now) && !session.survives_timeout() {
                return Poll::Ready(Parting::Abandoned);
            }
            let kept = keep_alive(worker, device, session, cx, now);
            match kept.and_then(|()| send_next(worker, device, session, cx)) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(failure) => return Poll::Ready(Parting::Broken(failure)),
            }
        }
    })
    .await
}

/// Books one event. Its stamp is taken first, before anything else is done.
fn take_in<S: Sink>(worker: &Worker<S>, device: &Device, session: &Session, event: Event) {
    let at = worker.clock.now();
    if let Event::Closed { seq, answer, stages, flagged } = event {
        let outcome = match answer {
            Answer::Ok => Outcome::Ok,
            Answer::Shed => Outcome::Shed,
            Answer::Error(kind) => Outcome::Error(kind),
        };
        let settled = device.ledger.borrow_mut().close(seq, Closing { outcome, stages, flagged }, at);
        match settled {
            Settled::Closed { sample, reordered } => {
                device.answered.set(device.answered.get() + 1);
                if reordered {
                    worker.finding(device, Finding::Reordered, sample.phase);
                }
                worker.settle(device, &sample);
            }
            Settled::Finding(finding) => worker.finding(device, finding, worker.layout().phase_at(at)),
            Settled::Stray => worker.stray.set(worker.stray.get() + 1),
        }
    }
    let linked = session.ready() && device.ledger.borrow().has_room();
    if linked && !device.linked.replace(linked) {
        device.ledger.borrow_mut().unblock(at);
    }
    device.linked.set(linked);
}

/// Ends readings whose time is up; true if there were any.
fn expire<S: Sink>(worker: &Worker<S>, device: &Device, now: Tick) -> bool {
    let Some(first) = device.ledger.borrow().next_expiry() else {
        return false;
    };
    if first > now {
        return false;
    }
    device.expiry_armed.set(false);
    loop {
        let expired = device.ledger.borrow_mut().expire(now);
        let Some(sample) = expired else { break };
        worker.settle(device, &sample);
    }
    arm_expiry(worker, device);
    true
}

/// Keeps one `Expire` entry in the agenda while something is in flight.
fn arm_expiry<S: Sink>(worker: &Worker<S>, device: &Device) {
    if device.expiry_armed.get() {
        return;
    }
    let next = device.ledger.borrow().next_expiry();
    if let Some(at) = next {
        device.expiry_armed.set(true);
        worker.schedule(at, device, Task::Expire);
    }
}

fn keep_alive<S: Sink>(
    worker: &Worker<S>,
    device: &Device,
    session: &mut Session,
    cx: &mut Context<'_>,
    now: Tick,
) -> Result<(), Failure> {
    if device.keep_alive_at.get().is_some_and(|at| at <= now) {
        device.keep_alive_at.set(None);
        arm_keep_alive(worker, device, now);
        session.keep_alive(cx)?;
    }
    Ok(())
}

/// Sends the next waiting reading if the session and the in-flight limit allow it; true if one was sent.
fn send_next<S: Sink>(
    worker: &Worker<S>,
    device: &Device,
    session: &mut Session,
    cx: &mut Context<'_>,
) -> Result<bool, Failure> {
    if !session.ready() {
        device.linked.set(false);
        return Ok(false);
    }
    let next = device.ledger.borrow_mut().take_next();
    let Some((phase, reading)) = next else {
        device.linked.set(device.ledger.borrow().has_room());
        return Ok(false);
    };
    let mut payload = worker.payload.borrow_mut();
    payload.clear();
    device.plan.borrow().device.encode(&reading, &mut payload);
    let actual = worker.clock.now();
    let seq = reading.seq;
    device.ledger.borrow_mut().start(phase, reading, actual);
    let sent = session.send(cx, &Message { seq, payload: &payload, address: None });
    worker.sink.borrow_mut().sent(phase, device.fleet, Kind::Reading);
    arm_expiry(worker, device);
    device.linked.set(session.ready() && device.ledger.borrow().has_room());
    sent.map(|()| true)
}

/// The connection is over: what was in flight on it ends as `outcome`.
fn give_up_all<S: Sink>(worker: &Worker<S>, device: &Device, outcome: Outcome, now: Tick) {
    loop {
        let given_up = device.ledger.borrow_mut().give_up(outcome, now);
        let Some(sample) = given_up else { return };
        worker.settle(device, &sample);
    }
}
