//! `squall URL` through the built binary: each scheme against peers that others wrote, beside the run of the scenario that it saves.

use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use squall::results::{Report, SummaryRow, load_manifest};

use crate::authority::Authority;
use crate::interop_device::{Peer, mosquitto, on_a_free_port, python};
use crate::peer::start;
use crate::program::{files, holds, only_run, squall, told};
use crate::skip;

/// A folder in which lines are typed.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn squall(&self, arguments: &[&str]) -> Output {
        squall(self.path(), arguments).output().unwrap()
    }

    /// The report of the only run under `out`.
    fn report(&self, out: &str) -> Report {
        Report::load(&only_run(&self.path().join(out))).unwrap()
    }

    /// Types the line, then runs what it has saved: both send the same plan and have the same counts.
    fn assert_saved_is_run(&self, line: &[&str]) -> String {
        let typed = self.squall(&[line, &["--save", "s.toml", "--out", "typed"]].concat());
        let said = told(&typed);
        // On a machine busy with other tests the run may rightly judge itself invalid.
        assert!(matches!(typed.status.code(), Some(0 | 12)), "{line:?}: {said}");
        let check = self.squall(&["check", "s.toml"]);
        assert!(check.status.success(), "{}", told(&check));
        let saved = self.squall(&["run", "s.toml", "--out", "saved"]);
        assert!(matches!(saved.status.code(), Some(0 | 12)), "{line:?}: {}", told(&saved));
        let (typed, saved) = (self.report("typed"), self.report("saved"));
        assert_eq!(typed.run.plan_digest, saved.run.plan_digest, "{line:?}");
        assert_eq!(typed.run.scenario.text, saved.run.scenario.text);
        let (typed, saved) = (headline(&typed), headline(&saved));
        assert_eq!(typed.figures.ok, typed.figures.planned, "{line:?}: {said}");
        if !line.contains(&"--closed") {
            assert_eq!((typed.figures.planned, typed.figures.ok), (saved.figures.planned, saved.figures.ok));
        }
        std::fs::read_to_string(self.path().join("s.toml")).unwrap()
    }
}

fn headline(report: &Report) -> &SummaryRow {
    report.summary.iter().find(|row| row.is_headline()).unwrap()
}

/// nginx on a free port, with `listen` behind its address and `more` said of its server: 200 everywhere, but 404 at `/missing`.
fn nginx(folder: &Path, listen: &str, more: &str) -> Option<(Peer, u16)> {
    let shown = folder.display();
    let start = |port: u16| -> Option<Child> {
        let text = format!(
            "daemon off; master_process off; user root; pid {shown}/nginx.pid; error_log {shown}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ log_format line '$request|$http_x_tenant|$http_authorization|$content_type|$request_body'; \
             access_log {shown}/access.log line; \
             server {{ listen 127.0.0.1:{port}{listen}; {more} location / {{ return 200 ok; }} location /missing {{ return 404; }} }} }}\n"
        );
        std::fs::write(folder.join("nginx.conf"), text).unwrap();
        let mut nginx = Command::new("nginx");
        nginx.args(["-e", "stderr", "-p"]).arg(folder).args(["-c", "nginx.conf"]);
        let started = nginx.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        if started.is_err() {
            skip::missing("nginx is not installed");
        }
        started.ok()
    };
    on_a_free_port(start)
}

/// Sends every line back.
fn echo_lines(mut stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        stream.write_all(&line)?;
        line.clear();
    }
    Ok(())
}

const ECHO: &str = "
import asyncio, websockets
async def echo(socket):
    async for message in socket:
        await socket.send(message)
async def main():
    async with websockets.serve(echo, '127.0.0.1', 0) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.Future()
asyncio.run(main())
";

/// The same over TLS and, where `PLAIN` is said, without WebSocket.
const TLS_ECHO: &str = "
import asyncio, ssl, websockets
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain('FOLDER/localhost.pem', 'FOLDER/localhost.key')
async def echo(socket):
    async for message in socket:
        await socket.send(message)
async def echo_lines(reader, writer):
    while line := await reader.readline():
        writer.write(line)
    writer.close()
async def main():
    if PLAIN:
        server = await asyncio.start_server(echo_lines, '127.0.0.1', 0, ssl=tls)
    else:
        server = await websockets.serve(echo, '127.0.0.1', 0, ssl=tls)
    print(next(iter(server.sockets)).getsockname()[1], flush=True)
    await asyncio.Future()
asyncio.run(main())
";

const SHORT: [&str; 6] = ["-r", "50/s", "-c", "5", "-d", "2s"];

fn line<'a>(url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[url], &SHORT[..], more].concat()
}

#[test]
fn nginx_is_loaded_over_http_as_its_saved_scenario_does() {
    let desk = Desk::new();
    let Some((_nginx, port)) = nginx(desk.path(), "", "") else { return };
    let url = format!("http://127.0.0.1:{port}/a%20b?c=d&e");
    let header = ["-H", "X-Tenant: t-{{index}}"];
    let text = desk.assert_saved_is_run(&line(&url, &header));
    assert!(text.contains("rate = \"10/s\"") && text.contains("payload = \"none\""), "{text}");
    let log = std::fs::read_to_string(desk.path().join("access.log")).unwrap();
    let found = log.lines().filter(|line| line.starts_with("GET /a%20b?c=d&e HTTP/1.1|t-")).count();
    assert_eq!(found, log.lines().count(), "{log}");
    assert!(log.contains("|t-4|-|-|-"), "no body, and nothing that tells of one: {log}");
}

#[test]
fn a_body_is_posted_a_method_is_taken_and_a_service_that_refuses_fails_with_its_reason() {
    let desk = Desk::new();
    // What nginx answers by itself it reads no body for.
    let more =
        "location /kept { client_body_in_single_buffer on; proxy_pass http://127.0.0.1:$server_port/; }";
    let Some((_nginx, port)) = nginx(desk.path(), "", more) else { return };
    let url = format!("http://ann:s3cret@127.0.0.1:{port}/kept");
    std::fs::write(desk.path().join("body.json"), "{\"a\":\"{{seq}}\"}").unwrap();
    desk.assert_saved_is_run(&line(&url, &["-b", "@body.json"]));
    let log = std::fs::read_to_string(desk.path().join("access.log")).unwrap();
    let posted =
        "POST /kept HTTP/1.1|-|Basic YW5uOnMzY3JldA==|application/json|{\\x22a\\x22:\\x22{{seq}}\\x22}";
    assert!(log.lines().any(|line| line == posted), "{log}");
    for run in ["typed", "saved"] {
        assert_eq!(files(&desk.path().join(run)).iter().find(|file| holds(file, "s3cret")), None);
    }

    let missing = format!("http://127.0.0.1:{port}/missing");
    let ended =
        desk.squall(&line(&missing, &["-m", "DELETE", "--out", "missing", "--budget", "error_rate<1%"]));
    assert!(matches!(ended.status.code(), Some(1 | 12)), "{}", told(&ended));
    assert!(told(&ended).contains("404"), "{}", told(&ended));
    assert_eq!(headline(&desk.report("missing")).figures.ok, 0);
}

#[test]
fn nginx_is_loaded_over_tls_with_its_authority_or_with_none() {
    let (authority, desk) = (Authority::new(), Desk::new());
    authority.write(desk.path(), &["localhost"]);
    let certificate = "ssl_certificate localhost.pem; ssl_certificate_key localhost.key;";
    let Some((_nginx, port)) = nginx(desk.path(), " ssl", certificate) else { return };
    let url = format!("https://localhost:{port}");
    let text = desk.assert_saved_is_run(&line(&url, &["--cacert", "ca.pem"]));
    assert!(text.contains("ca = \"/"), "{text}");
    let trusting = desk.squall(&line(&url, &["-k", "--out", "trusting"]));
    assert!(matches!(trusting.status.code(), Some(0 | 12)), "{}", told(&trusting));
    assert!(told(&trusting).contains("certificate"), "{}", told(&trusting));
    let strange = desk.squall(&[&url, "-c", "2"]);
    assert_eq!(strange.status.code(), Some(1), "{}", told(&strange));
    assert!(told(&strange).contains("no rate could be chosen, for in the probe"), "{}", told(&strange));
    assert!(!desk.path().join("results").exists(), "a probe leaves nothing");
}

#[test]
fn an_echo_over_websocket_closes_readings_and_bodies() {
    let Some((_echo, port)) = python(ECHO, "websockets") else { return };
    let url = format!("ws://127.0.0.1:{port}/any");
    Desk::new().assert_saved_is_run(&line(&url, &[]));
    Desk::new().assert_saved_is_run(&line(&url, &["-b", "ping {{seq}}"]));
    Desk::new().assert_saved_is_run(&[&url, "-c", "2", "-d", "1s", "--closed"]);
}

#[test]
fn websocket_lines_and_mqtt_go_over_tls_by_their_schemes() {
    let (authority, desk) = (Authority::new(), Desk::new());
    authority.write(desk.path(), &["localhost"]);
    let shown = desk.path().display().to_string();
    let ca = format!("{shown}/ca.pem");
    for (scheme, plain) in [("wss", "False"), ("tcps", "True")] {
        let script = TLS_ECHO.replace("FOLDER", &shown).replace("PLAIN", plain);
        let Some((_echo, port)) = python(&script, "websockets") else { return };
        let url = format!("{scheme}://localhost:{port}");
        Desk::new().assert_saved_is_run(&line(&url, &["--cacert", &ca]));
    }
    let certificate = format!("user root\ncertfile {shown}/localhost.pem\nkeyfile {shown}/localhost.key\n");
    let extra = format!("allow_anonymous true\n{certificate}");
    let Some((_broker, port, _directory)) = mosquitto(&extra) else { return };
    Desk::new().assert_saved_is_run(&line(&format!("mqtts://localhost:{port}/plant"), &["-k"]));
}

#[test]
fn mosquitto_acknowledges_what_nobody_hears() {
    let Some((_broker, port, _directory)) = mosquitto("allow_anonymous true\n") else { return };
    let url = format!("mqtt://127.0.0.1:{port}/plant/{{{{device}}}}/a%20b");
    let text = Desk::new().assert_saved_is_run(&line(&url, &[]));
    assert!(text.contains("topic = \"plant/{{device}}/a b\""), "{text}");
    Desk::new().assert_saved_is_run(&line(&format!("mqtt://127.0.0.1:{port}"), &["-b", "21.5"]));
}

#[test]
fn an_echo_of_lines_over_tcp_closes_readings_and_bodies() {
    let url = format!("tcp://127.0.0.1:{}", start(echo_lines));
    Desk::new().assert_saved_is_run(&line(&url, &[]));
    Desk::new().assert_saved_is_run(&line(&url, &["-b", "ping"]));
}

#[test]
fn where_no_rate_is_stated_one_is_chosen_and_said_everywhere() {
    let desk = Desk::new();
    let url = format!("tcp://127.0.0.1:{}", start(echo_lines));
    let ended = desk.squall(&[&url, "-c", "2", "-d", "1s", "--quiet", "--workers", "1", "--save", "s.toml"]);
    let said = told(&ended);
    assert!(matches!(ended.status.code(), Some(0 | 12)), "{said}");
    assert!(said.contains("no --rate: to choose one, 2 devices in a closed loop for 2s;"), "{said}");
    let chosen = said.lines().find(|line| line.contains("in a closed loop of 2s, rounded down")).unwrap();
    let chosen = chosen.strip_prefix("rate: ").unwrap();
    let rate = chosen.split(' ').next().unwrap();
    let text = std::fs::read_to_string(desk.path().join("s.toml")).unwrap();
    assert!(text.contains(&format!("# {}.", chosen.split(';').next().unwrap())), "{text}\n{said}");
    let rate = rate.replace(',', "");
    assert!(text.contains(&format!("of each device; {rate} of all")), "{text}");
    let report = desk.report("results");
    assert_eq!(report.run.scenario.text, text, "the manifest says it, too");
    let planned = headline(&report).figures.planned as f64;
    let rate: f64 = rate.trim_end_matches("/s").parse().unwrap();
    assert!((planned - rate).abs() <= 2.0, "{planned} of {rate} in a second: nothing of the probe is in it");
}

#[cfg(unix)]
#[test]
fn a_probe_that_is_interrupted_ends_the_line() {
    use std::sync::atomic::{AtomicBool, Ordering};

    use crate::program::{signal, wait_until};

    static SENT: AtomicBool = AtomicBool::new(false);
    let serve = |stream: TcpStream| {
        // A connection by which squall looks whether anybody is there ends without a word.
        let has_come = BufReader::new(&stream).read_line(&mut String::new())? > 0;
        SENT.fetch_or(has_come, Ordering::SeqCst);
        echo_lines(stream)
    };
    let desk = Desk::new();
    let url = format!("tcp://127.0.0.1:{}", start(serve));
    let child =
        squall(desk.path(), &[&url, "-c", "2", "--save", "s.toml"]).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the probe sends", || SENT.load(Ordering::SeqCst));
    signal(child.id(), "INT");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", told(&ended));
    assert!(
        told(&ended).contains("interrupted before there was a rate: nothing was measured"),
        "{}",
        told(&ended)
    );
    assert!(!desk.path().join("results").exists() && !desk.path().join("s.toml").exists());
}

#[test]
fn a_line_that_cannot_be_run_ends_with_its_reason_and_leaves_nothing() {
    let desk = Desk::new();
    std::fs::write(desk.path().join("there.toml"), "mine").unwrap();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (nobody, echo) =
        (format!("http://127.0.0.1:{port}/"), format!("tcp://127.0.0.1:{}", start(echo_lines)));
    for (line, code, said) in [
        (&[nobody.as_str()][..], 1, "refused"),
        (&[&nobody, "-r", "5/s"], 1, "refused"),
        (&[&echo, "--save", "there.toml"], 1, "cannot write there.toml:"),
        (&[&echo, "--html", "there.toml/x.html"], 1, "cannot write there.toml/x.html:"),
        (&[&echo, "-b", "@none"], 2, "--body: cannot read none:"),
        (&[&echo, "--budget", "p99<250"], 2, "`250` has no unit"),
        (
            &[&echo, "-r", "5/s", "--budget", "p99<1s", "--save", "new.toml"],
            2,
            "--budget 'p99<1s': `p99 < 1s` cannot be judged: of at most 100 readings",
        ),
        (&["run", &echo, "-r", "5/s"], 2, "for a URL type: squall tcp://127.0.0.1:"),
        (&["htp://h/"], 2, "did you mean http://h/?"),
    ] {
        let ended = desk.squall(line);
        assert_eq!(ended.status.code(), Some(code), "{line:?}: {}", told(&ended));
        assert!(told(&ended).contains(said), "{line:?}: {}", told(&ended));
        assert!(!told(&ended).contains("in a closed loop") || code == 1, "nothing is sent: {}", told(&ended));
    }
    assert!(!desk.path().join("results").exists() && !desk.path().join("new.toml").exists());
    assert_eq!(std::fs::read_to_string(desk.path().join("there.toml")).unwrap(), "mine");
}

#[test]
fn a_secret_that_was_typed_is_saved_for_its_owner_alone_and_nowhere_else() {
    let desk = Desk::new();
    let Some((_nginx, port)) = nginx(desk.path(), "", "") else { return };
    let url = format!("http://ann:s3cret@127.0.0.1:{port}/");
    let ended = desk.squall(&line(&url, &["-H", "X-Api-Key: k3y-typed", "--save", "s.toml"]));
    let said = told(&ended);
    assert!(matches!(ended.status.code(), Some(0 | 12)), "{said}");
    assert!(said.contains("note: s.toml holds a secret as it was typed; write ${NAME} there"), "{said}");
    let run = only_run(&desk.path().join("results"));
    for secret in ["s3cret", "k3y-typed"] {
        assert!(!said.contains(secret) && holds(&desk.path().join("s.toml"), secret), "{said}");
        assert_eq!(files(&run).iter().find(|file| holds(file, secret)), None);
    }
    assert!(load_manifest(&run).unwrap().scenario.text.contains("password = \"******\""));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(desk.path().join("s.toml")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}
