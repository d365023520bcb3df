//! What a device keeps from one TLS connection to the next.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::{Resumption, Tls12Resumption};
use rustls::pki_types::ServerName;

use super::ticket::TicketStore;

/// One device's part in TLS: whom it believes to speak to, what it shows, and its last ticket. Resumption needs the same one for
/// every connection.
#[derive(Debug, Clone)]
pub struct DeviceTls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) server_name: Arc<ServerName<'static>>,
    #[cfg(test)]
    pub(super) tickets: Option<Arc<TicketStore>>,
}

impl DeviceTls {
    /// Uses what it shares with others.
    pub(super) const fn new(config: Arc<ClientConfig>, server_name: Arc<ServerName<'static>>) -> Self {
        Self {
            config,
            server_name,
            #[cfg(test)]
            tickets: None,
        }
    }

    /// Has `config` for itself, and a ticket store if it `resumes`.
    pub(super) fn own(
        mut config: ClientConfig,
        server_name: Arc<ServerName<'static>>,
        resumes: bool,
    ) -> Self {
        let tickets = resumes.then(|| Arc::new(TicketStore::default()));
        if let Some(tickets) = &tickets {
            config.resumption = Resumption::store(Arc::clone(tickets) as _)
                .tls12_resumption(Tls12Resumption::SessionIdOrTickets);
        }
        Self {
            config: Arc::new(config),
            server_name,
            #[cfg(test)]
            tickets,
        }
    }
}

/// Only one and the same keeps the same ticket.
impl PartialEq for DeviceTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for DeviceTls {}
