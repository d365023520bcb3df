//! A server judges the device's certificate when the device takes itself for connected.

use super::*;

#[test]
fn a_missing_certificate_shows_at_the_first_read_and_a_good_one_is_confirmed_by_it() {
    let pki = Pki::new();
    let identity = pki.issue("a", |_| {}).identity();
    block_on(async {
        let server = pki.strict_server(None, |_| {});
        let fleet = FleetTls::new(&trusting(&pki), "localhost").unwrap();

        let (client, _peer, refused) = meet(&server, &fleet.device(None)).await;
        let mut client = client.unwrap();
        assert!(refused.is_err() && client.awaits_admission(), "the device believes itself connected");
        // What is written goes nowhere; the reason is told all the same.
        let _ = client.write_all(b"reading").await;
        let error = client.read(&mut [0; 64]).await.unwrap_err();
        let sentence = TlsFailure::of(&error).unwrap().sentence();
        assert!(sentence.contains("demands a client certificate"), "{sentence}");
        assert!(client.awaits_admission(), "nothing but the refusal came");

        let (mut client, mut peer) = connected(&server, &fleet.device(Some(&identity))).await;
        assert!(client.awaits_admission());
        peer.say(b"x").await;
        client.read_exact(&mut [0]).await.unwrap();
        assert!(!client.awaits_admission());
    });
}

#[test]
fn a_server_that_asks_for_nothing_has_admitted_whom_it_shook_hands_with() {
    let pki = Pki::new();
    block_on(async {
        let (client, _peer) = connected(&pki.server(), &device(&pki)).await;
        assert!(!client.awaits_admission());
    });
}

#[test]
fn under_tls_1_2_the_handshake_itself_fails() {
    let pki = Pki::new();
    block_on(async {
        let settings = TlsSettings { versions: TlsVersions::Only12, ..trusting(&pki) };
        let device = FleetTls::new(&settings, "localhost").unwrap().device(None);
        let (client, ..) = meet(&pki.strict_server(None, |_| {}), &device).await;
        let error = client.unwrap_err();
        assert!(error.to_string().contains("demands a client certificate"), "{error}");
    });
}
