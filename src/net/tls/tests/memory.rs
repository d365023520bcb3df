//! What an idle connection holds beyond a plain one.
//!
//! Allocations are the process's, so they are counted in a process of its own, with the servers in this one.

use std::env;
use std::net::TcpListener as Listener;
use std::path::Path;
use std::thread;

use super::*;
use crate::net::tests::allocation::{held, is_alone, run_alone};

/// Where certificates lie, for the process that counts.
const FOLDER: &str = "SQUALL_TLS_FOLDER";

/// Where servers listen, for the same.
const PORTS: &str = "SQUALL_TLS_PORTS";

/// Connections that are counted, and as many before them that bring what is the process's.
const IDLE: usize = 100;

/// Shakes hands with whoever comes, greets, and keeps the connection.
fn keep(listener: &Listener, server: &Arc<ServerConfig>) {
    let mut kept = Vec::new();
    for mut socket in listener.incoming().map_while(Result::ok) {
        let mut tls = ServerConnection::new(Arc::clone(server)).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).unwrap();
        }
        tls.writer().write_all(b"hello").unwrap();
        tls.complete_io(&mut socket).unwrap();
        kept.push((tls, socket));
    }
}

/// Bytes of one idle connection of `devices`, the device's own part included.
async fn of_one(port: u16, mut device: impl FnMut() -> DeviceTls) -> usize {
    let mut kept: Vec<(DeviceTls, Connection)> = Vec::with_capacity(2 * IDLE);
    let mut before = 0;
    for nth in 0..2 * IDLE {
        if nth == IDLE {
            before = held();
        }
        let device = device();
        let link = Link::dial(([127, 0, 0, 1], port).into(), None, None).await.unwrap();
        let mut stream = Connection::shake_hands(link, &device).await.unwrap();
        let mut greeting = [0; 5];
        stream.read_exact(&mut greeting).await.unwrap();
        kept.push((device, stream));
    }
    (held() - before) / IDLE
}

/// Bytes of one idle plain connection.
async fn of_plain(port: u16) -> usize {
    let mut kept = Vec::with_capacity(2 * IDLE);
    let mut before = 0;
    for nth in 0..2 * IDLE {
        if nth == IDLE {
            before = held();
        }
        kept.push(Link::dial(([127, 0, 0, 1], port).into(), None, None).await.unwrap());
    }
    (held() - before) / IDLE
}

fn count(folder: &Path) {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let ports = env::var(PORTS).unwrap();
    let ports: Vec<u16> = ports.split(' ').map(|port| port.parse().unwrap()).collect();
    let settings = |resumes| TlsSettings {
        authorities: Some(authorities(&read("ca.pem")).unwrap()),
        resumes,
        ..TlsSettings::default()
    };
    block_on(async {
        let plain = of_plain(ports[2]).await;
        let shown = read("server.der").len();
        let bare = FleetTls::new(&settings(false), "localhost").unwrap();
        let bytes = of_one(ports[0], || bare.device(None)).await;
        println!("without a ticket: {} bytes more than a plain connection", bytes - plain);
        // The server's certificate is kept too, and is as long as its author made it: 350 bytes and more.
        assert!(bytes - plain - shown <= (4 << 10) - 350, "{bytes} with {shown}");
        let own = FleetTls::new(&settings(true), "localhost").unwrap();
        let (certificate, key) = (read("d.pem"), read("d.key"));
        let device = || own.device(Some(&client_identity(&certificate, &key).unwrap()));
        let bytes = of_one(ports[1], device).await;
        println!("with a ticket and a certificate: {} bytes more", bytes - plain);
        assert!(bytes - plain - shown <= 6_656 - 350, "{bytes} with {shown}");
    });
}

#[test]
fn an_idle_connection_is_small() {
    if is_alone() {
        return count(Path::new(&env::var_os(FOLDER).unwrap()));
    }
    let (pki, folder) = (Pki::new(), tempfile::tempdir().unwrap());
    let issued = pki.issue("d", |_| {});
    let server = pki.issue("localhost", |_| {});
    let shown = server.identity().0.cert[0].to_vec();
    std::fs::write(folder.path().join("server.der"), shown).unwrap();
    for (name, text) in [("ca.pem", pki.ca.pem()), ("d.pem", issued.certificate), ("d.key", issued.key)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let serve = |server: Arc<ServerConfig>| {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || keep(&listener, &server));
        port.to_string()
    };
    let idle = Listener::bind("127.0.0.1:0").unwrap();
    let plain = idle.local_addr().unwrap().port().to_string();
    // Connections that nobody accepts stand all the same, so many at once.
    thread::spawn(move || idle.incoming().map_while(Result::ok).collect::<Vec<_>>());
    let ports =
        [serve(pki::server(&server, None, |_| {})), serve(pki.strict_server(None, |_| {})), plain].join(" ");
    let variables = [(FOLDER, folder.path().as_os_str()), (PORTS, ports.as_ref())];
    run_alone(module_path!(), "an_idle_connection_is_small", &variables);
}
