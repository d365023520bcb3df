//! The answer to the upgrade, in the spellings of many servers.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::*;
use crate::record::{Reason, status_line};

/// What comes of an upgrade to which a server answers `answer`, `{accept}` being the proof. Every piece is sent by itself.
fn upgraded(answer: &str, subprotocol: Option<&str>, deflate: bool) -> Result<bool, Failure> {
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let endpoint = Endpoint::resolve(Protocol::named("ws"), "ws://127.0.0.1:9").unwrap();
    let identity = Identity { subprotocol: subprotocol.map(str::to_owned), ..Identity::of("d") };
    let settings = limited(64 << 20, deflate);
    let serve = async {
        let mut request = vec![0; 4096];
        let size = far.read(&mut request).await.unwrap();
        let request = String::from_utf8(request[..size].to_vec()).unwrap();
        let key = request.split("\r\n").find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let offered = request.to_lowercase().contains("\r\nsec-websocket-extensions: permessage-deflate;");
        assert_eq!(offered, deflate, "{request}");
        let answer = answer.replace("{accept}", &derive_accept_key(key.as_bytes()));
        for piece in answer.as_bytes().chunks(7) {
            // Who has refused reads no more.
            if far.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        far
    };
    let open = Ws::open(near, &endpoint, &settings, &identity);
    block_on(async { tokio::join!(serve, open) }).1.map(|mut session| {
        assert_eq!(session.notes_mut().take_remark().is_some(), deflate && !session.deflate);
        session.deflate
    })
}

/// The fields without which there is no upgrade, but for `Connection`.
const USUAL: &str =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n";

fn usual(fields: &str) -> String {
    format!("{USUAL}Connection: Upgrade\r\n{fields}\r\n")
}

#[test]
fn every_spelling_of_an_upgrade_connects() {
    let mut table: Vec<String> = [
        "Connection: Upgrade",
        "connection:upgrade",
        "Connection: keep-alive, Upgrade",
        "Connection: Upgrade, keep-alive",
        "Connection: UPGRADE ,, Keep-Alive",
        "Connection: keep-alive\r\nConnection: Upgrade",
        "Connection: Upgrade\r\nX: y\r\nCONNECTION: keep-alive",
        "Connection : Upgrade",
        "Connection:\r\n keep-alive,\r\n\tUpgrade",
        "Connection: upgrade\r\nContent-Length: 0",
        "Connection: Upgrade\r\nTransfer-Encoding: chunked",
        "Connection: Upgrade\r\nSec-WebSocket-Extensions:\r\nSec-WebSocket-Protocol: ",
    ]
    .map(|connection| format!("{USUAL}{connection}\r\n\r\n"))
    .to_vec();
    table.push("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".to_owned() + &usual(""));
    table.push(usual("").replace("\r\n", "\n"));
    table.push(usual("").replace("101 Switching Protocols", "101"));
    table.push(usual("").replace("websocket", "h2c, WebSocket"));
    table.push(usual("").replace("Sec-WebSocket-Accept:", "sec-websocket-accept  :"));
    table.push(usual(&format!("X: {}\r\n", "y".repeat(200_000))));
    table.push(usual(&"X: y\r\n".repeat(990)));
    for answer in table {
        assert_eq!(upgraded(&answer, None, false), Ok(false), "{answer:.400}");
        assert_eq!(upgraded(&answer, None, true), Ok(false), "{answer:.400}");
    }
}

#[test]
fn what_is_no_upgrade_is_refused_with_what_it_says() {
    let table = [
        (
            usual("").replace("Connection: Upgrade", "Connection: keep-alive"),
            "`keep-alive` in Connection, and not `Upgrade`",
        ),
        (usual("").replace("Connection: Upgrade", "X: y"), "nothing in Connection"),
        (usual("").replace("Connection: Upgrade", "Connection: Upgraded"), "`Upgraded` in Connection"),
        (usual("").replace("websocket", "h2c"), "`h2c` in Upgrade, and not `websocket`"),
        (usual("").replace("Upgrade: websocket\r\n", ""), "nothing in Upgrade"),
        (usual("").replace("{accept}", "bm8="), "not the answer to the key"),
        (usual("").replace("Sec-WebSocket-Accept", "X"), "no Sec-WebSocket-Accept"),
        (usual("Sec-WebSocket-Accept: {accept}\r\n"), "not the answer to the key"),
        (usual("").replace("HTTP/1.1", "HTTP/1.0"), "HTTP/1.0"),
        (
            usual("Sec-WebSocket-Extensions: x-webkit-deflate-frame; a=1\r\n"),
            "extension `x-webkit-deflate-frame`, which was not",
        ),
        (
            usual("Sec-WebSocket-Extensions: permessage-deflate\r\n"),
            "extension `permessage-deflate`, which was not",
        ),
        (usual("Sec-WebSocket-Protocol: mqtt\r\n"), "sub-protocol `mqtt`, which was not offered"),
        (usual("Sec-WebSocket-Protocol: a\x1b[31mb\r\n"), "not an HTTP response"),
        (usual(&format!("X: {}\r\n", "y".repeat(263_000))), "header section is larger than 256 KiB"),
        (usual(&"X: y\r\n".repeat(1_000)), "more than 1000 header fields"),
        ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), "not an HTTP response"),
    ];
    for (answer, words) in table {
        let failure = upgraded(&answer, None, false).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::Protocol, "{answer:.400}");
        assert!(failure.reason.sentence.contains(words), "{failure}, not {words}");
    }
}

#[test]
fn the_sub_protocol_that_is_offered_must_be_selected_and_no_other() {
    let with = |selected: &str| usual(&format!("Sec-WebSocket-Protocol: {selected}\r\n"));
    assert_eq!(upgraded(&with(" ocpp1.6 "), Some("ocpp1.6"), false), Ok(false));
    let table = [
        (usual(""), "did not select the sub-protocol that was offered"),
        (with(""), "did not select the sub-protocol that was offered"),
        (with("mqtt"), "sub-protocol `mqtt`, which was not offered"),
        (with("OCPP1.6"), "sub-protocol `OCPP1.6`, which was not offered"),
        (with("ocpp1.6, mqtt"), "sub-protocol `mqtt`, which was not offered"),
    ];
    for (answer, words) in table {
        let failure = upgraded(&answer, Some("ocpp1.6"), false).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::Protocol);
        assert!(failure.reason.sentence.contains(words), "{failure}");
    }
}

#[test]
fn compression_is_agreed_on_where_every_message_is_readable_by_itself() {
    let with = |selected: &str| usual(&format!("Sec-WebSocket-Extensions: {selected}\r\n"));
    let accepted = [
        "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
        "permessage-deflate;server_no_context_takeover",
        "Permessage-Deflate ; server_no_context_takeover ; server_max_window_bits=10",
        "permessage-deflate; server_max_window_bits=\"15\"; server_no_context_takeover",
    ];
    for selected in accepted {
        assert_eq!(upgraded(&with(selected), None, true), Ok(true), "{selected}");
    }
    let refused = [
        ("permessage-deflate", "without server_no_context_takeover"),
        ("permessage-deflate; client_no_context_takeover", "without server_no_context_takeover"),
        (
            "permessage-deflate; server_no_context_takeover; client_max_window_bits=10",
            "`client_max_window_bits=10`",
        ),
        (
            "permessage-deflate; server_no_context_takeover; server_max_window_bits",
            "`server_max_window_bits`",
        ),
        (
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=16",
            "`server_max_window_bits=16`",
        ),
        ("permessage-deflate; server_no_context_takeover=1", "`server_no_context_takeover=1`"),
        (
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "`server_no_context_takeover`",
        ),
        ("permessage-deflate; server_no_context_takeover; x", "`x`"),
        ("permessage-deflate; server_no_context_takeover, permessage-deflate", "twice"),
        ("permessage-deflate; server_no_context_takeover, x-y; z", "extension `x-y`"),
        ("bbf-usp-protocol", "extension `bbf-usp-protocol`"),
    ];
    for (selected, words) in refused {
        let failure = upgraded(&with(selected), None, true).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::Protocol, "{selected}");
        assert!(failure.reason.sentence.contains(words), "{failure}");
    }
}

#[test]
fn a_refused_upgrade_says_with_what_status() {
    let endpoint = Endpoint::resolve(Protocol::named("ws"), "ws://127.0.0.1:9").unwrap();
    let open = |script| {
        block_on(Ws::open(script, &endpoint, &closing(Close::Verdict), &Identity::of("d"))).unwrap_err()
    };
    for (status, for_good) in
        [(404, true), (401, true), (429, false), (408, false), (503, false), (200, false), (999, false)]
    {
        let response = format!("HTTP/1.1 {status} Any\r\nContent-Length: 2\r\n\r\nno");
        let refused = open(Script::new().data(response.as_bytes()));
        let sentence = format!("the server answered the upgrade with {}", status_line(status));
        let expected = Failure::protocol(sentence).with_code("HTTP", status.into()).final_if(for_good);
        assert_eq!(
            Failure { reason: Box::new(Reason { sample: None, ..*refused.reason }), ..refused },
            expected
        );
    }
    assert_eq!(open(Script::new().end()).kind, ErrorKind::Closed);
    assert_eq!(open(Script::new().data(b"HTTP/1.1 101 ").end()).kind, ErrorKind::Closed);
    assert_eq!(open(Script::new().error(io::ErrorKind::ConnectionReset)).kind, ErrorKind::Reset);
}

#[test]
fn what_comes_right_behind_the_upgrade_is_read() {
    let endpoint = Endpoint::resolve(Protocol::named("ws"), "ws://127.0.0.1:9").unwrap();
    let (near, mut far) = tokio::io::duplex(4096);
    let serve = async {
        let mut request = vec![0; 4096];
        let size = far.read(&mut request).await.unwrap();
        let request = String::from_utf8(request[..size].to_vec()).unwrap();
        let key = request.split("\r\n").find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let mut answer = usual("").replace("{accept}", &derive_accept_key(key.as_bytes())).into_bytes();
        answer.extend(frame(0x81, br#"{"type":"verdict","device":"d","seq":9}"#));
        far.write_all(&answer).await.unwrap();
        far
    };
    let (settings, identity) = (closing(Close::Verdict), Identity::of("d"));
    let open = Ws::open(near, &endpoint, &settings, &identity);
    let (_, session) = block_on(async { tokio::join!(serve, open) });
    assert_eq!(session.unwrap().poll_event(&mut context()), Poll::Ready(Ok(ok(9))));
}
