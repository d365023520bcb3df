//! Readings between being sent and being answered, and whether more may follow: the bookkeeping of pipelined sessions.

use std::collections::VecDeque;

use super::correlator::Match;
use super::note::Notes;
use super::verdict::Reply;
use super::{Correlation, Event, Settings};
use crate::record::{Close, Stray};

/// Most readings handed over between two polls for events; the session is not ready for more.
const MOST_HANDED: usize = 64;

/// Most readings answered by order that wait for their turn. Those the engine has given up stay among them, since their
/// replies may still come; the bound keeps a peer that never replies from filling the memory.
const MOST_UNANSWERED: usize = 16_384;

/// Which readings are kept, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    /// None: what closes them names them.
    None,
    /// Until handed to the socket, which closes them, and told.
    UntilTold,
    /// Until a reply comes when it is their turn.
    UntilAnswered,
}

/// What a session remembers of its readings, and what it has told of its readiness.
#[derive(Debug)]
pub(super) struct Pipeline {
    kept: Kept,
    /// Sequence numbers in the order of sending.
    seqs: VecDeque<u64>,
    /// Bytes wait for the socket.
    blocked: bool,
    /// The session was not ready when it last told something, or has not been since.
    stalled: bool,
    /// The peer has acknowledged a reading on this connection, where its protocol has acknowledgements.
    pub(super) acknowledged: bool,
    pub(super) notes: Notes,
}

impl Pipeline {
    pub(super) fn new(settings: &Settings) -> Self {
        let kept = match (settings.close, &settings.correlation) {
            (Close::Sent, _) => Kept::UntilTold,
            (Close::Reply, Correlation::Order) => Kept::UntilAnswered,
            _ => Kept::None,
        };
        Self {
            kept,
            seqs: VecDeque::new(),
            blocked: false,
            stalled: false,
            acknowledged: false,
            notes: Notes::default(),
        }
    }

    /// Whether a further reading can be written and remembered.
    pub(super) fn is_open(&self) -> bool {
        let most = match self.kept {
            Kept::None | Kept::UntilTold => MOST_HANDED,
            Kept::UntilAnswered => MOST_UNANSWERED,
        };
        !self.blocked && self.seqs.len() < most
    }

    pub(super) const fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether replies find their readings by nothing but their order.
    pub(super) fn is_in_order(&self) -> bool {
        self.kept == Kept::UntilAnswered
    }

    /// The socket has taken everything, or has not.
    pub(super) fn wrote(&mut self, everything: bool) {
        self.blocked = !everything;
        self.stalled |= self.blocked;
    }

    /// A reading was written, as far as the socket takes it.
    pub(super) fn sent(&mut self, seq: u64) {
        if self.kept != Kept::None {
            self.seqs.push_back(seq);
        }
    }

    /// The sender now knows whether the session is ready.
    pub(super) fn note_readiness(&mut self, ready: bool) {
        self.stalled = !ready;
    }

    /// The next event that needs no message from the peer; `room` says that the protocol itself would take a reading.
    pub(super) fn pending(&mut self, room: bool) -> Option<Event> {
        // At most the last reading can still be on its way to the socket.
        let handed = self.kept == Kept::UntilTold && self.seqs.len() > usize::from(self.blocked);
        let closed = if handed { self.seqs.pop_front() } else { None };
        if closed.is_none() && !self.stalled {
            return None;
        }
        let ready = room && self.is_open();
        if closed.is_none() && !ready {
            return None;
        }
        self.stalled = !ready;
        Some(closed.map_or(Event::Writable, |seq| Reply::ok(seq).into()))
    }

    /// Keeps what `message` says beyond what it answers: why a reading failed, or what it is that answers none.
    pub(super) fn note(&mut self, matched: Option<&Match>, message: &[u8]) {
        if let Some(Match::Named(reply)) = matched {
            self.notes.answered(reply.seq, reply.answer, message);
        }
        if let Some(stray) = Match::stray(matched) {
            self.notes.suspect(stray, message);
        }
    }

    /// The event a message from the peer amounts to; without one it is stray.
    pub(super) fn answered(&mut self, matched: Option<Match>) -> Option<Event> {
        if let Some(stray) = Match::stray(matched.as_ref()) {
            self.notes.strayed(stray);
        }
        match matched? {
            Match::Named(reply) => Some(reply.into()),
            Match::Next { named } => {
                let Some(seq) = self.seqs.pop_front() else {
                    self.strayed();
                    return None;
                };
                Some(Reply { named, ..Reply::ok(seq) }.into())
            }
            Match::Heard { sender, seq, named } => Some(Event::Heard { sender, seq, named }),
            Match::Neighbour | Match::Stranger => None,
        }
    }

    /// A message answered no reading.
    pub(super) fn strayed(&mut self) {
        self.notes.strayed(Stray::Unasked);
    }

    #[cfg(test)]
    pub(super) fn stray(&self) -> u64 {
        self.notes.stray()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(close: Close) -> Pipeline {
        Pipeline::new(&Settings { close, ..Settings::default() })
    }

    fn ok(seq: u64) -> Event {
        Reply::ok(seq).into()
    }

    #[test]
    fn replies_in_order_answer_the_first_that_waits() {
        let mut pipeline = pipeline(Close::Reply);
        assert_eq!(pipeline.answered(Some(Match::Next { named: false })), None);
        for seq in [5, 9, 2] {
            pipeline.sent(seq);
        }
        let answers: Vec<_> = (0..5).map(|_| pipeline.answered(Some(Match::Next { named: false }))).collect();
        assert_eq!(answers, [Some(ok(5)), Some(ok(9)), Some(ok(2)), None, None]);
        assert_eq!(pipeline.stray(), 3);
        assert_eq!(pipeline.pending(true), None);
    }

    #[test]
    fn a_peer_that_never_replies_stops_the_sender_until_it_does() {
        let mut pipeline = pipeline(Close::Reply);
        let mut seq = 0;
        while pipeline.is_open() {
            pipeline.sent(seq);
            seq += 1;
        }
        assert_eq!(seq, MOST_UNANSWERED as u64);
        pipeline.note_readiness(false);
        assert_eq!(pipeline.pending(true), None);
        assert_eq!(pipeline.answered(Some(Match::Next { named: false })), Some(ok(0)));
        assert!(pipeline.is_open());
    }

    #[test]
    fn readiness_is_told_once_it_returns_and_only_then() {
        let mut pipeline = pipeline(Close::Verdict);
        pipeline.sent(1);
        assert_eq!(pipeline.pending(true), None);
        pipeline.wrote(false);
        assert!(!pipeline.is_open());
        assert_eq!(pipeline.pending(true), None);
        pipeline.wrote(true);
        assert_eq!(pipeline.pending(false), None);
        assert_eq!(pipeline.pending(true), Some(Event::Writable));
        assert_eq!(pipeline.pending(true), None);
    }

    #[test]
    fn a_reading_closed_by_being_handed_over_waits_for_its_last_byte() {
        let mut pipeline = pipeline(Close::Sent);
        pipeline.sent(1);
        pipeline.wrote(false);
        pipeline.sent(2);
        assert_eq!(pipeline.pending(true), Some(ok(1)));
        assert_eq!(pipeline.pending(true), None);
        pipeline.wrote(true);
        assert_eq!(pipeline.pending(true), Some(ok(2)));
        assert_eq!(pipeline.pending(true), None);
    }
}
