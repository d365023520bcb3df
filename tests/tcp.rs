//! Messages over plain TCP, through the built binary: peers that answer, break off or send too much, and what is said of each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Output;

use squall::results::{Report, SummaryRow};

use crate::peer::{Serve, start};
use crate::program::{only_run, squall, told};

/// Sends each message back behind its length.
fn echo_lengths(mut stream: TcpStream) -> std::io::Result<()> {
    loop {
        let mut prefix = [0; 4];
        stream.read_exact(&mut prefix)?;
        let mut message = vec![0; u32::from_be_bytes(prefix) as usize];
        stream.read_exact(&mut message)?;
        stream.write_all(&[&prefix[..], &message].concat())?;
    }
}

/// Answers the first line of a connection with `bytes`, and ends it.
fn say_once(mut stream: TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    BufReader::new(stream.try_clone()?).read_line(&mut String::new())?;
    stream.write_all(bytes)
}

/// A run that has ended, or a check.
struct Ended {
    output: Output,
    folder: tempfile::TempDir,
}

impl Ended {
    /// `squall` with `arguments` and a scenario of three devices that say 10 readings a second, with `own` keys.
    fn of(arguments: &[&str], own: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[scenario]\nname = \"tcp\"\n[run]\nwarm_up = \"0s\"\ndrain = \"5s\"\n[[phase]]\nname = \"steady\"\nduration = \"1s\"\n\
             [fleet.loggers]\nprotocol = \"tcp\"\ndevices = 3\nrate = \"10/s\"\ntimeout = \"30s\"\n{own}\n"
        );
        std::fs::write(folder.path().join("s.toml"), text).unwrap();
        let output = squall(folder.path(), arguments).output().unwrap();
        Self { output, folder }
    }

    fn run(port: u16, own: &str) -> Self {
        Self::of(&["run", "s.toml", "--target", &format!("tcp=tcp://127.0.0.1:{port}")], own)
    }

    fn said(&self) -> String {
        told(&self.output)
    }

    fn report(&self) -> Report {
        Report::load(&only_run(&self.folder.path().join("results"))).unwrap()
    }

    fn headline(&self) -> SummaryRow {
        self.report().summary.into_iter().find(SummaryRow::is_headline).unwrap()
    }
}

const BY_ORDER: &str = "tcp = { correlate = \"order\" }";

#[test]
fn any_bytes_travel_behind_their_length_and_are_answered_in_order() {
    let own = "payload = { format = \"binary\" }\ntcp = { framing = \"length\", correlate = \"order\" }";
    let ended = Ended::run(start(echo_lengths), own);
    // On a machine busy with other tests the run may rightly judge itself invalid.
    assert!(matches!(ended.output.status.code(), Some(0 | 12)), "{}", ended.said());
    let figures = ended.headline().figures;
    assert!(figures.planned >= 20, "{figures:?}");
    assert_eq!(figures.ok, figures.planned, "{}", ended.said());
}

#[test]
fn a_peer_that_breaks_off_or_never_ends_is_named_for_it() {
    let table: [(Serve, &str); 4] = [
        (|stream| say_once(stream, b""), "the server closed the connection"),
        (|stream| say_once(stream, b"O"), "the server closed the connection in the middle of a message"),
        (|stream| say_once(stream, &vec![b'x'; 300_000]), "the server sent a line of more than 262144 bytes"),
        (
            |stream| {
                // What is unread when a socket is closed resets its connection.
                BufReader::new(&stream).fill_buf().map(drop)?;
                stream.peek(&mut [0; 1]).map(drop)
            },
            "reset",
        ),
    ];
    for (serve, sentence) in table {
        let ended = Ended::run(start(serve), BY_ORDER);
        let reasons: Vec<_> = ended.report().reasons().into_iter().map(|sum| sum.reason).collect();
        assert!(reasons.iter().any(|reason| reason.contains(sentence)), "{sentence}: {reasons:?}");
    }
}

#[test]
fn a_fleet_that_the_bundled_system_does_not_speak_to_needs_a_target() {
    for (command, code) in [("run", 2), ("check", 0)] {
        let ended = Ended::of(&[command, "s.toml"], BY_ORDER);
        assert_eq!(ended.output.status.code(), Some(code), "{}", ended.said());
        let expected = "fleet `loggers` speaks tcp, which the bundled reference system does not; write its address under [target]: \
                        tcp = \"tcp://host:9000\", or give it with --target tcp=URL";
        let said = ended.said().split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn its_scenario_is_sound_and_offered() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/external-tcp.toml");
    let ended = Ended::of(&["check", shipped.to_str().unwrap()], BY_ORDER);
    assert_eq!(ended.output.status.code(), Some(0), "{}", ended.said());
    assert!(!ended.said().contains("which the bundled reference system does not"), "{}", ended.said());
    let ended = Ended::of(&["new", "external-tcp", "mine.toml"], BY_ORDER);
    assert_eq!(ended.output.status.code(), Some(0), "{}", ended.said());
    assert!(Ended::of(&["run", "--help"], BY_ORDER).said().contains("tcp=URL"));
}
