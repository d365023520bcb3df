//! Services that answer nothing, or not all that ask, through the built binary: no such run or comparison passes.

use std::io::{BufReader, Write as _};
use std::net::TcpStream;

use crate::failure::mortal;
use crate::peer::start;
use crate::program::{Desk, told};
use crate::support::take_request;

const HEAD: &str = "[scenario]\nname = \"t\"\n[run]\nwarm_up = \"0s\"\ndrain = \"500ms\"\ninterval = \"200ms\"\n\
                    [[phase]]\nname = \"steady\"\nduration = \"2s\"\n";
const OPEN: &str = "[fleet.a]\nprotocol = \"http\"\ndevices = 4\nrate = \"10/s\"\ntimeout = \"300ms\"\n";
const HIDDEN: &str = "[fleet.b]\nprotocol = \"tcp\"\ndevices = 2\nrate = \"2/s\"\ntcp = { correlate = \"order\" }\ntimeout = \"300ms\"\n";
const CLOSED: &str =
    "[fleet.a]\nprotocol = \"http\"\ndevices = 8\nmodel = \"closed\"\nthink = \"5ms\"\ntimeout = \"300ms\"\n";
const MET: &str = "[[budget]]\np50 = \"<10s\"\nerror_rate = \"<50%\"\n";

fn reply(stream: TcpStream, head: &str) -> std::io::Result<()> {
    let (mut input, mut output) = (BufReader::new(stream.try_clone()?), stream);
    while take_request(&mut input)? {
        output.write_all(format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n").as_bytes())?;
    }
    Ok(())
}

/// The URLs of services that answer, refuse everything, never say a word, and die after so many answers.
fn healthy() -> String {
    format!("http=http://127.0.0.1:{}/", start(|stream| reply(stream, "200 OK")))
}

fn refusing() -> String {
    format!("http=http://127.0.0.1:{}/", start(|stream| reply(stream, "429 Too Many Requests")))
}

fn silent() -> String {
    format!("tcp=tcp://127.0.0.1:{}", start(|mut stream| std::io::copy(&mut stream, &mut std::io::sink())))
}

#[test]
fn a_run_passes_only_where_the_service_answered_every_fleet() {
    let dying = format!("http=http://127.0.0.1:{}/", mortal(40));
    for (fleets, targets, code, said) in [
        ([OPEN, ""], [healthy(), String::new()], 0, ""),
        ([OPEN, HIDDEN], [healthy(), silent()], 1, "of fleet b in the measured phases was answered ok"),
        ([CLOSED, MET], [healthy(), String::new()], 0, ""),
        ([CLOSED, MET], [dying, String::new()], 1, "no device of fleet a had a connection for"),
    ] {
        let desk = Desk::with(&[HEAD, fleets[0], fleets[1]].concat());
        let mut squall = desk.squall(&["run", "s.toml", "--junit", "j.xml", "--format", "pr-comment=c.md"]);
        for target in targets.iter().filter(|target| !target.is_empty()) {
            squall.args(["--target", target]);
        }
        let output = squall.output().unwrap();
        let told = told(&output);
        // A machine that is too busy says so.
        if output.status.code() == Some(12) {
            continue;
        }
        assert_eq!(output.status.code(), Some(code), "{fleets:?}: {told}");
        assert!(told.lines().last().unwrap_or_default().contains(said), "{told}");
        let [xml, comment] = ["j.xml", "c.md"].map(|name| std::fs::read_to_string(desk.path(name)).unwrap());
        assert_eq!(xml.contains("type=\"unanswered\""), code == 1, "{xml}");
        assert_eq!(comment.contains("## ❌"), code == 1, "{comment}");
    }
}

#[test]
fn builds_that_answer_nothing_are_not_compared() {
    let desk = Desk::with(&[HEAD, OPEN].concat());
    let asked = ["ab", "s.toml", "-n", "6", "--no-confirm", "--quiet", "--junit", "j.xml"];
    let dead = [refusing(), refusing()];
    let mut squall = desk.squall(&asked);
    squall.args(["--format", "pr-comment=c.md", "--a-url", &dead[0], "--b-url", &dead[1]]);
    let output = squall.output().unwrap();
    if output.status.code() == Some(12) {
        return;
    }
    let told = told(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.lines().last().unwrap_or_default().contains("neither build answered any reading"), "{told}");
    let [xml, comment] = ["j.xml", "c.md"].map(|name| std::fs::read_to_string(desk.path(name)).unwrap());
    assert!(xml.contains("<failure") && !comment.contains('✅'), "{xml}\n{comment}");
    let stored = desk.only_run();
    let again = desk.squall(&["compare", stored.to_str().unwrap()]).output().unwrap();
    assert_eq!(again.status.code(), Some(1), "{}", crate::program::told(&again));
}
