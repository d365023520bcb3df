//! The load that `rumqttc` makes: clients that publish at QoS 1 and wait for the acknowledgement, on one thread.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Packet, QoS};
use squall_peers::load::{Order, PAYLOAD, Tally};
use tokio::task::{JoinSet, LocalSet};

async fn connect(order: Order, client: usize) -> Result<(AsyncClient, EventLoop), rumqttc::ConnectionError> {
    let mut options = MqttOptions::new(format!("client-{client}"), "127.0.0.1", order.port);
    options.set_keep_alive(Duration::from_secs(60));
    let (handle, mut events) = AsyncClient::new(options, 4);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    events.set_network_options(network);
    while !matches!(events.poll().await?, Event::Incoming(Packet::ConnAck(_))) {}
    Ok((handle, events))
}

async fn publish(
    handle: AsyncClient,
    mut events: EventLoop,
    client: usize,
    until: Instant,
    tally: Rc<Tally>,
) {
    let topic = format!("readings/client-{client}");
    while Instant::now() < until {
        let sent = Instant::now();
        if handle.try_publish(&topic, QoS::AtLeastOnce, false, PAYLOAD).is_err() {
            return;
        }
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::PubAck(_))) => break,
                Ok(_) => {}
                Err(error) => {
                    eprintln!("client {client}: {error}");
                    return;
                }
            }
        }
        tally.answered(sent);
    }
}

fn main() -> io::Result<()> {
    let order = Order::read();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let mut clients = Vec::with_capacity(order.clients);
        for client in 0..order.clients {
            clients.push(connect(order, client).await.map_err(io::Error::other)?);
        }
        let tally = Rc::new(Tally::default());
        let begin = Instant::now();
        let mut tasks = JoinSet::new();
        for (client, (handle, events)) in clients.into_iter().enumerate() {
            tasks.spawn_local(publish(handle, events, client, begin + order.length, Rc::clone(&tally)));
        }
        while tasks.join_next().await.is_some() {}
        tally.print(begin.elapsed().as_secs_f64());
        Ok(())
    })
}
