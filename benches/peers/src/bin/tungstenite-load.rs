//! The load that tokio-tungstenite makes with its default buffers: clients that send a text and wait for its echo, on one
//! thread.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

use futures_util::{SinkExt, Stream};
use squall_peers::load::{Order, PAYLOAD, Tally};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

async fn connect(order: Order) -> io::Result<WebSocketStream<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", order.port)).await?;
    stream.set_nodelay(true)?;
    let (socket, _) = client_async("ws://127.0.0.1/", stream).await.map_err(io::Error::other)?;
    Ok(socket)
}

async fn echo(mut socket: WebSocketStream<TcpStream>, until: Instant, tally: Rc<Tally>) {
    while Instant::now() < until {
        let sent = Instant::now();
        if socket.send(Message::text(PAYLOAD)).await.is_err() {
            return;
        }
        let Some(Ok(_)) = poll_fn(|cx| Pin::new(&mut socket).poll_next(cx)).await else { return };
        tally.answered(sent);
    }
}

fn main() -> io::Result<()> {
    let order = Order::read();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut sockets = Vec::with_capacity(order.clients);
        for _ in 0..order.clients {
            sockets.push(connect(order).await?);
        }
        let tally = Rc::new(Tally::default());
        let begin = Instant::now();
        let mut tasks = JoinSet::new();
        for socket in sockets {
            tasks.spawn_local(echo(socket, begin + order.length, Rc::clone(&tally)));
        }
        while tasks.join_next().await.is_some() {}
        tally.print(begin.elapsed().as_secs_f64());
        Ok(())
    })
}
