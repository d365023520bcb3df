//! The cases: what a peer may do to any session, and what has to come of it.

use std::task::Poll;

use proptest::prelude::*;

use super::super::super::Message;
use super::super::super::harness::script::context;
use super::conversation::{Account, Conversation, Usage, body, shake_hands};
use super::wire::{Ending, Wire};
use crate::record::ErrorKind;

/// Reads and writes that one poll may take while the peer does nothing.
const MOST_POLLS: usize = 8;

/// Readings under way at once in the scripted cases.
const WINDOW: usize = 3;

/// Sends as many readings as the session takes, at most [`WINDOW`], and gives what the peer owes for each.
fn under_way(usage: &Usage) -> (Conversation, Vec<Vec<u8>>) {
    let mut conversation = Conversation::open(usage);
    conversation.send_up_to(WINDOW);
    let replies: Vec<_> = std::iter::from_fn(|| conversation.next_reply()).collect();
    assert_eq!(replies.len(), if usage.driver.facts().serial { 1 } else { WINDOW });
    (conversation, replies)
}

fn heard(usage: &Usage, cuts: &[usize]) -> Account {
    let (mut conversation, replies) = under_way(usage);
    let bytes = replies.concat();
    let mut from = 0;
    for to in cuts.iter().copied().chain([bytes.len()]) {
        conversation.hear(&bytes[from..to]);
        from = to;
    }
    conversation.account
}

#[test]
fn replies_mean_the_same_however_they_are_cut() {
    for usage in Usage::all() {
        let whole = heard(&usage, &[]);
        let numbers: Vec<u64> = (0..whole.planned).collect();
        assert_eq!((&whole.answered, whole.strays), (&numbers, 0), "{}", usage.name());
        assert!(whole.failures.is_empty(), "{}: {whole:?}", usage.name());
        let length = under_way(&usage).1.concat().len();
        for at in 0..length {
            assert_eq!(heard(&usage, &[at]), whole, "{}, cut at {at}", usage.name());
        }
        assert_eq!(heard(&usage, &(0..length).collect::<Vec<_>>()), whole, "{}", usage.name());
    }
}

#[test]
fn a_handshake_means_the_same_byte_by_byte() {
    for usage in Usage::every() {
        for piece in [1, 2, 3, 7] {
            assert_eq!(shake_hands(&usage, &Wire::new(), piece).ready(), usage.sends(), "{}", usage.name());
        }
    }
}

#[test]
fn a_peer_that_never_shakes_hands_is_waited_for_without_effort() {
    for usage in Usage::every() {
        let wire = Wire::new();
        let mut opening = usage.proof().open(wire.clone(), &usage.settings);
        for _ in 0..10 {
            wire.take_polls();
            // A protocol without a handshake is open at once.
            let Poll::Pending = opening.as_mut().poll(&mut context()) else { break };
            assert!(wire.is_awaited() && wire.take_polls() <= MOST_POLLS, "{}", usage.name());
        }
        drop(opening);
        assert!(wire.is_dropped(), "{}: a socket is left open", usage.name());
    }
}

#[test]
fn a_handshake_cut_short_fails_with_a_reason() {
    for usage in Usage::every() {
        for ending in [Ending::Orderly, Ending::Reset] {
            let wire = Wire::new();
            let mut opening = usage.proof().open(wire.clone(), &usage.settings);
            let Poll::Pending = opening.as_mut().poll(&mut context()) else { continue };
            let greeting = usage.proof().greet(&wire.take_written());
            wire.push(&greeting[..greeting.len() - 1]);
            assert!(opening.as_mut().poll(&mut context()).is_pending(), "{}", usage.name());
            wire.end(ending);
            let Poll::Ready(Err(failure)) = opening.as_mut().poll(&mut context()) else {
                panic!("{}: a handshake that outlives its connection", usage.name());
            };
            assert_eq!(failure.kind, kind(ending), "{}: {failure:?}", usage.name());
            assert!(!failure.reason.sentence.is_empty(), "{}", usage.name());
        }
    }
}

#[test]
fn a_reading_that_is_never_answered_stays_open_without_effort() {
    for usage in Usage::all() {
        let mut conversation = Conversation::open(&usage);
        let seq = conversation.send();
        for _ in 0..10 {
            conversation.wire.take_polls();
            conversation.poll();
            let polls = conversation.wire.take_polls();
            assert!(polls <= MOST_POLLS, "{}: {polls} polls of a silent socket", usage.name());
        }
        let (open, answered) = (&conversation.account.open, &conversation.account.answered);
        if usage.closes_when_sent() {
            assert_eq!((open.len(), answered.as_slice()), (0, &[seq][..]), "{}", usage.name());
        } else {
            assert_eq!((open.len(), answered.len()), (1, 0), "{}", usage.name());
        }
        // Saying goodbye may wait for ever too.
        let mut session = conversation.session.take().unwrap();
        for _ in 0..10 {
            let _ = session.poll_close(&mut context());
            assert!(conversation.wire.take_polls() <= MOST_POLLS, "{}", usage.name());
        }
        drop(session);
        assert!(conversation.wire.is_dropped(), "{}: a socket is left open", usage.name());
    }
}

#[test]
fn a_peer_that_does_not_read_stops_the_sender() {
    for usage in Usage::all() {
        for room in [0, 1, 9] {
            let mut conversation = Conversation::open(&usage);
            conversation.wire.set_room(room);
            let mut session = conversation.session.take().unwrap();
            let mut sent = 0;
            while session.ready() {
                let payload = body(sent);
                let message = Message::new(sent, &payload);
                session.send(&mut context(), &message).unwrap();
                sent += 1;
                assert!(sent <= 2, "{}: readings pile up behind a full socket", usage.name());
            }
            let refused = Message::new(sent, b"{}");
            assert!(session.send(&mut context(), &refused).is_err(), "{}", usage.name());
            assert!(session.poll_event(&mut context()).is_pending(), "{}: {room}", usage.name());
            assert!(conversation.wire.take_written().len() <= room, "{}", usage.name());
        }
    }
}

const fn kind(ending: Ending) -> ErrorKind {
    match ending {
        Ending::Orderly => ErrorKind::Closed,
        Ending::Reset => ErrorKind::Reset,
    }
}

#[test]
fn an_end_in_the_middle_of_a_message_fails_what_is_open_and_nothing_else() {
    for usage in Usage::all() {
        let (_, replies) = under_way(&usage);
        let bytes = replies.concat();
        // Where each reply is whole.
        let ends: Vec<usize> = replies
            .iter()
            .scan(0, |end, reply| {
                *end += reply.len();
                Some(*end)
            })
            .collect();
        for (at, ending) in (0..=bytes.len()).flat_map(|at| [(at, Ending::Orderly), (at, Ending::Reset)]) {
            let (mut conversation, _) = under_way(&usage);
            conversation.hear(&bytes[..at]);
            conversation.hear_end(ending);
            let shown = format!("{}, {ending:?} at {at}: {:?}", usage.name(), conversation.account);
            let whole = if usage.closes_when_sent() {
                replies.len()
            } else {
                ends.iter().filter(|end| **end <= at).count()
            };
            let account = conversation.account;
            let numbers: Vec<u64> = (0..account.planned).collect();
            assert_eq!(account.answered, numbers[..whole], "{shown}");
            assert_eq!(account.failed, numbers[whole..], "{shown}");
            assert_eq!((account.failures.len(), account.failures[0].kind), (1, kind(ending)), "{shown}");
            assert!(account.open.is_empty(), "{shown}");
        }
    }
}

/// A message that closes nothing is told, as an answer to what is not open or as unmatched, or ends the session with a reason.
/// Unless it does, the session goes on. Where readings are closed by being sent, messages may go unheard.
fn goes_astray(mut conversation: Conversation, message: &[u8]) {
    let before = conversation.account.clone();
    conversation.hear(message);
    let Conversation { usage, account, .. } = &conversation;
    let told = account.strays > before.strays || account.failures.len() > before.failures.len();
    assert!(
        told || usage.closes_when_sent(),
        "{}: nothing is told of a message that closes nothing",
        usage.name()
    );
    assert_eq!(account.answered, before.answered, "{}", usage.name());
    if conversation.session.is_some() && conversation.is_ready() {
        conversation.send();
        while let Some(reply) = conversation.next_reply() {
            conversation.hear(&reply);
        }
        let account = &conversation.account;
        assert_eq!(account.answered.len() as u64, account.planned, "{}", conversation.usage.name());
    }
}

#[test]
fn a_reply_that_comes_twice_closes_one_reading_and_is_told() {
    for usage in Usage::all() {
        for together in [true, false] {
            let mut conversation = Conversation::open(&usage);
            conversation.send();
            let reply = conversation.next_reply().unwrap();
            if reply.is_empty() {
                continue;
            }
            if together {
                let strays = conversation.account.strays;
                conversation.hear(&[&reply[..], &reply].concat());
                let account = &conversation.account;
                let told = account.strays > strays || !account.failures.is_empty();
                assert!(told || conversation.usage.closes_when_sent(), "{}", usage.name());
                assert!(account.answered == [0], "{}: {account:?}", usage.name());
            } else {
                conversation.hear(&reply);
                assert_eq!(conversation.account.answered, [0], "{}", usage.name());
                goes_astray(conversation, &reply);
            }
        }
    }
}

#[test]
fn an_unknown_reply_closes_no_reading_and_is_told() {
    for usage in Usage::all() {
        for unknown in [&body(u64::MAX)[..], &body(99), b"no answer", b"{}", b""] {
            let message = usage.proof().message(&usage.settings, unknown);
            goes_astray(Conversation::open(&usage), &message);
            if !usage.is_in_order() {
                let mut conversation = Conversation::open(&usage);
                conversation.send();
                goes_astray(conversation, &message);
            }
        }
    }
}

/// What happens next in a random conversation.
#[derive(Debug, Clone)]
enum Step {
    Send,
    /// The peer replies to what has waited longest, in pieces of so many bytes.
    Reply(usize),
    /// The reply is lost.
    Lose,
    /// The beginning of a reply comes, and the connection ends.
    Break(usize, bool),
    /// The connection ends between messages.
    End(bool),
    /// A message comes that answers nothing.
    Stray,
    KeepAlive,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Send),
        6 => (1_usize..40).prop_map(Step::Reply),
        1 => Just(Step::Lose),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(at, reset)| Step::Break(at, reset)),
        1 => any::<bool>().prop_map(Step::End),
        1 => Just(Step::Stray),
        1 => Just(Step::KeepAlive),
    ]
}

const fn ending(reset: bool) -> Ending {
    if reset { Ending::Reset } else { Ending::Orderly }
}

/// Takes a step; gives the reading that must be answered by now, if there is one.
fn take(conversation: &mut Conversation, step: &Step) -> Option<u64> {
    let lone = conversation.account.open.is_empty() || !conversation.usage.is_in_order();
    match step {
        Step::Send if conversation.is_ready() => {
            conversation.send();
        }
        Step::Reply(piece) => {
            let (seq, _) = *conversation.owed.front()?;
            for bytes in conversation.next_reply()?.chunks(*piece) {
                conversation.hear(bytes);
            }
            return Some(seq);
        }
        // Where replies come in order, what is lost makes every later one answer another reading.
        Step::Lose if !conversation.usage.is_in_order() => drop(conversation.next_reply()),
        Step::Break(at, reset) => {
            let reply = conversation.next_reply().unwrap_or_default();
            conversation.hear(&reply[..at % reply.len().max(1)]);
            conversation.hear_end(ending(*reset));
        }
        Step::End(reset) => conversation.hear_end(ending(*reset)),
        Step::Stray if lone => {
            let message = conversation.usage.proof().message(&conversation.usage.settings, &body(u64::MAX));
            conversation.hear(&message);
        }
        Step::KeepAlive => conversation.keep_alive(),
        Step::Send | Step::Lose | Step::Stray => {}
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_reading_ends_once_or_is_open(steps in proptest::collection::vec(step(), 1..60)) {
        for usage in Usage::all() {
            let mut conversation = Conversation::open(&usage);
            for step in &steps {
                let answered = take(&mut conversation, step);
                let account = &conversation.account;
                if let Some(seq) = answered {
                    prop_assert!(account.answered.contains(&seq), "{}: {seq} in {account:?}", usage.name());
                }
                prop_assert_eq!(
                    account.planned, account.ended() + account.open.len() as u64,
                    "{}: {:?}", usage.name(), account
                );
                let mut ended: Vec<u64> = account.answered.iter().chain(&account.failed).copied().collect();
                ended.sort_unstable();
                ended.dedup();
                prop_assert_eq!(ended.len() as u64, account.ended(), "{}: {:?}", usage.name(), account);
                if conversation.session.is_none() {
                    conversation.reopen();
                }
            }
        }
    }
}
