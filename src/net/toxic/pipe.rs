//! One direction of a connection, under a clock that is handed in: bytes go in, and come out when the toxics let them.

use std::collections::VecDeque;

use super::fading::{Recovery, SEGMENT, stall_ns};
use super::rule::{Rule, Spec, ToxicState};
use super::variate::happens;
use crate::clock::Tick;
use crate::fault::Ending;
use crate::seed::Stream;

/// Bytes a pipe holds at most; what does not fit has to wait outside, as before a full socket.
pub(in crate::net) const CAPACITY: usize = 256 * 1024;

/// Messages, or parts of them, that a pipe tells apart at most.
const MOST_RUNS: usize = 16 * 1024;

/// What an emptied pipe may keep allocated, bytes.
const KEPT: usize = 4 * 1024;

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum Intake {
    /// So many of its bytes are on their way, or lost on purpose.
    Taken(usize),
    /// There is no room.
    Full,
    /// It broke the connection.
    Reset,
}

/// What is to be done at the exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::net) enum Exit {
    /// There are bytes in [`Pipe::front`].
    Bytes,
    /// All bytes are through; this end followed them.
    End(Ending),
    /// The whole connection is to end like this.
    Cut(Ending),
    /// Nothing before this instant.
    At(Tick),
    /// Nothing until bytes arrive or the toxics change.
    Idle,
}

/// Neighbouring bytes that are due together.
#[derive(Debug, Clone, Copy)]
struct Run {
    len: usize,
    due: Tick,
}

/// One direction of a connection.
///
/// A message passes, in this order: loss of the whole connection, the hole, corruption, lost segments and latency as a delay
/// line; then, at the exit, the partition, the limit, the slicer and the bandwidth.
#[derive(Debug, Default)]
pub(in crate::net) struct Pipe {
    rules: Vec<Rule>,
    bytes: VecDeque<u8>,
    /// How the bytes beyond the first `open` are due.
    runs: VecDeque<Run>,
    /// Bytes at the front that may leave.
    open: usize,
    /// Whether more of their message follows them.
    cut: bool,
    /// Nothing that comes later is due before.
    last_due: Tick,
    end: Option<(Ending, Tick)>,
    finished: bool,
    /// Size of the piece that waits for its turn.
    piece: Option<usize>,
    /// The exit was held up until then, by other things than the bandwidth.
    held_until: Tick,
    /// No piece before, because of the one before it.
    gap_until: Tick,
    lost: bool,
}

impl Pipe {
    /// Puts `specs` in force. Rules that were in force already keep their state.
    pub(in crate::net) fn reconcile<'a>(
        &mut self,
        now: Tick,
        specs: &[Spec<'a>],
        stream: impl Fn(&Spec<'a>) -> Stream,
    ) {
        if self.is_held() {
            self.held_until = self.held_until.max(now);
        } else if self.open == 0 && self.is_shaped() {
            // What has passed so far did so by the old rules.
            self.shape(now);
        }
        let mut old = std::mem::take(&mut self.rules);
        for spec in specs {
            let present = old.iter().position(|rule| rule.key == spec.key);
            match present {
                Some(index) => self.rules.push(old.swap_remove(index)),
                None => self.rules.extend(Rule::new(spec, now, || stream(spec))),
            }
        }
        if old.iter().any(|rule| matches!(rule.state, ToxicState::Bucket(_))) {
            // What a narrower link held back is not bandwidth that wider ones saved up.
            self.held_until = self.held_until.max(now);
        }
        let lags = |rule: &Rule| matches!(rule.state, ToxicState::Lag(_) | ToxicState::Fading(_));
        if old.iter().any(lags) && !self.rules.iter().any(lags) {
            self.catch_up(now);
        }
        self.piece = None;
    }

    /// The road is short again: what is still on it arrives now, in order.
    fn catch_up(&mut self, now: Tick) {
        for run in &mut self.runs {
            run.due = run.due.min(now);
        }
        self.last_due = self.last_due.min(now);
        if let Some((_, due)) = &mut self.end {
            *due = (*due).min(now);
        }
    }

    /// Whether bytes, or the end, were lost on purpose, and no longer are: the connection cannot go on.
    pub(in crate::net) fn is_broken(&self) -> bool {
        self.lost && !self.is_hole()
    }

    /// Whether bytes, or the end, were lost on purpose.
    pub(in crate::net) const fn lost(&self) -> bool {
        self.lost
    }

    /// Whether no rule acts.
    pub(in crate::net) fn is_free(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether nothing is on its way.
    pub(in crate::net) fn is_drained(&self) -> bool {
        self.bytes.is_empty() && (self.finished || self.end.is_none())
    }

    /// Bytes it would take now.
    pub(in crate::net) fn room(&self) -> usize {
        if self.is_hole() {
            return CAPACITY;
        }
        if self.runs.len() >= MOST_RUNS { 0 } else { CAPACITY.saturating_sub(self.bytes.len()) }
    }

    fn is_hole(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.state, ToxicState::Hole))
    }

    fn is_held(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.state, ToxicState::Hold))
    }

    /// Takes in a message: one write, or what one read of a socket gave. It arrives at `now`.
    pub(in crate::net) fn push(&mut self, now: Tick, message: &[u8]) -> Intake {
        let room = self.room();
        if self.end.is_some() || room == 0 {
            return Intake::Full;
        }
        let message = message.get(..room).unwrap_or(message);
        for rule in &mut self.rules {
            if let ToxicState::Reset { chance, stream } = &mut rule.state
                && happens(*chance, stream)
            {
                rule.acted(1);
                return Intake::Reset;
            }
        }
        if self.swallows() {
            return Intake::Taken(message.len());
        }
        self.bytes.extend(message);
        for rule in &mut self.rules {
            let times = match &mut rule.state {
                ToxicState::Corruption(corruption) => corruption.strike(message, &mut self.bytes),
                ToxicState::Hold => 1,
                _ => 0,
            };
            rule.acted(times);
        }
        let arrival = now.plus_ns(self.lag_ns());
        self.line_up(arrival, message.len());
        Intake::Taken(message.len())
    }

    /// Lets `ending` follow the bytes; nothing is taken in after it. Only the first counts.
    pub(in crate::net) fn end(&mut self, now: Tick, ending: Ending) {
        if self.end.is_some() {
            return;
        }
        let swallowed = self.swallows();
        let slow = self.rules.iter().filter_map(|rule| match rule.state {
            ToxicState::SlowClose(delay_ns) if ending == Ending::Fin => {
                rule.acted(1);
                Some(delay_ns)
            }
            _ => None,
        });
        let slow_ns = slow.fold(0, u64::saturating_add);
        let arrival = now.plus_ns(self.lag_ns()).max(self.last_due);
        self.end = Some((ending, arrival.plus_ns(slow_ns)));
        self.finished = swallowed;
    }

    /// Notes that the end was passed on.
    pub(in crate::net) const fn finish(&mut self) {
        self.finished = true;
    }

    /// Drops everything that is on its way: there is nobody left to have it.
    pub(in crate::net) fn discard(&mut self) {
        self.take_all();
    }

    /// Takes out everything that is on its way, due or not.
    pub(in crate::net) fn take_all(&mut self) -> Vec<u8> {
        self.runs = VecDeque::new();
        self.open = 0;
        std::mem::take(&mut self.bytes).into()
    }

    /// Whether a hole swallows what comes now.
    fn swallows(&mut self) -> bool {
        let mut holes = self.rules.iter().filter(|rule| matches!(rule.state, ToxicState::Hole));
        let hole = holes.next();
        if let Some(rule) = hole {
            rule.acted(1);
            self.lost = true;
        }
        hole.is_some()
    }

    /// The sum of one draw of each latency.
    fn lag_ns(&mut self) -> u64 {
        let mut sum: u64 = 0;
        for rule in &mut self.rules {
            if let ToxicState::Lag(lag) = &mut rule.state {
                let lag_ns = lag.draw();
                sum = sum.saturating_add(lag_ns);
                rule.acted(u64::from(lag_ns > 0));
            }
        }
        sum
    }

    /// Puts `len` bytes that arrive at `arrival` into the delay line, later by what is lost of them.
    fn line_up(&mut self, arrival: Tick, len: usize) {
        let fades = self.rules.iter().any(|rule| matches!(rule.state, ToxicState::Fading(_)));
        let mut left = len;
        while left > 0 {
            let size = if fades { left.min(SEGMENT) } else { left };
            left -= size;
            let stall_ns = if fades { stall_ns(left.div_ceil(SEGMENT), || send(&mut self.rules)) } else { 0 };
            self.last_due = self.last_due.max(arrival.plus_ns(stall_ns));
            match self.runs.back_mut() {
                Some(run) if run.due == self.last_due => run.len += size,
                _ => self.runs.push_back(Run { len: size, due: self.last_due }),
            }
        }
    }

    /// What is to be done at the exit at `now`. Says the same again until it was done.
    pub(in crate::net) fn poll(&mut self, now: Tick) -> Exit {
        if self.is_held() {
            self.held_until = self.held_until.max(now);
            return Exit::Idle;
        }
        if let Some(ending) = self.spent_limit() {
            return Exit::Cut(ending);
        }
        if self.open > 0 {
            return Exit::Bytes;
        }
        match self.runs.front() {
            Some(run) if run.due > now => Exit::At(run.due),
            Some(_) if self.is_shaped() => self.shape(now),
            Some(_) => {
                while let Some(run) = self.runs.front().filter(|run| run.due <= now) {
                    self.open += run.len;
                    self.runs.pop_front();
                }
                self.cut = false;
                Exit::Bytes
            }
            None if self.finished => Exit::Idle,
            None => match self.end {
                Some((ending, due)) if due <= now => Exit::End(ending),
                Some((_, due)) => Exit::At(due),
                None => Exit::Idle,
            },
        }
    }

    /// The bytes that may leave now, as one piece; empty unless [`Pipe::poll`] said that there are some.
    pub(in crate::net) fn front(&mut self) -> &[u8] {
        let limits = self.rules.iter().filter_map(|rule| match rule.state {
            ToxicState::Limit { left, .. } => usize::try_from(left).ok(),
            _ => None,
        });
        let size = limits.fold(self.open, usize::min);
        // A piece that lies around the corner of the ring is still one piece.
        if self.bytes.as_slices().0.len() < size {
            self.bytes.make_contiguous();
        }
        self.bytes.as_slices().0.get(..size).unwrap_or_default()
    }

    /// Notes that the first `size` bytes of the front left at `now`.
    pub(in crate::net) fn consume(&mut self, now: Tick, size: usize) {
        let size = size.min(self.open);
        self.bytes.drain(..size);
        self.open -= size;
        let mut gap_ns: u64 = 0;
        for rule in &mut self.rules {
            match &mut rule.state {
                ToxicState::Limit { left, .. } => {
                    *left = left.saturating_sub(size as u64);
                    let times = u64::from(*left == 0 && size > 0);
                    rule.acted(times);
                }
                ToxicState::Slicer(slicer) if self.open == 0 => {
                    gap_ns = gap_ns.saturating_add(slicer.gap_ns);
                    rule.acted(u64::from(self.cut));
                }
                _ => {}
            }
        }
        if gap_ns > 0 {
            self.gap_until = now.plus_ns(gap_ns);
        }
        if self.bytes.is_empty() {
            self.bytes.shrink_to(KEPT);
            self.runs.shrink_to(KEPT / size_of::<Run>());
        }
    }

    /// Notes that what may leave could not at `now`: nobody took it. The time until then does not count as unused bandwidth.
    pub(in crate::net) fn stuck(&mut self, now: Tick) {
        self.held_until = self.held_until.max(now);
    }

    fn is_shaped(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.state, ToxicState::Bucket(_) | ToxicState::Slicer(_)))
    }

    fn spent_limit(&self) -> Option<Ending> {
        self.rules.iter().find_map(|rule| match rule.state {
            ToxicState::Limit { left: 0, ending } => Some(ending),
            _ => None,
        })
    }

    /// Opens the next piece, if it may leave at `now`.
    fn shape(&mut self, now: Tick) -> Exit {
        while let Some(run) = self.runs.front().copied() {
            let size = self.piece_of(run.len);
            let from = run.due.max(self.held_until);
            let ready = self.buckets().map(|bucket| bucket.ready(from, size));
            let at = ready.fold(from, Tick::max).max(self.gap_until);
            if at > now {
                return if self.open > 0 { Exit::Bytes } else { Exit::At(at) };
            }
            for rule in &mut self.rules {
                if let ToxicState::Bucket(bucket) = &mut rule.state {
                    let held_back = bucket.ready(from, size) > from;
                    bucket.pass(from, at, size);
                    rule.acted(u64::from(held_back));
                }
            }
            self.piece = None;
            self.open += size;
            self.cut = size < run.len;
            match self.runs.front_mut() {
                Some(run) if self.cut => run.len -= size,
                _ => drop(self.runs.pop_front()),
            }
            if self.rules.iter().any(|rule| matches!(rule.state, ToxicState::Slicer(_))) {
                break;
            }
            // Without a slicer, what is ready in one moment leaves in one piece.
        }
        Exit::Bytes
    }

    fn buckets(&self) -> impl Iterator<Item = &super::bucket::Bucket> {
        self.rules.iter().filter_map(|rule| match &rule.state {
            ToxicState::Bucket(bucket) => Some(bucket),
            _ => None,
        })
    }

    /// Size of the next piece of a run of `len` bytes, drawn once.
    fn piece_of(&mut self, len: usize) -> usize {
        let Self { piece, rules, .. } = self;
        *piece.get_or_insert_with(|| {
            rules.iter_mut().fold(len, |size, rule| match &mut rule.state {
                ToxicState::Slicer(slicer) => size.min(slicer.draw()),
                // A link delivers a segment when its last byte has arrived.
                ToxicState::Bucket(_) => size.min(SEGMENT),
                _ => size,
            })
        })
    }
}

/// Sends one segment over all links in a row: `None` if it arrived, else how its sender recovers.
fn send(rules: &mut [Rule]) -> Option<Recovery> {
    let mut recovery: Option<Recovery> = None;
    for rule in rules {
        if let ToxicState::Fading(fading) = &mut rule.state
            && fading.loses()
        {
            let own = fading.recovery();
            recovery = Some(recovery.map_or(own, |other| own.slower(other)));
            rule.acted(1);
        }
    }
    recovery
}
