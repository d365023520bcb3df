//! Where instances meet that have no Redis: the few commands of Redis that they use, in the process that started them.
//!
//! What it is not: a Redis. It keeps nothing beyond its process, runs no scripts (so quotas are not shared over it), and is reached by
//! this machine alone.

mod store;
mod wire;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;

use self::store::Store;
use self::wire::{Reply, take_command};
use super::listener;
use crate::clock::Monotonic;

/// Connections at once; each instance has a handful.
const MOST_CONNECTIONS: usize = 4_096;
/// Messages that wait for a subscriber; one that lets more wait is cut off.
const WAITING: usize = 4_096;
/// Channels that are listened to, over all connections.
const MOST_EARS: usize = 16_384;
/// Bytes of a command that is not whole yet.
const LONGEST_COMMAND: usize = 64 << 20;

/// A broker that listens on a free port of the loopback. Stops when dropped.
#[derive(Debug)]
pub(crate) struct Broker {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    /// Starts it.
    ///
    /// # Errors
    /// If it cannot listen, or its thread cannot be started.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = watch::Sender::new(false);
        let mut stopped = stop.subscribe();
        let body = move || {
            LocalSet::new().block_on(&runtime, async move {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    _ = stopped.wait_for(|stop| *stop) => {}
                    () = serve(listener) => {}
                }
            });
        };
        let thread = thread::Builder::new().name("squall-broker".into()).spawn(body)?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where instances find it.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // One that panicked serves nobody any more.
            let _ = thread.join();
        }
    }
}

/// What a connection hears by.
#[derive(Debug, Clone)]
struct Hearing {
    messages: mpsc::Sender<Arc<[u8]>>,
    /// It had more waiting than it may.
    overrun: Rc<Cell<bool>>,
}

/// A connection's ear for a channel.
#[derive(Debug)]
struct Ear {
    channel: Vec<u8>,
    hearing: Hearing,
}

/// What all connections share.
#[derive(Debug)]
struct Meeting {
    store: RefCell<Store>,
    ears: RefCell<Vec<Ear>>,
    clock: Monotonic,
}

impl Meeting {
    /// Tells all who listen to a channel; who has too much waiting, or is gone, listens no more.
    fn publish(&self, channel: &[u8], text: &[u8]) -> Reply {
        let mut message = Vec::with_capacity(text.len() + 64);
        let parts = [b"message".as_slice(), channel, text].map(|part| Reply::Bytes(part.to_vec()));
        Reply::List(parts.into()).encode(&mut message);
        let message: Arc<[u8]> = message.into();
        let mut heard = 0;
        self.ears.borrow_mut().retain(|ear| {
            let Hearing { messages, overrun } = &ear.hearing;
            if ear.channel != channel {
                return !messages.is_closed();
            }
            let is_told = messages.try_send(Arc::clone(&message)).is_ok();
            heard += i64::from(is_told);
            overrun.set(overrun.get() || !is_told);
            is_told
        });
        Reply::Number(heard)
    }

    fn obey(&self, command: &mut [Vec<u8>], hearing: &Hearing, out: &mut Vec<u8>) {
        if let Some(name) = command.first_mut() {
            name.make_ascii_uppercase();
        }
        match command {
            [name] if name == b"PING" => Reply::Pong.encode(out),
            [name, ..] if name == b"CLIENT" || name == b"SELECT" => Reply::Ok.encode(out),
            [name, channel, text] if name == b"PUBLISH" => self.publish(channel, text).encode(out),
            [name, channels @ ..] if name == b"SUBSCRIBE" => {
                if self.ears.borrow().len() + channels.len() > MOST_EARS {
                    return Reply::Error("ERR too many subscriptions").encode(out);
                }
                for (place, channel) in (1..).zip(channels.iter()) {
                    self.ears.borrow_mut().push(Ear { channel: channel.clone(), hearing: hearing.clone() });
                    let place = Reply::Number(place);
                    Reply::List(vec![Reply::text("subscribe"), Reply::Bytes(channel.clone()), place])
                        .encode(out);
                }
            }
            command => self.store.borrow_mut().obey(command, self.clock.now()).encode(out),
        }
    }
}

async fn serve(listener: TcpListener) {
    let meeting = Meeting { store: RefCell::default(), ears: RefCell::default(), clock: Monotonic::start() };
    let meeting = Rc::new(meeting);
    listener::serve_each(&listener, MOST_CONNECTIONS, |stream, _| converse(stream, Rc::clone(&meeting)))
        .await;
}

/// Serves a connection until it ends, breaks the protocol, or does not take what it subscribed to.
async fn converse(mut stream: TcpStream, meeting: Rc<Meeting>) {
    let (messages, mut heard) = mpsc::channel::<Arc<[u8]>>(WAITING);
    let hearing = Hearing { messages, overrun: Rc::default() };
    let mut bytes = BytesMut::with_capacity(4_096);
    let mut out = Vec::new();
    loop {
        tokio::select! {
            read = stream.read_buf(&mut bytes) => {
                if !read.is_ok_and(|count| count > 0) || bytes.len() > LONGEST_COMMAND {
                    return;
                }
                loop {
                    match take_command(&mut bytes) {
                        Ok(Some(mut command)) => meeting.obey(&mut command, &hearing, &mut out),
                        Ok(None) => break,
                        Err(wire::Malformed) => return,
                    }
                }
            }
            Some(message) = heard.recv() => {
                out.extend_from_slice(&message);
                // It connects again, and knows that it has missed something.
                if hearing.overrun.get() {
                    return;
                }
            }
        }
        if stream.write_all(&out).await.is_err() {
            return;
        }
        out.clear();
    }
}
