//! One caller at the door of a run: a line of request, a line of reply, until nothing more comes.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::desk::Desk;
use super::wire::{REQUEST_BYTES, Reply};

/// How long a caller may take over a request, and over taking in its reply.
const PATIENCE: Duration = Duration::from_secs(5);

/// Requests of one caller.
const REQUESTS: usize = 100;

/// Attends to one caller.
pub(super) async fn attend(desk: Rc<Desk>, caller: Option<impl AsyncRead + AsyncWrite>) {
    let Some(caller) = caller else { return };
    let (from, mut to) = tokio::io::split(caller);
    let mut from = BufReader::with_capacity(REQUEST_BYTES, from);
    for _ in 0..REQUESTS {
        let mut line = Vec::new();
        let reading = (&mut from).take(REQUEST_BYTES as u64);
        let reply = match read_line(reading, &mut line).await {
            None => return,
            Some(false) => {
                desk.reply(Some(format!("a request has at most {REQUEST_BYTES} bytes and ends with a line")))
            }
            Some(true) => match serde_json::from_slice(&line) {
                Ok(request) => desk.answer(request).await,
                Err(error) => desk.reply(Some(format!("no request: {error}"))),
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
