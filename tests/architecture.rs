//! The dependency and effects tables of the source tree: a new edge, or an effect in the wrong room, fails here.
//!
//! To add an edge on purpose, edit the table in a commit of its own and say why.

use std::fs;
use std::path::{Path, PathBuf};

/// Rooms and their storeys: a room imports only from a lower storey, never sideways or up.
const STOREYS: [(&str, u8); 20] = [
    ("units", 0),
    ("seed", 0),
    ("clock", 0),
    ("record", 1),
    ("arrival", 1),
    ("fleet", 1),
    ("fault", 1),
    ("service", 1),
    ("budget", 1),
    ("scenario", 2),
    ("protocol", 2),
    ("results", 2),
    ("reference", 2),
    ("engine", 3),
    ("compare", 3),
    ("calibration", 4),
    ("display", 4),
    ("export", 4),
    ("cli", 5),
    ("main", 6),
];

/// Edges sideways that are needed all the same: (from, to, why). None may close a circle.
const BRIDGES: [(&str, &str, &str); 2] = [
    ("fleet", "record", "readings carry the marks that detections are scored by"),
    ("export", "display", "figures read the same on pages as on screens"),
];

/// Edges that the storeys would allow but that must not be: (room, what it must not import, why).
const BANS: [(&str, &str, &str); 7] = [
    ("engine", "results", "the cli hands the engine its sinks"),
    ("engine", "reference", "the engine drives any target alike"),
    ("display", "reference", "screens show recorded figures"),
    ("display", "protocol", "screens show recorded figures"),
    ("compare", "scenario", "stored runs are compared, whatever made them"),
    ("compare", "protocol", "stored runs are compared, whatever made them"),
    ("compare", "reference", "stored runs are compared, whatever made them"),
];

/// Effects and the only rooms that may have them. A word counts where it stands in code outside tests.
const EFFECTS: [(&str, &[&str], &[&str]); 8] = [
    ("time", &["Instant::now", "SystemTime::now", "clock_gettime"], &["clock"]),
    (
        "randomness",
        &["thread_rng", "rand::rng(", "OsRng", "SysRng", "from_os_rng", "getrandom", "ChaCha8Rng"],
        &["seed"],
    ),
    (
        "sockets",
        &["TcpStream", "TcpListener", "TcpSocket", "UdpSocket"],
        // Calibration brings raw targets of its own: what they do must be known to the last byte.
        &["protocol", "fault", "reference", "engine", "calibration"],
    ),
    // A run under way is spoken to by the same user's `squall fault`: no traffic, and nothing of the measurement.
    ("local sockets", &["UnixStream", "UnixListener"], &["cli"]),
    // The kernel's accounts of processor time are files on Linux: reading them is reading time.
    ("files", &["std::fs", "fs::", "File::", "tokio::fs"], &["results", "scenario", "cli", "clock"]),
    ("the terminal", &["println!", "print!(", "stdout()", "stderr()", "dbg!"], &["cli", "display"]),
    ("ending the process", &["process::exit", "process::abort"], &[]),
    ("unbounded channels", &["unbounded_channel", "mpsc::channel()"], &[]),
];

/// Rooms whose decisions are pure: no runtime, no threads.
const PURE: [&str; 7] = ["units", "seed", "record", "arrival", "fleet", "service", "budget"];

const MOST_LINES: usize = 600;
const FORBIDDEN_NAMES: [&str; 6] = ["util", "utils", "common", "helpers", "manager", "imp"];

struct Source {
    room: String,
    path: PathBuf,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    let room_of = |path: &Path| {
        let first = path.strip_prefix(&root).unwrap().components().next().unwrap();
        Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned()
    };
    files
        .into_iter()
        .map(|path| Source { room: room_of(&path), text: fs::read_to_string(&path).unwrap(), path })
        .collect()
}

/// The code of a file without comments and without its trailing test module.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines = before_tests.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The rooms a text imports: every `crate::room`, grouped imports included.
fn imports(text: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, prefix) in text.match_indices("crate::").chain(text.match_indices("squall::")) {
        let rest = &text[at + prefix.len()..];
        let group = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')).map(|(inner, _)| inner);
        for item in group.unwrap_or(rest).split(',').take(if group.is_some() { usize::MAX } else { 1 }) {
            let name: String = item.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            rooms.push(name);
        }
    }
    rooms
}

fn storey(room: &str) -> Option<u8> {
    STOREYS.iter().find(|(name, _)| *name == room).map(|(_, storey)| *storey)
}

fn edge_faults(room: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let Some(own) = storey(room) else { return vec![format!("room `{room}` has no storey")] };
    for import in imports(text) {
        let Some(other) = storey(&import) else { continue };
        let bridged = BRIDGES.iter().any(|(from, to, _)| *from == room && *to == import);
        if import != room && other >= own && !bridged {
            faults.push(format!("{room} (storey {own}) imports {import} (storey {other})"));
        }
        if let Some((_, _, why)) = BANS.iter().find(|(from, to, _)| *from == room && *to == import) {
            faults.push(format!("{room} imports {import}: {why}"));
        }
    }
    faults
}

fn effect_faults(room: &str, text: &str) -> Vec<String> {
    let code = code(text);
    let mut faults = Vec::new();
    for (effect, words, rooms) in EFFECTS {
        for word in words.iter().filter(|word| !rooms.contains(&room) && code.contains(**word)) {
            faults.push(format!("{effect} (`{word}`) in {room}; allowed only in {rooms:?}"));
        }
    }
    if PURE.contains(&room) {
        for word in ["tokio::", "std::thread", "async fn"].iter().filter(|word| code.contains(**word)) {
            faults.push(format!("`{word}` in the pure room {room}"));
        }
    }
    faults
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn rooms_import_only_from_lower_storeys() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| source.room != "lib") {
        let found = edge_faults(&source.room, &source.text);
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", source.path.display())));
    }
    assert_none(&faults);
}

#[test]
fn effects_stay_in_their_rooms() {
    let mut faults = Vec::new();
    // A room's `tests.rs` is a test throughout, and may use what the room may not.
    for source in sources().iter().filter(|source| !source.path.ends_with("tests.rs")) {
        let found = effect_faults(&source.room, &source.text);
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", source.path.display())));
    }
    assert_none(&faults);
}

#[test]
fn files_are_short_introduced_and_named_after_the_domain() {
    let mut faults = Vec::new();
    for Source { path, text, .. } in sources() {
        let (shown, lines) = (path.display(), text.lines().count());
        if lines > MOST_LINES {
            faults.push(format!("{shown}: {lines} lines, more than {MOST_LINES}"));
        }
        if !text.starts_with("//! ") {
            faults.push(format!("{shown}: the first line does not say what the file is for (`//! …`)"));
        }
        if path.components().any(|part| {
            FORBIDDEN_NAMES.iter().any(|name| Path::new(part.as_os_str()).file_stem() == Some(name.as_ref()))
        }) {
            faults.push(format!("{shown}: named after no thing of the domain"));
        }
        if text.contains("#[ignore") {
            faults.push(format!("{shown}: an ignored test"));
        }
        if path.ends_with("src/main.rs") && lines >= 30 {
            faults.push(format!("{shown}: {lines} lines; it only parses, calls and exits"));
        }
    }
    assert_none(&faults);
}

#[test]
fn every_room_of_the_table_exists_and_every_room_is_in_the_table() {
    let mut present: Vec<String> =
        sources().into_iter().map(|source| source.room).filter(|room| room != "lib").collect();
    present.dedup();
    let mut listed: Vec<String> = STOREYS.iter().map(|(room, _)| (*room).to_owned()).collect();
    listed.sort();
    present.sort();
    assert_eq!(present, listed);
}

#[test]
fn the_checks_can_fail() {
    assert_eq!(edge_faults("arrival", "use crate::engine::run;").len(), 1);
    assert_eq!(edge_faults("results", "use crate::{\n    clock::Tick,\n    scenario::Plan,\n};").len(), 1);
    assert_eq!(edge_faults("engine", "use crate::results::Recorder;").len(), 1);
    assert!(edge_faults("engine", "use crate::{clock::Tick, scenario::Plan};").is_empty());
    assert_eq!(effect_faults("engine", "fn f() { let _ = std::time::Instant::now(); }").len(), 1);
    assert_eq!(effect_faults("arrival", "async fn f() { tokio::task::yield_now().await }").len(), 2);
    assert!(
        effect_faults("engine", "// Instant::now\n#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }")
            .is_empty()
    );
}
