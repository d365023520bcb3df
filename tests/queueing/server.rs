//! A single server with a queue, spoken to over MQTT: it takes readings in the order in which they come, works on one at a
//! time, and acknowledges each when its service ends.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use rustls::{ServerConfig, ServerConnection};
use squall::clock::{Monotonic, Pacer, Tick};
use squall::seed::Seed;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::simulation::Services;
use super::theory::Queue;

/// One queue: every device is a queue of its own, named by its fleet.
struct Line {
    services: RefCell<Services>,
    departures: RefCell<VecDeque<(Tick, Vec<u8>)>>,
    arrived: Notify,
}

/// How long the server's thread was ready to run and had no processor.
pub(crate) struct Waited(Arc<AtomicU64>);

impl Waited {
    /// Seconds so far.
    pub(crate) fn get(&self) -> f64 {
        self.0.load(Ordering::Relaxed) as f64 / 1e9
    }
}

/// Serves `queues`, by name of the fleet, for as long as the process lives, over TLS where `tls` says how.
pub(crate) fn start(
    queues: &[(String, Queue)],
    tls: Option<Arc<ServerConfig>>,
    seed: Seed,
    clock: Monotonic,
) -> (SocketAddr, Waited) {
    let queues: HashMap<String, Queue> = queues.iter().cloned().collect();
    let waited = Arc::new(AtomicU64::new(0));
    let waiting = Arc::clone(&waited);
    let (tell, told) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let (queues, waiting) = (queues.clone(), Arc::clone(&waiting));
                let session = tls.clone().map(|config| ServerConnection::new(config).unwrap());
                tokio::task::spawn_local(async move {
                    // A device that leaves ends its line.
                    let _ = match session {
                        None => attend(stream, &queues, &waiting, seed, clock).await,
                        Some(session) => {
                            let (clear, own) = tokio::io::duplex(ROOM);
                            tokio::task::spawn_local(decrypt(stream, session, own));
                            attend(clear, &queues, &waiting, seed, clock).await
                        }
                    };
                });
            }
        });
    });
    (told.recv().unwrap(), Waited(waited))
}

/// Bytes that may wait on either side of TLS.
const ROOM: usize = 16 * 1024;

/// Stands between a device over TLS and `clear`, where its line reads and writes.
async fn decrypt(
    mut socket: TcpStream,
    mut session: ServerConnection,
    mut clear: DuplexStream,
) -> io::Result<()> {
    let (mut cipher, mut plain) = (vec![0; ROOM], vec![0; ROOM]);
    loop {
        let mut out = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut out)?;
        }
        socket.write_all(&out).await?;
        tokio::select! {
            read = socket.read(&mut cipher) => {
                let mut rest = cipher.get(..read?).filter(|rest| !rest.is_empty()).ok_or(io::ErrorKind::UnexpectedEof)?;
                while !rest.is_empty() {
                    session.read_tls(&mut rest)?;
                    let news = session.process_new_packets().map_err(io::Error::other)?;
                    let mut text = vec![0; news.plaintext_bytes_to_read()];
                    session.reader().read_exact(&mut text)?;
                    clear.write_all(&text).await?;
                }
            }
            read = clear.read(&mut plain), if !session.is_handshaking() => {
                let told = plain.get(..read?).filter(|told| !told.is_empty());
                session.writer().write_all(told.ok_or(io::ErrorKind::UnexpectedEof)?)?;
            }
        }
    }
}

/// Kinds of packets that a device sends once it is connected.
const PUBLISH: u8 = 3;
const PINGREQ: u8 = 12;

async fn attend(
    stream: impl AsyncRead + AsyncWrite + 'static,
    queues: &HashMap<String, Queue>,
    waited: &AtomicU64,
    seed: Seed,
    clock: Monotonic,
) -> io::Result<()> {
    let (mut read, mut write) = tokio::io::split(stream);
    let (_, connect) = packet(&mut read).await?;
    // Protocol name, level, flags and keep-alive take ten bytes; then the client identifier.
    let client = text(&connect, 10);
    // An identifier is the fleet's name, the device's number, and the token of the run.
    let known = queues
        .iter()
        .find(|(fleet, _)| client.strip_prefix(fleet.as_str()).is_some_and(|rest| rest.starts_with('-')));
    let (fleet, &queue) = known.ok_or_else(|| io::Error::other(format!("no queue for {client}")))?;
    write.write_all(&[0x20, 2, 0, 0]).await?;
    let line = Rc::new(Line {
        services: RefCell::new(Services::new(queue, seed, fleet)),
        departures: RefCell::default(),
        arrived: Notify::new(),
    });
    tokio::task::spawn_local(release(Rc::clone(&line), write, clock));
    let mut departed = Tick::ZERO;
    loop {
        let (kind, publish) = packet(&mut read).await?;
        let arrived = clock.now();
        match kind >> 4 {
            PUBLISH => {}
            PINGREQ => {
                line.departures.borrow_mut().push_back((arrived, vec![0xd0, 0]));
                line.arrived.notify_one();
                continue;
            }
            _ => return Ok(()),
        }
        let so_far = squall::clock::thread_wait_time().unwrap_or_default();
        waited.store(so_far.as_nanos() as u64, Ordering::Relaxed);
        let topic = usize::from(u16::from_be_bytes([publish[0], publish[1]]));
        let service = line.services.borrow_mut().next();
        departed = departed.max(arrived).plus_ns((service * 1e9) as u64);
        let puback = vec![0x40, 2, publish[2 + topic], publish[3 + topic]];
        line.departures.borrow_mut().push_back((departed, puback));
        line.arrived.notify_one();
    }
}

/// Acknowledges every reading at the instant its service ends.
async fn release(line: Rc<Line>, mut write: impl AsyncWrite + Unpin, clock: Monotonic) -> io::Result<()> {
    let mut pacer = Pacer::new(clock);
    loop {
        let first = line.departures.borrow_mut().pop_front();
        let Some((at, packet)) = first else {
            line.arrived.notified().await;
            continue;
        };
        pacer.sleep_until(at).await?;
        write.write_all(&packet).await?;
    }
}

/// The first byte of the next packet, and its body.
async fn packet(read: &mut (impl AsyncRead + Unpin)) -> io::Result<(u8, Vec<u8>)> {
    let kind = read.read_u8().await?;
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = read.read_u8().await?;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    read.read_exact(&mut body).await?;
    Ok((kind, body))
}

fn text(body: &[u8], at: usize) -> &str {
    let length = usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    std::str::from_utf8(&body[at + 2..at + 2 + length]).unwrap()
}
