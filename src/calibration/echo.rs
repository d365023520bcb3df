//! Raw targets: as little as a service can do in each protocol, so that what is measured is the machine.

use std::net::SocketAddr;
use std::{io, thread};

use tokio::net::TcpListener;
use tokio::task::LocalSet;

use crate::protocol::{Driver, TABLE};
use crate::record::Protocol;

/// A target per protocol that sends, on free ports of the loopback, served by one thread until the process ends.
#[derive(Debug, Clone)]
pub(crate) struct Echo {
    addresses: Vec<(&'static dyn Driver, SocketAddr)>,
}

impl Echo {
    /// Starts to serve.
    ///
    /// # Errors
    /// If a port or the thread cannot be had.
    pub(crate) fn start() -> io::Result<Self> {
        let mut listeners = Vec::new();
        let bind = |driver: &'static dyn Driver| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            listeners.push((driver, listener));
            io::Result::Ok((driver, address))
        };
        let addresses = TABLE
            .iter()
            .copied()
            .filter(|driver| driver.facts().sends())
            .map(bind)
            .collect::<io::Result<_>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let serve = move || {
            LocalSet::new().block_on(&runtime, async {
                for (driver, listener) in listeners {
                    if let Ok(listener) = TcpListener::from_std(listener) {
                        tokio::task::spawn_local(accept(driver, listener));
                    }
                }
                std::future::pending::<()>().await;
            });
        };
        thread::Builder::new().name("squall-echo".into()).spawn(serve)?;
        Ok(Self { addresses })
    }

    /// Where each protocol is served, as target URLs.
    pub(crate) fn urls(&self) -> impl Iterator<Item = (Protocol, String)> + '_ {
        self.addresses.iter().map(|(driver, address)| {
            let facts = driver.facts();
            let path = if facts.path.is_some() { "/" } else { "" };
            let scheme = facts.target.scheme();
            (facts.protocol, format!("{scheme}://{address}{path}"))
        })
    }
}

async fn accept(driver: &'static dyn Driver, listener: TcpListener) {
    loop {
        // Out of descriptors: those who are connected go on.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        // A client that breaks its protocol or leaves ends its connection, and nothing else.
        tokio::task::spawn_local(async move {
            let _ = driver.serve_raw(stream).await;
        });
    }
}
