//! One session and its scripted peer, and the account of its readings as the engine would keep it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::Poll;

use super::super::super::harness::script::context;
use super::super::super::{
    Answer, Correlation, Driver, Event, Failure, Hearing, Message, Roster, Session, Settings, TABLE,
};
use super::wire::{Ending, Wire};
use super::{DEVICE, Proof};
use crate::record::Close;

/// One way to use one protocol.
#[derive(Debug, Clone)]
pub(super) struct Usage {
    pub(super) driver: &'static dyn Driver,
    /// Of the protocol, where it has several.
    pub(super) variant: &'static str,
    pub(super) settings: Settings,
}

impl Usage {
    /// Every way to close readings, of every protocol.
    pub(super) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        let variants = |driver: &'static dyn Driver| {
            let variants = driver.proof().variants();
            variants.into_iter().map(move |(variant, own)| (driver, variant, own))
        };
        for (driver, variant, own) in TABLE.iter().copied().flat_map(variants) {
            for close in driver.facts().closes.iter().copied() {
                let pointer = (close == Close::Reply).then(|| Correlation::Pointer("/seq".into()));
                for correlation in [Correlation::Order].into_iter().chain(pointer) {
                    let settings = Settings { close, correlation, own: own.clone(), ..Settings::default() };
                    all.push(Self { driver, variant, settings });
                }
            }
        }
        all
    }

    /// Those, and one of every protocol by which nothing can be sent: its devices hear others.
    pub(super) fn every() -> Vec<Self> {
        let silent = TABLE.iter().copied().filter(|driver| !driver.facts().sends());
        let hearing = || Hearing::Others(Roster(Arc::new(|_| Some(0))));
        let silent = silent.map(|driver| Self {
            driver,
            variant: "",
            settings: Settings { hearing: hearing(), ..Settings::default() },
        });
        Self::all().into_iter().chain(silent).collect()
    }

    pub(super) fn sends(&self) -> bool {
        self.driver.facts().sends()
    }

    pub(super) fn name(&self) -> String {
        if !self.sends() {
            return format!("{}, hearing", self.driver.facts().protocol);
        }
        let Settings { close, correlation, .. } = &self.settings;
        format!("{} {}, close = {close}, {correlation:?}", self.driver.facts().protocol, self.variant)
    }

    pub(super) fn proof(&self) -> &'static dyn Proof {
        self.driver.proof()
    }

    /// Whether a message closes whatever reading waits for one.
    pub(super) fn is_in_order(&self) -> bool {
        self.driver.facts().serial
            || self.settings.close == Close::Reply && self.settings.correlation == Correlation::Order
    }

    pub(super) fn closes_when_sent(&self) -> bool {
        self.settings.close == Close::Sent
    }
}

/// What answers reading `seq` by every rule that reads a message.
pub(super) fn body(seq: u64) -> Vec<u8> {
    format!(r#"{{"device":"{DEVICE}","seq":{seq}}}"#).into_bytes()
}

/// Readings and their ends.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) planned: u64,
    pub(super) open: BTreeSet<u64>,
    /// Sequence numbers in the order in which they were answered.
    pub(super) answered: Vec<u64>,
    pub(super) failed: Vec<u64>,
    /// Messages that closed nothing that was open.
    pub(super) strays: u64,
    /// How sessions ended.
    pub(super) failures: Vec<Failure>,
}

impl Account {
    fn close(&mut self, seq: u64) {
        if self.open.remove(&seq) {
            self.answered.push(seq);
        } else {
            self.strays += 1;
        }
    }

    fn fail(&mut self, failure: Failure) {
        assert!(!failure.reason.sentence.trim().is_empty(), "a failure without a reason: {failure:?}");
        self.failed.extend(std::mem::take(&mut self.open));
        self.failures.push(failure);
    }

    pub(super) fn ended(&self) -> u64 {
        (self.answered.len() + self.failed.len()) as u64
    }
}

/// Shakes hands over `wire`, with what the peer says in pieces of at most `piece` bytes.
pub(super) fn shake_hands(usage: &Usage, wire: &Wire, piece: usize) -> Box<dyn Session> {
    let mut opening = usage.proof().open(wire.clone(), &usage.settings);
    let mut greeting = Vec::new();
    loop {
        match opening.as_mut().poll(&mut context()) {
            Poll::Ready(Ok(session)) => break session,
            Poll::Ready(Err(failure)) => panic!("{}: {failure:?}", usage.name()),
            Poll::Pending => assert!(wire.is_awaited(), "{}: nothing wakes the handshake", usage.name()),
        }
        if greeting.is_empty() {
            let written = wire.take_written();
            assert!(!written.is_empty(), "{}: the handshake waits for nothing", usage.name());
            greeting = usage.proof().greet(&written);
        }
        let rest = greeting.split_off(piece.min(greeting.len()));
        wire.push(&std::mem::replace(&mut greeting, rest));
    }
}

/// A session in conversation.
pub(super) struct Conversation {
    pub(super) usage: Usage,
    pub(super) wire: Wire,
    /// `None` once it has failed.
    pub(super) session: Option<Box<dyn Session>>,
    pub(super) account: Account,
    /// The readings of this connection that wait for a reply, and their bytes on the wire.
    pub(super) owed: VecDeque<(u64, Vec<u8>)>,
}

impl Conversation {
    pub(super) fn open(usage: &Usage) -> Self {
        let (wire, usage) = (Wire::new(), usage.clone());
        let mut conversation =
            Self { usage, wire, session: None, account: Account::default(), owed: VecDeque::new() };
        conversation.reopen();
        conversation
    }

    /// A new connection, whose readings go on with the numbers.
    pub(super) fn reopen(&mut self) {
        self.wire = Wire::new();
        self.owed.clear();
        self.session = Some(shake_hands(&self.usage, &self.wire, usize::MAX));
        self.wire.take_written();
        self.poll();
    }

    pub(super) fn is_ready(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.ready())
    }

    /// Sends the next reading and gives its number.
    pub(super) fn send(&mut self) -> u64 {
        let seq = self.account.planned;
        let payload = body(seq);
        let message = Message::new(seq, &payload);
        self.account.planned += 1;
        self.account.open.insert(seq);
        // Acknowledgements of what came before.
        self.wire.take_written();
        let session = self.session.as_mut().expect("a session");
        session.send(&mut context(), &message).unwrap_or_else(|failure| panic!("{failure:?}"));
        self.poll();
        self.owed.push_back((seq, self.wire.take_written()));
        seq
    }

    /// Sends up to `most` readings, as far as the session is ready.
    pub(super) fn send_up_to(&mut self, most: usize) {
        for _ in 0..most {
            if self.is_ready() {
                self.send();
            }
        }
    }

    /// What the peer owes for the reading that has waited longest.
    pub(super) fn next_reply(&mut self) -> Option<Vec<u8>> {
        let (seq, sent) = self.owed.pop_front()?;
        Some(self.usage.proof().reply(&self.usage.settings, &sent, &body(seq)))
    }

    /// Lets `bytes` come and takes what the session has to tell.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.wire.push(bytes);
        self.poll();
    }

    pub(super) fn hear_end(&mut self, ending: Ending) {
        self.wire.end(ending);
        self.poll();
    }

    /// Asks for a ping, if one is due.
    pub(super) fn keep_alive(&mut self) {
        let Some(session) = &mut self.session else { return };
        if let Err(failure) = session.keep_alive(&mut context()) {
            self.account.fail(failure);
            self.session = None;
        }
    }

    /// Polls until there is nothing more to tell, and keeps the account.
    pub(super) fn poll(&mut self) {
        let Some(session) = &mut self.session else { return };
        let failure = loop {
            self.wire.take_polls();
            match session.poll_event(&mut context()) {
                Poll::Ready(Ok(Event::Closed { seq, answer, .. })) => {
                    assert_eq!(answer, Answer::Ok, "{}", self.usage.name());
                    self.account.close(seq);
                }
                Poll::Ready(Ok(Event::Writable)) => {
                    assert!(session.ready(), "{}: writable, but not ready", self.usage.name());
                }
                Poll::Ready(Ok(Event::Replied | Event::Asks)) => {}
                Poll::Ready(Ok(event)) => panic!("{}: {event:?}", self.usage.name()),
                Poll::Ready(Err(failure)) => break Some(failure),
                Poll::Pending => break None,
            }
        };
        let unmatched = session.take_unmatched();
        self.account.strays += unmatched.map_or(0, |unmatched| unmatched.count);
        while let Some((count, _)) = session.take_remark() {
            self.account.strays += count;
        }
        match failure {
            Some(failure) => {
                self.account.fail(failure);
                self.session = None;
                assert!(self.wire.is_dropped(), "{}: a socket is left open", self.usage.name());
            }
            None => assert!(self.wire.is_awaited(), "{}: nothing wakes the session", self.usage.name()),
        }
    }
}
