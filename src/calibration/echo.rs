//! Raw targets: as little as a service can do in each protocol, so that what is measured is the machine.

use std::net::SocketAddr;
use std::{io, thread};

use futures_util::SinkExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

use crate::record::Protocol;

/// Bytes a connection may keep while a message is incomplete.
const MOST: usize = 64 * 1024;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"ok\":true}";

/// Three targets on free ports of the loopback, one per protocol, served by one thread until the process ends.
#[derive(Debug, Clone)]
pub(crate) struct Echo {
    addresses: [(Protocol, SocketAddr); 3],
}

impl Echo {
    /// Starts to serve.
    ///
    /// # Errors
    /// If a port or the thread cannot be had.
    pub(crate) fn start() -> io::Result<Self> {
        let mut listeners = Vec::new();
        let mut bind = |protocol| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            listeners.push((protocol, listener));
            io::Result::Ok((protocol, address))
        };
        let addresses = [bind(Protocol::Http)?, bind(Protocol::Ws)?, bind(Protocol::Mqtt)?];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let serve = move || {
            LocalSet::new().block_on(&runtime, async {
                for (protocol, listener) in listeners {
                    if let Ok(listener) = TcpListener::from_std(listener) {
                        tokio::task::spawn_local(accept(protocol, listener));
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
        self.addresses.iter().map(|(protocol, address)| {
            let path = if *protocol == Protocol::Mqtt { "" } else { "/" };
            (*protocol, format!("{protocol}://{address}{path}"))
        })
    }
}

async fn accept(protocol: Protocol, listener: TcpListener) {
    loop {
        // Out of descriptors: those who are connected go on.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        // A client that breaks its protocol or leaves ends its connection, and nothing else.
        tokio::task::spawn_local(async move {
            let _ = match protocol {
                Protocol::Http => answer(stream, http).await,
                Protocol::Ws => echo(stream).await,
                Protocol::Mqtt => answer(stream, mqtt).await,
            };
        });
    }
}

/// Takes whole messages from what was received and gives how many bytes they were; `None` ends the connection.
type Codec = fn(&[u8], &mut Vec<u8>) -> Option<usize>;

async fn answer(mut stream: TcpStream, codec: Codec) -> io::Result<()> {
    let (mut input, mut output) = (Vec::with_capacity(1024), Vec::with_capacity(256));
    while stream.read_buf(&mut input).await? > 0 && input.len() <= MOST {
        let Some(taken) = codec(&input, &mut output) else { break };
        input.drain(..taken);
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
    }
    Ok(())
}

/// Requests as squall writes them: head, `Content-Length` and body.
fn http(bytes: &[u8], output: &mut Vec<u8>) -> Option<usize> {
    let mut taken = 0;
    loop {
        let rest = bytes.get(taken..)?;
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(head) = request.parse(rest).ok()? else { return Some(taken) };
        let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length = match length {
            Some(header) => std::str::from_utf8(header.value).ok()?.parse().ok()?,
            None => 0_usize,
        };
        let size = head.checked_add(length)?;
        if rest.len() < size {
            return Some(taken);
        }
        output.extend_from_slice(ANSWER);
        taken += size;
    }
}

/// CONNECT, PUBLISH up to `QoS` 1 and PINGREQ.
fn mqtt(bytes: &[u8], output: &mut Vec<u8>) -> Option<usize> {
    let mut taken = 0;
    while let Some((header, size)) = packet(bytes.get(taken..)?) {
        let packet = bytes.get(taken..taken + size)?;
        let first = *packet.first()?;
        match first >> 4 {
            1 => output.extend_from_slice(&[0x20, 2, 0, 0]),
            3 if first & 0x06 == 0x02 => {
                let topic = usize::from(u16::from_be_bytes(*packet.get(header..)?.first_chunk()?));
                let &[high, low] = packet.get(header + 2 + topic..)?.first_chunk()?;
                output.extend_from_slice(&[0x40, 2, high, low]);
            }
            12 => output.extend_from_slice(&[0xd0, 0]),
            _ => return None,
        }
        taken += size;
    }
    Some(taken)
}

/// Sizes of the first packet's fixed header and of the whole packet, if it is there (MQTT 3.1.1 §2.2.3).
fn packet(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut remaining = 0;
    for (at, &byte) in bytes.get(1..)?.iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let size = 2 + at + remaining;
            return (bytes.len() >= size).then_some((2 + at, size));
        }
    }
    None
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
    let mut socket = accept_async_with_config(stream, Some(config)).await.map_err(io::Error::other)?;
    while let Some(message) = next(&mut socket).await {
        let message = message.map_err(io::Error::other)?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await.map_err(io::Error::other)?;
        }
    }
    Ok(())
}

async fn next(
    socket: &mut WebSocketStream<TcpStream>,
) -> Option<Result<tokio_tungstenite::tungstenite::Message, tokio_tungstenite::tungstenite::Error>> {
    use futures_util::Stream;
    std::future::poll_fn(|cx| std::pin::Pin::new(&mut *socket).poll_next(cx)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_answered_one_by_one_when_they_are_whole() {
        let one = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
        let mut output = Vec::new();
        assert_eq!(http(&one[..one.len() - 1], &mut output), Some(0));
        assert!(output.is_empty());
        let two = [&one[..], &one[..], b"PO"].concat();
        assert_eq!(http(&two, &mut output), Some(2 * one.len()));
        assert_eq!(output, [ANSWER, ANSWER].concat());
        assert_eq!(http(b"\0\0\0\0", &mut output), None);
    }

    #[test]
    fn packets_are_acknowledged_by_their_identifier() {
        let mut output = Vec::new();
        let publish = [0x32, 8, 0, 1, b't', 0x12, 0x34, b'p', b'a', b'y'];
        assert_eq!(mqtt(&publish[..9], &mut output), Some(0));
        assert_eq!(mqtt(&publish, &mut output), Some(10));
        assert_eq!(output, [0x40, 2, 0x12, 0x34]);
        assert_eq!(mqtt(&[0x82, 1, 0], &mut output), None);
        assert_eq!(mqtt(&[0x32, 3, 0, 9, b't'], &mut output), None);
    }
}
