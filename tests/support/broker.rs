//! A broker with a script: it relays every reading to every subscriber, does to deliveries what a test tells it, and keeps count.
//!
//! `QoS` 0 to subscribers, and a thread for each connection: for tests of a few dozen devices.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::peer::{packet, publish, start, take};

/// What the broker does with one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Once,
    Twice,
    /// It is sent after the device's next reading.
    AfterNext,
}

/// What to do with the delivery of reading `seq` to the client of this identifier.
pub(crate) type Script = fn(client: &str, seq: u64) -> Act;

/// A subscriber's line, and what is held back from it by topic.
struct Subscriber {
    client: String,
    stream: TcpStream,
    held: HashMap<Vec<u8>, Vec<u8>>,
}

/// What the broker did beyond passing each reading on once.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acts {
    pub(crate) doubled: u64,
    pub(crate) reordered: u64,
}

#[derive(Default)]
struct State {
    subscribers: Vec<Subscriber>,
    acts: Acts,
}

/// A broker on a free port of the loopback, which serves for as long as the process lives. Clients whose identifier begins with
/// `stranger` are not authorized.
pub(crate) struct Broker {
    pub(crate) addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Broker {
    pub(crate) fn start(script: Script) -> Self {
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let port = start(move |stream| serve(stream, &shared, script));
        Self { addr: ([127, 0, 0, 1], port).into(), state }
    }

    /// What it did so far.
    pub(crate) fn acts(&self) -> Acts {
        lock(&self.state).acts
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, script: Script) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = stream.try_clone()?;
    let mut client = String::new();
    loop {
        let (kind, body) = packet(&mut input)?;
        match kind >> 4 {
            1 => {
                let mut rest = body.get(10..).unwrap_or_default();
                let length = u16::from_be_bytes(take(&mut rest)?);
                rest.take(length.into()).read_to_string(&mut client)?;
                let code = if client.starts_with("stranger") { 5 } else { 0 };
                stream.write_all(&[0x20, 2, 0, code])?;
            }
            3 => {
                let qos = kind >> 1 & 3;
                let topic = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                let payload = topic + if qos == 0 { 0 } else { 2 };
                relay(&mut lock(state), script, (&body[..topic], &body[payload..]))?;
                if qos > 0 {
                    stream.write_all(&[0x40, 2, body[topic], body[topic + 1]])?;
                }
            }
            8 => {
                let (client, line) = (client.clone(), stream.try_clone()?);
                let subscriber = Subscriber { client, stream: line, held: HashMap::new() };
                let mut state = lock(state);
                stream.write_all(&[0x90, 3, body[0], body[1], 0])?;
                state.subscribers.push(subscriber);
            }
            12 => stream.write_all(&[0xd0, 0])?,
            _ => return Ok(()),
        }
    }
}

fn relay(state: &mut State, script: Script, (topic, payload): (&[u8], &[u8])) -> io::Result<()> {
    let reading: serde_json::Value = serde_json::from_slice(payload)?;
    let seq = reading["seq"].as_u64().unwrap();
    let message = publish(topic, payload);
    let State { subscribers, acts } = state;
    for subscriber in subscribers {
        let held = subscriber.held.remove(topic);
        let mut out = message.clone();
        match script(&subscriber.client, seq) {
            Act::Once => {}
            Act::Twice => {
                out.extend_from_slice(&message);
                acts.doubled += 1;
            }
            Act::AfterNext => {
                subscriber.held.insert(topic.to_vec(), std::mem::take(&mut out));
            }
        }
        if let Some(held) = held {
            out.extend_from_slice(&held);
            acts.reordered += 1;
        }
        // One that has left hears no more.
        let _ = subscriber.stream.write_all(&out);
    }
    Ok(())
}
