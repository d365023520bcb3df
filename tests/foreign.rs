//! Servers that are not ours: what they write although they should not, and what a fleet may ask of them. Compression is tried with
//! Python's `websockets`, and with its HTTP server and gzip.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use squall::results::{SummaryRow, read_summary};

use crate::http_service::Service;
use crate::interop_device::Peer;
use crate::program::{only_run, squall, told};
use crate::skip;

/// Sends every message back, compressed or not; refuses connections that agreed on something else.
const ECHO: &str = r#"
import asyncio, sys
from websockets.asyncio.server import serve

COMPRESSION = None if sys.argv[1] == "none" else sys.argv[1]

async def echo(socket):
    if len(socket.protocol.extensions) != (1 if COMPRESSION else 0):
        return await socket.close(1010)
    async for message in socket:
        await socket.send(message)

async def main():
    server = await serve(echo, "127.0.0.1", 0, compression=COMPRESSION)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"#;

/// Takes compressed readings only, and answers with compressed verdicts where they are asked for.
const JUDGE: &str = r#"
import gzip, http.server, json

class Judge(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = self.headers.get("Accept-Encoding") == "gzip"
        try:
            assert self.headers["Content-Encoding"] == "gzip"
            reading = json.loads(gzip.decompress(body))
            verdict = {"type": "verdict", "device": reading["device"], "seq": reading["seq"], "anomaly": True,
                       "stages": {"total_ns": 5000}, "more": "x" * 4000}
            status, answer = 200, json.dumps(verdict).encode()
        except Exception as error:
            status, answer = 400, str(error).encode()
        answer = gzip.compress(answer) if asked else answer
        self.send_response(status)
        if asked:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Judge)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// Runs a Python program that prints its port; `None` with a message where Python or a package is missing.
fn python(program: &str, needs: &str, argument: &str) -> Option<(Peer, u16)> {
    let mut probe = Command::new("python3");
    let probe = probe.args(["-c", &format!("import {needs}")]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        skip::missing(&format!("Python's {needs} is not installed"));
        return None;
    }
    let mut child =
        Command::new("python3").args(["-c", program, argument]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Some((Peer(child), line.trim().parse().unwrap()))
}

/// Four devices that send 2 KB each; what the screen says, and the headline.
fn run(protocol: &str, port: u16, exchange: &str) -> (String, SummaryRow) {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "[scenario]\nname = \"compressed\"\n[fleet.meters]\nprotocol = \"{protocol}\"\ndevices = 4\nrate = \"10/s\"\n\
         timeout = \"60s\"\npayload = {{ size = \"2KiB\" }}\n{exchange}\n\
         [run]\nwarm_up = \"0s\"\n[[phase]]\nname = \"steady\"\nduration = \"2s\"\n"
    );
    let file = folder.path().join("compressed.toml");
    std::fs::write(&file, text).unwrap();
    let target = format!("{protocol}={protocol}://127.0.0.1:{port}/");
    let run = ["run", "compressed.toml", "--target", &target];
    let output = squall(folder.path(), &run).output().unwrap();
    let said = told(&output);
    // On a machine busy with other tests the run may rightly judge itself invalid.
    assert!(matches!(output.status.code(), Some(0 | 12)), "{said}");
    let rows = read_summary(&only_run(&folder.path().join("results"))).unwrap();
    let headline = rows.into_iter().find(SummaryRow::is_headline).unwrap();
    assert!(headline.figures.planned >= 40, "{said}");
    assert_eq!(headline.figures.ok, headline.figures.planned, "{said}");
    (said, headline)
}

#[test]
fn responses_are_read_by_what_they_mean() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length : 2\r\nX-Note: folded\r\n into\r\n\tthree\r\n\r\n{}",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200\nTransfer-Encoding: identity\nContent-Length: 2, 2\n\n{}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=\"b\"\r\n{}\r\n0\nX-Trailer: c\n\n\r\n",
    ];
    for answer in answers {
        let service = Service::start(answer);
        let (said, _) = run("http", service.addr().port(), "");
        assert!(service.connections() <= 5, "{} connections\n{said}", service.connections());
    }
}

#[test]
fn a_websocket_server_takes_up_compression_or_its_declining_is_told_once() {
    let deflate = "close = \"reply\"\nws = { deflate = true, correlate = \"/seq\" }";
    let Some((_peer, port)) = python(ECHO, "websockets.asyncio.server", "deflate") else { return };
    let (said, headline) = run("ws", port, deflate);
    assert!(!said.contains("permessage-deflate"), "{said}");
    let figures = &headline.figures;
    assert!(
        figures.payload_sent_bytes >= 40 * 2_048 && figures.payload_received_bytes >= 40 * 2_048,
        "{said}"
    );
    assert!(figures.wire_sent_bytes < figures.payload_sent_bytes / 2, "{figures:?}");
    assert!(figures.wire_received_bytes < figures.payload_received_bytes / 2, "{figures:?}");

    let Some((_peer, port)) = python(ECHO, "websockets.asyncio.server", "none") else { return };
    let (said, headline) = run("ws", port, deflate);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(said.matches("did not take up permessage-deflate").count(), 1, "{said}");
    assert!(said.contains("(4 devices of meters)"), "{said}");
    assert!(headline.figures.wire_sent_bytes > headline.figures.payload_sent_bytes, "{headline:?}");
}

#[test]
fn requests_and_replies_travel_compressed_over_http() {
    let Some((_peer, port)) = python(JUDGE, "http.server", "") else { return };
    for (gzip, replies) in [("request", false), ("both", true)] {
        let (said, headline) = run("http", port, &format!("http = {{ gzip = \"{gzip}\" }}"));
        let figures = &headline.figures;
        assert!(figures.wire_sent_bytes < figures.payload_sent_bytes / 2, "{said} {figures:?}");
        assert_eq!(figures.payload_received_bytes < 1_000 * figures.ok, replies, "{figures:?}");
    }
}
