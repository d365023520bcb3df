//! One connection: its socket, its packets and its deadlines, as one hand-polled loop.

mod alias;
mod greeting;
mod publication;
mod subscription;
mod websocket;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use self::alias::Aliases;
use self::publication::Asked;
use self::websocket::{Over, Upgrade, WebSocket};
use super::codec::packet::{Ack, AckKind, Packet, Reply, Version};
use super::codec::reason::ReasonCode;
use super::codec::{self, Fault};
use super::hub::Hub;
use super::peer::{End, Peer};
use super::quota::MOST_PENDING;
use super::router::Id;
use crate::clock::Tick;
use crate::reference::admission::Source;
use crate::reference::tls::Wire;
use crate::reference::token::Grant;

/// How long a client may take for its CONNECT, nanoseconds.
const CONNECT_WITHIN: u64 = 5_000_000_000;

/// Bytes that may wait to be written before no more packets are read.
const BACKLOG: usize = 256 * 1024;

/// Times a socket is read before other connections get their turn.
const READS: usize = 4;

/// One connection, from its acceptance to its end.
pub(super) struct Connection {
    hub: Rc<Hub>,
    /// By this number the peer tells whether it still belongs to this connection.
    number: Id,
    /// The client it serves: one of its own at first, later perhaps one whose session goes on.
    peer: Rc<Peer>,
    stream: Wire,
    /// Where MQTT is spoken within a WebSocket.
    websocket: Option<Box<WebSocket>>,
    /// Bytes read and not yet decoded; without capacity when there are none.
    partial: Vec<u8>,
    /// What it may; none before it is let in by its CONNECT.
    grant: Option<Arc<Grant>>,
    /// The version of MQTT it speaks, once its CONNECT has said so.
    version: Option<Version>,
    aliases: Aliases,
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
            websocket: None,
            partial: Vec::new(),
            grant: None,
            version: None,
            aliases: Aliases::default(),
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
            if let Some(words) = self.peer.take_farewell(self.number) {
                let words = match &mut self.websocket {
                    Some(websocket) => {
                        websocket.send(&words);
                        websocket.say_goodbye();
                        websocket.unwritten()
                    }
                    None => &words,
                };
                // As far as the socket takes them at once.
                let _ = Pin::new(&mut self.stream).poll_write(cx, words);
                let _ = Pin::new(&mut self.stream).poll_flush(cx);
            }
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
        self.hub.count_waste(&self.peer);
        if let Err(end) = turn {
            // The last words, such as a refusal; a client that does not take them misses them.
            self.say_why(end);
            let _ = self.write(cx);
            if let Some(websocket) = &mut self.websocket {
                websocket.say_goodbye();
                let _ = self.write(cx);
            }
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
        if self.is_silent(cx) { Err(End::Expelled(ReasonCode::KeepAliveTimeout)) } else { Ok(()) }
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
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => Some(self.unpack(buffer.filled())),
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

    /// Takes in what has come, out of a WebSocket if it came by one.
    fn unpack(&mut self, bytes: &[u8]) -> Result<(), End> {
        let Some(websocket) = &mut self.websocket else {
            let is_first = self.partial.is_empty() && self.version.is_none();
            let is_upgrade = websocket::begins_upgrade(if is_first { bytes } else { &self.partial });
            return if is_upgrade && self.version.is_none() {
                self.upgrade(bytes)
            } else {
                self.take_in(bytes)
            };
        };
        let mut plain = Vec::new();
        let ended = websocket.take(bytes, &mut plain);
        if !plain.is_empty() {
            self.take_in(&plain)?;
        }
        ended.map_err(|Over| End::Ungraceful)
    }

    fn upgrade(&mut self, bytes: &[u8]) -> Result<(), End> {
        self.partial.extend_from_slice(bytes);
        match WebSocket::upgrade(&self.partial) {
            Upgrade::Cut => Ok(()),
            Upgrade::Refused(websocket) => {
                self.websocket = Some(Box::new(websocket));
                Err(End::Refused)
            }
            Upgrade::Granted(websocket, used) => {
                self.websocket = Some(Box::new(websocket));
                let rest = std::mem::take(&mut self.partial).split_off(used);
                if rest.is_empty() { Ok(()) } else { self.unpack(&rest) }
            }
        }
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
            match codec::decode(bytes.get(used..).unwrap_or_default(), self.version) {
                Ok(None) => break Ok(used),
                Ok(Some((packet, length))) => {
                    used += length;
                    if let Err(end) = self.handle(packet) {
                        break Err(end);
                    }
                }
                Err(Fault::Version) if self.grant.is_none() => {
                    break Err(self.refuse(ReasonCode::UnsupportedVersion));
                }
                Err(Fault::Version) => break Err(End::Expelled(ReasonCode::ProtocolError)),
                Err(Fault::Breach(reason)) => break Err(End::Expelled(reason)),
            }
        };
        if used > 0 {
            self.heard = self.hub.dispatcher.pipeline.now();
        }
        result
    }

    fn write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Self { stream, websocket, .. } = self;
        let mut outbox = self.peer.outbox.borrow_mut();
        loop {
            if let Some(websocket) = websocket
                && websocket.unwritten().is_empty()
                && let plain @ [_, ..] = outbox.unwritten()
            {
                websocket.send(plain);
                let count = plain.len();
                outbox.wrote(count);
            }
            let bytes =
                websocket.as_ref().map_or_else(|| outbox.unwritten(), |websocket| websocket.unwritten());
            if bytes.is_empty() {
                break;
            }
            match Pin::new(&mut *stream).poll_write(cx, bytes) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => match websocket {
                    Some(websocket) => websocket.wrote(count),
                    None => outbox.wrote(count),
                },
                Poll::Ready(Err(error)) => return Err(error),
            }
        }
        // What is encrypted may have been taken in and not be on its way.
        match Pin::new(stream).poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn send(&self, reply: &Reply<'_>) {
        self.peer.outbox.borrow_mut().push(reply);
    }

    /// Tells a client that is in why its connection ends, as far as its version of MQTT has words for that.
    fn say_why(&self, end: End) {
        let reason = match end {
            End::Expelled(reason) => reason,
            End::Stopped => ReasonCode::ShuttingDown,
            End::Graceful | End::Ungraceful | End::Refused => return,
        };
        if self.grant.is_some() {
            self.send(&Reply::Disconnect(reason));
        }
    }

    fn handle(&mut self, packet: Packet) -> Result<(), End> {
        let Some(grant) = self.grant.clone() else {
            let Packet::Connect(connect) = packet else { return Err(End::Refused) };
            return self.greet(*connect);
        };
        match packet {
            Packet::Publish(publish) => return self.publish(&grant, &publish),
            Packet::Ack(ack) => self.acknowledged(ack),
            Packet::Subscribe(subscribe) => return self.subscribe(&grant, &subscribe),
            Packet::Unsubscribe { pid, filters } => self.unsubscribe(pid, &filters),
            Packet::Pingreq => self.send(&Reply::Pingresp),
            Packet::Disconnect { with_will, session_expiry_s } => {
                return Err(self.take_leave(with_will, session_expiry_s));
            }
            // A second CONNECT, or what only a server may say.
            Packet::Connect(_) | Packet::Foreign => return Err(End::Expelled(ReasonCode::ProtocolError)),
        }
        Ok(())
    }

    fn acknowledged(&self, Ack { kind, pid, is_failure }: Ack) {
        let now = self.hub.dispatcher.pipeline.now();
        let mut outbox = self.peer.outbox.borrow_mut();
        match kind {
            AckKind::Puback => outbox.acknowledged(pid, now),
            AckKind::Pubrec => outbox.received(pid, is_failure, now),
            AckKind::Pubcomp => outbox.completed(pid, now),
            AckKind::Pubrel => {
                let known = self.peer.inbound.borrow_mut().release(pid.value());
                let reason = if known { ReasonCode::Success } else { ReasonCode::UnknownIdentifier };
                outbox.push(&Reply::Ack(AckKind::Pubcomp, pid, reason));
            }
        }
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
        if end == End::Stopped || !self.peer.is_of(self.number) {
            return;
        }
        if matches!(end, End::Graceful | End::Refused) {
            self.peer.will.take();
        }
        self.hub.part(&self.peer);
    }
}
