//! The live screen through the built binary, in a real pseudo-terminal: what keys do, and that the terminal is given back.
#![cfg(all(unix, feature = "live"))]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{Termios, tcgetattr};
use nix::unistd::Pid;
use squall::results::{RunState, load_manifest, read_summary};

use crate::program::{Desk, events, is_measured, only_run, signal, under_way, wait_until};

const RUN: &str = r#"
[scenario]
name = "small"
seed = 3
[run]
connect_rate = "1000/s"
warm_up = "200ms"
drain = "2s"
interval = "200ms"
[[phase]]
name = "steady"
duration = "DURATION"
[fleet.alpha]
protocol = "http"
devices = 4
rate = "50/s"
[[fault]]
name = "brake"
kind = "slow-worker"
factor = 2
"#;

/// The alternate screen is left, and the cursor is seen.
const LEFT: &str = "\x1b[?1049l";

/// The end of a frame: the terminal may show it.
const FRAME_END: &[u8] = b"\x1b[?2026l";

/// A run of `duration`.
fn desk(duration: &str) -> Desk {
    Desk::with(&RUN.replace("DURATION", duration))
}

/// The program for a terminal of 256 colours.
fn squall(desk: &Desk, arguments: &[&str]) -> Command {
    let mut command = desk.squall(arguments);
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("COLORTERM");
    command
}

/// The run on this desk, once it has an interval.
fn run_of(desk: &Desk) -> PathBuf {
    under_way(&desk.path("results/small"))
}

/// A program in a pseudo-terminal.
struct Terminal {
    child: Child,
    keys: File,
    slave: std::os::fd::OwnedFd,
    before: Termios,
    size: (usize, usize),
    shown: Arc<Mutex<Vec<u8>>>,
}

/// What a terminal of that size shows that was sent `text`.
fn screen(text: &str, (columns, rows): (usize, usize)) -> String {
    let mut cells = vec![vec![' '; columns]; rows];
    let (mut x, mut y) = (0, 0);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\x1b' if letters.next() == Some('[') => {
                let mut numbers = String::new();
                let command = letters.find(|letter| {
                    let is_number = letter.is_ascii_digit() || matches!(letter, ';' | '?');
                    numbers.extend(is_number.then_some(*letter));
                    !is_number
                });
                let mut places = numbers.split(';').map(|number| number.parse().unwrap_or(1_usize) - 1);
                match command {
                    Some('H') => (y, x) = (places.next().unwrap_or(0), places.next().unwrap_or(0)),
                    Some('J') => cells.iter_mut().for_each(|row| row.fill(' ')),
                    _ => {}
                }
            }
            '\x1b' => {}
            '\r' => x = 0,
            '\n' => y += 1,
            letter => {
                if let Some(cell) = cells.get_mut(y).and_then(|row| row.get_mut(x)) {
                    *cell = letter;
                }
                x += 1;
            }
        }
    }
    cells.into_iter().map(|row| row.into_iter().collect::<String>() + "\n").collect()
}

impl Terminal {
    fn open(mut command: Command, (columns, rows): (u16, u16)) -> Self {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        let (keys, mut screen) = (File::from(pty.master.try_clone().unwrap()), File::from(pty.master));
        let shown = Arc::new(Mutex::new(Vec::new()));
        let text = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = screen.read(&mut bytes) {
                text.lock().unwrap().extend_from_slice(&bytes[..read]);
            }
        });
        let size = (columns.into(), rows.into());
        Self { child, keys, slave: pty.slave, before, size, shown }
    }

    fn text(&self) -> String {
        // A character may have come in two pieces, so that all is read as text at once.
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Gives the terminal another size, as a window does that is drawn larger or smaller; the program is told of it, or the
    /// signal is lost.
    fn resize(&mut self, (columns, rows): (u16, u16), is_told: bool) {
        let (columns_word, rows_word) = (columns.to_string(), rows.to_string());
        let mut stty = Command::new("stty");
        stty.args(["cols", &columns_word, "rows", &rows_word]).stdin(self.slave.try_clone().unwrap());
        assert!(stty.status().unwrap().success());
        // The terminal tells those alone whom it controls.
        if is_told {
            signal(self.child.id(), "WINCH");
        }
        self.size = (columns.into(), rows.into());
    }

    /// The parameters of all sequences that set colours or weights, such as `38;5;12`.
    fn rendition(&self) -> Vec<String> {
        let text = self.text();
        let sequences = text.split("\x1b[").skip(1);
        let set = sequences.filter_map(|sequence| {
            let end = sequence.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
            sequence[end..].starts_with('m').then(|| sequence[..end].to_owned())
        });
        set.collect()
    }

    /// Waits until `words` stand on the screen.
    fn until(&self, words: &str) {
        wait_until(words, || screen(&self.text(), self.size).contains(words));
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Bytes that were written to it so far, and frames that are whole among them.
    fn drawn(&self) -> (usize, usize) {
        let shown = self.shown.lock().unwrap();
        let frames = shown.windows(FRAME_END.len()).filter(|bytes| *bytes == FRAME_END).count();
        (shown.len(), frames)
    }

    /// Waits until the program has looked at the files so many times more: it sleeps in between.
    #[cfg(target_os = "linux")]
    fn looks(&self, times: u64) {
        let status = format!("/proc/{}/status", self.child.id());
        let sleeps = || {
            let text = std::fs::read_to_string(&status).unwrap();
            let number = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            number.unwrap().trim().parse::<u64>().unwrap()
        };
        let before = sleeps();
        wait_until("it looks at the files", || sleeps() >= before + times);
    }

    /// Waits until what it had to draw is drawn, which the looks after it show.
    #[cfg(target_os = "linux")]
    fn rest(&self) -> (usize, usize) {
        for _ in 0..20 {
            let drawn = self.drawn();
            self.looks(4);
            if self.drawn() == drawn {
                return drawn;
            }
        }
        panic!("it never rests: {}", self.text());
    }

    /// Waits for the end; the terminal must be as it was.
    fn end(&mut self) -> Option<i32> {
        let mut code = None;
        wait_until("the program ends", || {
            let ended = self.child.try_wait().unwrap();
            code = ended.map(|ended| ended.code());
            ended.is_some()
        });
        assert_eq!(tcgetattr(&self.slave).unwrap(), self.before);
        wait_until("the screen is left", || self.text().contains(LEFT));
        code.flatten()
    }
}

#[test]
fn a_run_that_has_ended_is_shown_replayed_and_left_and_without_a_terminal_printed() {
    let desk = desk("2s");
    // On a busy machine the measurement may be invalid, which is nothing to the screen.
    desk.run(&["run", "s.toml", "--quiet"]);
    let run = run_of(&desk);
    assert_eq!(load_manifest(&run).unwrap().state, RunState::Complete);
    let run = run.to_str().unwrap();
    let mut terminal = Terminal::open(squall(&desk, &["watch", run]), (80, 24));
    terminal.until("response time of all readings");
    for (keys, words) in [
        ("?", "ten seconds on and back"),
        (" ", "response time of all readings"),
        ("\t", "measured phases"),
        ("\t", "to come"),
        ("\t", "how late the generator woke"),
        ("\t", "service (closed loop)"),
        ("b", "nothing ended in a measured phase yet"),
    ] {
        terminal.press(keys);
        terminal.until(words);
    }
    terminal.press("q");
    assert_eq!(terminal.end(), Some(0), "{}", terminal.text());
    let still = desk.run(&["watch", run, "--at", "1s", "--still", "--size", "120x40"]);
    let still = String::from_utf8(still.stdout).unwrap();
    assert!(still.lines().count() <= 40 && still.contains("promises") || still.contains("log"), "{still}");
    assert!(!still.contains('\x1b') && still.lines().all(|line| line.chars().count() <= 120), "{still}");
    let piped = desk.run(&["watch", run]);
    assert_eq!(String::from_utf8_lossy(&piped.stdout).lines().count(), 24);
}

#[test]
fn the_screen_follows_the_size_of_its_terminal() {
    let desk = desk("2s");
    desk.run(&["run", "s.toml", "--quiet"]);
    let run = run_of(&desk);
    let mut terminal = Terminal::open(squall(&desk, &["watch", run.to_str().unwrap()]), (80, 24));
    terminal.until("response time of all readings");
    // What is too small for the screen gets a few lines, what is large a log.
    for (size, is_told, is_whole, is_large) in [
        ((120, 40), false, true, true),
        ((60, 16), true, true, false),
        ((59, 15), true, false, false),
        ((24, 3), false, false, false),
        ((80, 24), true, true, false),
    ] {
        terminal.resize(size, is_told);
        wait_until("the screen follows", || {
            let shown = screen(&terminal.text(), terminal.size);
            let has = |words: &str| shown.contains(words);
            has("small") && has("response time of all readings") == is_whole && has("\n log ") == is_large
        });
    }
    terminal.press("q");
    assert_eq!(terminal.end(), Some(0), "{}", terminal.text());
}

#[test]
fn a_terminal_gets_no_colours_beyond_those_it_has() {
    let desk = desk("2s");
    desk.run(&["run", "s.toml", "--quiet"]);
    let run = run_of(&desk);
    let has = |set: &[String], is: fn(u8) -> bool| {
        let mut numbers = set.iter().flat_map(|set| set.split(';')).filter_map(|part| part.parse().ok());
        numbers.any(is)
    };
    for (term, no_color, coloured, mixed) in [
        ("xterm-256color", "", true, true),
        ("xterm", "", true, false),
        ("linux", "", true, false),
        ("xterm-256color", "1", false, false),
    ] {
        let mut command = squall(&desk, &["watch", run.to_str().unwrap()]);
        command.env("TERM", term).env("NO_COLOR", no_color);
        let mut terminal = Terminal::open(command, (80, 24));
        terminal.until("response time of all readings");
        for (keys, words) in [("\t", "measured phases"), ("\t", "to come"), ("?", "ten seconds on and back")]
        {
            terminal.press(keys);
            terminal.until(words);
        }
        terminal.press("qq");
        assert_eq!(terminal.end(), Some(0), "{}", terminal.text());
        let set = terminal.rendition();
        // Beyond the sixteen colours, `38` and `48` begin what says which.
        assert_eq!(has(&set, |number| matches!(number, 38 | 48)), mixed, "{term} {no_color:?}: {set:?}");
        let is_named = |number| matches!(number, 30..=37 | 40..=47 | 90..=97 | 100..=107);
        assert_eq!(mixed || has(&set, is_named), coloured, "{term} {no_color:?}: {set:?}");
    }
}

#[test]
fn who_only_looks_leaves_the_run_as_it_is_whatever_ends_the_screen() {
    let desk = desk("600s");
    let mut run = desk.squall(&["run", "s.toml", "--quiet"]).stdout(Stdio::null()).spawn().unwrap();
    let directory = run_of(&desk);
    for end in ["q", "\x03", "term"] {
        // Without a name: the run that was started here.
        let mut terminal = Terminal::open(squall(&desk, &["watch"]), (120, 40));
        terminal.until("response time of all readings");
        terminal.press("f");
        terminal.until("until it is switched off");
        terminal.press("c");
        if end == "term" {
            let child = i32::try_from(terminal.child.id()).unwrap();
            kill(Pid::from_raw(child), Signal::SIGTERM).unwrap();
        } else {
            terminal.press(end);
        }
        assert_eq!(terminal.end(), Some(0), "{end:?}");
        assert!(run.try_wait().unwrap().is_none(), "{end:?}");
    }
    signal(run.id(), "INT");
    run.wait().unwrap();
    let manifest = load_manifest(&directory).unwrap();
    assert_eq!((manifest.state, manifest.faults_by_hand), (RunState::Interrupted, 0));
    let error = desk.run(&["watch"]);
    let error = String::from_utf8_lossy(&error.stderr).into_owned();
    assert!(error.contains("is running") && error.contains("squall watch results"), "{error}");
}

#[test]
fn a_run_that_was_killed_is_shown_as_such_by_those_who_watch_it_and_by_those_who_come_later() {
    let desk = desk("600s");
    let mut run = desk.squall(&["run", "s.toml", "--quiet"]).stdout(Stdio::null()).spawn().unwrap();
    let directory = run_of(&desk);
    let mut terminal = Terminal::open(squall(&desk, &["watch", directory.to_str().unwrap()]), (80, 24));
    terminal.until("response time of all readings");
    terminal.until(" of 10:0");
    signal(run.id(), "KILL");
    run.wait().unwrap();
    terminal.until("killed before its end: not judged");
    terminal.until("the run ended without its end: it was killed");
    terminal.press("q");
    assert_eq!(terminal.end(), Some(0), "{}", terminal.text());
    assert_eq!(load_manifest(&directory).unwrap().state, RunState::Running);
    let still = desk.run(&["watch", directory.to_str().unwrap(), "--still"]);
    let still = String::from_utf8(still.stdout).unwrap();
    assert!(still.contains("killed, ") && still.contains("killed before its end: not judged"), "{still}");
    let still = desk.run(&["watch", directory.to_str().unwrap(), "--at", "0s", "--still"]);
    assert!(still.status.success(), "{}", String::from_utf8_lossy(&still.stderr));
}

#[test]
fn what_is_summed_up_is_what_the_report_counts_and_files_that_were_changed_are_refused() {
    let desk = Desk::with(&RUN.replace("warm_up = \"200ms\"", "warm_up = \"1s\"").replace("DURATION", "2s"));
    desk.run(&["run", "s.toml", "--quiet"]);
    let run = run_of(&desk);
    let path = run.to_str().unwrap();
    let rows = read_summary(&run).unwrap();
    let (planned, ok) =
        rows.iter().find(|row| row.is_headline()).map(|row| (row.figures.planned, row.figures.ok)).unwrap();
    let of_warm_up =
        rows.iter().any(|row| row.phase == "warm-up" && row.kind == "reading" && row.figures.planned > 0);
    assert!(planned > 0 && of_warm_up);
    let still = desk.run(&["watch", path, "--still"]);
    let still = String::from_utf8(still.stdout).unwrap();
    // The measured phase lasts for 2 s.
    let rate = |number: u64| (number as f64 / 2.0).round();
    let expected = format!("{} of {} due", rate(ok), rate(planned));
    assert!(still.contains(&expected), "{expected}: {still}");
    let table = std::fs::read_to_string(run.join("intervals.csv")).unwrap();
    std::fs::write(run.join("intervals.csv"), table.replacen("http", "ws", 1)).unwrap();
    for arguments in [&["watch", path, "--still"][..], &["watch", path, "--at", "1s", "--still"]] {
        let output = desk.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("intervals.csv is not the file that this run wrote"), "{error}");
    }
}

#[test]
fn the_screen_of_a_run_switches_faults_ends_it_and_leaves_the_report() {
    let desk = desk("600s");
    let mut terminal = Terminal::open(squall(&desk, &["run", "s.toml", "--live"]), (80, 24));
    terminal.until("response time of all readings");
    let directory = run_of(&desk);
    terminal.press("f");
    terminal.until("until it is switched off");
    terminal.press("\r");
    terminal.until("brake is on");
    wait_until("the fault is noted", || events(&directory).contains("fault_on,brake,\"by hand"));
    terminal.press("q");
    terminal.until("End the run now?");
    terminal.press("n");
    terminal.press("q");
    terminal.until("End the run now?");
    terminal.press("y");
    assert!(terminal.end().is_some_and(|code| code > 0), "{}", terminal.text());
    let text = terminal.text();
    let (left, report) = (text.find(LEFT).unwrap(), text.rfind("measurement").unwrap());
    assert!(left < report, "{text}");
    let manifest = load_manifest(&directory).unwrap();
    assert_eq!((manifest.state, manifest.faults_by_hand), (RunState::Interrupted, 1));
}

#[test]
fn a_key_ends_the_phase_early_and_the_screen_follows_the_plan_as_it_is_then() {
    let desk =
        Desk::with(&(RUN.replace("DURATION", "600s") + "[[phase]]\nname = \"last\"\nduration = \"3s\"\n"));
    let mut terminal = Terminal::open(squall(&desk, &["run", "s.toml", "--live"]), (120, 40));
    terminal.until("response time of all readings");
    let directory = run_of(&desk);
    wait_until("the phase is under way", || events(&directory).contains("phase_start,steady"));
    terminal.until("of 10:0");
    terminal.press("n");
    terminal.until("End the phase steady now?");
    terminal.press("x");
    terminal.press("n");
    terminal.until("End the phase steady now?");
    terminal.press("y");
    terminal.until("phase `steady` ends at");
    terminal.until("plan_altered steady");
    assert!(terminal.end().is_some(), "{}", terminal.text());
    let manifest = load_manifest(&directory).unwrap();
    assert_eq!((manifest.state, manifest.plan_altered.len()), (RunState::Complete, 1));
    assert!(terminal.text().contains("was ended by hand"), "{}", terminal.text());
    assert!(manifest.plan.unwrap().end_s < 500.0);
}

#[test]
fn the_first_frame_and_the_answer_to_a_key_wait_for_no_interval() {
    let desk =
        Desk::with(&RUN.replace("DURATION", "600s").replace("interval = \"200ms\"", "interval = \"60s\""));
    let mut terminal = Terminal::open(squall(&desk, &["run", "s.toml", "--live"]), (80, 24));
    terminal.until("response time of all readings");
    terminal.press("?");
    terminal.until("freeze the screen, never the load");
    let run = only_run(&desk.path("results"));
    assert!(!is_measured(&run), "the first interval has not ended, and nothing else can be read");
    terminal.press("?q");
    terminal.until("End the run now?");
    terminal.press("y");
    assert!(terminal.end().is_some_and(|code| code > 0), "{}", terminal.text());
}

#[test]
#[cfg(target_os = "linux")]
fn a_screen_that_has_nothing_new_to_show_writes_nothing_and_a_key_one_frame() {
    let desk = desk("2s");
    desk.run(&["run", "s.toml", "--quiet"]);
    let run = run_of(&desk);
    for (arguments, pause) in [
        // A run that has ended, a replay that stands still from the beginning, and one that is halted.
        (&[][..], ""),
        (&["--at", "1s"], ""),
        (&["--at", "500ms", "--speed", "0.01"], " "),
    ] {
        let watch = [&["watch", run.to_str().unwrap()], arguments].concat();
        let mut terminal = Terminal::open(squall(&desk, &watch), (80, 24));
        terminal.until("response time of all readings");
        terminal.press(pause);
        let (bytes, frames) = terminal.rest();
        terminal.looks(12);
        assert_eq!(terminal.drawn(), (bytes, frames), "{watch:?} draws though nothing has changed");
        for (nth, (key, words)) in
            [("4", "how late the generator woke"), ("1", "response time of")].into_iter().enumerate()
        {
            terminal.press(key);
            terminal.until(words);
            let (_, drawn) = terminal.rest();
            assert_eq!(drawn, frames + nth + 1, "{watch:?}: a frame for `{key}`");
        }
        let before = terminal.rest();
        terminal.press("1");
        terminal.looks(4);
        assert_eq!(terminal.rest(), before, "{watch:?}");
        terminal.press("q");
        assert_eq!(terminal.end(), Some(0), "{}", terminal.text());
    }
}

#[test]
fn what_cannot_be_watched_is_refused_in_a_line() {
    let desk = desk("2s");
    for (arguments, words) in [
        (vec!["watch", "nowhere"], "there is no directory `nowhere`"),
        (vec!["watch", "."], "run.json"),
        (vec!["watch", ".", "--size", "0x9"], "write columns and lines"),
        (vec!["watch", ".", "--speed", "0"], "from 0.01 to 10000"),
    ] {
        let output = desk.run(&arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(words), "{arguments:?}: {error}");
    }
}

#[test]
fn a_page_that_cannot_be_served_is_told_before_anything_is_sent() {
    let desk = desk("2s");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    target.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", target.local_addr().unwrap());
    for arguments in [&["run", "s.toml", "--target", &format!("http={url}")][..], &[url.as_str()]] {
        let output = desk.run(&[arguments, &["--live-on", &address]].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(&format!("--live-on {address}: ")) && error.contains("in use"), "{error}");
        assert!(target.accept().is_err() && !desk.path("results").exists(), "{error}");
    }
}

fn send_to(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

fn ask_at(address: &str, path: &str, host: &str) -> String {
    send_to(address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

#[test]
fn a_run_is_served_as_a_page_that_hears_of_every_interval_and_of_the_end() {
    let desk = desk("4s");
    let mut command = desk.squall(&["run", "s.toml", "--live-on", "127.0.0.1:0"]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let line =
        lines.find_map(|line| line.unwrap().strip_prefix("the run as a page: http://").map(str::to_owned));
    let address = line.unwrap().trim_end_matches('/').to_owned();
    let token =
        lines.find_map(|line| line.unwrap().split_once("/#").map(|(_, token)| token.to_owned())).unwrap();
    std::thread::spawn(move || lines.for_each(drop));
    let ask = |path: &str, host: &str| ask_at(&address, path, host);
    let order = |token: &str, body: &str| {
        let length = body.len();
        send_to(
            &address,
            &format!(
                "POST /orders HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
        )
    };
    run_of(&desk);
    // Heard from here on until the run has ended, whose files are whole by then.
    let events = {
        let address = address.clone();
        std::thread::spawn(move || ask_at(&address, "/events", "localhost"))
    };
    assert!(ask("/", "evil.example").starts_with("HTTP/1.1 421"));
    assert!(ask("/../s.toml", "localhost").starts_with("HTTP/1.1 404"));
    assert!(ask("/intervals.csv", "localhost").contains("run_id,t_start_s"));
    let page = ask("/", "localhost");
    assert!(page.contains("connect-src 'self'") && page.contains("new EventSource('/events')"), "{page}");
    assert!(page.contains("the run is under way"), "{page}");
    let start = r#"{"operation":"start","fault":"brake"}"#;
    for wrong in ["", "0123456789abcdef"] {
        assert!(order(wrong, start).starts_with("HTTP/1.1 403"), "{wrong}");
    }
    assert!(order(&token, r#"{"operation":"list"}"#).contains(r#""name":"brake","on":false"#));
    let switched = order(&token, start);
    assert!(switched.contains(r#""on":true"#) && switched.contains("brake is on"), "{switched}");
    let events = events.join().unwrap();
    // How many there are is the machine's matter: a page hears no more than it has time for.
    assert!(events.contains("\"over\":false") && events.contains("\"over\":true"), "{events}");
    run.wait().unwrap();
    let manifest = load_manifest(&run_of(&desk)).unwrap();
    assert_eq!((manifest.state, manifest.faults_by_hand), (RunState::Complete, 1));
}

#[test]
fn a_screen_ends_with_its_terminal() {
    let desk = desk("1s");
    assert!(desk.run(&["run", "s.toml"]).status.code().is_some());
    let run = run_of(&desk);
    let pty = openpty(&Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }, None).unwrap();
    // A clone is not handed down to the programs that are started.
    let (master, slave) = (pty.master.try_clone().unwrap(), pty.slave.try_clone().unwrap());
    drop(pty);
    let end = || Stdio::from(slave.try_clone().unwrap());
    let mut command = squall(&desk, &["watch", run.to_str().unwrap(), "--at", "0s", "--speed", "0.01"]);
    let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    // `command` holds ends of the terminal, too.
    drop((command, slave));
    let mut screen = File::from(master);
    assert!(screen.read(&mut [0; 64]).unwrap() > 0, "it draws");
    drop(screen);
    wait_until("the screen ends", || child.try_wait().unwrap().is_some());
}
