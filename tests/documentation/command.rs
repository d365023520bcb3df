//! Every command of README and docs does what the page says, page by page, in a folder of its own.
//!
//! What is typed is what stands there, but for four rules:
//!
//! 1. Ports are exchanged for free ones ([`PORTS`]), in commands and files alike; `squall serve` is told those it takes by itself.
//! 2. What bounds a run is cut to a tenth: spans after `--duration`, `-d` and `--for`, and those of [`SPANS`] in scenarios. Since that
//!    leaves few readings, percentiles in budgets are those of the fifties in place of the nineties.
//! 3. `squall ab` makes the fewest pairs, without confirmation: it may end either way.
//! 4. A directory such as `results/load/2026-11-20T21-41-15Z` is the newest one in `results/load`.
//!
//! What runs until it is stopped ([`SERVERS`]) runs in the background, as in a terminal of its own, and makes room for a second one of
//! its kind. Where a page has nothing of that, the bundled service stands for the reader's own. A block whose second word is a file's
//! name is that file. A command ends with exit code 0, or with the one that its comment says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use super::{assert_none, root};
use crate::markdown::{Block, blocks, commands, pages};
use crate::program::wait_until;
use crate::skip;

/// Commands that are not executed, by how they begin, and why.
const NOT_EXECUTED: [(&str, &str); 30] = [
    ("squall ab --capacity", "builds of the reader's own"),
    ("squall capacity", "takes minutes; tests/capacity.rs makes searches"),
    ("cargo ", "builds what these tests are built of; CI does it"),
    ("git worktree", "needs the history of the reader's own repository"),
    (
        "squall ab --a './main/server",
        "builds of the reader's own; docs/paths/change.md has builds that everybody has",
    ),
    ("squall ab load.toml --a '../base", "builds of the reader's own"),
    ("squall ab --a ./main", "builds of the reader's own"),
    ("squall calibrate", "takes a minute and a half of a quiet machine; tests/calibration.rs does it"),
    ("squall compare results/load", "runs of the reader's own; tests/compare.rs has such"),
    ("squall compare --self-test", "takes most of a minute; tests/compare.rs does it"),
    ("squall score DATA", "recordings that are not shipped"),
    ("squall serve --jwt-hs256", "keys of the reader's own; tests/admission.rs has such"),
    (
        "squall serve --token '${ADMIN_TOKEN}' --tokens",
        "a table of the reader's own; tests/admission.rs has one",
    ),
    ("curl -H \"Authorization", "asks that service"),
    ("squall lab run", "wants answers, and takes half a minute; tests/lab.rs runs labs"),
    ("squall lab check", "judges that run"),
    ("squall lab report", "shows that run"),
    ("squall proxy", "stands before services of the reader's own; tests/fault.rs starts it"),
    ("squall watch", "wants a terminal; tests/live.rs has one"),
    ("squall run large.toml", "a broker and addresses of the reader's own"),
    ("squall run s.toml --shard", "machines of the reader's own; tests/shard.rs has shards"),
    ("squall run s.toml --start-at", "goes on with more of the same"),
    ("squall merge", "merges what those machines left"),
    ("array=$(sbatch", "needs Slurm; .ci/slurm has one"),
    ("sbatch", "needs Slurm; .ci/slurm has one"),
    ("kubectl", "needs a cluster"),
    ("until kubectl", "needs a cluster"),
    ("nginx -p . -c nginx.conf", "tests/reverse_proxy.rs starts it"),
    ("haproxy", "tests/reverse_proxy.rs starts it"),
    ("squall run scenario.toml --target http=https", "tests/reverse_proxy.rs does it"),
];

/// What runs until it is stopped, by how it begins.
const SERVERS: [&str; 5] = [
    "squall serve",
    "taskset -c 0 squall serve",
    "mosquitto ",
    "nginx ",
    "squall run scenarios/by-hand.toml",
];

/// The ports that pages name.
const PORTS: [&str; 9] = ["1883", "1884", "8080", "8081", "8082", "8090", "8443", "8883", "9000"];

/// The keys of scenarios that say when something is, or for how long.
const SPANS: [&str; 12] = [
    "at", "day", "drain", "duration", "every", "grace", "hold", "join", "leave", "offline", "start",
    "warm_up",
];

/// What a page's commands are executed in.
struct Desk {
    folder: tempfile::TempDir,
    ports: BTreeMap<&'static str, u16>,
    /// Scenarios that are short already.
    short: BTreeSet<String>,
    /// What runs in the background, by how its command begins.
    servers: BTreeMap<&'static str, Child>,
}

impl Drop for Desk {
    fn drop(&mut self) {
        let left = fs::read_to_string(self.folder.path().join("jobs")).unwrap_or_default();
        for process in left.split_whitespace() {
            let _ = Command::new("kill").args(["-KILL", process]).stderr(Stdio::null()).status();
        }
        for server in std::mem::take(&mut self.servers).into_values() {
            end(server);
        }
    }
}

fn end(mut server: Child) {
    let _ = server.kill();
    let _ = server.wait();
}

impl Desk {
    fn new() -> Self {
        let held = PORTS.map(|port| (port, TcpListener::bind("127.0.0.1:0").unwrap()));
        let ports = held.iter().map(|(port, held)| (*port, held.local_addr().unwrap().port())).collect();
        let mut desk = Self {
            folder: tempfile::tempdir().unwrap(),
            ports,
            short: BTreeSet::new(),
            servers: BTreeMap::new(),
        };
        desk.copy(&root().join("scenarios"), "scenarios");
        fs::create_dir(desk.folder.path().join("doors")).unwrap();
        desk
    }

    fn copy(&mut self, from: &Path, name: &str) {
        fs::create_dir(self.folder.path().join(name)).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let name = format!("{name}/{}", entry.file_name().to_str().unwrap());
            match fs::read_to_string(entry.path()) {
                Ok(text) => self.write(&name, &text),
                Err(_) => self.copy(&entry.path(), &name),
            }
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), self.with_free_ports(text)).unwrap();
    }

    fn with_free_ports(&self, text: &str) -> String {
        let mut exchanged = String::new();
        let mut number = String::new();
        for c in text.chars().chain(['\0']) {
            if c.is_ascii_alphanumeric() {
                number.push(c);
                continue;
            }
            match self.ports.get(number.as_str()) {
                Some(port) => exchanged += &port.to_string(),
                None => exchanged += &number,
            }
            number.clear();
            exchanged.push(c);
        }
        exchanged.pop();
        exchanged
    }

    /// Has the rules hold for the scenarios that lie here, those that commands have made too.
    fn shorten_scenarios(&mut self) {
        for folder in ["", "scenarios"] {
            let entries =
                fs::read_dir(self.folder.path().join(folder)).unwrap().map(|entry| entry.unwrap().path());
            for path in entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml")) {
                if self.short.insert(path.display().to_string()) {
                    let text = fs::read_to_string(&path).unwrap();
                    fs::write(&path, self.with_free_ports(&shortened(&text))).unwrap();
                }
            }
        }
    }

    /// A shell in this folder, with what commands before have exported.
    fn shell(&self, script: &str) -> Command {
        let path = Path::new(env!("CARGO_BIN_EXE_squall")).parent().unwrap().display();
        let path = format!("{path}:{}", std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("bash");
        let newest = "newest() { ls -td \"$1\"/*/ | head -n 1; }";
        shell.args(["-c", &format!("{newest}\n[ ! -e exports ] || . ./exports\n{script}")]);
        shell.current_dir(self.folder.path()).env("PATH", path).stdin(Stdio::null());
        let doors = self.folder.path().join("doors");
        shell.env("XDG_RUNTIME_DIR", &doors).env("TMPDIR", &doors).env("SQUALL_PROFILE", doors.join("none"));
        shell.env("GITHUB_STEP_SUMMARY", doors.join("summary.md"));
        shell
    }

    /// Does what the reader is told; what is wrong with it, if anything is.
    fn execute(&mut self, command: &str) -> Result<(), String> {
        self.shorten_scenarios();
        let (typed, comment) = command.split_once("  #").unwrap_or((command, ""));
        let expected = comment.split_once("exit code ").map_or("0", |(_, code)| code.trim());
        let mut typed = self.with_free_ports(&as_tested(typed));
        if let Some(kind) =
            SERVERS.into_iter().find(|kind| command.starts_with(kind) && !command.contains('&'))
        {
            return self.serve(kind, &typed);
        }
        if ["squall fault", "squall phase"].iter().any(|order| typed.starts_with(order)) {
            // The run may not listen yet.
            typed = format!("for attempt in $(seq 300); do {typed} && break; sleep 0.1; done");
        }
        let script = format!("{{\n{typed}\n}}\ncode=$?\njobs -p >>jobs\nexport -p >exports\nexit $code");
        let (mut shell, log) = self.logged(&script);
        let code = shell.status().unwrap().code().map_or("none".to_owned(), |code| code.to_string());
        if typed.contains('&') {
            self.wait_for_ports(&typed);
        }
        let either = command.starts_with("squall ab ") && ["0", "10"].contains(&code.as_str());
        // A busy machine may rightly have a run call itself invalid.
        if code == expected || code == "12" || either {
            return Ok(());
        }
        let said = fs::read_to_string(log).unwrap();
        Err(format!("`{command}`\n  as `{typed}`\n  exit code {code} instead of {expected}\n{said}"))
    }

    /// A shell that prints into a file, which what it leaves in the background may hold open.
    fn logged(&self, script: &str) -> (Command, PathBuf) {
        let path = self.folder.path().join("doors/log");
        let log = fs::File::create(&path).unwrap();
        let mut shell = self.shell(script);
        shell.stdout(log.try_clone().unwrap()).stderr(log);
        (shell, path)
    }

    /// Starts what runs until it is stopped.
    fn serve(&mut self, kind: &'static str, typed: &str) -> Result<(), String> {
        if let Some(former) = self.servers.remove(kind) {
            end(former);
        }
        let (mut shell, log) = self.logged(&format!("exec {typed}"));
        let mut server = shell.spawn().unwrap();
        self.wait_for_ports(typed);
        let ended = server.try_wait().unwrap();
        self.servers.insert(kind, server);
        match ended {
            None => Ok(()),
            Some(status) => Err(format!("`{typed}` ends: {status}\n{}", fs::read_to_string(log).unwrap())),
        }
    }

    /// Waits until all ports listen that the command names, or a file that it names.
    fn wait_for_ports(&self, typed: &str) {
        let read = |word: &str| fs::read_to_string(self.folder.path().join(word)).unwrap_or_default();
        let named = typed.split_whitespace().map(read).collect::<String>() + typed;
        for port in self.ports.values().filter(|port| named.contains(&port.to_string())) {
            wait_until(&format!("`{typed}` listens on {port}"), || {
                TcpStream::connect(("127.0.0.1", *port)).is_ok()
            });
        }
    }
}

/// A tenth of a span.
fn tenth(span: &str) -> Option<String> {
    let unit = span.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = span.strip_suffix(unit)?.parse().ok()?;
    ["ms", "s", "m", "h"].contains(&unit).then(|| format!("{}{unit}", number / 10.0))
}

/// A scenario that takes a tenth of its time.
fn shortened(scenario: &str) -> String {
    let mut text = scenario.to_owned();
    for key in SPANS {
        let mut done = String::new();
        let mut rest = text.as_str();
        let mark = format!("{key} = \"");
        while let Some((before, after)) = rest.split_once(&mark) {
            let (span, end) = after.split_once('"').unwrap_or((after, ""));
            let is_key = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-');
            let span = tenth(span).filter(|_| is_key).unwrap_or_else(|| span.to_owned());
            for part in [before, &mark, &span, "\""] {
                done.push_str(part);
            }
            rest = end;
        }
        text = done + rest;
    }
    text.replace("p99_9 = \"<", "p59_9 = \"<")
        .replace("p99 = \"<", "p59 = \"<")
        .replace("p95 = \"<", "p55 = \"<")
}

/// A command by the rules above, but for its ports.
fn as_tested(command: &str) -> String {
    let mut words: Vec<String> =
        command.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    for at in 1..words.len() {
        if ["--duration", "-d", "--for"].contains(&words[at - 1].as_str()) {
            words[at] = tenth(&words[at]).unwrap_or_else(|| words[at].clone());
        }
        let parts: Vec<&str> = words[at].splitn(4, '/').collect();
        if let ["results", scenario, instant, ref rest @ ..] = parts[..]
            && instant.starts_with("20")
        {
            words[at] = format!("$(newest results/{scenario}){}", rest.concat());
        }
    }
    let mut typed = words.join(" ").replace(".p99=", ".p59=").replace("p99<", "p59<");
    if typed.contains("squall serve") && !typed.contains("-port") {
        let (http, mqtt) = if typed.contains("--tls") { ("8443", "8883") } else { ("8080", "1883") };
        let told = format!("squall serve --http-port {http} --mqtt-port {mqtt}");
        typed = typed.replace("squall serve", &told);
    }
    if typed.starts_with("squall ab ") {
        typed += " -n 6 --no-confirm";
    }
    typed
}

/// The commands of a block as they are executed: what follows one in the background is in the same shell.
fn steps(block: &Block) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    for command in commands(block) {
        match steps.last_mut().filter(|step| step.ends_with('&')) {
            Some(step) => {
                step.push('\n');
                step.push_str(&command);
            }
            None => steps.push(command),
        }
    }
    steps
}

fn reason(command: &str) -> Option<&'static str> {
    NOT_EXECUTED.iter().map(|(begin, _)| *begin).find(|begin| command.starts_with(begin))
}

/// What is wrong with the commands of a page.
fn faults_of(page: &str, listed: &Mutex<BTreeSet<&'static str>>) -> Vec<String> {
    let mut desk = Desk::new();
    let mut faults = Vec::new();
    let all: Vec<_> = blocks(page).iter().flat_map(steps).filter(|step| reason(step).is_none()).collect();
    let is_server = |step: &String| SERVERS.iter().any(|kind| step.starts_with(kind));
    if !all.iter().any(is_server) && all.iter().any(|step| step.contains("8080")) {
        faults.extend(desk.execute("squall serve").err());
    }
    for block in blocks(page) {
        if let Some(name) = &block.file {
            desk.write(name, &block.text);
        }
        for step in steps(&block) {
            match reason(&step) {
                Some(begin) => drop(listed.lock().unwrap().insert(begin)),
                None => faults.extend(desk.execute(&step).err()),
            }
        }
    }
    faults
}

/// What a page's commands need and this machine does not have.
fn missing(page: &str) -> Option<String> {
    let all = blocks(page).iter().flat_map(steps).filter(|step| reason(step).is_none()).collect::<Vec<_>>();
    let program = |step: &String| step.split(' ').find(|word| !word.contains('=')).map(str::to_owned);
    all.iter().filter_map(program).find(|program| {
        let found = Command::new("bash")
            .args(["-c", &format!("command -v {program}")])
            .stdout(Stdio::null())
            .status();
        program != "squall" && !found.is_ok_and(|status| status.success())
    })
}

#[test]
fn every_command_works_or_is_listed() {
    let listed = Mutex::new(BTreeSet::new());
    let faults = Mutex::new(Vec::new());
    let waiting = Mutex::new(pages());
    // Runs wait most of their time.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some((name, page)) = waiting.lock().unwrap().pop() else { return };
                    if let Some(program) = missing(&page) {
                        skip::missing(&format!("{program}, which {name} needs"));
                        continue;
                    }
                    let found = faults_of(&page, &listed);
                    faults.lock().unwrap().extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
                }
            });
        }
    });
    assert_none(&faults.into_inner().unwrap());
    let listed = listed.into_inner().unwrap();
    let unused = NOT_EXECUTED.iter().filter(|(begin, _)| !listed.contains(begin));
    assert_none(&unused.map(|(begin, why)| format!("`{begin}` ({why}): listed in vain")).collect::<Vec<_>>());
}

#[test]
fn commands_are_changed_by_the_rules_and_no_further() {
    for (typed, wanted) in [
        ("squall run a.toml --duration 60s", "squall run a.toml --duration 6s"),
        ("squall report results/a/2026-11-20T21-41-15Z", "squall report $(newest results/a)"),
        ("head results/a/2026-11-20T21-41-15Z/b.csv", "head $(newest results/a)b.csv"),
        ("squall serve --faults", "squall serve --http-port 8080 --mqtt-port 1883 --faults"),
        ("squall ab a.toml", "squall ab a.toml -n 6 --no-confirm"),
        ("squall check a.toml", "squall check a.toml"),
    ] {
        assert_eq!(as_tested(typed), wanted);
    }
    assert_eq!(
        shortened("duration = \"20s\"\nx = { at = \"500ms\", what = \"5s\" }\ntimeout = \"5s\""),
        "duration = \"2s\"\nx = { at = \"50ms\", what = \"5s\" }\ntimeout = \"5s\""
    );
    let desk = Desk::new();
    let port = desk.ports["8080"];
    assert_eq!(desk.with_free_ports("a 8080 x18080 8080/b 1"), format!("a {port} x18080 {port}/b 1"));
}
