//! A port of the service: who comes in, and the handshake at the door, bounded in time and number.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{Error, HandshakeKind, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Wire;
use crate::reference::listener;
use crate::reference::metric::Metrics;

/// Handshakes of one port that may be under way; whoever comes then waits in the system's queue.
const MOST_UNDER_WAY: usize = 1_024;
/// Longest time of a handshake.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client that was not let in may take to hear why, and bytes of it that are passed over meanwhile.
const FAREWELL: (Duration, u64) = (Duration::from_secs(1), 64 * 1024);

/// How a handshake ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::reference) enum HandshakeEnd {
    /// With a new session.
    Full,
    /// With one that the client took up again.
    Resumed,
    /// The service did not accept the client's certificate, or it showed none.
    Refused,
    /// The client did not accept what the service showed.
    Rejected,
    /// What came was no TLS.
    Plain,
    /// It took too long.
    Timeout,
    /// The connection ended, or the two had nothing in common.
    Broken,
}

impl HandshakeEnd {
    /// All of them.
    pub(in crate::reference) const ALL: [Self; 7] =
        [Self::Full, Self::Resumed, Self::Refused, Self::Rejected, Self::Plain, Self::Timeout, Self::Broken];

    /// The word by which it is counted.
    pub(in crate::reference) const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Plain => "plain",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
        }
    }
}

/// A listener, and what makes connections to it secret.
pub(in crate::reference) struct Port {
    listener: TcpListener,
    tls: Option<(TlsAcceptor, Arc<Semaphore>)>,
}

/// Someone at the door.
pub(in crate::reference) struct Arrival {
    stream: TcpStream,
    handshake: Option<(TlsAcceptor, OwnedSemaphorePermit)>,
}

impl Port {
    /// Listens by `listener`; plain without `tls`. `alpn`: the one protocol that clients can ask for by name, if any.
    pub(in crate::reference) fn new(
        listener: TcpListener,
        tls: Option<&ServerConfig>,
        alpn: Option<&str>,
    ) -> Self {
        let tls = tls.map(|config| {
            let mut config = config.clone();
            config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
            (TlsAcceptor::from(Arc::new(config)), Arc::new(Semaphore::new(MOST_UNDER_WAY)))
        });
        Self { listener, tls }
    }

    /// The next connection. May be dropped and asked again.
    pub(in crate::reference) async fn accept(&self) -> Arrival {
        let handshake = match &self.tls {
            // Never closed.
            Some((acceptor, room)) => {
                Arc::clone(room).acquire_owned().await.ok().map(|place| (acceptor.clone(), place))
            }
            None => None,
        };
        let (stream, _) = listener::next(&self.listener).await;
        Arrival { stream, handshake }
    }

    /// Handshakes under way, but for that of whoever has just arrived.
    pub(in crate::reference) fn under_way(&self) -> usize {
        self.tls.as_ref().map_or(0, |(_, room)| (MOST_UNDER_WAY - room.available_permits()).saturating_sub(1))
    }
}

impl Arrival {
    /// The connection as it was accepted.
    pub(in crate::reference) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The connection, if there is no handshake to be made; else this back.
    pub(in crate::reference) fn into_plain(self) -> Result<Wire, Self> {
        if self.handshake.is_none() { Ok(Wire::Plain(self.stream)) } else { Err(self) }
    }

    /// Shakes hands where there is TLS, and counts how that ended; `None` if the client is not let in.
    pub(in crate::reference) async fn enter(self, metrics: &Metrics) -> Option<Wire> {
        let Some((acceptor, place)) = self.handshake else { return Some(Wire::Plain(self.stream)) };
        let met = timeout(PATIENCE, acceptor.accept(self.stream).into_fallible()).await;
        // Whoever is told why it is not let in takes no place from others.
        drop(place);
        match met {
            Ok(Ok(stream)) => {
                let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
                metrics.handshake(if resumed { HandshakeEnd::Resumed } else { HandshakeEnd::Full });
                note_client(&stream, resumed);
                Some(Wire::Tls(Box::new(stream)))
            }
            Ok(Err((error, stream))) => {
                let end = end_of(&error);
                metrics.handshake(end);
                tracing::info!(end = end.name(), why = %error, "a TLS handshake failed");
                part(stream).await;
                None
            }
            Err(_) => {
                metrics.handshake(HandshakeEnd::Timeout);
                None
            }
        }
    }
}

/// Logs whoever has said by a certificate who it is.
fn note_client(stream: &TlsStream<TcpStream>, resumed: bool) {
    let (_, connection) = stream.get_ref();
    if let Some(name) = connection.peer_certificates().and_then(<[_]>::first).and_then(|shown| name(shown)) {
        tracing::info!(client = name, resumed, "a client showed its certificate");
    }
}

/// The common name of a certificate's subject.
pub(super) fn name(certificate: &rustls::pki_types::CertificateDer<'_>) -> Option<String> {
    /// `id-at-commonName` in DER.
    const COMMON_NAME: [u8; 5] = [6, 3, 85, 4, 3];
    let parsed = webpki::EndEntityCert::try_from(certificate).ok()?;
    let subject = parsed.subject();
    let at = subject.windows(COMMON_NAME.len()).position(|window| window == COMMON_NAME)?;
    // A kind of text, and its length in one byte: a common name has 64 characters at most.
    let (_kind, rest) = subject.get(at + COMMON_NAME.len()..)?.split_first()?;
    let (length, rest) = rest.split_first()?;
    Some(String::from_utf8_lossy(rest.get(..usize::from(*length))?).into_owned())
}

fn end_of(error: &io::Error) -> HandshakeEnd {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(Error::InvalidMessage(_)) => HandshakeEnd::Plain,
        Some(Error::AlertReceived(_)) => HandshakeEnd::Rejected,
        Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => HandshakeEnd::Refused,
        _ => HandshakeEnd::Broken,
    }
}

/// Lets a client hear why it is not let in: what is unread would reset the connection, and the alert with it.
async fn part(mut stream: TcpStream) {
    let (longest, most) = FAREWELL;
    let rest = async {
        let _ = stream.shutdown().await;
        let _ = tokio::io::copy(&mut stream.take(most), &mut tokio::io::sink()).await;
    };
    let _ = timeout(longest, rest).await;
}
