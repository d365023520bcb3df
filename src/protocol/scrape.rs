//! Fetches a page of figures from a service over HTTP, outside the measured traffic.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use url::Url;

use super::buffer::Inbox;
use super::compression::Coding;
use super::http::{self, Reader};
use super::{Endpoint, Failure};
use crate::language::{AddressForm, Fields, Reporter};
use crate::net::{ClientIdentity, Connection, Link, TlsSettings};
use crate::record::{FleetId, status_line};
use crate::units::{ByteSize, Secret};

/// The form of the URLs of such pages.
pub(crate) static PAGE: AddressForm = AddressForm {
    schemes: &["http"],
    tls_schemes: &["https"],
    example: "http://127.0.0.1:9100/metrics",
    port: Some(80),
    tls_port: Some(443),
    has_path: true,
    takes_login: false,
    carried: &[],
};

/// Where the page is if its URL has no path.
const USUAL_PATH: &str = "/metrics";

/// What is asked for: the older format first, which is the simpler one.
const ACCEPTED: &str = "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5";

/// Most of a page that is taken, bytes.
const MOST: usize = 4 << 20;

/// Header fields of a request, each a name and a value that may be a secret.
pub(crate) type Headers = Vec<(String, Secret)>;

/// The `headers` of a section, checked as those of devices are; what they say of single devices is left as it stands.
pub(crate) fn headers(fields: &Fields, report: &mut Reporter<'_>) -> Headers {
    let named = http::headers(fields, report).into_iter();
    named.map(|(name, pattern)| (name, Secret::new(pattern.written.value()))).collect()
}

/// Asks for one page, over a connection of its own each time.
#[derive(Debug, Clone)]
pub(crate) struct Scraper {
    endpoint: Endpoint,
    headers: Headers,
}

impl Scraper {
    /// One of the page at `url`, whose host is looked up now, which may block.
    ///
    /// # Errors
    /// What is wrong with the URL or its host, or with what is said of TLS.
    pub(crate) fn at(
        url: &str,
        written: &str,
        headers: Headers,
        tls: (&TlsSettings, Arc<[ClientIdentity]>),
    ) -> Result<Self, String> {
        let mut page = Url::parse(url).map_err(|error| error.to_string())?;
        if page.path() == "/" && !url.trim_end().ends_with('/') {
            page.set_path(USUAL_PATH);
        }
        let endpoint = Endpoint::resolve_as(http::NAME, page.as_str(), written);
        let mut endpoint = endpoint.map_err(|error| error.to_string())?;
        endpoint.secure(FleetId(0), tls.0, tls.1).map_err(|error| error.to_string())?;
        Ok(Self { endpoint, headers })
    }

    /// One of the page at `endpoint`, which is shown `token`.
    pub(crate) fn of(endpoint: Endpoint, token: Option<&Secret>) -> Self {
        let bearer = |token: &Secret| Secret::new(format!("Bearer {}", token.reveal()));
        let headers = token.map(|token| ("authorization".to_owned(), bearer(token)));
        Self { endpoint, headers: headers.into_iter().collect() }
    }

    /// The page.
    ///
    /// Needs a tokio runtime with I/O enabled. Knows no time-out: drop the future to give up.
    ///
    /// # Errors
    /// In a sentence: why there is none, or that it is longer than 4 MiB, compressed, or no text.
    pub(crate) async fn fetch(&self) -> Result<String, String> {
        let body = self.body().await.map_err(|failure| failure.to_string())?;
        String::from_utf8(body).map_err(|_| "the page is no text in UTF-8".to_owned())
    }

    async fn body(&self) -> Result<Vec<u8>, Failure> {
        let io = |error: std::io::Error| Failure::io(&error);
        let link = Link::dial(self.endpoint.address(), None, None).await.map_err(io)?;
        let mut stream = match self.endpoint.control_tls() {
            Some(tls) => Connection::shake_hands(link, &tls).await.map_err(io)?,
            None => Connection::plain(link),
        };
        stream.write_all(self.request().as_bytes()).await.map_err(io)?;
        stream.flush().await.map_err(io)?;
        let (mut inbox, mut reader) = (Inbox::default(), Reader::keeping(MOST));
        while !reader.advance(&mut inbox)? {
            if reader.length() > MOST as u64 {
                return Err(Failure::protocol(format!("the page is larger than {}", ByteSize(MOST as u64))));
            }
            match poll_fn(|cx| inbox.poll_read(&mut stream, cx)).await {
                Ok(0) if reader.end() => break,
                Ok(0) => return Err(Failure::closed("the connection ended before the page did")),
                Ok(_) => {}
                Err(error) => return Err(io(error)),
            }
        }
        let reply = reader.reply();
        if reply.status != 200 {
            return Err(Failure::protocol(format!(
                "the page is answered with {}",
                status_line(reply.status)
            )));
        }
        if reply.coding != Coding::Identity {
            return Err(Failure::protocol("the page is compressed, which was not asked for"));
        }
        if reply.length > reply.body.len() as u64 {
            return Err(Failure::protocol(format!("the page is larger than {}", ByteSize(MOST as u64))));
        }
        Ok(reply.body.to_vec())
    }

    fn request(&self) -> String {
        let mut request = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\nuser-agent: squall/{}\r\nconnection: close\r\n",
            self.endpoint.target(),
            self.endpoint.authority(),
            env!("CARGO_PKG_VERSION"),
        );
        let stated = |name: &str| self.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        if !stated("accept") {
            let _ = write!(request, "accept: {ACCEPTED}\r\n");
        }
        for (name, value) in &self.headers {
            let _ = write!(request, "{name}: {}\r\n", value.reveal());
        }
        request + "\r\n"
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What a scraper makes of `reply`, and what it asked.
    fn fetched(path: &str, reply: &[u8]) -> (Result<String, String>, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}{path}", listener.local_addr().unwrap());
            let headers = vec![("X-Key".to_owned(), Secret::new("k"))];
            let tls = TlsSettings::default();
            let scraper = Scraper::at(&url, &url, headers, (&tls, Vec::new().into())).unwrap();
            let server = async {
                let (mut peer, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    peer.read_buf(&mut request).await.unwrap();
                }
                // Of a page that is too long the rest is not waited for.
                let _ = peer.write_all(reply).await;
                String::from_utf8(request).unwrap()
            };
            tokio::join!(scraper.fetch(), server)
        })
    }

    #[test]
    fn a_page_is_fetched_whole_however_it_is_framed() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na 1\r\n2\r\n\nb\r\n3\r\n 2\n\r\n0\r\n\r\n";
        let (page, request) = fetched("", chunked);
        assert_eq!(page.unwrap(), "a 1\nb 2\n");
        assert!(request.starts_with("GET /metrics HTTP/1.1\r\nhost: 127.0.0.1:"), "{request}");
        assert!(
            request.contains("\r\nX-Key: k\r\n") && request.contains("\r\naccept: text/plain"),
            "{request}"
        );
        let (page, request) = fetched("/m?x=1", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n");
        assert_eq!(page.unwrap(), "a 1\n");
        assert!(request.starts_with("GET /m?x=1 HTTP/1.1\r\n"), "{request}");
        assert_eq!(fetched("/", b"HTTP/1.0 200 OK\r\n\r\na 1\n").0.unwrap(), "a 1\n");
    }

    #[test]
    fn what_is_no_page_is_told_in_a_sentence() {
        let large = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MOST + 1);
        for (reply, sentence) in [
            (
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                "the page is answered with HTTP 404 Not Found",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na 1\n", "the connection ended before the page did"),
            (&large, "the page is larger than 4MiB"),
            (
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\na",
                "the page is compressed, which was not asked for",
            ),
        ] {
            assert_eq!(fetched("", reply.as_bytes()).0, Err(sentence.to_owned()), "{reply}");
        }
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xff";
        assert_eq!(fetched("", bytes).0, Err("the page is no text in UTF-8".to_owned()));
    }
}
