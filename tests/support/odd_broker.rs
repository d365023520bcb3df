//! A broker with manners of its own: small, blocking, and as odd as a test wants it.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::peer::{packet, publish, start};

/// What it does otherwise than the standard has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    /// It takes so long for a SUBACK.
    pub(crate) suback_after: Duration,
    /// It never sends one.
    pub(crate) deaf: bool,
    /// It grants no higher quality of service.
    pub(crate) grants: u8,
    /// First byte of what it answers a PUBLISH with, whatever its quality of service; `None`: as the standard has it.
    pub(crate) answer: Option<u8>,
    /// It does so only with a message that it has not seen before.
    pub(crate) relents: bool,
    /// It closes a connection after so many readings, once they are answered.
    pub(crate) most: Option<u32>,
}

impl Manners {
    /// None that anybody would notice.
    pub(crate) const GOOD: Self = Self {
        suback_after: Duration::ZERO,
        deaf: false,
        grants: 2,
        answer: None,
        relents: false,
        most: None,
    };
}

/// What it has seen.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// First byte of the last packet of every connection that has ended.
    pub(crate) last: Vec<u8>,
    /// Subscriptions that were asked for.
    pub(crate) asked: usize,
    listeners: Vec<TcpStream>,
    seen: BTreeSet<Vec<u8>>,
}

/// A broker on a free port of the loopback, which serves for as long as the process lives. Every subscriber hears every
/// reading, at quality of service 0.
pub(crate) struct Broker {
    pub(crate) addr: SocketAddr,
    pub(crate) log: Arc<Mutex<Log>>,
}

impl Broker {
    pub(crate) fn start(manners: Manners) -> Self {
        let log = Arc::<Mutex<Log>>::default();
        let book = Arc::clone(&log);
        let port = start(move |stream| {
            let mut last = 0;
            let _ = serve(stream, manners, &book, &mut last);
            book.lock().unwrap().last.push(last);
        });
        Self { addr: ([127, 0, 0, 1], port).into(), log }
    }

    /// What `--target` takes.
    pub(crate) fn target(&self) -> String {
        format!("mqtt=mqtt://{}", self.addr)
    }
}

fn serve(mut stream: TcpStream, manners: Manners, log: &Mutex<Log>, last: &mut u8) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut taken = 0;
    loop {
        let (first, body) = packet(&mut stream)?;
        *last = first;
        match first >> 4 {
            1 => stream.write_all(&[0x20, 2, 0, 0])?,
            8 => {
                log.lock().unwrap().asked += 1;
                thread::sleep(manners.suback_after);
                let asked = body.last().copied().unwrap_or_default();
                if !manners.deaf {
                    log.lock().unwrap().listeners.push(stream.try_clone()?);
                    stream.write_all(&[0x90, 3, body[0], body[1], asked.min(manners.grants)])?;
                }
            }
            3 => {
                let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let (qos, rest) = (first >> 1 & 3, &body[2 + topic..]);
                let payload = if qos == 0 { rest } else { &rest[2..] };
                let usual = [None, Some(0x40), Some(0x50)][usize::from(qos)];
                let new = !manners.relents || log.lock().unwrap().seen.insert(payload.to_vec());
                if let Some(answer) = manners.answer.filter(|_| new).or(usual) {
                    stream.write_all(&[answer, 2, rest[0], rest[1]])?;
                }
                let message = publish(&body[..2 + topic], payload);
                log.lock().unwrap().listeners.retain_mut(|listener| listener.write_all(&message).is_ok());
                taken += 1;
                if manners.most == Some(taken) {
                    return Ok(());
                }
            }
            6 => stream.write_all(&[0x70, 2, body[0], body[1]])?,
            12 => stream.write_all(&[0xd0, 0])?,
            14 => return Ok(()),
            _ => {}
        }
    }
}
