//! What every protocol of the table owes the engine, whatever its peer does. A new folder is held to it by its line in
//! [`TABLE`](super::super::TABLE): all that it adds is a [`Proof`].

mod case;
mod conversation;
mod memory;
mod wire;

use std::pin::Pin;

pub(crate) use self::wire::Wire;
use super::super::{Failure, OwnSettings, Session, Settings};

/// A session on its way over a [`Wire`].
pub(crate) type Opening<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Session>, Failure>> + 'a>>;

/// What only a protocol knows of its peer: as much as lets the suite play it.
pub(crate) trait Proof: Sync {
    /// A session of the device [`DEVICE`], as the driver's `connect` makes it over a socket.
    fn open<'a>(&self, wire: Wire, settings: &'a Settings) -> Opening<'a>;

    /// The protocol's own settings under which it is another protocol on the wire, each with its name.
    fn variants(&self) -> Vec<(&'static str, OwnSettings)> {
        vec![("", OwnSettings::default())]
    }

    /// What the peer says to `written`, the next whole message of the handshake.
    fn greet(&self, written: &[u8]) -> Vec<u8>;

    /// What the peer owes for `sent`, the bytes of one reading, if its message says `body`: what closes the reading comes last.
    /// Empty where it owes nothing.
    fn reply(&self, settings: &Settings, sent: &[u8], body: &[u8]) -> Vec<u8>;

    /// A sound message that says `body` and that no reading called for.
    fn message(&self, settings: &Settings, body: &[u8]) -> Vec<u8>;

    /// Messages that never end: how each begins, and what then comes again and again.
    fn endless(&self, settings: &Settings) -> Vec<(Vec<u8>, Vec<u8>)>;
}

/// The device of every session here.
pub(in crate::protocol) const DEVICE: &str = "d";
