//! One ticket per device: kept by reading, used once, never another's.

use super::pki::Issued;
use super::*;

fn tickets(device: &DeviceTls) -> bool {
    device.tickets.as_ref().is_some_and(|tickets| tickets.holds_ticket())
}

/// Connects and reads what comes first: a message of the server, behind its tickets.
async fn visit(server: &Arc<ServerConfig>, device: &DeviceTls) -> (bool, Peer) {
    let (mut client, mut peer) = connected(server, device).await;
    let resumed = client.is_resumed();
    let mut hello = [0; 5];
    let (read, ()) = tokio::join!(client.read_exact(&mut hello), peer.say(b"hello"));
    read.unwrap();
    (resumed, peer)
}

#[test]
fn a_ticket_is_kept_by_the_first_read_or_by_the_goodbye_and_serves_once() {
    let pki = Pki::new();
    block_on(async {
        let (server, device) = (pki.server(), device(&pki));
        let (client, peer) = connected(&server, &device).await;
        assert!(!client.is_resumed() && !tickets(&device), "nothing was read since the handshake");
        drop((client, peer));
        let (mut client, _peer) = connected(&server, &device).await;
        assert!(!client.is_resumed() && !tickets(&device));
        client.shutdown().await.unwrap();
        assert!(tickets(&device), "a device that sends and leaves keeps its ticket");
        let (client, _peer) = connected(&server, &device).await;
        assert!(client.is_resumed() && !tickets(&device), "it was used");
    });
}

#[test]
fn in_a_storm_every_device_resumes_its_own_session_or_none_does() {
    const DEVICES: usize = 40;
    let pki = Pki::new();
    for versions in [TlsVersions::Only12, TlsVersions::Only13] {
        for (resumes, expected) in [(true, DEVICES), (false, 0)] {
            block_on(async {
                let (server, settings) = (pki.server(), TlsSettings { versions, resumes, ..trusting(&pki) });
                let fleet = FleetTls::new(&settings, "localhost").unwrap();
                let devices: Vec<_> = (0..DEVICES).map(|_| fleet.device(None)).collect();
                let mut resumed = 0;
                for round in 0..2 {
                    let mut open = Vec::new();
                    for device in &devices {
                        let (taken_up, peer) = visit(&server, device).await;
                        assert!(round > 0 || !taken_up);
                        resumed += usize::from(taken_up);
                        // All are connected at once before all reconnect.
                        open.push(peer);
                    }
                }
                assert_eq!(resumed, expected, "{versions:?}");
            });
        }
    }
}

#[test]
fn a_ticket_never_opens_the_session_of_another_device() {
    let pki = Pki::new();
    let issued: Vec<Issued> = ["a", "b", "c"].iter().map(|name| pki.issue(name, |_| {})).collect();
    for versions in [TlsVersions::Only12, TlsVersions::Only13] {
        block_on(async {
            let server = pki.strict_server(None, |_| {});
            let settings = TlsSettings { versions, ..trusting(&pki) };
            let fleet = FleetTls::new(&settings, "localhost").unwrap();
            let devices: Vec<_> =
                issued.iter().map(|issued| fleet.device(Some(&issued.identity()))).collect();
            for (round, order) in [[0, 1, 2], [2, 0, 1], [1, 1, 0]].into_iter().enumerate() {
                for at in order {
                    let (resumed, peer) = visit(&server, &devices[at]).await;
                    assert_eq!(resumed, round > 0);
                    let own = issued[at].identity();
                    assert_eq!(peer.tls.peer_certificates(), Some(&own.0.cert[..]), "round {round}");
                }
            }
        });
    }
}
