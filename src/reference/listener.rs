//! Connections as they arrive at whoever listens.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Pause after a connection could not be accepted, for want of descriptors as a rule, instead of spinning: whoever waits is let in when
/// others have left.
const PAUSE: Duration = Duration::from_millis(20);

/// The next connection, without Nagle's delay: with it an answer could wait for the acknowledgement of the one before. May be
/// dropped and asked again.
pub(super) async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) if stream.set_nodelay(true).is_ok() => return (stream, peer),
            Ok(_) => {}
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// Serves each connection by a local task, for as long as it is polled: `most` at once, further ones are closed at once.
pub(super) async fn serve_each<F: Future<Output = ()> + 'static>(
    listener: &TcpListener,
    most: usize,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            (stream, peer) = next(listener) => if open.len() < most {
                open.spawn_local(serve(stream, peer));
            },
            Some(_) = open.join_next(), if !open.is_empty() => {}
        }
    }
}
