//! Open-loop HTTP paced as wrk2 paces it, by timers of 1 ms: each connection sends its own share of the rate, Poisson, one
//! request at a time, and sleeps towards the next on tokio's timer.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use squall_peers::load::{Order, PAYLOAD, Tally};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

async fn pace(mut stream: TcpStream, order: Order, client: usize, begin: Instant, tally: Rc<Tally>) {
    let request = format!(
        "POST /v1/readings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{PAYLOAD}",
        PAYLOAD.len()
    );
    let mut random = ChaCha8Rng::seed_from_u64(client as u64);
    let (rate, until) = (order.rate / order.clients as f64, begin + order.length);
    let (mut due, mut free, mut buffer) = (begin, begin, [0; 4096]);
    loop {
        let uniform: f64 = random.random();
        due += Duration::from_secs_f64(-(1.0 - uniform).ln() / rate);
        if due >= until {
            return;
        }
        tokio::time::sleep_until(due.into()).await;
        // Waiting for the reply to the request before is not the timer's fault.
        tally.lagged(Instant::now().saturating_duration_since(due.max(free)));
        if stream.write_all(request.as_bytes()).await.is_err() || stream.read(&mut buffer).await.is_err() {
            return;
        }
        tally.answered(due);
        free = Instant::now();
    }
}

fn main() -> io::Result<()> {
    let order = Order::read();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut streams = Vec::with_capacity(order.clients);
        for _ in 0..order.clients {
            let stream = TcpStream::connect(("127.0.0.1", order.port)).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let tally = Rc::new(Tally::default());
        let begin = Instant::now();
        let mut tasks = JoinSet::new();
        for (client, stream) in streams.into_iter().enumerate() {
            tasks.spawn_local(pace(stream, order, client, begin, Rc::clone(&tally)));
        }
        while tasks.join_next().await.is_some() {}
        tally.print(begin.elapsed().as_secs_f64());
        Ok(())
    })
}
