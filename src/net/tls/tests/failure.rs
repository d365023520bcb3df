//! Every way to fail has one sentence with its remedy.

use std::io;

use rcgen::{SerialNumber, date_time_ymd};

use super::super::failure::Shown;
use super::pki::{self_signed, server};
use super::*;

/// What a device hears that tries to connect to `server` and to read.
fn heard(server: &Arc<ServerConfig>, device: &DeviceTls) -> String {
    block_on(async {
        let (client, mut peer, _) = meet(server, device).await;
        peer.flush().await;
        let error = match client {
            Ok(mut client) => client.read(&mut [0; 64]).await.unwrap_err(),
            Err(error) => error,
        };
        TlsFailure::of(&error).unwrap_or_else(|| panic!("{error:?}")).sentence().into_owned()
    })
}

#[test]
fn what_is_wrong_with_the_servers_certificate_is_said_with_its_remedy() {
    let (pki, other) = (Pki::new(), Pki::new());
    let expired = pki.issue("localhost", |params| params.not_after = date_time_ymd(2024, 2, 1));
    let early = pki.issue("localhost", |params| params.not_before = date_time_ymd(2098, 1, 1));
    let elsewhere = pki.issue("a.example", |params| {
        params.subject_alt_names.truncate(1);
    });
    let authoritative = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = pki
        .issue("localhost", |params| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    let table = [
        (expired, "has expired: renew it"),
        (early, "is not valid yet: set the clock"),
        (elsewhere, "is not for `localhost` but for `a.example`: connect to a name that it has"),
        (
            other.issue("localhost", |_| {}),
            "issued by an unknown authority: name the authority's certificate by `ca`",
        ),
        (self_signed("localhost", |_| {}), "is self-signed: name it by `ca`"),
        (
            self_signed("localhost", |params| params.is_ca = authoritative),
            "is self-signed and an authority's (CA:TRUE)",
        ),
        (authority, "presents an authority's certificate"),
    ];
    for (certificate, expected) in table {
        let sentence = heard(&server(&certificate, None, |_| {}), &device(&pki));
        assert!(sentence.contains(expected), "{sentence}");
    }
}

#[test]
fn a_server_whose_certificate_is_revoked_or_may_be_is_refused() {
    let (pki, other) = (Pki::new(), Pki::new());
    let numbered = |serial: u64| {
        let issued = pki.issue("localhost", |params| params.serial_number = Some(SerialNumber::from(serial)));
        server(&issued, None, |_| {})
    };
    let asking = |list: &Pki| {
        let settings = TlsSettings { revocations: vec![list.revocations(7)], ..trusting(&pki) };
        FleetTls::new(&settings, "localhost").unwrap().device(None)
    };
    let sentence = heard(&numbered(7), &asking(&pki));
    assert!(sentence.contains("the server's certificate is revoked: issue it another"), "{sentence}");
    let sentence = heard(&numbered(8), &asking(&other));
    assert!(sentence.contains("`crl` in the tls table has no list of an authority"), "{sentence}");
    block_on(async {
        assert!(meet(&numbered(8), &asking(&pki)).await.0.is_ok(), "another's is revoked");
    });
}

#[test]
fn a_certificate_of_version_1_is_told_what_it_lacks() {
    let version_1 = rustls::OtherError(Arc::new(webpki::Error::UnsupportedCertVersion));
    let error = rustls::Error::InvalidCertificate(rustls::CertificateError::Other(version_1));
    let failure = TlsFailure::from_error(&error, Shown { asked: false, certificate: false });
    let expected =
        "the server's certificate is X.509 version 1: issue it one of version 3 with subjectAltName";
    assert_eq!(failure.sentence(), expected);
}

#[test]
fn what_the_server_refuses_is_said_with_its_remedy() {
    let (pki, other) = (Pki::new(), Pki::new());
    let settings = trusting(&pki);
    let fleet = |settings: &TlsSettings| FleetTls::new(settings, "localhost").unwrap();
    let strict = |revoked| pki.strict_server(revoked, |_| {});
    let revoked = pki.issue("a", |params| params.serial_number = Some(SerialNumber::from(7)));
    let expired = pki.issue("a", |params| params.not_after = date_time_ymd(2024, 2, 1));
    let foreign = other.issue("a", |_| {});
    let only_12 = server(&pki.issue("localhost", |_| {}), None, |_| {});
    let alpn =
        server(&pki.issue("localhost", |_| {}), None, |config| config.alpn_protocols = vec![b"h2".to_vec()]);
    let wrong_alpn = TlsSettings { alpn: vec!["mqtt".to_owned()], ..settings.clone() };
    let table = [
        (strict(None), fleet(&settings).device(None), "demands a client certificate"),
        (strict(Some(7)), fleet(&settings).device(Some(&revoked.identity())), "certificate is revoked"),
        (
            strict(None),
            fleet(&settings).device(Some(&expired.identity())),
            "device's certificate has expired",
        ),
        (strict(None), fleet(&settings).device(Some(&foreign.identity())), "does not know the authority"),
        (alpn, fleet(&wrong_alpn).device(None), "correct `alpn`"),
    ];
    for (server, device, expected) in table {
        let sentence = heard(&server, &device);
        assert!(sentence.contains(expected), "{sentence}");
    }
    drop(only_12);
}

/// What a device hears from a server that sends `answer` and then `closes` or waits.
fn answered(pki: &Pki, answer: &'static [u8]) -> io::Error {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let link = Link::dial(listener.local_addr().unwrap(), None, None).await.unwrap();
        let device = device(pki);
        let serving = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            assert!(socket.read(&mut [0; 4096]).await.unwrap() > 0);
            socket.write_all(answer).await.unwrap();
            socket.shutdown().await.unwrap();
            // Whatever else comes is read, so that the socket closes in order.
            while socket.read(&mut [0; 4096]).await.unwrap_or(0) > 0 {}
        };
        let shaking = async { Connection::shake_hands(link, &device).await.unwrap_err() };
        let (error, ()) = tokio::join!(shaking, serving);
        error
    })
}

#[test]
fn a_server_that_speaks_something_else_or_an_old_version_is_told_apart() {
    // A fatal alert protocol_version, as a server of TLS 1.1 sends it.
    const OLD: &[u8] = &[21, 3, 1, 0, 2, 2, 70];
    let pki = Pki::new();
    for (answer, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "with something else than TLS"),
        (&b"220 mail.example ESMTP\r\n"[..], "with something else than TLS"),
        (OLD, "no version of TLS that was offered"),
        (b"", "in the middle of the TLS handshake"),
    ] {
        let error = answered(&pki, answer);
        let sentence = TlsFailure::of(&error).unwrap_or_else(|| panic!("{error:?}")).sentence();
        assert!(sentence.contains(expected), "{sentence}");
    }
}

#[test]
fn certificates_and_keys_are_matched_and_faults_name_their_file_without_its_bytes() {
    let pki = Pki::new();
    let (one, other) = (pki.issue("a", |_| {}), pki.issue("b", |_| {}));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let cut = &one.key[..one.key.len() - 40];
    let table: [(&str, &str, PemPart, &str); 7] = [
        (&one.certificate, &other.key, PemPart::Key, "not the certificate's"),
        (&one.certificate, &one.certificate, PemPart::Key, "holds no private key"),
        (&one.certificate, encrypted, PemPart::Key, "a passphrase protects"),
        (&one.certificate, cut, PemPart::Key, "is not valid PEM"),
        (&one.key, &one.key, PemPart::Certificate, "holds no certificate"),
        ("", &one.key, PemPart::Certificate, "holds no certificate"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &one.key,
            PemPart::Certificate,
            "cannot be read",
        ),
    ];
    for (certificate, key, file, expected) in table {
        let (found, fault) = client_identity(certificate.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(found, file, "{fault:?}");
        assert!(fault.message.contains(expected) && !fault.help.is_empty(), "{fault:?}");
    }
    assert!(
        client_identity(format!("{}{}", one.key, one.certificate).as_bytes(), one.key.as_bytes()).is_ok()
    );
    let fault = authorities(b"hello").unwrap_err();
    assert!(fault.message.contains("holds no certificate"), "{fault:?}");
}
