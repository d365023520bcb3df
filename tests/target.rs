//! What really reaches a service of the user's, and what is told of it: through the built binary, against services that keep
//! every request.

use std::path::PathBuf;
use std::process::Output;

use serde_json::{Value, json};
use squall::results::read_summary;

use crate::http_service::Service;
use crate::program::{files, holds, squall, told};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
const REFUSED: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
const SECRET: &str = "zX9-s3cret-Qw7";

/// Fleets of few devices for a second, without warm-up. What a fleet has of its own follows its name.
fn scenario(fleets: &[(&str, &str, &str)]) -> String {
    let tables = fleets.iter().map(|(name, protocol, own)| {
        format!("[fleet.{name}]\nprotocol = \"{protocol}\"\ndevices = 3\nrate = \"10/s\"\ntimeout = \"60s\"\n{own}\n")
    });
    let run = "[scenario]\nname = \"to\"\n[run]\nwarm_up = \"0s\"\ndrain = \"2s\"\n\
               [[phase]]\nname = \"steady\"\nduration = \"1s\"\n";
    [run.to_owned()].into_iter().chain(tables).collect()
}

/// A run that has ended.
struct Ended {
    output: Output,
    folder: tempfile::TempDir,
}

impl Ended {
    fn of(text: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("s.toml"), text).unwrap();
        let run = ["run", "s.toml", "--junit", "j.xml", "--format", "pr-comment=c.md"];
        let mut command = squall(folder.path(), &[run.as_slice(), arguments].concat());
        let output = command.envs(variables.iter().copied()).output().unwrap();
        Self { output, folder }
    }

    fn said(&self) -> String {
        told(&self.output)
    }

    fn directory(&self) -> PathBuf {
        let runs = std::fs::read_dir(self.folder.path().join("results/to"));
        runs.unwrap_or_else(|_| panic!("nothing was run: {}", self.said())).next().unwrap().unwrap().path()
    }

    fn manifest(&self) -> Value {
        let text = std::fs::read(self.directory().join("run.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Readings that were handed to the transport.
    fn sent(&self) -> u64 {
        let rows = read_summary(&self.directory()).unwrap();
        rows.iter().find(|row| row.is_headline()).unwrap().figures.sent
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// No file that was written, and nothing that was said, has the secret in it.
    fn assert_discreet(&self) {
        assert!(!self.said().contains(SECRET), "{}", self.said());
        let telling = files(self.folder.path()).into_iter().find(|file| holds(file, SECRET));
        assert_eq!(telling, None);
    }
}

#[test]
fn an_http_service_gets_its_readings_at_the_place_that_is_told_and_nothing_else() {
    // What the target says behind its port, what the fleet says, the request line, and the URL that is told.
    for (case, path, own, line, told) in [
        ("no path at all is the bundled system's", "", "", "POST /v1/readings", "/v1/readings"),
        ("a slash is a path", "/", "", "POST /", "/"),
        ("a path with a query", "/a/b?c=d", "", "POST /a/b?c=d", "/a/b?c=d"),
        ("a fleet's path", "", "http.path = \"/v1/orders\"", "POST /v1/orders", "/v1/orders"),
        (
            "a fleet's path over the target's",
            "/a",
            "http.path = \"/v1/orders\"",
            "POST /v1/orders",
            "/v1/orders",
        ),
        ("a method", "/a", "http.method = \"PUT\"", "PUT /a", "/a"),
    ] {
        let service = Service::start(OK);
        let origin = format!("http://{}", service.addr());
        let ended = Ended::of(
            &scenario(&[("meters", "http", own)]),
            &["-v", "--target", &format!("http={origin}{path}")],
            &[],
        );
        let lines = service.request_lines();
        assert!(!lines.is_empty(), "{case}: {}", ended.said());
        assert_eq!(lines.len() as u64, ended.sent(), "{case}: {lines:?}");
        assert!(lines.iter().all(|found| *found == format!("{line} HTTP/1.1")), "{case}: {lines:?}");
        // Each device has one, and the target was looked for once.
        assert!(service.connections() <= 3 + 1, "{case}: {}", service.connections());
        let (method, _) = line.split_once(' ').unwrap();
        let told = format!("{origin}{told}");
        let expected = json!([{"name": "meters", "protocol": "http", "method": method, "target": told, "close": "response"}]);
        assert_eq!(ended.manifest()["fleets"], expected, "{case}");
        for (place, text) in [("screen", ended.said()), ("JUnit", ended.file("j.xml"))] {
            assert!(text.contains(&format!("meters {method} {told}")), "{case}: {place}: {text}");
        }
        let told = told.strip_prefix("http://").unwrap().replace('_', "\\_");
        assert!(ended.file("c.md").contains(&told), "{case}: {}", ended.file("c.md"));
        if !line.ends_with("/v1/readings") {
            let everything = ended.said()
                + &ended.file("c.md")
                + &ended.file("j.xml")
                + &ended.manifest()["targets"].to_string();
            assert!(!everything.contains("/v1/readings"), "{case}: {everything}");
        }
        let overridden = path == "/a" && own.contains("path");
        assert_eq!(ended.said().contains("takes the place of"), overridden, "{case}: {}", ended.said());
    }
}

#[test]
fn a_websocket_service_is_asked_for_the_path_that_is_told() {
    for (case, path, own, target) in [
        ("no path", "", "", "/v1/stream"),
        ("a slash", "/", "", "/"),
        ("a fleet's path", "", "ws.path = \"/live\"", "/live"),
    ] {
        let service = Service::start(REFUSED);
        let origin = format!("ws://{}", service.addr());
        let ended =
            Ended::of(&scenario(&[("pumps", "ws", own)]), &["--target", &format!("ws={origin}{path}")], &[]);
        let lines = service.request_lines();
        assert!(!lines.is_empty(), "{case}: {}", ended.said());
        assert!(lines.iter().all(|line| *line == format!("GET {target} HTTP/1.1")), "{case}: {lines:?}");
        let told = json!([{"name": "pumps", "protocol": "ws", "method": null, "target": format!("{origin}{target}"), "close": "verdict"}]);
        assert_eq!(ended.manifest()["fleets"], told, "{case}");
    }
}

#[test]
fn fleets_of_the_bundled_system_tell_their_places_too() {
    let ended = Ended::of(&scenario(&[("a", "http", ""), ("b", "mqtt", ""), ("c", "ws", "")]), &[], &[]);
    let manifest = ended.manifest();
    let fleets = manifest["fleets"].as_array().unwrap();
    let of = |index: usize, key: &str| fleets[index][key].as_str().unwrap_or("none").to_owned();
    assert_eq!([of(0, "method"), of(1, "method"), of(2, "method")], ["POST", "PUBLISH", "none"]);
    assert!(of(0, "target").ends_with("/v1/readings"), "{fleets:?}");
    assert!(of(1, "target").ends_with("/devices/{{device}}/readings"), "{fleets:?}");
    assert!(of(1, "target").starts_with("mqtt://127.0.0.1:"), "{fleets:?}");
    assert!(of(2, "target").ends_with("/v1/stream"), "{fleets:?}");
}

#[test]
fn what_an_environment_variable_stands_for_is_sent_and_never_told() {
    let service = Service::start(OK);
    let port = service.addr().port().to_string();
    let variables = [("SQUALL_T_PORT", port.as_str()), ("SQUALL_T_KEY", SECRET)];
    let target = "[target]\nhttp = \"http://127.0.0.1:${SQUALL_T_PORT}/in?key=${SQUALL_T_KEY}\"\n";
    let own = "http.path = \"/own?key=${SQUALL_T_KEY}\"";
    let text = scenario(&[("meters", "http", ""), ("pumps", "http", own)]) + target;
    let ended = Ended::of(&text, &[], &variables);
    let lines = service.request_lines();
    for path in ["in", "own"] {
        let line = format!("POST /{path}?key={SECRET} HTTP/1.1");
        assert!(lines.contains(&line), "{lines:?}: {}", ended.said());
    }
    let fleets = &ended.manifest()["fleets"];
    let origin = "http://127.0.0.1:${SQUALL_T_PORT}";
    assert_eq!(fleets[0]["target"], format!("{origin}/in?key=${{SQUALL_T_KEY}}"));
    assert_eq!(fleets[1]["target"], format!("{origin}/own?key=${{SQUALL_T_KEY}}"));
    ended.assert_discreet();

    // Nobody there: the error is told without it, too.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let variables = [("SQUALL_T_PORT", free.as_str()), ("SQUALL_T_KEY", SECRET)];
    let ended = Ended::of(&text, &[], &variables);
    assert_eq!(ended.output.status.code(), Some(1), "{}", ended.said());
    assert!(ended.said().contains("${SQUALL_T_KEY}") && !ended.said().contains(SECRET), "{}", ended.said());
}
