//! A single server with a queue, spoken to over MQTT: it takes readings in the order in which they come, works on one at a
//! time, and acknowledges each when its service ends.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use squall::clock::{Monotonic, Pacer, Tick};
use squall::seed::Seed;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::simulation::Services;
use super::theory::Queue;

/// One queue: every device is a queue of its own, named by its fleet.
struct Line {
    services: RefCell<Services>,
    departures: RefCell<VecDeque<(Tick, [u8; 2])>>,
    arrived: Notify,
}

/// Serves `queues`, by name of the fleet, for as long as the process lives.
pub(crate) fn start(queues: &[(String, Queue)], seed: Seed, clock: Monotonic) -> SocketAddr {
    let queues: HashMap<String, Queue> = queues.iter().cloned().collect();
    let (tell, told) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let queues = queues.clone();
                tokio::task::spawn_local(async move {
                    // A device that leaves ends its line.
                    let _ = attend(stream, &queues, seed, clock).await;
                });
            }
        });
    });
    told.recv().unwrap()
}

async fn attend(
    stream: TcpStream,
    queues: &HashMap<String, Queue>,
    seed: Seed,
    clock: Monotonic,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut read, mut write) = stream.into_split();
    let connect = packet(&mut read).await?;
    // Protocol name, level, flags and keep-alive take ten bytes; then the client identifier.
    let client = text(&connect, 10);
    let fleet = client.rsplit_once('-').map_or(client, |(fleet, _)| fleet);
    let queue = *queues.get(fleet).ok_or_else(|| io::Error::other(format!("no queue for {client}")))?;
    write.write_all(&[0x20, 2, 0, 0]).await?;
    let line = Rc::new(Line {
        services: RefCell::new(Services::new(queue, seed, fleet)),
        departures: RefCell::default(),
        arrived: Notify::new(),
    });
    tokio::task::spawn_local(release(Rc::clone(&line), write, clock));
    let mut departed = Tick::ZERO;
    loop {
        let publish = packet(&mut read).await?;
        let arrived = clock.now();
        let topic = usize::from(u16::from_be_bytes([publish[0], publish[1]]));
        let service = line.services.borrow_mut().next();
        departed = departed.max(arrived).plus_ns((service * 1e9) as u64);
        line.departures.borrow_mut().push_back((departed, [publish[2 + topic], publish[3 + topic]]));
        line.arrived.notify_one();
    }
}

/// Acknowledges every reading at the instant its service ends.
async fn release(line: Rc<Line>, mut write: OwnedWriteHalf, clock: Monotonic) -> io::Result<()> {
    let mut pacer = Pacer::new(clock);
    loop {
        let first = line.departures.borrow_mut().pop_front();
        let Some((at, pid)) = first else {
            line.arrived.notified().await;
            continue;
        };
        pacer.sleep_until(at).await?;
        write.write_all(&[0x40, 2, pid[0], pid[1]]).await?;
    }
}

/// The body of the next packet.
async fn packet(read: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    read.read_u8().await?;
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
    Ok(body)
}

fn text(body: &[u8], at: usize) -> &str {
    let length = usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
    std::str::from_utf8(&body[at + 2..at + 2 + length]).unwrap()
}
