//! The load that tokio-rustls makes with its default buffers: clients that send a line of 120 bytes over TLS and wait for its echo, on
//! one thread. What a reading over TLS costs at least in this language and runtime.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use squall_peers::load::{Order, PAYLOAD, Tally};
use squall_peers::tls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The file with the authority's certificate.
const CA: &str = "SQUALL_PEERS_CA";

async fn connect(order: Order, connector: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", order.port)).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    connector.connect(name, stream).await
}

async fn echo(mut stream: TlsStream<TcpStream>, until: Instant, tally: Rc<Tally>) {
    let line = format!("{PAYLOAD}\n");
    let mut answer = vec![0; line.len()];
    while Instant::now() < until {
        let sent = Instant::now();
        let written = stream.write_all(line.as_bytes()).await.and(stream.flush().await);
        if written.is_err() || stream.read_exact(&mut answer).await.is_err() {
            return;
        }
        tally.answered(sent);
    }
}

fn main() -> io::Result<()> {
    let order = Order::read();
    let ca = std::env::var_os(CA)
        .map(PathBuf::from)
        .ok_or_else(|| io::Error::other("SQUALL_PEERS_CA names no file"))?;
    let connector = TlsConnector::from(Arc::clone(&tls::client(&ca)?));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut streams = Vec::with_capacity(order.clients);
        for _ in 0..order.clients {
            streams.push(connect(order, &connector).await?);
        }
        let tally = Rc::new(Tally::default());
        let begin = Instant::now();
        let mut tasks = JoinSet::new();
        for stream in streams {
            tasks.spawn_local(echo(stream, begin + order.length, Rc::clone(&tally)));
        }
        while tasks.join_next().await.is_some() {}
        tally.print(begin.elapsed().as_secs_f64());
        Ok(())
    })
}
