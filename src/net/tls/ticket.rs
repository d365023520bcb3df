//! Where one device keeps what lets it resume its last TLS session.

use std::sync::{Mutex, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// The last ticket of one device for its one server; as long as the run at most.
///
/// A store that devices share would hand one device's ticket to another: in a storm of reconnections most would then find none,
/// since a ticket serves once.
#[derive(Debug, Default)]
pub(super) struct TicketStore(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    group: Option<NamedGroup>,
    ticket: Option<Box<Ticket>>,
}

#[derive(Debug)]
enum Ticket {
    Tls12(Tls12ClientSessionValue),
    Tls13(Tls13ClientSessionValue),
}

impl TicketStore {
    fn with<T>(&self, act: impl FnOnce(&mut Held) -> T) -> T {
        // What is held is replaced as a whole: a panic in between leaves nothing half done.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn keep(&self, ticket: Ticket) {
        self.with(|held| held.ticket = Some(Box::new(ticket)));
    }

    /// Whether the next connection can resume.
    #[cfg(test)]
    pub(super) fn holds_ticket(&self) -> bool {
        self.with(|held| held.ticket.is_some())
    }
}

impl ClientSessionStore for TicketStore {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.with(|held| held.group = Some(group));
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.with(|held| held.group)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.keep(Ticket::Tls12(value));
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.with(|held| match held.ticket.as_deref() {
            Some(Ticket::Tls12(value)) => Some(value.clone()),
            _ => None,
        })
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.with(|held| held.ticket = None);
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.keep(Ticket::Tls13(value));
    }

    /// A ticket serves once (RFC 8446 appendix C.4).
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.with(|held| match held.ticket.take().map(|ticket| *ticket) {
            Some(Ticket::Tls13(value)) => Some(value),
            other => {
                held.ticket = other.map(Box::new);
                None
            }
        })
    }
}
