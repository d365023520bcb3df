//! The toxics of one connection at work: two pipes, and the socket behind them.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::active_fault::{Origin, specs};
use super::connection_fault::ConnectionFaults;
use super::toxic::{Exit, Intake, Key, Pipe};
use crate::clock::Tick;
use crate::fault::{Direction, Ending, ToxicKind};

/// Bytes read from the socket at once: one message of the pipe.
const CHUNK: usize = 8 * 1024;

/// Reads, or writes, of a socket in one poll; then others have their turn.
const MOST_CALLS: u32 = 64;

/// What stands between a connection and its socket while a toxic acts, or bytes that one held are on their way.
#[derive(Debug, Default)]
pub(super) struct ToxicPipeline {
    up: Pipe,
    down: Pipe,
    alarms: Vec<Alarm>,
    /// The first instant for which a wake-up is ordered.
    armed: Option<Tick>,
    /// Who waits for room.
    writer: Option<Waker>,
    /// Nothing more is taken from the device.
    closed: bool,
    /// Nothing more comes from the socket.
    heard_end: bool,
    /// Why nothing more goes to the socket.
    broken: Option<io::ErrorKind>,
}

/// What the filter works on.
pub(super) struct FilterContext<'a> {
    pub(super) socket: &'a mut TcpStream,
    pub(super) faults: &'a ConnectionFaults,
    pub(super) now: Tick,
}

/// Something that happens once, at an instant.
#[derive(Debug)]
struct Alarm {
    key: Key,
    at: Tick,
    resets: bool,
    done: bool,
    tally: Rc<Cell<u64>>,
}

/// What a call came to; an error says that the whole connection is to end so.
pub(super) type Passed<T> = Result<T, Ending>;

impl ToxicPipeline {
    /// Puts what is active in `faults` in force.
    pub(super) fn reconcile(&mut self, faults: &ConnectionFaults, origin: Origin, now: Tick) -> Passed<()> {
        let active = faults.active();
        for (way, pipe) in [(Direction::Up, &mut self.up), (Direction::Down, &mut self.down)] {
            let specs: Vec<_> = specs(&active, origin)
                .filter(|(toxic_way, _)| toxic_way.covers(way))
                .map(|(_, s)| s)
                .collect();
            pipe.reconcile(now, &specs, |spec| {
                let what = format!("{}/{}/{}", way.name(), spec.key.toxic, spec.key.occurrence);
                faults.stream(spec.name, &what, origin.number)
            });
        }
        let old = std::mem::take(&mut self.alarms);
        for front in &active {
            let since = front.since.max(origin.born);
            for (_, spec) in specs(std::slice::from_ref(front), origin) {
                let (after, resets) = match spec.kind {
                    ToxicKind::Reset { after: Some(after), .. } => (after, true),
                    ToxicKind::HalfClose { after } => (after, false),
                    _ => continue,
                };
                let done = old.iter().any(|alarm| alarm.key == spec.key && alarm.done);
                let (at, tally) = (since.plus_ns(after.as_ns()), Rc::clone(spec.tally));
                self.alarms.push(Alarm { key: spec.key, at, resets, done, tally });
            }
        }
        let over = self.up.is_broken() || self.down.is_broken();
        if over { Err(Ending::Reset) } else { Ok(()) }
    }

    /// Does what is due by the clock alone.
    pub(super) fn tend(&mut self, now: Tick) -> Passed<()> {
        for alarm in self.alarms.iter_mut().filter(|alarm| !alarm.done && alarm.at <= now) {
            alarm.done = true;
            alarm.tally.set(alarm.tally.get().saturating_add(1));
            if alarm.resets {
                return Err(Ending::Reset);
            }
            self.closed = true;
            self.up.end(now, Ending::Fin);
        }
        Ok(())
    }

    /// Whether it could as well not be there.
    pub(super) fn is_idle(&self) -> bool {
        let pipes = [&self.up, &self.down];
        let calm = pipes.iter().all(|pipe| pipe.is_free() && pipe.is_drained() && !pipe.lost());
        calm && self.alarms.is_empty()
    }

    /// Whether all that the device wrote went to the socket.
    pub(super) fn is_delivered(&self) -> bool {
        self.up.is_drained()
    }

    /// Whether bytes of the device were lost on purpose.
    pub(super) const fn lost(&self) -> bool {
        self.up.lost() || self.down.lost()
    }

    /// A writer that waits for room has to look again.
    pub(super) fn release(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// What the device wrote and the socket has not yet.
    pub(super) fn take_unsent(&mut self) -> Vec<u8> {
        self.up.take_all()
    }

    pub(super) fn poll_read(
        &mut self,
        FilterContext { socket, faults, now }: FilterContext<'_>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Passed<Poll<io::Result<()>>> {
        let up = self.pump(socket, now, cx)?;
        self.fill(socket, now, cx)?;
        let down = match self.down.poll(now) {
            Exit::Bytes => {
                let front = self.down.front();
                let size = front.len().min(buf.remaining());
                buf.put_slice(front.get(..size).unwrap_or_default());
                self.down.consume(now, size);
                return Ok(Poll::Ready(Ok(())));
            }
            Exit::End(Ending::Fin | Ending::Died) => {
                self.down.finish();
                return Ok(Poll::Ready(Ok(())));
            }
            Exit::End(Ending::Reset) => return Err(Ending::Reset),
            Exit::Cut(ending) => return Err(ending),
            Exit::At(at) => Some(at),
            // The end was passed on already, and stays the end.
            Exit::Idle if self.heard_end && self.down.is_drained() && !self.down.lost() => {
                return Ok(Poll::Ready(Ok(())));
            }
            Exit::Idle => None,
        };
        self.arm(faults, now, cx, [up, down]);
        Ok(Poll::Pending)
    }

    pub(super) fn poll_write(
        &mut self,
        FilterContext { socket, faults, now }: FilterContext<'_>,
        cx: &mut Context<'_>,
        message: &[u8],
    ) -> Passed<Poll<io::Result<usize>>> {
        if self.closed {
            return Ok(Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())));
        }
        if let Some(kind) = self.broken {
            return Ok(Poll::Ready(Err(kind.into())));
        }
        if message.is_empty() {
            return Ok(Poll::Ready(Ok(0)));
        }
        let mut intake = self.up.push(now, message);
        let mut next = self.pump(socket, now, cx)?;
        if intake == Intake::Full {
            intake = self.up.push(now, message);
            next = self.pump(socket, now, cx)?;
        }
        self.arm(faults, now, cx, [next, None]);
        Ok(match intake {
            Intake::Taken(size) => Poll::Ready(Ok(size)),
            Intake::Reset => return Err(Ending::Reset),
            Intake::Full => {
                self.writer = Some(cx.waker().clone());
                Poll::Pending
            }
        })
    }

    /// Sends on what may leave, and never waits for the rest.
    pub(super) fn poll_flush(
        &mut self,
        FilterContext { socket, faults, now }: FilterContext<'_>,
        cx: &mut Context<'_>,
    ) -> Passed<Poll<io::Result<()>>> {
        let next = self.pump(socket, now, cx)?;
        self.arm(faults, now, cx, [next, None]);
        Ok(Poll::Ready(self.broken.map_or(Ok(()), |kind| Err(kind.into()))))
    }

    /// Ready once the device's end of the stream was sent, after all its bytes.
    pub(super) fn poll_shutdown(
        &mut self,
        FilterContext { socket, faults, now }: FilterContext<'_>,
        cx: &mut Context<'_>,
    ) -> Passed<Poll<io::Result<()>>> {
        self.closed = true;
        self.up.end(now, Ending::Fin);
        let next = self.pump(socket, now, cx)?;
        if let Some(kind) = self.broken {
            return Ok(Poll::Ready(Err(kind.into())));
        }
        if self.up.is_drained() {
            return Ok(Poll::Ready(Ok(())));
        }
        self.arm(faults, now, cx, [next, None]);
        Ok(Poll::Pending)
    }

    /// Sends on what may leave; gives when to look again.
    fn pump(&mut self, socket: &mut TcpStream, now: Tick, cx: &mut Context<'_>) -> Passed<Option<Tick>> {
        let mut socket = Pin::new(socket);
        for _ in 0..MOST_CALLS {
            match self.up.poll(now) {
                Exit::Bytes => match socket.as_mut().poll_write(cx, self.up.front()) {
                    Poll::Ready(Ok(size @ 1..)) => {
                        self.up.consume(now, size);
                        self.release();
                    }
                    Poll::Ready(result) => {
                        self.broken = Some(result.map_or_else(|e| e.kind(), |_| io::ErrorKind::WriteZero));
                        self.up.discard();
                        self.release();
                        return Ok(None);
                    }
                    Poll::Pending => {
                        self.up.stuck(now);
                        return Ok(None);
                    }
                },
                Exit::End(_) => {
                    // If it fails the connection is gone, as reading will show.
                    let _ = socket.as_mut().poll_shutdown(cx);
                    self.up.finish();
                }
                Exit::Cut(ending) => return Err(ending),
                Exit::At(at) => return Ok(Some(at)),
                Exit::Idle => return Ok(None),
            }
        }
        cx.waker().wake_by_ref();
        Ok(None)
    }

    /// Takes in what the socket has.
    fn fill(&mut self, socket: &mut TcpStream, now: Tick, cx: &mut Context<'_>) -> Passed<()> {
        let mut space = [const { MaybeUninit::<u8>::uninit() }; CHUNK];
        for _ in 0..MOST_CALLS {
            let room = self.down.room().min(CHUNK);
            if self.heard_end || room == 0 {
                return Ok(());
            }
            let Some(space) = space.get_mut(..room) else { return Ok(()) };
            let mut buf = ReadBuf::uninit(space);
            match Pin::new(&mut *socket).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if buf.filled().is_empty() => self.hear_end(now, Ending::Fin),
                Poll::Ready(Ok(())) => {
                    if self.down.push(now, buf.filled()) == Intake::Reset {
                        return Err(Ending::Reset);
                    }
                }
                Poll::Ready(Err(_)) => self.hear_end(now, Ending::Reset),
                Poll::Pending => return Ok(()),
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn hear_end(&mut self, now: Tick, ending: Ending) {
        self.heard_end = true;
        self.down.end(now, ending);
    }

    /// Orders a wake-up for the first of `times` and of the alarms, unless one is ordered that comes as early.
    fn arm(&mut self, faults: &ConnectionFaults, now: Tick, cx: &Context<'_>, times: [Option<Tick>; 2]) {
        let alarms = self.alarms.iter().filter(|alarm| !alarm.done).map(|alarm| alarm.at);
        let Some(next) = times.into_iter().flatten().chain(alarms).min() else { return };
        if next <= now {
            cx.waker().wake_by_ref();
        } else if next < Tick::FAR && self.armed.is_none_or(|armed| armed <= now || next < armed) {
            self.armed = Some(next);
            faults.wake_at(next);
        }
    }
}
