//! The life of one device: connect, converse, reconnect. One task per device, on its worker's thread.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::activation::error_of;
use super::answer::{admit, take_in};
use super::attempt::{arm_keep_alive, connect};
use super::device::Device;
use super::dispatch::{arm_expiry, send_next};
use super::ledger::Expired;
use super::pause::Hold;
use super::reason::cut_by_fault;
use super::reconnect::{EndedConnection, Reconnect};
use super::timer::{Alarm, Task};
use super::worker::{CLOSE_TIMEOUT, Stage, Worker};
use crate::clock::Tick;
use crate::fault::Ending;
use crate::protocol::{Failure, Session, SessionState};
use crate::record::{ErrorKind, Outcome, Reason, Sink};

/// Why a conversation ended.
enum Disconnect {
    /// The run is over, or the device leaves for good.
    Closing,
    /// The connection is unusable.
    Broken(Failure),
    /// The server did not let the device in.
    Refused(Failure),
    /// A reading timed out on a session that cannot go on after that.
    Abandoned,
    /// The plan cuts the connection.
    Cut,
    /// A fault does.
    Fault(Ending),
    /// Nothing is left to do for now.
    Asleep,
}

/// How long before the end of a connection a fault that severs connections may have ended and still have caused it, nanoseconds:
/// the end has to be heard of.
const ECHO_NS: u64 = 1_000_000_000;

/// When to connect next, how many attempts in a row were of no use, and whose waiting it is until then.
#[derive(Clone, Copy)]
struct Next {
    /// `None`: when there is something to send; for the first time when the plan says, if it does.
    at: Option<Tick>,
    failures: u32,
    hold: Hold,
}

/// Ends a connection as a fault does, and says when the device comes back.
async fn cut<S: Sink>(
    worker: &Worker<S>,
    device: &Rc<Device>,
    mut session: Box<dyn Session>,
    ending: Ending,
    now: Tick,
) -> Next {
    match ending {
        Ending::Reset => session.abort(),
        // A session that outlives its connection must be closed before the next one opens.
        Ending::Fin if device.lasting => close(&mut *session).await,
        // Dropped without a word, as a dead process leaves it.
        Ending::Fin | Ending::Died => {}
    }
    if !lasts(device, session, ending == Ending::Fin) {
        let outcome = Outcome::Error(error_of(ending));
        give_up_all(worker, device, outcome, &cut_by_fault(ending), now);
    }
    if !worker.faults.keeps_away(device, now) {
        worker.come_back(device, now);
    }
    at_once(device, now)
}

/// Drives one device until its worker closes.
pub(super) async fn drive<S: Sink>(worker: Rc<Worker<S>>, device: Rc<Device>) {
    let Some(endpoint) = worker.endpoint(device.fleet) else { return };
    let mut next = Next { at: None, failures: 0, hold: device.wait.get().hold() };
    while let Some(intended) = wait_for(&worker, &device, next).await {
        let tried = worker.clock.now();
        let Some(mut session) = connect(&worker, &device, endpoint, intended).await else {
            worker.begun(&device).await;
            next = retry(&worker, &device, next, tried);
            continue;
        };
        let connected = (worker.clock.now(), device.answered.get());
        // The time without a connection is that of connecting.
        device.replied.set(None);
        worker.joined(&device, connected.0);
        let disconnect = converse(&worker, &device, &mut *session).await;
        worker.parted(&device);
        worker.begun(&device).await;
        device.can_send.set(false);
        device.repeat.take();
        let now = worker.clock.now();
        match disconnect {
            Disconnect::Closing => {
                worker.listens(&device, None);
                // A device that leaves in mid-run must not wait for ever for a peer that does not let go.
                close(&mut *session).await;
                return;
            }
            Disconnect::Abandoned => {
                // Nor can any other reading that was sent on it be answered any more.
                let reason = worker.reasons(&device).timeout.clone();
                give_up_all(&worker, &device, Outcome::Timeout, &reason, now);
                // The time-out itself has spaced the attempts out.
                next = at_once(&device, now);
            }
            // What was under way is sent again, or completed on the next connection: the cut is the plan's doing, and the wait
            // for it shows in the response time.
            Disconnect::Cut => {
                if !lasts(&device, session, false) {
                    device.ledger.borrow_mut().recall(worker.waited(&device, now));
                }
                worker.schedule(device.policy.resumed(), &device, Task::Wake);
                // At once then, whenever that is: the run may leave out a part of the plan until then.
                next = Next { at: Some(Tick::ZERO), failures: 0, hold: Hold::Service };
            }
            Disconnect::Fault(ending) => next = cut(&worker, &device, session, ending, now).await,
            Disconnect::Asleep => {
                // Closing must not delay the next reading.
                part(session);
                next = Next { at: None, failures: 0, hold: Hold::Service };
            }
            // What was sent has reached nobody: it waits for the next connection.
            Disconnect::Refused(failure) => {
                worker.refuse(&device, &failure, now);
                next = retry(&worker, &device, next, tried);
            }
            Disconnect::Broken(failure) => {
                worker.cut_off(&device, &failure, connected.0, now);
                let ended = ended(&device, connected);
                let is_reported = !lasts(&device, session, false)
                    && give_up_all(&worker, &device, Outcome::Error(failure.kind), &failure.reason, now);
                if !is_reported {
                    worker.breached(&device, &failure);
                }
                next = follow(&worker, &device, ended, next.failures);
            }
        }
    }
    // One that leaves while it has no connection is as gone as one that closes its own.
    if device.leaves(worker.clock.now()) {
        worker.listens(&device, None);
    }
}

/// A connection as soon as it may be; of a device that connects on demand, when there is something to do.
fn at_once(device: &Device, now: Tick) -> Next {
    let at = if device.policy.on_demand() { when_wanted(device, now) } else { Some(now) };
    Next { at, failures: 0, hold: Hold::Service }
}

/// When the device needs a connection: at once, unless it only waits to send readings again; `None` if it has nothing to do.
fn when_wanted(device: &Device, now: Tick) -> Option<Tick> {
    let rests_until = device.ledger.borrow().rests_until();
    (!device.is_settled()).then(|| rests_until.map_or(now, |at| at.max(now)))
}

/// How a connection went that was made at `begun.0`, when the device had been answered `begun.1` times.
fn ended(device: &Device, begun: (Tick, u64)) -> EndedConnection {
    let ledger = device.ledger.borrow();
    EndedConnection {
        in_use: !ledger.is_idle(),
        role: device.role,
        served: device.answered.get() > begun.1,
        in_vain: ledger.next_intended().is_some_and(|due| due < begun.0),
    }
}

/// When the next connection follows one that has ended unasked for.
fn follow<S: Sink>(worker: &Worker<S>, device: &Device, ended: EndedConnection, failures: u32) -> Next {
    let now = worker.clock.now();
    match ended.again(failures) {
        Reconnect::WhenDue => Next { at: when_wanted(device, now), failures: 0, hold: Hold::Service },
        Reconnect::After { failures, .. } if device.policy.on_demand() && device.is_settled() => {
            Next { at: None, failures, hold: Hold::Service }
        }
        Reconnect::After { wait, failures } => {
            let severed = device.was_severed(Tick(now.0.saturating_sub(ECHO_NS)));
            pause(worker, device, (wait, failures), if severed { Hold::Plan } else { Hold::Own })
        }
    }
}

/// Pause number `wait` of the device's back-off.
fn pause<S: Sink>(worker: &Worker<S>, device: &Device, (wait, failures): (u32, u32), hold: Hold) -> Next {
    let wait = device.plan.borrow_mut().backoff(wait).as_duration();
    // The peer may have asked to be left alone for longer.
    let asked = device.suspended.borrow().as_ref().map(SessionState::pause);
    let at = worker.clock.now() + asked.map_or(wait, |asked| asked.max(wait));
    worker.schedule(at, device, Task::Wake);
    Next { at: Some(at), failures, hold }
}

async fn close(session: &mut dyn Session) {
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, poll_fn(|cx| session.poll_close(cx))).await;
}

/// Closes the session without waiting for the peer.
fn part(mut session: Box<dyn Session>) {
    tokio::task::spawn_local(async move { close(&mut *session).await });
}

/// Ends a connection, politely or not, and keeps what the device's next one completes. False if nothing outlives it.
fn lasts(device: &Device, session: Box<dyn Session>, polite: bool) -> bool {
    if device.lasting {
        *device.suspended.borrow_mut() = session.suspend();
    } else if polite {
        part(session);
    }
    device.suspended.borrow().is_some()
}

/// The next attempt after one that was made at `tried` and failed.
fn retry<S: Sink>(worker: &Worker<S>, device: &Device, failed: Next, tried: Tick) -> Next {
    let failures = failed.failures.saturating_add(1);
    let severed = device.attempt_cut.take() || device.was_severed(tried);
    if !severed {
        worker.unreachable(device);
    }
    if device.policy.on_demand() && device.is_settled() {
        return Next { at: None, failures, hold: Hold::Service };
    }
    let hold = if severed { Hold::Plan } else { Hold::Refused };
    pause(worker, device, (failed.failures, failures), hold)
}

/// Waits until a connection is due and gives the instant at which it was; `None` if none will be needed any more.
async fn wait_for<S: Sink>(worker: &Worker<S>, device: &Device, next: Next) -> Option<Tick> {
    poll_fn(|cx| {
        device.listen(cx);
        let now = worker.clock.now();
        if device.lasting {
            // What outlived its connection does not outlive its time-out.
            expire(worker, device, None, now);
        }
        let idle = device.is_settled();
        match worker.stage() {
            Stage::Closing => return Poll::Ready(None),
            Stage::Draining if idle => return Poll::Ready(None),
            _ if idle && device.leaves(now) => return Poll::Ready(None),
            _ => {}
        }
        let online = device.policy.online_at(now);
        worker.hold(device, if online > now { Hold::Plan } else { next.hold }, now);
        if online > now {
            return Poll::Pending;
        }
        // The run may have left out a part of the plan meanwhile.
        let planned = device.connect_at().filter(|_| device.attempts.get() == 0);
        let wanted = planned.or(next.at).or_else(|| device.ledger.borrow().next_wanted());
        match wanted {
            // What was due while the plan kept the device offline cannot connect before it may.
            Some(wanted) if wanted <= now => Poll::Ready(Some(wanted.max(device.policy.resumed()))),
            _ => Poll::Pending,
        }
    })
    .await
}

/// Sends what is due and takes in what comes back, until the connection or the run ends.
async fn converse<S: Sink>(worker: &Worker<S>, device: &Device, session: &mut dyn Session) -> Disconnect {
    device.can_send.set(session.ready() && device.ledger.borrow().has_room());
    poll_fn(|cx| {
        device.listen(cx);
        device.attentive.set(true);
        worker.idle.note_activity();
        let disconnect = attend(worker, device, session, cx);
        device.attentive.set(false);
        let refused = matches!(disconnect, Poll::Ready(Disconnect::Refused(_)));
        if !refused
            && device.awaits_admission()
            && (disconnect.is_ready() || !session.awaits_admission() || is_admitted_by_now(worker, device))
            && admit(worker, device)
        {
            // With nothing left to hang on it may rest.
            cx.waker().wake_by_ref();
        }
        worker.note(device, session);
        disconnect
    })
    .await
}

/// Looks at everything that concerns the device, until there is nothing left to do. The clock is read where a stamp is taken,
/// and where nothing has just read it.
fn attend<S: Sink>(
    worker: &Worker<S>,
    device: &Device,
    session: &mut dyn Session,
    cx: &mut Context<'_>,
) -> Poll<Disconnect> {
    let (mut read, mut looked) = (None, false);
    loop {
        let all_heard = match session.poll_event(cx) {
            Poll::Ready(Ok(event)) => {
                let at = worker.clock.now();
                worker.idle.heard(at);
                take_in(worker, device, session, event, at);
                read = Some(at);
                // What has been received already is stamped before anything is sent.
                if session.has_more() {
                    continue;
                }
                false
            }
            Poll::Ready(Err(failure)) => return Poll::Ready(broken(device, session, failure)),
            Poll::Pending => true,
        };
        let now = read.take().unwrap_or_else(|| worker.clock.now());
        worker.idle.nudge(now);
        if let Some(disconnect) = planned_disconnect(worker, device, now) {
            return Poll::Ready(disconnect);
        }
        if expire(worker, device, Some(&*session), now) && !session.survives_timeout() {
            return Poll::Ready(Disconnect::Abandoned);
        }
        if all_heard && !looked && device.has_idled(now) {
            // The peer may have closed it just before: then nothing is sent into it.
            looked = true;
            session.look();
            continue;
        }
        let kept = keep_alive(worker, device, session, cx, now);
        match kept.and_then(|()| send_next(worker, device, session, cx, now)) {
            Ok(None) if all_heard => return Poll::Pending,
            Ok(sent) => read = sent,
            Err(failure) => return Poll::Ready(broken(device, session, failure)),
        }
    }
}

/// What the end of a session by `failure` means: a server may refuse the device when that takes itself for connected.
fn broken(device: &Device, session: &mut dyn Session, failure: Failure) -> Disconnect {
    if failure.kind == ErrorKind::Tls && device.awaits_admission() && session.awaits_admission() {
        Disconnect::Refused(failure)
    } else {
        Disconnect::Broken(failure)
    }
}

/// Whether a server that says nothing had all the time of an attempt to refuse the device.
fn is_admitted_by_now<S: Sink>(worker: &Worker<S>, device: &Device) -> bool {
    let limit = worker.plan.scenario().run.connect_timeout.as_ns();
    let attempt = device.attempt.borrow();
    attempt.as_ref().is_some_and(|attempt| worker.clock.now() >= attempt.actual.plus_ns(limit))
}

/// Whether the plan, or the end of the run, ends the connection at `now`.
fn planned_disconnect<S: Sink>(worker: &Worker<S>, device: &Device, now: Tick) -> Option<Disconnect> {
    if worker.stage() == Stage::Closing {
        return Some(Disconnect::Closing);
    }
    if device.policy.cuts(now) {
        return Some(Disconnect::Cut);
    }
    if let Some(ending) = device.cut.take() {
        return Some(Disconnect::Fault(ending));
    }
    if !device.is_settled() {
        return None;
    }
    if device.leaves(now) {
        return Some(Disconnect::Closing);
    }
    let rest_at = device.policy.rest_at()?;
    if now >= rest_at {
        return Some(Disconnect::Asleep);
    }
    worker.wake_at(rest_at, device, Alarm::Rest);
    None
}

/// Ends readings whose time is up; true if there were any.
fn expire<S: Sink>(worker: &Worker<S>, device: &Device, session: Option<&dyn Session>, now: Tick) -> bool {
    let Some(first) = device.ledger.borrow().next_expiry() else {
        return false;
    };
    if first > now {
        worker.wake_at(first, device, Alarm::Expiry);
        return false;
    }
    worker.end_resting(device, now, false);
    let mut any = false;
    loop {
        if worker.retry_expiring(device, now) {
            any = true;
            continue;
        }
        let expired = device.ledger.borrow_mut().expire(now);
        match expired {
            Some(Expired::Reading(sample)) => {
                // On a connection that carries several answers nobody knows whose has begun.
                let half = session.filter(|session| !session.survives_timeout());
                worker.expire(device, &sample, half.and_then(Session::half_answered));
            }
            Some(Expired::Repeat) => {}
            None => break,
        }
        any = true;
    }
    // What waited for room waited for the service, not for us.
    if !device.can_send.get() {
        device.ledger.borrow_mut().unblock(now);
    }
    arm_expiry(worker, device);
    any
}

fn keep_alive<S: Sink>(
    worker: &Worker<S>,
    device: &Device,
    session: &mut dyn Session,
    cx: &mut Context<'_>,
    now: Tick,
) -> Result<(), Failure> {
    if device.keep_alive_at.get().is_some_and(|at| at <= now) {
        device.keep_alive_at.set(None);
        arm_keep_alive(worker, device, session.keep_alive_period(), now);
        session.keep_alive(cx)?;
    }
    Ok(())
}

/// The connection is over: what was in flight on it ends as `outcome`, for `reason`. True if there was any.
fn give_up_all<S: Sink>(
    worker: &Worker<S>,
    device: &Device,
    outcome: Outcome,
    reason: &Reason,
    now: Tick,
) -> bool {
    let mut any = false;
    loop {
        let oldest = device.ledger.borrow().oldest();
        if oldest.is_some_and(|seq| worker.retry_unanswered(device, (seq, outcome), now, reason)) {
            any = true;
            continue;
        }
        let given_up = device.ledger.borrow_mut().give_up(outcome, now);
        let Some(sample) = given_up else { return any };
        worker.settle(device, &sample, Some(reason));
        any = true;
    }
}
