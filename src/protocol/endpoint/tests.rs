//! What URLs mean as targets, and what is shown of them.

use std::net::TcpListener;

use super::*;

#[test]
fn urls_resolve_with_default_ports_and_paths() {
    let table = [
        (Protocol::named("http"), "http://127.0.0.1", "127.0.0.1:80", "http://127.0.0.1/v1/readings"),
        (Protocol::named("http"), "http://127.0.0.1:8080/", "127.0.0.1:8080", "http://127.0.0.1:8080/"),
        (
            Protocol::named("http"),
            "http://127.0.0.1:8080?a",
            "127.0.0.1:8080",
            "http://127.0.0.1:8080/v1/readings?a",
        ),
        (Protocol::named("ws"), "ws://127.0.0.1/", "127.0.0.1:80", "ws://127.0.0.1/"),
        (Protocol::named("ws"), "ws://127.0.0.1", "127.0.0.1:80", "ws://127.0.0.1/v1/stream"),
        (Protocol::named("http"), "http://127.0.0.1/x?a=b#c", "127.0.0.1:80", "http://127.0.0.1/x?a=b"),
        (Protocol::named("http"), "http://[::1]:81/x", "[::1]:81", "http://[::1]:81/x"),
        (Protocol::named("ws"), "ws://127.0.0.1:9000", "127.0.0.1:9000", "ws://127.0.0.1:9000/v1/stream"),
        (Protocol::named("ws"), "ws://127.0.0.1/echo", "127.0.0.1:80", "ws://127.0.0.1/echo"),
        (Protocol::named("mqtt"), "mqtt://127.0.0.1", "127.0.0.1:1883", "mqtt://127.0.0.1"),
        (Protocol::named("tcp"), "tcp://127.0.0.1:9000", "127.0.0.1:9000", "tcp://127.0.0.1:9000"),
        (Protocol::named("mqtt"), "tcp://[::1]:1884", "[::1]:1884", "tcp://[::1]:1884"),
        (Protocol::named("mqtt"), "mqtt://ann:s%20c@127.0.0.1:7", "127.0.0.1:7", "mqtt://127.0.0.1:7"),
        (Protocol::named("http"), "https://127.0.0.1", "127.0.0.1:443", "https://127.0.0.1/v1/readings"),
        (Protocol::named("ws"), "wss://127.0.0.1", "127.0.0.1:443", "wss://127.0.0.1/v1/stream"),
        (Protocol::named("mqtt"), "mqtts://127.0.0.1", "127.0.0.1:8883", "mqtts://127.0.0.1"),
        (Protocol::named("mqtt"), "tls://[::1]", "[::1]:8883", "tls://[::1]"),
    ];
    for (protocol, url, address, full) in table {
        let endpoint = Endpoint::resolve(protocol, url).unwrap();
        assert_eq!(endpoint.address(), address.parse().unwrap(), "{url}");
        assert_eq!(endpoint.url(), full);
        assert_eq!(endpoint.protocol(), protocol);
    }
}

#[test]
fn unusable_urls_are_refused_with_a_remedy() {
    let table = [
        (Protocol::named("http"), "127.0.0.1:80", "not a URL"),
        (Protocol::named("http"), "localhost:80", "write it like `http://host:8080/v1/readings`"),
        (Protocol::named("ws"), "https://127.0.0.1/", "no ws target"),
        (Protocol::named("mqtt"), "mqtts://127.0.0.1/topic", "has a path"),
        (Protocol::named("ws"), "http://127.0.0.1/", "no ws target"),
        (Protocol::named("http"), "ws://127.0.0.1/", "no http target"),
        (Protocol::named("mqtt"), "mqtt:///x", "no mqtt target"),
        (Protocol::named("mqtt"), "mqtt://127.0.0.1/topic", "has a path"),
        (Protocol::named("mqtt"), "mqtt://127.0.0.1?x=1", "has a query"),
        (Protocol::named("http"), "http://ann:secret@127.0.0.1/", "has a user name"),
        (Protocol::named("tcp"), "tcp://127.0.0.1", "names no port: write it like `tcp://host:9000`"),
        (Protocol::named("tcp"), "tcp://127.0.0.1:0", "has port 0"),
        (Protocol::named("tcp"), "tcp://127.0.0.1:9/a", "has a path"),
        (Protocol::named("tcp"), "tcps://127.0.0.1", "names no port"),
        (Protocol::named("tcp"), "http://127.0.0.1:9", "no tcp target"),
        (Protocol::named("http"), "http://no.such.host.invalid/", "give an IP address"),
    ];
    for (protocol, url, expected) in table {
        let message = Endpoint::resolve(protocol, url).unwrap_err().to_string();
        assert!(message.contains(expected), "{url}: {message}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn credentials_are_decoded_and_never_printed() {
    let endpoint = Endpoint::resolve(Protocol::named("mqtt"), "mqtt://ann%40b:s%3Acret%2@127.0.0.1").unwrap();
    let Login { user, password } = endpoint.credentials().unwrap();
    assert_eq!((user.as_str(), password.as_ref().map(Secret::reveal)), ("ann@b", Some("s:cret%2")));
    assert!(!format!("{endpoint} {endpoint:?}").contains("cret"));
}

#[test]
fn what_is_shown_is_the_place_really_used_and_nothing_that_may_be_secret() {
    let [http, ws, mqtt] = ["http", "ws", "mqtt"].map(Protocol::named);
    let table = [
        (http, "http://127.0.0.1:81/a?b", None, None, "http://127.0.0.1:81/a?b"),
        (http, "http://127.0.0.1:81/a?b", None, Some("/v1/orders"), "http://127.0.0.1:81/v1/orders"),
        (http, "http://127.0.0.1:81", None, Some("/o?k=${K}"), "http://127.0.0.1:81/o?k=${K}"),
        (
            http,
            "http://127.0.0.1:81/a?k=s3",
            Some("http://127.0.0.1:81/a?k=${K}"),
            None,
            "http://127.0.0.1:81/a?k=${K}",
        ),
        (http, "http://127.0.0.1:81", Some("http://${H}:81"), None, "http://${H}:81/v1/readings"),
        (
            http,
            "http://127.0.0.1:81?k=s3",
            Some("http://127.0.0.1:81?k=${K}"),
            None,
            "http://127.0.0.1:81/v1/readings?k=${K}",
        ),
        (http, "http://127.0.0.1:81/a", Some("http://${H}/a"), Some("/o"), "http://${H}/o"),
        (http, "http://127.0.0.1:81/s3", Some("${URL}"), None, "${URL}"),
        (http, "http://127.0.0.1:81/s3", Some("${URL}"), Some("/o"), "/o at ${URL}"),
        (ws, "ws://127.0.0.1", None, Some("/{{device}}"), "ws://127.0.0.1/{{device}}"),
        (mqtt, "mqtt://ann:s3@127.0.0.1", None, Some("a/{{device}}"), "mqtt://127.0.0.1:1883/a/{{device}}"),
        (mqtt, "mqtt://ann:s3@127.0.0.1:9", Some("mqtt://ann:s3@${H}:9"), Some("a/b"), "mqtt://${H}:9/a/b"),
    ];
    for (protocol, url, written, place, shown) in table {
        let endpoint = match written {
            Some(written) => Endpoint::resolve_as(protocol, url, written),
            None => Endpoint::resolve(protocol, url),
        };
        let endpoint = endpoint.unwrap();
        assert_eq!(endpoint.shown_at(place), shown, "{url} {written:?} {place:?}");
        assert!(!endpoint.to_string().contains("s3"), "{endpoint}");
    }
}

#[test]
fn no_error_tells_a_secret() {
    for (url, written) in [
        ("mqtt://ann:s3cret@127.0.0.1:port", None),
        ("mqtt://ann:s3/cret@127.0.0.1:port", None),
        ("http://s3cret.invalid/", Some("http://${HOST}/")),
        ("http://a b/?s3cret", Some("${URL}")),
        ("gopher://127.0.0.1/s3cret", Some("gopher://127.0.0.1/${PATH}")),
    ] {
        let protocol =
            if url.starts_with("mqtt") { Protocol::named("mqtt") } else { Protocol::named("http") };
        let error = match written {
            Some(written) => Endpoint::resolve_as(protocol, url, written),
            None => Endpoint::resolve(protocol, url),
        };
        let message = error.unwrap_err().to_string();
        assert!(!message.contains("cret"), "{message}");
    }
}

#[test]
fn an_address_is_told_only_where_the_host_is_written() {
    let closed = free_ports(1).unwrap()[0];
    let own: IpAddr = "::1".parse().unwrap();
    for (written, told) in [
        (format!("http://127.0.0.1:{closed}/${{PATH}}"), true),
        ("http://${HOST}/a".to_owned(), false),
        ("${URL}".to_owned(), false),
    ] {
        let url = format!("http://127.0.0.1:{closed}/a");
        let mut endpoint = Endpoint::resolve_as(Protocol::named("http"), &url, &written).unwrap();
        let unreachable = endpoint.probe(Duration::from_secs(1)).unwrap_err().to_string();
        let unusable = endpoint.come_from(&[own]).unwrap_err().to_string();
        for message in [unreachable, unusable] {
            assert_eq!(message.contains("127.0.0.1"), told, "{message}");
        }
    }
}

#[test]
fn the_host_header_names_only_a_port_that_is_not_the_default() {
    let table = [
        ("http://127.0.0.1:80/a?b", "127.0.0.1", "/a?b"),
        ("http://[::1]:81", "[::1]:81", "/v1/readings"),
        ("http://127.0.0.1/a b/é", "127.0.0.1", "/a%20b/%C3%A9"),
    ];
    for (url, authority, target) in table {
        let endpoint = Endpoint::resolve(Protocol::named("http"), url).unwrap();
        assert_eq!((endpoint.authority(), endpoint.target()), (authority, target));
    }
}

#[test]
fn a_probe_settles_on_an_address_that_accepts() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let live = listener.local_addr().unwrap();
    let mut endpoint = Endpoint::resolve(Protocol::named("http"), &format!("http://{live}")).unwrap();
    let dead = SocketAddr::new("127.0.0.9".parse().unwrap(), live.port());
    endpoint.addresses.insert(0, dead);
    endpoint.address = dead;
    endpoint.probe(Duration::from_secs(60)).unwrap();
    assert_eq!(endpoint.address(), live);
    drop(listener);
    let message = endpoint.probe(Duration::from_secs(60)).unwrap_err().to_string();
    assert!(message.contains("start the target"), "{message}");
}
