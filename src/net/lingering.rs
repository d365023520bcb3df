//! A connection its device has let go of while the network between it and its peer was down.

use tokio::net::TcpStream;

use super::active_fault::{ActiveFault, Origin, mutes};

/// A socket that outlives its device's interest, so that the peer is left half-open as long as the fault says that it hears
/// nothing: the kernel would tell it at once.
#[derive(Debug)]
pub(super) struct LingeringSocket {
    pub(super) socket: TcpStream,
    pub(super) origin: Origin,
    /// Bytes of the device that had not left.
    pub(super) unsent: Vec<u8>,
    /// Whether the connection ends with a reset: bytes were lost, or the device was abrupt.
    pub(super) reset: bool,
}

impl LingeringSocket {
    /// Whether the peer would still not hear anything under `active`.
    pub(super) fn is_unheard(&self, active: &[ActiveFault]) -> bool {
        mutes(active, self.origin)
    }

    /// Sends what is left and ends the connection, as the device's kernel would have gone on trying to.
    pub(super) fn release(self) {
        let whole = self.unsent.is_empty()
            || self.socket.try_write(&self.unsent).is_ok_and(|written| written == self.unsent.len());
        if self.reset || !whole {
            // If it fails the connection is gone already.
            let _ = self.socket.set_zero_linger();
        }
    }
}
