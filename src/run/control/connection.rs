//! One client of a run's control socket: a line of request, a line of reply, until nothing more comes.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::protocol::{REQUEST_BYTES, Reply};
use super::server::ControlServer;

/// How long a client may take over a request, and over taking in its reply.
const PATIENCE: Duration = Duration::from_secs(5);

/// Requests of one client.
const REQUESTS: usize = 100;

/// Serves one client.
pub(super) async fn serve(server: Rc<ControlServer>, client: Option<impl AsyncRead + AsyncWrite>) {
    let Some(client) = client else { return };
    let (from, mut to) = tokio::io::split(client);
    let mut from = BufReader::with_capacity(REQUEST_BYTES, from);
    for _ in 0..REQUESTS {
        let mut line = Vec::new();
        let reading = (&mut from).take(REQUEST_BYTES as u64);
        let reply = match read_line(reading, &mut line).await {
            None => return,
            Some(false) => server
                .reply(Some(format!("a request has at most {REQUEST_BYTES} bytes and ends with a line"))),
            Some(true) => match serde_json::from_slice(&line) {
                Ok(request) => server.answer(request).await,
                Err(error) => server.reply(Some(format!("not a request: {error}"))),
            },
        };
        let said = tokio::time::timeout(PATIENCE, write_line(&mut to, &reply)).await;
        if !matches!(said, Ok(true)) || !line.ends_with(b"\n") {
            return;
        }
    }
}

/// Whether a whole line came; `None` if nothing did in time.
async fn read_line(from: impl AsyncBufReadExt + Unpin, line: &mut Vec<u8>) -> Option<bool> {
    let mut from = from;
    match tokio::time::timeout(PATIENCE, from.read_until(b'\n', line)).await {
        Ok(Ok(1..)) => Some(line.ends_with(b"\n")),
        _ => None,
    }
}

async fn write_line(to: &mut (impl AsyncWriteExt + Unpin), reply: &Reply) -> bool {
    let Ok(mut line) = serde_json::to_vec(reply) else { return false };
    line.push(b'\n');
    to.write_all(&line).await.is_ok()
}
