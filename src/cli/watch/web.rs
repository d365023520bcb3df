//! The run as a page in a browser, which follows it as it goes on: to be read, by whoever has the token to switch faults, and on this
//! machine alone unless another address is given.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::session::Session;
use super::switchboard::Switchboard;
use crate::cli::{CliError, request};
use crate::clock::Monotonic;
use crate::page;
use crate::reference::host;
use crate::results::{History, Report};

/// So often it is looked whether the files have grown.
const LOOK: Duration = Duration::from_millis(100);
/// How long a client may take over its request, and over taking in a reply.
const PATIENCE: Duration = Duration::from_secs(5);
/// A stream says something at least so often, so that both ends know of each other.
const PULSE: Duration = Duration::from_secs(10);
/// Browsers that are served at the same time; further ones are turned away.
const CLIENTS: usize = 16;
/// Looks after the end of the run that this is the page of: time to fetch the last of it.
const LAST_LOOKS: u32 = 15;
/// The page's links lead to these; nothing else of the machine can be asked for.
const FILES: [&str; 9] = [
    "run.json",
    "summary.csv",
    "intervals.csv",
    "events.csv",
    "faults.csv",
    "failures.csv",
    "anomalies.csv",
    "latency.hlog",
    "target.csv",
];

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Read(String),
    Order { token: Option<String>, body: Vec<u8> },
}

/// What all clients are served from.
struct Site {
    directory: PathBuf,
    /// `None` where there is nothing to be switched.
    switchboard: Option<Switchboard>,
    state: Mutex<State>,
    changed: Condvar,
    /// The page as of an event. Whoever makes it holds it: others wait for it instead of making it too.
    page: Mutex<Option<(u64, Arc<str>)>>,
    clients: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// Counts the events.
    number: u64,
    /// The last one.
    event: String,
    over: bool,
    closed: bool,
}

/// An address that is listened at: whoever connects is heard once a page is served there.
#[derive(Debug)]
pub(in crate::cli) struct Door(TcpListener);

impl Door {
    /// Listens at `address`.
    ///
    /// # Errors
    /// If that cannot be: another may do so already.
    pub(in crate::cli) fn open(address: SocketAddr) -> Result<Self, CliError> {
        let failed = |error: io::Error| {
            let remedy = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    ": it is in use; name another port, or 0 for a free one".to_owned()
                }
                _ => format!(": {error}; name an address of this machine"),
            };
            CliError::failed(format!("--live-on {address}: the page cannot be served there{remedy}"))
        };
        TcpListener::bind(address).map(Self).map_err(failed)
    }

    /// The address.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// It as the standard input of a process that is to serve the page.
    pub(super) fn handed_down(self) -> Stdio {
        Stdio::from(OwnedFd::from(self.0))
    }

    /// The one that this process got so.
    fn inherited() -> io::Result<Self> {
        io::stdin().as_fd().try_clone_to_owned().map(|door| Self(TcpListener::from(door)))
    }
}

/// Serves the page of `session` at `address` until the process is told to end or, of a run `of` this machine that drives it, until that
/// has ended.
///
/// # Errors
/// If the address cannot be listened at, or a file of the run not be read.
pub(super) fn serve(session: &mut Session, address: SocketAddr, is_own: bool) -> Result<(), CliError> {
    let told = super::interrupted()?;
    let door = if is_own { Door::inherited().map_err(CliError::failed)? } else { Door::open(address)? };
    let bound = door.address().map_err(CliError::failed)?;
    let switchboard = session.switching().cloned().map(Switchboard::new);
    let _ = writeln!(io::stderr(), "the run as a page: http://{bound}/");
    if let Some(board) = &switchboard {
        let _ = writeln!(io::stderr(), "with its faults to be switched: http://{bound}/#{}", board.token());
    }
    let site = Arc::new(Site {
        directory: session.directory().to_owned(),
        switchboard,
        state: Mutex::default(),
        changed: Condvar::new(),
        page: Mutex::default(),
        clients: AtomicUsize::new(0),
    });
    let served = Arc::clone(&site);
    thread::Builder::new()
        .name("squall-page".into())
        .spawn(move || admit(&door.0, &served))
        .map_err(CliError::failed)?;
    let clock = Monotonic::start();
    let mut left = LAST_LOOKS;
    while !told.load(Ordering::Relaxed) && left > 0 {
        session.step(clock.now())?;
        let over = session.has_ended();
        site.tell(session.summary(), over);
        left -= u32::from(is_own && over);
        thread::sleep(LOOK);
    }
    site.close();
    Ok(())
}

impl Site {
    /// Makes `event` known, if it is another than the last.
    fn tell(&self, event: String, over: bool) {
        let Ok(mut state) = self.state.lock() else { return };
        if state.event != event || state.over != over {
            state.number += 1;
            (state.event, state.over) = (event, over);
            self.changed.notify_all();
        }
    }

    fn close(&self) {
        if let Ok(mut state) = self.state.lock() {
            state.closed = true;
        }
        self.changed.notify_all();
        // Whoever follows hears of the end.
        thread::sleep(LOOK);
    }

    /// The page as of now: made once for each event, however many ask for it.
    fn page(&self) -> Result<Arc<str>, String> {
        // A page that failed to be made has left the one before.
        let mut made = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, over) = match self.state.lock() {
            Ok(state) => (state.number, state.over),
            Err(_) => return Err("the page is gone".to_owned()),
        };
        if let Some((_, page)) = made.as_ref().filter(|(of, _)| *of == number) {
            return Ok(Arc::clone(page));
        }
        let mut report = Report::load(&self.directory).map_err(|error| error.to_string())?;
        if !over && report.rebuilt.is_some() {
            report.rebuilt = Some("the run is under way: these are its figures so far".to_owned());
        }
        let history = History::load(&self.directory).map_err(|error| error.to_string())?;
        let page = if over { page::run(&report, &history, "") } else { page::live(&report, &history) };
        let page: Arc<str> = page.into();
        *made = Some((number, Arc::clone(&page)));
        Ok(page)
    }
}

/// Takes clients in, each on a thread of its own.
fn admit(listener: &TcpListener, site: &Arc<Site>) {
    for client in listener.incoming() {
        let Ok(client) = client else {
            thread::sleep(LOOK);
            continue;
        };
        if site.clients.fetch_add(1, Ordering::Relaxed) >= CLIENTS {
            site.clients.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let of = Arc::clone(site);
        let body = move || {
            // A client that goes away is no trouble of the run's.
            let _ = attend(&client, &of);
            of.clients.fetch_sub(1, Ordering::Relaxed);
        };
        if thread::Builder::new().name("squall-page-client".into()).spawn(body).is_err() {
            site.clients.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn attend(client: &TcpStream, site: &Site) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let reached = client.local_addr()?.ip();
    let asked = request::read(client, |bytes| parse(bytes, reached))?;
    let asked = asked.unwrap_or(Err((400, "no request")));
    match (asked, &site.switchboard) {
        (Ok(Asked::Read(path)), _) => give(client, &path, site),
        (Ok(Asked::Order { token, body }), Some(board)) => {
            let (status, told) = board.answer(token.as_deref(), &body);
            reply(client, status, "application/json", told.as_bytes())
        }
        (Ok(Asked::Order { .. }), None) => {
            reply(client, 405, "text/plain", b"there is nothing to be switched\n")
        }
        (Err((status, why)), _) => reply(client, status, "text/plain", format!("{why}\n").as_bytes()),
    }
}

/// The page, what follows it, or a file.
fn give(client: &TcpStream, path: &str, site: &Site) -> io::Result<()> {
    match path {
        "/" => match site.page() {
            Ok(page) => reply(client, 200, "text/html; charset=utf-8", page.as_bytes()),
            Err(why) => reply(client, 503, "text/plain; charset=utf-8", format!("{why}\n").as_bytes()),
        },
        "/events" => follow(client, site),
        path => match FILES.iter().find(|name| path.strip_prefix('/') == Some(name)) {
            Some(name) => send_file(client, &site.directory.join(name)),
            None => reply(client, 404, "text/plain", b"not found\n"),
        },
    }
}

/// What is asked for, or why it is not given; `None` while the request is not whole.
fn parse(bytes: &[u8], reached: IpAddr) -> Option<Result<Asked, (u16, &'static str)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let body = match request.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => bytes.get(head..)?,
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some(Err((400, "no request"))),
    };
    let mut hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    let asked = match (hosts.next(), hosts.next()) {
        (Some(host), None) => std::str::from_utf8(host.value).ok(),
        _ => return Some(Err((400, "a request has one Host"))),
    };
    if !asked.is_some_and(|asked| is_known(asked, reached)) {
        return Some(Err((421, "the page does not go by that name")));
    }
    match (request.method, request.path) {
        (Some("GET"), Some(path)) => {
            Some(Ok(Asked::Read(path.split('?').next().unwrap_or_default().to_owned())))
        }
        (Some("POST"), Some("/orders")) => order(&request, body),
        _ => Some(Err((405, "the page is to be read only"))),
    }
}

/// An order, once its `body` is whole.
fn order(request: &httparse::Request<'_, '_>, body: &[u8]) -> Option<Result<Asked, (u16, &'static str)>> {
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let length = header("content-length").and_then(|length| length.parse().ok());
    let Some(length) = length.filter(|length| *length <= request::MOST) else {
        return Some(Err((400, "an order states its length")));
    };
    let body = body.get(..length)?.to_owned();
    let token = header("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
    Some(Ok(Asked::Order { token, body }))
}

/// A foreign name can be made to resolve to this machine; its own names and addresses lead nowhere else.
fn is_known(asked: &str, reached: IpAddr) -> bool {
    let Some(name) = host(asked) else { return false };
    let ip = name.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    ip.is_some_and(|ip| ip.is_loopback() || ip == reached.to_canonical()) || name == "localhost"
}

fn head(status: u16, kind: &str, length: Option<u64>) -> String {
    let words = match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        421 => "Misdirected Request",
        _ => "Service Unavailable",
    };
    let length = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
    format!(
        "HTTP/1.1 {status} {words}\r\nContent-Type: {kind}\r\n{length}Cache-Control: no-store\r\nConnection: close\r\n\
         X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nContent-Security-Policy: frame-ancestors 'none'\r\n\r\n"
    )
}

fn reply(mut client: &TcpStream, status: u16, kind: &str, body: &[u8]) -> io::Result<()> {
    client.write_all(head(status, kind, Some(body.len() as u64)).as_bytes())?;
    client.write_all(body)
}

/// A file as far as it goes now.
fn send_file(mut client: &TcpStream, path: &Path) -> io::Result<()> {
    let Ok(file) = File::open(path) else { return reply(client, 404, "text/plain", b"not there yet\n") };
    let length = file.metadata()?.len();
    client.write_all(head(200, "text/plain; charset=utf-8", Some(length)).as_bytes())?;
    io::copy(&mut file.take(length), &mut client).map(drop)
}

/// Tells a browser of every interval, the latest where it is behind, until the run has ended.
fn follow(mut client: &TcpStream, site: &Site) -> io::Result<()> {
    client.write_all(head(200, "text/event-stream", None).as_bytes())?;
    let mut told = 0;
    loop {
        let Ok(state) = site.state.lock() else { return Ok(()) };
        let waits = |state: &mut State| state.number == told && !state.closed;
        let Ok((state, _)) = site.changed.wait_timeout_while(state, PULSE, waits) else { return Ok(()) };
        let text =
            if state.number == told { ": \n\n".to_owned() } else { format!("data: {}\n\n", state.event) };
        let ends = state.over || state.closed;
        told = state.number;
        drop(state);
        client.write_all(text.as_bytes())?;
        if ends {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_names_this_machine_reads_and_nobody_does_more() {
        let reached: IpAddr = "127.0.0.1".parse().unwrap();
        let read = |path: &str| Some(Ok(Asked::Read(path.to_owned())));
        let order = |token: Option<&str>, body: &str| {
            Some(Ok(Asked::Order { token: token.map(str::to_owned), body: body.into() }))
        };
        for (request, expected) in [
            ("GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n", read("/")),
            ("GET /events?x HTTP/1.1\r\nHost: localhost:80\r\n\r\n", read("/events")),
            ("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", read("/")),
            ("GET / HTTP/1.1\r\nHost: 127", None),
            ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", Some(Err(421))),
            ("GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", Some(Err(400))),
            ("GET / HTTP/1.1\r\n\r\n", Some(Err(400))),
            ("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", Some(Err(405))),
            ("POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", order(None, "{}")),
            ("POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{", None),
            (
                "POST /orders HTTP/1.1\r\nHost: localhost\r\nauthorization: Bearer ab\r\ncontent-length: 0\r\n\r\n",
                order(Some("ab"), ""),
            ),
            ("POST /orders HTTP/1.1\r\nHost: localhost\r\n\r\n{}", Some(Err(400))),
            ("POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n{}", Some(Err(400))),
            ("POST /orders HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n", Some(Err(421))),
            ("OPTIONS /orders HTTP/1.1\r\nHost: localhost\r\n\r\n", Some(Err(405))),
            ("\x16\x03\x01", Some(Err(400))),
        ] {
            let parsed = parse(request.as_bytes(), reached);
            assert_eq!(parsed.map(|parsed| parsed.map_err(|(status, _)| status)), expected, "{request:?}");
        }
    }
}
