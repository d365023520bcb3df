//! A service of nobody's making: answers every HTTP request alike, and keeps what was asked of it.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a service heard.
#[derive(Debug, Default)]
struct Heard {
    /// Request line and header fields of every request, line breaks as sent.
    heads: Vec<String>,
    connections: usize,
}

/// An HTTP service on a free port of the loopback. Its threads end with the process.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    addr: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

impl Service {
    /// Answers every request with `answer`, a whole response.
    pub(crate) fn start(answer: &'static str) -> Self {
        Self::answering(answer, usize::MAX)
    }

    /// Answers so many requests with `answer`, and takes all further ones without a word.
    pub(crate) fn answering(answer: &'static str, first: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Self { addr: listener.local_addr().unwrap(), heard: Arc::default() };
        let heard = Arc::clone(&service.heard);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let heard = Arc::clone(&heard);
                heard.lock().unwrap().connections += 1;
                // A peer that goes away in the middle is none of the service's business.
                thread::spawn(move || drop(serve(connection, answer, first, &heard)));
            }
        });
        service
    }

    /// Its address.
    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Heads of the requests so far, in the order they came in.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heard.lock().unwrap().heads.clone()
    }

    /// Request lines so far.
    pub(crate) fn request_lines(&self) -> Vec<String> {
        self.heads().iter().map(|head| head.lines().next().unwrap_or_default().to_owned()).collect()
    }

    /// Connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.heard.lock().unwrap().connections
    }
}

fn serve(connection: TcpStream, answer: &str, first: usize, log: &Mutex<Heard>) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut out = connection.try_clone()?;
    let mut input = BufReader::new(connection);
    loop {
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            if input.read_line(&mut request)? == 0 {
                return Ok(());
            }
        }
        let length = request.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        io::copy(&mut input.by_ref().take(length.unwrap_or(0)), &mut io::sink())?;
        let so_far = {
            let mut heard = log.lock().unwrap();
            heard.heads.push(request);
            heard.heads.len()
        };
        if so_far <= first {
            out.write_all(answer.as_bytes())?;
        }
    }
}
