//! The state of one TLS connection: bytes in, bytes out, no sockets. The only file that knows which of rustls' interfaces is used:
//! the unbuffered one, which leaves all buffers to the caller, so that an idle connection has none.

use std::fmt;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus, WriteTraffic,
};
use rustls::{Error, HandshakeKind, ProtocolVersion};

use super::device::DeviceTls;
use super::failure::{Shown, TlsFailure};
use super::identity::take_asked;

/// More than TLS adds to one record: header, nonce, tag and type.
const OVERHEAD: usize = 64;

/// Bytes of one record, at most.
const RECORD: usize = 16 * 1024;

#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct TlsSession {
    connection: UnbufferedClientConnection,
    /// What the device shows if it is asked.
    certificate: bool,
    /// The server asked for a certificate.
    asked: bool,
    /// Something came from the server after the handshake: a ticket or a message.
    heard: bool,
    /// The server has said goodbye.
    peer_closed: bool,
    /// Nothing more can be done with it.
    failed: bool,
}

/// Neither keys nor messages.
impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession")
            .field("version", &self.connection.protocol_version())
            .field("peer_closed", &self.peer_closed)
            .finish_non_exhaustive()
    }
}

impl TlsSession {
    /// The beginning of a connection of `device`; what it has to say comes of [`Self::process`].
    pub(super) fn new(device: &DeviceTls) -> Result<Self, TlsFailure> {
        let config = Arc::clone(&device.config);
        let certificate = config.client_auth_cert_resolver.has_certs();
        let connection = UnbufferedClientConnection::new(config, ServerName::clone(&device.server_name))
            .map_err(|error| TlsFailure::from_error(&error, Shown { asked: false, certificate }))?;
        Ok(Self { connection, certificate, asked: false, heard: false, peer_closed: false, failed: false })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the server took up the last session.
    pub(super) fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub(super) const fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Whether the server may still refuse the device: in TLS 1.3 it judges the device's certificate when the handshake is over for
    /// the device (RFC 8446 §4.4.2.4).
    pub(super) fn awaits_admission(&self) -> bool {
        self.asked && !self.heard && self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// Works through what has come: messages go to `plain`, what is to be sent to the end of `out`. Gives how many bytes of `incoming`
    /// are done with; the rest has to be there again next time, with more behind it.
    pub(super) fn process(
        &mut self,
        incoming: &mut [u8],
        mut plain: impl FnMut(&[u8]),
        out: &mut Vec<u8>,
    ) -> (usize, Result<(), TlsFailure>) {
        if self.failed {
            return (incoming.len(), Err(TlsFailure::over()));
        }
        let mut done = 0;
        let was_handshaking = self.is_handshaking();
        if was_handshaking {
            take_asked();
        }
        let passed = loop {
            // Asked once more it would look at everything again. What a handshake wants is known only then.
            if done == incoming.len() && done > 0 && !was_handshaking && !self.connection.wants_write() {
                break Ok(());
            }
            let rest = incoming.get_mut(done..).unwrap_or_default();
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(rest);
            let step = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                    match traffic.next_record() {
                        Some(Ok(record)) => {
                            discard += record.discard;
                            self.heard = true;
                            plain(record.payload);
                        }
                        Some(Err(error)) => break Err(error),
                        None => break Ok(true),
                    }
                },
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut data, out);
                    Ok(true)
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    Ok(true)
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.peer_closed = true;
                    Ok(true)
                }
                Ok(_) => Ok(false),
                Err(error) => Err(error),
            };
            done += discard;
            match step {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        // Nobody is asked after the handshake.
        self.asked |= was_handshaking && take_asked();
        self.heard |= !was_handshaking && self.connection.tls13_tickets_received() > 0;
        (done, passed.map_err(|error| self.fail(&error, incoming.get_mut(done..).unwrap_or_default(), out)))
    }

    /// What `error` amounts to; the alert by which the server is told goes to `out`.
    fn fail(&mut self, error: &Error, rest: &mut [u8], out: &mut Vec<u8>) -> TlsFailure {
        self.failed = true;
        // The alert comes first, and before anything else is worked through; a peer that has sent one is sent none.
        if !matches!(error, Error::AlertReceived(_))
            && let Ok(ConnectionState::EncodeTlsData(mut data)) =
                self.connection.process_tls_records(rest).state
        {
            append(&mut data, out);
        }
        TlsFailure::from_error(error, Shown { asked: self.asked, certificate: self.certificate })
    }

    /// Puts `message` at the beginning of `out`, encrypted, and gives where it ends there; the handshake must be over. `incoming`: what
    /// is left of what has come.
    pub(super) fn encrypt(
        &mut self,
        message: &[u8],
        incoming: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, TlsFailure> {
        let usual = message.len() + OVERHEAD * (message.len() / RECORD + 1);
        self.write(usual, incoming, out, |traffic, free| traffic.encrypt(message, free))
    }

    /// Puts the goodbye at the end of `out`.
    pub(super) fn say_goodbye(&mut self, incoming: &mut [u8], out: &mut Vec<u8>) -> Result<(), TlsFailure> {
        let mut record = Vec::new();
        let length = self.write(OVERHEAD, incoming, &mut record, goodbye)?;
        out.extend_from_slice(record.get(..length).unwrap_or_default());
        Ok(())
    }

    fn write(
        &mut self,
        usual: usize,
        incoming: &mut [u8],
        out: &mut Vec<u8>,
        mut act: impl FnMut(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<usize, TlsFailure> {
        let mut end = 0;
        while !self.failed {
            // Everything whole in `incoming` has been worked through: nothing of it is done with here.
            match self.connection.process_tls_records(incoming).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let written = put(out, (end, usual), |free| match act(&mut traffic, free) {
                        Ok(written) => Ok(written),
                        Err(EncryptError::InsufficientSize(size)) => Err(Some(size.required_size)),
                        Err(EncryptError::EncryptExhausted) => Err(None),
                    });
                    return written.ok_or_else(TlsFailure::over);
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => end = encode(&mut data, out, end),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.peer_closed = true,
                Ok(_) => break,
                Err(error) => return Err(self.fail(&error, incoming, &mut Vec::new())),
            }
        }
        Err(TlsFailure::over())
    }
}

type Traffic<'c> = WriteTraffic<'c, ClientConnectionData>;

fn goodbye(traffic: &mut Traffic<'_>, free: &mut [u8]) -> Result<usize, EncryptError> {
    traffic.queue_close_notify(free)
}

/// Puts what the connection has to say by itself at the end of `out`.
fn append(data: &mut EncodeTlsData<'_, ClientConnectionData>, out: &mut Vec<u8>) {
    let end = encode(data, out, out.len());
    out.truncate(end);
}

/// Puts what the connection has to say by itself into `out` from `begin` on, and gives where it ends.
fn encode(data: &mut EncodeTlsData<'_, ClientConnectionData>, out: &mut Vec<u8>, begin: usize) -> usize {
    let written = put(out, (begin, OVERHEAD), |free| match data.encode(free) {
        Ok(written) => Ok(written),
        Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
        Err(EncodeError::AlreadyEncoded) => Err(None),
    });
    written.unwrap_or(begin)
}

/// Lets `act` write to `out` from `begin` on, with `usual` bytes of room at least and as many as it asks for after that; gives where
/// it ended, or `None` if it cannot. What is behind that in `out` means nothing.
fn put(
    out: &mut Vec<u8>,
    (begin, usual): (usize, usize),
    mut act: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Option<usize> {
    let mut room = usual;
    loop {
        if out.len() < begin + room {
            out.resize(begin + room, 0);
        }
        match act(out.get_mut(begin..).unwrap_or_default()) {
            Ok(written) => return Some(begin + written),
            Err(Some(needed)) if needed > room => room = needed,
            Err(_) => return None,
        }
    }
}
