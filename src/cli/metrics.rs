//! `--metrics`: the figures of a run under way, for Prometheus.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::{CliError, request};
use crate::results::MetricBoard;

/// How long a client may take over its request, and over taking in the reply.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads `IP:PORT`, or a port of the loopback alone.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse().map_err(|_| "write a port of this machine's loopback, as 9464, or IP:PORT".to_owned())
}

/// An address that is listened at.
#[derive(Debug)]
pub(super) struct MetricsDoor(TcpListener);

impl MetricsDoor {
    /// Listens at `address`, and says so on the screen.
    ///
    /// # Errors
    /// If that cannot be.
    pub(super) fn open(address: SocketAddr) -> Result<Self, CliError> {
        let failed = |error: io::Error| {
            CliError::failed(format!(
                "--metrics {address}: the figures cannot be served there: {error}; name another"
            ))
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        // Where it is has to be said, however quiet the run is.
        let _ = writeln!(io::stderr(), "figures for Prometheus: http://{bound}/metrics");
        Ok(Self(listener))
    }

    /// Serves `board` from now on, as long as the process lives: one client after another, on a thread of its own.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn serve(self, board: MetricBoard) -> io::Result<()> {
        let serve = move || {
            for client in self.0.incoming() {
                match client {
                    // A client that goes away is no trouble of the run's.
                    Ok(client) => drop(attend(&client, &board)),
                    Err(_) => thread::sleep(PATIENCE),
                }
            }
        };
        thread::Builder::new().name("squall-metrics".into()).spawn(serve).map(drop)
    }
}

fn attend(mut client: &TcpStream, board: &MetricBoard) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let is_loopback = client.local_addr()?.ip().to_canonical().is_loopback();
    let asked = request::read(client, |bytes| parse(bytes, is_loopback))?;
    let asked = asked.unwrap_or(Err("400 Bad Request"));
    let (status, (kind, body)) = match asked {
        Ok(accepts) => ("200 OK", board.page(accepts.iter().map(String::as_str))),
        Err(status) => (status, ("text/plain", format!("{status}\n").into_bytes())),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes())?;
    client.write_all(&body)
}

/// The `Accept` header fields of a request for the figures, or the status by which it is refused; `None` while it is not whole.
fn parse(bytes: &[u8], is_loopback: bool) -> Option<Result<Vec<String>, &'static str>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some(Err("400 Bad Request")),
    }
    let named = |name: &'static str| {
        let fields = request.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
        fields.filter_map(|header| std::str::from_utf8(header.value).ok())
    };
    // A foreign name can be made to resolve to this machine.
    if is_loopback && !named("host").all(is_of_loopback) {
        return Some(Err("421 Misdirected Request"));
    }
    let path = request.path.map(|path| path.split('?').next().unwrap_or_default());
    Some(match (request.method, path) {
        (Some("GET"), Some("/metrics" | "/")) => Ok(named("accept").map(str::to_owned).collect()),
        (Some("GET"), _) => Err("404 Not Found"),
        _ => Err("405 Method Not Allowed"),
    })
}

/// Whether a `Host` is an address, or the name that everybody's loopback has.
fn is_of_loopback(host: &str) -> bool {
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_the_loopback() {
        assert_eq!(address("9464"), Ok(SocketAddr::from(([127, 0, 0, 1], 9_464))));
        assert_eq!(address("0.0.0.0:1"), Ok(SocketAddr::from(([0, 0, 0, 0], 1))));
        assert!(address("localhost:1").unwrap_err().contains("IP:PORT"));
    }

    #[test]
    fn the_figures_are_to_be_read_and_by_the_names_of_this_machine() {
        let text = |kind: &str| Some(Ok(vec![kind.to_owned()]));
        for (request, expected) in [
            ("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:80\r\nAccept: a/b\r\n\r\n", text("a/b")),
            ("GET / HTTP/1.1\r\nHost: [::1]:80\r\naccept: a/b\r\n\r\n", text("a/b")),
            ("GET /metrics?x HTTP/1.1\r\nHost: localhost\r\n\r\n", Some(Ok(Vec::new()))),
            ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", Some(Err("421 Misdirected Request"))),
            ("GET /other HTTP/1.1\r\n\r\n", Some(Err("404 Not Found"))),
            ("POST /metrics HTTP/1.1\r\n\r\n", Some(Err("405 Method Not Allowed"))),
            ("GET /metrics HTTP/1.1\r\nHo", None),
            ("\x16\x03\x01", Some(Err("400 Bad Request"))),
        ] {
            assert_eq!(parse(request.as_bytes(), true), expected, "{request:?}");
        }
        let foreign = "GET /metrics HTTP/1.1\r\nHost: load.example:9464\r\n\r\n";
        assert_eq!(parse(foreign.as_bytes(), false), Some(Ok(Vec::new())));
    }
}
