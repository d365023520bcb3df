//! What the tests that take a generator's means away share: squall as a process, a service that is free, and control groups.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// A service on a free port that answers every reading `wait` after it came. It never closes first.
pub(crate) fn service(wait: Duration) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream, wait));
        }
    });
    port
}

fn answer(mut stream: TcpStream, wait: Duration) {
    let mut buffer = [0; 4096];
    let mut filled = 0;
    stream.set_nodelay(true).unwrap();
    while let Ok(n @ 1..) = stream.read(&mut buffer[filled..]) {
        filled += n;
        // A payload is one JSON object without a nested one, and ends the request.
        let asked = buffer.starts_with(b"GET ") && buffer[..filled].ends_with(b"\r\n\r\n");
        if asked || buffer[..filled].ends_with(b"}") {
            filled = 0;
            thread::sleep(wait);
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
                return;
            }
        }
    }
}

/// A scenario, where its runs go, and what they are driven at.
pub(crate) struct Trial {
    folder: TempDir,
    port: u16,
}

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Option<i32>,
    pub(crate) said: String,
    /// The run's directory and manifest; `None` if it never began.
    pub(crate) run: Option<(PathBuf, Value)>,
}

impl Trial {
    pub(crate) fn new(text: &str, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("trial.toml"), text).unwrap();
        Self { folder, port }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The command of a run, after `before` in a shell whose `$@` it is.
    pub(crate) fn command(&self, before: &str, protocol: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{before} exec \"$@\""), "sh", env!("CARGO_BIN_EXE_squall"), "run"]);
        command.args([
            "--workers",
            "1",
            "--target",
            &format!("{protocol}={protocol}://127.0.0.1:{}", self.port),
        ]);
        command.arg("--out").arg(self.folder()).arg(self.folder().join("trial.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn start(&self, before: &str) -> Child {
        self.command(before, "http").spawn().unwrap()
    }

    pub(crate) fn run(&self, before: &str) -> Ended {
        self.ended(self.start(before))
    }

    pub(crate) fn ended(&self, child: Child) -> Ended {
        self.judged(&child.wait_with_output().unwrap())
    }

    /// Waits until the run that was started is under way.
    pub(crate) fn wait_until_it_sends(&self) {
        let sends = |run: &Path| {
            let intervals = fs::read_to_string(run.join("intervals.csv")).unwrap_or_default();
            intervals.lines().count() > 1
        };
        let runs = || fs::read_dir(self.folder().join("trial")).into_iter().flatten().flatten();
        while !runs().any(|run| sends(&run.path())) {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What became of the run that began last.
    pub(crate) fn judged(&self, output: &Output) -> Ended {
        let said = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
        let runs = fs::read_dir(self.folder().join("trial")).into_iter().flatten().flatten();
        let run = runs.map(|run| run.path()).max().map(|path| {
            let text = fs::read_to_string(path.join("run.json")).unwrap();
            (path, serde_json::from_str(&text).unwrap())
        });
        Ended { exit: output.status.code(), said, run }
    }
}

impl Ended {
    /// The word, and the reasons, of a run that must have begun.
    pub(crate) fn judgement(&self) -> (String, Vec<String>) {
        let Some((_, manifest)) = &self.run else { panic!("no run: {}", self.said) };
        let validity = &manifest["validity"];
        let reasons = validity["reasons"].as_array().into_iter().flatten();
        let reasons = reasons.filter_map(Value::as_str).map(str::to_owned).collect();
        (validity["verdict"].as_str().unwrap_or_default().to_owned(), reasons)
    }

    pub(crate) fn lag_p99_ms(&self) -> f64 {
        self.run.as_ref().and_then(|(_, manifest)| manifest["pacing_lag"]["p99_ms"].as_f64()).unwrap_or(0.0)
    }
}

/// A control group of the test's own, until dropped.
pub(crate) struct Group(PathBuf);

impl Group {
    /// One under the root of the hierarchy that has `controller`, of whichever version; `None` where it cannot be made.
    pub(crate) fn new(controller: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let name = format!("squall-test-{}-{controller}", std::process::id());
        mounts.lines().find_map(|line| {
            let (mount, system) = line.split_once(" - ")?;
            let mut system = system.split(' ');
            let (kind, options) = (system.next()?, system.nth(1)?);
            let fits = kind == "cgroup2" || kind == "cgroup" && options.split(',').any(|o| o == controller);
            let root = Path::new(mount.split(' ').nth(4)?);
            if !fits {
                return None;
            }
            if kind == "cgroup2" {
                fs::write(root.join("cgroup.subtree_control"), format!("+{controller}")).ok()?;
            }
            fs::create_dir(root.join(&name)).ok()?;
            Some(Self(root.join(&name)))
        })
    }

    /// Leaves `ms` of processor time in every 100 ms.
    pub(crate) fn leave_processor(&self, ms: u32) -> std::io::Result<()> {
        if self.0.join("cpu.max").exists() {
            return fs::write(self.0.join("cpu.max"), format!("{} 100000", ms * 1_000));
        }
        fs::write(self.0.join("cpu.cfs_period_us"), "100000")?;
        fs::write(self.0.join("cpu.cfs_quota_us"), (ms * 1_000).to_string())
    }

    pub(crate) fn leave_memory(&self, mib: u64) -> std::io::Result<()> {
        let file = ["memory.max", "memory.limit_in_bytes"].map(|name| self.0.join(name));
        let file = file.iter().find(|file| file.exists()).ok_or(std::io::ErrorKind::NotFound)?;
        fs::write(file, (mib << 20).to_string())
    }

    /// What a shell does to join it.
    pub(crate) fn joining(&self) -> String {
        format!("echo $$ > {} &&", self.0.join("cgroup.procs").display())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that has just ended may still be counted in.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
