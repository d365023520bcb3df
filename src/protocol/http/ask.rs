//! A request that begins a connection, and the response that says what becomes of it.

use std::future::poll_fn;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::super::Failure;
use super::super::buffer::Inbox;
use super::super::compression::{self, Coding};
use super::super::status::refuses_for_good;
use super::head::{self, Head};
use crate::record::status_line;

/// What the header section of a response says.
#[derive(Debug)]
pub(in crate::protocol) enum Answered<T> {
    /// Another response follows.
    Interim,
    /// What was asked for begins.
    Granted(T),
    /// It was refused with this status; so is the body encoded that says why.
    Refused(u16, Coding),
}

/// What is said of a request that is not granted.
#[derive(Debug)]
pub(in crate::protocol) struct Wording {
    /// What the server did not let in: "the upgrade".
    pub(in crate::protocol) request: &'static str,
    /// The connection ended before anything came.
    pub(in crate::protocol) unanswered: &'static str,
    /// It ended before the header section did.
    pub(in crate::protocol) cut: &'static str,
}

/// Sends `request` and has `judge` read the responses to it, until one decides. Gives what came right behind that header section, too.
///
/// # Errors
/// If the connection breaks, the request is refused, or `judge` finds the response at fault.
pub(in crate::protocol) async fn ask<S: AsyncRead + AsyncWrite + Unpin, T>(
    stream: &mut S,
    request: &[u8],
    wording: &Wording,
    judge: impl Fn(&Head<'_>) -> Result<Answered<T>, Failure>,
) -> Result<(Inbox, T), Failure> {
    let sent = async {
        stream.write_all(request).await?;
        stream.flush().await
    };
    sent.await.map_err(|error| Failure::io(&error))?;
    let (mut inbox, mut tried) = (Inbox::default(), 0);
    loop {
        if let Some((size, answered)) = head::read(inbox.unread(), &mut tried, &judge)? {
            inbox.consume(size);
            match answered {
                Answered::Interim => tried = 0,
                Answered::Granted(granted) => return Ok((inbox, granted)),
                Answered::Refused(status, coding) => {
                    return Err(refused(wording.request, status, coding, inbox.unread()));
                }
            }
            continue;
        }
        match poll_fn(|cx| inbox.poll_read(stream, cx)).await {
            Ok(0) if inbox.unread().is_empty() => return Err(Failure::closed(wording.unanswered)),
            Ok(0) => return Err(Failure::closed(wording.cut)),
            Ok(_) => {}
            Err(error) => return Err(Failure::io(&error)),
        }
    }
}

/// The server answered `request` with `status`, and with as much of a body as is there.
pub(in crate::protocol) fn refused(request: &str, status: u16, coding: Coding, body: &[u8]) -> Failure {
    let body = compression::legible(body, coding, body.len() as u64);
    Failure::protocol(format!("the server answered {request} with {}", status_line(status)))
        .with_code("HTTP", status.into())
        .with_sample(&body)
        .final_if(refuses_for_good(status))
}
