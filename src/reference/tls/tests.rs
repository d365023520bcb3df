//! Handshakes over real sockets, and the certificates that are made for them.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::port::name;
use super::{Authority, HandshakeEnd, Issued, Port, Wire, config};
use crate::reference::TlsCredentials;
use crate::reference::metric::Metrics;

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn credentials(authority: &Authority, demanding: bool) -> TlsCredentials {
    let Issued { certificate, key } =
        authority.server(&["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    TlsCredentials {
        certificate: certificate.into_bytes(),
        key: key.into_bytes(),
        client_authorities: demanding.then(|| authority.certificate().into()),
        client_revocations: None,
    }
}

/// A client that trusts `authority`, and shows what is `shown`.
fn connector(authority: &Authority, shown: Option<&Issued>) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(der(authority.certificate())).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match shown {
        Some(Issued { certificate, key }) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![der(certificate)], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    TlsConnector::from(Arc::new(config))
}

/// How a port counts one client of each kind.
async fn counted(authority: &Authority, demanding: bool, client: Option<&TlsConnector>) -> HandshakeEnd {
    let metrics = Metrics::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let port = Port::new(listener, Some(&config(&credentials(authority, demanding)).unwrap()), None);
    let arriving = async {
        let arrival = port.accept().await;
        assert_eq!(port.under_way(), 0, "but for its own");
        arrival.enter(&metrics).await
    };
    let asking = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        if let Some(client) = client {
            // Under TLS 1.3 a refusal comes later.
            let _ = client.connect(name, stream).await;
        } else {
            use tokio::io::AsyncWriteExt as _;
            let mut stream = stream;
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        }
    };
    let (wire, ()) = tokio::join!(arriving, asking);
    let end = HandshakeEnd::ALL.into_iter().find(|end| metrics.handshakes(*end) == 1).unwrap();
    assert_eq!(matches!(wire, Some(Wire::Tls(_))), end == HandshakeEnd::Full);
    end
}

#[tokio::test]
async fn handshakes_are_counted_by_how_they_end() {
    let (authority, other) = (Authority::new().unwrap(), Authority::new().unwrap());
    let device = authority.device("m-1").unwrap();
    let foreign = other.device("m-1").unwrap();
    let table = [
        (false, Some(connector(&authority, None)), HandshakeEnd::Full),
        (true, Some(connector(&authority, Some(&device))), HandshakeEnd::Full),
        (true, Some(connector(&authority, None)), HandshakeEnd::Refused),
        (true, Some(connector(&authority, Some(&foreign))), HandshakeEnd::Refused),
        (false, Some(connector(&other, None)), HandshakeEnd::Rejected),
        (false, None, HandshakeEnd::Plain),
    ];
    for (place, (demanding, client, expected)) in table.into_iter().enumerate() {
        assert_eq!(counted(&authority, demanding, client.as_ref()).await, expected, "{place}");
    }
}

#[test]
fn a_certificate_tells_the_name_of_its_device() {
    let authority = Authority::new().unwrap();
    for device in ["m-00017", "a", &"x".repeat(64)] {
        assert_eq!(name(&der(&authority.device(device).unwrap().certificate)).as_deref(), Some(device));
    }
    assert_eq!(name(&CertificateDer::from(vec![1, 2, 3])), None);
}

#[tokio::test]
async fn an_authority_that_was_made_before_issues_for_those_that_trust_it() {
    let before = Authority::new().unwrap();
    let again = Authority::again(before.certificate(), &before.key()).unwrap();
    let device = again.device("m-1").unwrap();
    let client = connector(&before, Some(&device));
    assert_eq!(counted(&again, true, Some(&client)).await, HandshakeEnd::Full);
    let other = Authority::new().unwrap();
    assert!(Authority::again(before.certificate(), &other.key()).is_err());
}
