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
        take_asked();
        let passed = loop {
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
                    encode(&mut data, out);
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
        self.asked |= take_asked();
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
            encode(&mut data, out);
        }
        TlsFailure::from_error(error, Shown { asked: self.asked, certificate: self.certificate })
    }

    /// Puts `message` into `out`, encrypted; the handshake must be over. `incoming`: what is left of what has come.
    pub(super) fn encrypt(
        &mut self,
        message: &[u8],
        incoming: &mut [u8],
        out: &mut Vec<u8>,
    ) -> Result<(), TlsFailure> {
        let usual = message.len() + OVERHEAD * (message.len() / RECORD + 1);
        self.write(usual, incoming, out, |traffic, free| traffic.encrypt(message, free))
    }

    /// Puts the goodbye into `out`.
    pub(super) fn say_goodbye(&mut self, incoming: &mut [u8], out: &mut Vec<u8>) -> Result<(), TlsFailure> {
        self.write(OVERHEAD, incoming, out, goodbye)
    }

    fn write(
        &mut self,
        usual: usize,
        incoming: &mut [u8],
        out: &mut Vec<u8>,
        mut act: impl FnMut(&mut Traffic<'_>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> Result<(), TlsFailure> {
        while !self.failed {
            // Everything whole in `incoming` has been worked through: nothing of it is done with here.
            match self.connection.process_tls_records(incoming).state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    let written = append(out, usual, |free| match act(&mut traffic, free) {
                        Ok(written) => Ok(written),
                        Err(EncryptError::InsufficientSize(size)) => Err(Some(size.required_size)),
                        Err(EncryptError::EncryptExhausted) => Err(None),
                    });
                    if written {
                        return Ok(());
                    }
                    break;
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, out),
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.peer_closed = true,
                Ok(_) => break,
                Err(error) => return Err(self.fail(&error, incoming, out)),
            }
        }
        Err(TlsFailure::over())
    }
}

type Traffic<'c> = WriteTraffic<'c, ClientConnectionData>;

fn goodbye(traffic: &mut Traffic<'_>, free: &mut [u8]) -> Result<usize, EncryptError> {
    traffic.queue_close_notify(free)
}

/// Puts what the handshake has to say to the end of `out`.
fn encode(data: &mut EncodeTlsData<'_, ClientConnectionData>, out: &mut Vec<u8>) {
    append(out, OVERHEAD, |free| match data.encode(free) {
        Ok(written) => Ok(written),
        Err(EncodeError::InsufficientSize(size)) => Err(Some(size.required_size)),
        Err(EncodeError::AlreadyEncoded) => Err(None),
    });
}

/// Lets `act` write to the end of `out`, with `usual` bytes of room at first and as many as it asks for after that; false if it
/// cannot.
fn append(
    out: &mut Vec<u8>,
    usual: usize,
    mut act: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> bool {
    let (begin, mut room) = (out.len(), usual);
    loop {
        out.resize(begin + room, 0);
        match act(out.get_mut(begin..).unwrap_or_default()) {
            Ok(written) => {
                out.truncate(begin + written);
                return true;
            }
            Err(Some(needed)) if needed > room => room = needed,
            Err(_) => {
                out.truncate(begin);
                return false;
            }
        }
    }
}
