//! Health checks: instances are asked time and again whether they are ready. One that is not gets nothing new until it is.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Instances, connect, lock};

/// How often an instance is asked.
const EVERY: Duration = Duration::from_millis(500);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a good answer begins with.
const READY: &[u8] = b"HTTP/1.1 200 ";

/// Asks all instances for as long as it is polled.
pub(super) async fn watch(instances: &Rc<Instances>) {
    join_all((0..instances.places.len()).map(|index| look_after(instances, index))).await;
}

/// Asks one until it is gone for good.
async fn look_after(instances: &Instances, index: usize) {
    let mut turns = interval(EVERY);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let answer = timeout(PATIENCE, is_ready(instances.places[index].http)).await;
        let is_ready = matches!(answer, Ok(Ok(true)));
        if !lock(&instances.balance).note(index, is_ready) {
            return;
        }
    }
}

/// Whether the instance at `place` says that it is ready.
async fn is_ready(place: SocketAddr) -> io::Result<bool> {
    let mut stream = connect(place).await?;
    let request = format!("GET /ready HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = [0; READY.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer.as_slice() == READY)
}
