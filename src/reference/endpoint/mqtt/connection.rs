//! One connection: its socket, its packets and its deadlines, as one hand-polled loop.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use mqtt_proto::QosPid;
use mqtt_proto::v3::{
    Connack, Connect, ConnectReturnCode, LastWill, Packet, Publish, Subscribe, Unsubscribe,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::admission;
use super::frame::{self, Fault, Message};
use super::hub::{Hub, Taken};
use super::peer::{End, Peer};
use super::quota::MOST_PENDING;
use super::router::Id;
use super::session;
use super::topic;
use crate::clock::Tick;
use crate::reference::admission::{Question, Sender, Source};
use crate::reference::endpoint::suspicion::Suspicion;
use crate::reference::reading::Reading;
use crate::reference::tls::Wire;
use crate::reference::token::Grant;
use crate::service::{FaultKind, RefusalNotice};

/// How long a client may take for its CONNECT, nanoseconds.
const CONNECT_WITHIN: u64 = 5_000_000_000;

/// Subscriptions a client may have.
const MOST_SUBSCRIPTIONS: usize = 256;

/// Bytes that may wait to be written before no more packets are read.
const BACKLOG: usize = 256 * 1024;

/// Times a socket is read before other connections get their turn.
const READS: usize = 4;

/// A reading about which all instances are asked.
struct Asked {
    question: Question,
    reading: Reading,
    arrived: Tick,
    /// How it was published.
    pid: QosPid,
}

/// One connection, from its acceptance to its end.
pub(super) struct Connection {
    hub: Rc<Hub>,
    /// By this number the peer tells whether it still belongs to this connection.
    number: Id,
    /// The client it serves: one of its own at first, later perhaps one whose session goes on.
    peer: Rc<Peer>,
    stream: Wire,
    /// Bytes read and not yet decoded; without capacity when there are none.
    partial: Vec<u8>,
    will: Option<LastWill>,
    /// What it may; none before it is let in by its CONNECT.
    grant: Option<Arc<Grant>>,
    source: Source,
    /// No further packet is taken in before the answer.
    asked: RefCell<Option<Box<Asked>>>,
    /// When the client last said something.
    heard: Tick,
    /// Nanoseconds of silence it is allowed, with the timer that looks after that.
    silence: Option<(u64, Pin<Box<Sleep>>)>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.hub.leave(&self.peer, self.number);
    }
}

impl Connection {
    /// Takes an accepted connection in.
    pub(super) fn new(stream: Wire, hub: Rc<Hub>) -> Self {
        let (peer, heard) = (hub.enter(), hub.dispatcher.pipeline.now());
        // A connection that has ended already sends nothing.
        let address = stream.ends().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |(_, peer)| peer.ip());
        Self {
            hub,
            number: peer.id,
            peer,
            stream,
            partial: Vec::new(),
            will: None,
            grant: None,
            source: Source::new(address),
            asked: RefCell::new(None),
            heard,
            silence: Some((CONNECT_WITHIN, Box::pin(sleep(Duration::from_nanos(CONNECT_WITHIN))))),
        }
    }

    /// Serves it until it ends.
    pub(super) async fn run(mut self) {
        let end = poll_fn(|cx| {
            let end = self.poll(cx);
            if end.is_ready() {
                self.stream.say_goodbye(cx);
            }
            end
        })
        .await;
        self.finish(end);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        // The connection that has taken the client over writes from its outbox now.
        if !self.peer.is_of(self.number) {
            return Poll::Ready(End::Ungraceful);
        }
        self.peer.awake.set(true);
        {
            let mut waker = self.peer.waker.borrow_mut();
            if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                *waker = Some(cx.waker().clone());
            }
        }
        let turn = self.turn(cx);
        if turn.is_err() {
            // The last words, such as a refusal; a client that does not take them misses them.
            let _ = self.write(cx);
        }
        self.peer.awake.set(false);
        turn.map_or_else(Poll::Ready, |()| Poll::Pending)
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        if let Some(end) = self.peer.closing.get() {
            return Err(end);
        }
        self.take_up(cx);
        self.read(cx)?;
        // What has just been asked about wakes it, too.
        self.take_up(cx);
        self.write(cx).map_err(|_| End::Ungraceful)?;
        if self.peer.held.get() && !self.must_hold() {
            cx.waker().wake_by_ref();
        }
        if self.is_silent(cx) { Err(End::Ungraceful) } else { Ok(()) }
    }

    /// Whether no more packets may be taken in for now.
    fn must_hold(&self) -> bool {
        self.peer.pending.get() >= MOST_PENDING
            || self.peer.outbox.borrow().unwritten().len() >= BACKLOG
            || self.asked.borrow().is_some()
            || self.hub.is_blocked()
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        if self.peer.held.get() && !self.must_hold() {
            self.peer.held.set(false);
            self.take_in(&[])?;
        }
        for _ in 0..READS {
            if self.peer.held.get() {
                return Ok(());
            }
            let mut input = self.hub.input.take();
            let mut buffer = ReadBuf::new(&mut input);
            let polled = Pin::new(&mut self.stream).poll_read(cx, &mut buffer);
            let taken = match polled {
                Poll::Pending => None,
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => Some(self.take_in(buffer.filled())),
                Poll::Ready(_) => Some(Err(End::Ungraceful)),
            };
            self.hub.input.replace(input);
            match taken {
                None => return Ok(()),
                Some(result) => result?,
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn take_in(&mut self, bytes: &[u8]) -> Result<(), End> {
        if self.partial.is_empty() {
            let used = self.digest(bytes)?;
            self.partial.extend_from_slice(bytes.get(used..).unwrap_or_default());
            return Ok(());
        }
        let mut whole = std::mem::take(&mut self.partial);
        whole.extend_from_slice(bytes);
        let used = self.digest(&whole)?;
        whole.drain(..used);
        if whole.capacity() > 4 * whole.len() {
            whole.shrink_to_fit();
        }
        self.partial = whole;
        Ok(())
    }

    /// Handles the packets at the beginning of `bytes`; gives how many bytes they took.
    fn digest(&mut self, bytes: &[u8]) -> Result<usize, End> {
        let mut used = 0;
        let result = loop {
            if self.must_hold() {
                self.peer.held.set(true);
                break Ok(used);
            }
            match frame::decode(bytes.get(used..).unwrap_or_default()) {
                Ok(None) => break Ok(used),
                Ok(Some((packet, length))) => {
                    used += length;
                    if let Err(end) = self.handle(packet) {
                        break Err(end);
                    }
                }
                Err(Fault::Version) if self.grant.is_none() => {
                    break Err(self.refuse(ConnectReturnCode::UnacceptableProtocolVersion));
                }
                Err(_) => break Err(End::Ungraceful),
            }
        };
        if used > 0 {
            self.heard = self.hub.dispatcher.pipeline.now();
        }
        result
    }

    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let mut outbox = self.peer.outbox.borrow_mut();
        while !outbox.unwritten().is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, outbox.unwritten()) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => outbox.wrote(count),
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        // What is encrypted may have been taken in and not be on its way.
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn send(&self, packet: &Packet) {
        self.peer.outbox.borrow_mut().push(packet);
    }

    fn handle(&mut self, packet: Packet) -> Result<(), End> {
        let Some(grant) = &self.grant else {
            let Packet::Connect(connect) = packet else { return Err(End::Refused) };
            return self.greet(connect);
        };
        match packet {
            Packet::Publish(publish) => return self.publish(grant, &publish),
            Packet::Puback(pid) => self.peer.outbox.borrow_mut().acknowledged(pid),
            Packet::Pubrec(pid) => self.peer.outbox.borrow_mut().received(pid),
            Packet::Pubcomp(pid) => self.peer.outbox.borrow_mut().completed(pid),
            Packet::Pubrel(pid) => {
                self.peer.inbound.borrow_mut().release(pid.value());
                self.send(&Packet::Pubcomp(pid));
            }
            Packet::Subscribe(subscribe) => self.subscribe(grant, &subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(&unsubscribe),
            Packet::Pingreq => self.send(&Packet::Pingresp),
            Packet::Disconnect => return Err(End::Graceful),
            // A second CONNECT, or what only a server may say.
            Packet::Connect(_)
            | Packet::Connack(_)
            | Packet::Suback(_)
            | Packet::Unsuback(_)
            | Packet::Pingresp => {
                return Err(End::Ungraceful);
            }
        }
        Ok(())
    }

    fn refuse(&self, code: ConnectReturnCode) -> End {
        self.send(&Connack::new(false, code).into());
        End::Refused
    }

    fn greet(&mut self, connect: Connect) -> Result<(), End> {
        let code = session::greet(&connect);
        if code != ConnectReturnCode::Accepted {
            return Err(self.refuse(code));
        }
        let refused = |code| {
            self.hub.dispatcher.suspect(Suspicion::Token, self.source.address());
            self.refuse(code)
        };
        let grant = admission::greet(&connect, &self.hub.dispatcher).map_err(refused)?;
        let mut present = false;
        if !connect.client_id.is_empty()
            && let Some(peer) = self.hub.claim(
                &Rc::from(grant.realm() + &connect.client_id),
                &self.peer,
                !connect.clean_session,
            )
        {
            self.peer = peer;
            present = true;
        }
        self.grant = Some(grant);
        self.will = connect.last_will;
        self.silence = session::silence_limit(connect.keep_alive)
            .map(|limit| (limit, Box::pin(sleep(Duration::from_nanos(limit)))));
        self.send(&Connack::new(present, code).into());
        self.peer.outbox.borrow_mut().resume();
        Ok(())
    }

    fn publish(&self, grant: &Grant, publish: &Publish) -> Result<(), End> {
        // Who may not publish is disconnected: MQTT 3.1.1 has no other way to say so (§3.3.5).
        if !admission::may_publish(grant, &publish.topic_name) {
            self.hub.dispatcher.suspect(Suspicion::Right, self.source.address());
            return Err(End::Ungraceful);
        }
        let arrived = self.hub.dispatcher.pipeline.now();
        if let QosPid::Level2(pid) = publish.qos_pid
            && !self.peer.inbound.borrow_mut().publish(pid.value()).map_err(|_| End::Ungraceful)?
        {
            self.acknowledge(QosPid::Level2(pid));
            return Ok(());
        }
        let (topic, payload, qos) = (&*publish.topic_name, &publish.payload, publish.qos_pid.qos());
        let device = topic::reading_device(topic);
        if device.is_none() || !self.withholds() {
            self.acknowledge(publish.qos_pid);
        }
        if publish.retain {
            self.hub.retain(topic, payload, qos);
        }
        self.hub.publish(&Message { topic, payload, qos, retained: false });
        let Some(device) = device else { return Ok(()) };
        let sender = Sender { grant, source: &self.source };
        match self.hub.reading(&self.peer, sender, device, payload, arrived) {
            Taken::Decided(heard) => self.conclude(publish.qos_pid, heard),
            Taken::Asked(question, reading) => {
                let asked = Asked { question, reading, arrived, pid: publish.qos_pid };
                self.asked.replace(Some(Box::new(asked)));
            }
        }
        Ok(())
    }

    /// Whether a refusal is to show in a missing acknowledgement: only then must that wait for the reading to be taken.
    fn withholds(&self) -> bool {
        self.hub.dispatcher.pipeline.setup().admission.mqtt == RefusalNotice::Withhold
    }

    /// Acknowledges a reading whose acknowledgement was withheld, if its publisher is to hear of it.
    fn conclude(&self, pid: QosPid, heard: bool) {
        match pid {
            _ if !self.withholds() => {}
            pid if heard => self.acknowledge(pid),
            // Sent again it is a new one: this one was not taken.
            QosPid::Level2(pid) => self.peer.inbound.borrow_mut().release(pid.value()),
            _ => {}
        }
    }

    /// Takes up the reading about which all instances were asked, once there is an answer.
    fn take_up(&self, cx: &mut Context<'_>) {
        let mut asked = self.asked.borrow_mut();
        let Some(waiting) = asked.as_mut() else { return };
        let Poll::Ready(ruled) = Pin::new(&mut waiting.question).poll(cx) else { return };
        let waiting = asked.take();
        drop(asked);
        self.rule(waiting, ruled.ok());
    }

    fn rule(&self, asked: Option<Box<Asked>>, ruled: Option<Result<(), u64>>) {
        let (Some(asked), Some(grant)) = (asked, &self.grant) else { return };
        let Asked { reading, arrived, pid, .. } = *asked;
        let sender = Sender { grant, source: &self.source };
        let heard = self.hub.take_up(&self.peer, sender, ruled, reading, arrived);
        self.conclude(pid, heard);
    }

    fn acknowledge(&self, pid: QosPid) {
        let faults = self.hub.dispatcher.faults();
        match pid {
            QosPid::Level0 => {}
            _ if faults.strikes(FaultKind::PubackWithheld) => {}
            QosPid::Level1(pid) => self.send(&Packet::Puback(pid)),
            QosPid::Level2(pid) => self.send(&Packet::Pubrec(pid)),
        }
    }

    fn subscribe(&self, grant: &Grant, subscribe: &Subscribe) {
        let mut granted = Vec::with_capacity(subscribe.topics.len());
        let mut filters = self.peer.filters.borrow_mut();
        for (filter, qos) in &subscribe.topics {
            let known = filters.iter().any(|known| **known == **filter);
            let may = admission::may_subscribe(grant, filter);
            let sound = topic::is_affordable(filter) && topic::is_complete(filter);
            let taken = may && (known || filters.len() < MOST_SUBSCRIPTIONS && sound);
            if taken {
                self.hub.subscribe(self.peer.id, filter, *qos);
            }
            if taken && !known {
                filters.push((**filter).into());
            }
            granted.push(taken.then_some(*qos));
        }
        drop(filters);
        self.peer.outbox.borrow_mut().push_suback(subscribe.pid, &granted);
        for ((filter, _), granted) in subscribe.topics.iter().zip(granted) {
            if let Some(qos) = granted {
                self.hub.replay(&self.peer, filter, qos);
            }
        }
    }

    fn unsubscribe(&self, unsubscribe: &Unsubscribe) {
        let mut filters = self.peer.filters.borrow_mut();
        for filter in &unsubscribe.topics {
            if let Some(index) = filters.iter().position(|known| **known == **filter) {
                filters.swap_remove(index);
                self.hub.unsubscribe(self.peer.id, filter);
            }
        }
        self.send(&Packet::Unsuback(unsubscribe.pid));
    }

    /// Whether the client has been silent for longer than it may. The timer is only set anew when it runs out, not with
    /// every packet.
    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((limit, timer)) = &mut self.silence else { return false };
        while timer.as_mut().poll(cx).is_ready() {
            let now = self.hub.dispatcher.pipeline.now();
            if self.peer.pending.get() >= MOST_PENDING {
                // It may well have spoken: it is the service that does not listen.
                self.heard = now;
            }
            let silent = now.since(self.heard);
            if silent >= *limit {
                return true;
            }
            timer.set(sleep(Duration::from_nanos(*limit - silent)));
        }
        false
    }

    fn finish(&mut self, end: End) {
        // What it has said counts, though nobody waits for the answer.
        self.rule(self.asked.take(), None);
        if end != End::Stopped && self.peer.is_of(self.number) {
            self.hub.part(&self.peer);
        }
        if let Some(LastWill { qos, retain, topic_name, message }) = self.will.take()
            && end == End::Ungraceful
        {
            if retain {
                self.hub.retain(&topic_name, &message, qos);
            }
            self.hub.publish(&Message { topic: &topic_name, payload: &message, qos, retained: false });
        }
    }
}
