//! The dependency and effects tables of the source tree: a new edge, or an effect in the wrong room, fails here.
//!
//! To add an edge on purpose, edit the table in a commit of its own and say why.

use std::fs;
use std::path::{Path, PathBuf};

use syntax::{blanked, conditional_modules, imports, test_modules, without_tests};

mod cases;
mod circle;
mod protocol;
mod syntax;

/// Rooms and their storeys: a room imports only from a lower storey, never sideways or up.
const STOREYS: [(&str, u8); 28] = [
    ("units", 0),
    ("seed", 0),
    ("clock", 0),
    ("record", 1),
    ("arrival", 1),
    ("fleet", 1),
    ("fault", 1),
    ("service", 2),
    ("budget", 1),
    ("language", 1),
    ("metric", 1),
    ("net", 2),
    ("scenario", 4),
    ("protocol", 3),
    ("results", 2),
    ("reference", 4),
    ("engine", 5),
    ("compare", 3),
    ("capacity", 4),
    ("run", 6),
    ("calibration", 7),
    ("display", 7),
    ("page", 7),
    ("tui", 7),
    ("lab", 7),
    ("export", 7),
    ("cli", 8),
    ("main", 9),
];

/// Edges sideways that are needed all the same: (from, to, why). None may close a circle.
const BRIDGES: [(&str, &str, &str); 7] = [
    ("fleet", "record", "readings carry the marks that detections are scored by"),
    (
        "language",
        "budget",
        "a condition of a budget is a kind of value, with an example in each of its units",
    ),
    ("export", "display", "figures read the same on pages as on screens"),
    ("page", "display", "the page states the words and numbers of the terminal's report"),
    ("export", "page", "the page is one of the formats"),
    ("tui", "display", "the live screen states the words and numbers of the terminal's report"),
    ("lab", "display", "judgements look as reports do: marks, colours, and lines as wide as the terminal"),
];

/// Edges that the storeys would allow but that must not be: (room, what it must not import, why).
const BANS: [(&str, &str, &str); 16] = [
    ("engine", "results", "a run hands the engine its sinks"),
    ("engine", "reference", "the engine drives any target alike"),
    ("display", "reference", "screens show recorded figures"),
    ("display", "protocol", "screens show recorded figures"),
    ("page", "reference", "pages show recorded figures"),
    ("page", "protocol", "pages show recorded figures"),
    ("tui", "reference", "the live screen shows recorded figures"),
    ("tui", "protocol", "the live screen shows recorded figures"),
    ("lab", "run", "labs are judged from the files of runs"),
    ("lab", "protocol", "labs are judged from the files of runs"),
    ("lab", "reference", "labs are judged from the files of runs"),
    ("compare", "scenario", "stored runs are compared, whatever made them"),
    ("compare", "protocol", "stored runs are compared, whatever made them"),
    ("compare", "reference", "stored runs are compared, whatever made them"),
    ("capacity", "results", "a search is told what its probes saw, whatever made them"),
    ("capacity", "protocol", "a search is told what its probes saw, whatever made them"),
];

/// Effects and the only rooms that may have them. A word counts where it stands in code outside tests.
const EFFECTS: [(&str, &[&str], &[&str]); 9] = [
    ("time", &["Instant::now", "SystemTime::now", "clock_gettime"], &["clock"]),
    (
        "randomness",
        &["thread_rng", "rand::rng(", "OsRng", "SysRng", "from_os_rng", "getrandom", "ChaCha8Rng"],
        &["seed"],
    ),
    (
        "sockets",
        &["TcpStream", "TcpListener", "TcpSocket", "UdpSocket"],
        // Calibration brings raw targets of its own: what they do must be known to the last byte. The command line serves the page
        // of a run, which is no traffic of the measurement, from a process beside it.
        &["net", "protocol", "reference", "engine", "calibration", "cli"],
    ),
    // A run under way is spoken to by the same user's `squall fault`: no traffic, and nothing of the measurement.
    ("local sockets", &["UnixStream", "UnixListener"], &["run", "cli"]),
    // The kernel's accounts of processor time are files on Linux: reading them is reading time. What is to outlive a crash of the
    // bundled system has to lie somewhere, and nobody else knows what that is.
    (
        "files",
        &["std::fs", "fs::", "File::", "tokio::fs"],
        &["results", "scenario", "run", "lab", "cli", "clock", "reference"],
    ),
    ("the terminal", &["println!", "print!(", "stdout()", "stderr()", "dbg!"], &["cli", "display"]),
    ("ending the process", &["process::exit", "process::abort"], &[]),
    ("making certificates", &["rcgen::"], &["reference"]),
    ("unbounded channels", &["unbounded_channel", "mpsc::channel()"], &[]),
];

/// Rooms whose decisions are pure: no runtime, no threads.
const PURE: [&str; 11] = [
    "units", "seed", "record", "arrival", "fleet", "fault", "language", "metric", "service", "budget",
    "capacity",
];

const MOST_LINES: usize = 500;
const MOST_TEST_LINES: usize = 600;
const FORBIDDEN_NAMES: [&str; 6] = ["util", "utils", "common", "helpers", "manager", "imp"];

struct Source {
    room: String,
    /// The module that the file holds: `["protocol", "mqtt", "snag"]`.
    module: Vec<String>,
    path: PathBuf,
    text: String,
    /// Compiled for tests alone: declared as `#[cfg(test)] mod name;`, or part of such a module.
    test_only: bool,
}

fn sources() -> Vec<Source> {
    let source_root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![source_root.clone()];
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
    let mut sources: Vec<Source> = files
        .into_iter()
        .map(|path| {
            let module = module_of(path.strip_prefix(&source_root).unwrap());
            let room = module.first().cloned().unwrap_or_else(|| "lib".to_owned());
            Source { room, module, text: fs::read_to_string(&path).unwrap(), path, test_only: false }
        })
        .collect();
    let tests: Vec<Vec<String>> =
        sources.iter().flat_map(|source| test_modules(&source.module, &source.text)).collect();
    for source in &mut sources {
        source.test_only = tests.iter().any(|test| source.module.starts_with(test));
    }
    sources
}

/// The module that a file under `src/` holds; none for `lib.rs`.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

fn storey(room: &str) -> Option<u8> {
    STOREYS.iter().find(|(name, _)| *name == room).map(|(_, storey)| *storey)
}

/// What a module imports that it must not, tests included: a test that needs an upper room stands in the wrong place.
fn edge_faults(module: &[&str], text: &str) -> Vec<String> {
    let room = module[0];
    let Some(own) = storey(room) else { return vec![format!("room `{room}` has no storey")] };
    let mut faults = Vec::new();
    for import in imports(module, text) {
        let Some(other) = storey(&import) else {
            faults.push(format!("{room} imports `{import}` of the crate, which is no room"));
            continue;
        };
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
    let code = match without_tests(&blanked(text)) {
        Ok(code) => code,
        Err(fault) => return vec![fault],
    };
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
        let module: Vec<&str> = source.module.iter().map(String::as_str).collect();
        let found = edge_faults(&module, &source.text);
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", source.path.display())));
    }
    assert_none(&faults);
}

#[test]
fn effects_stay_in_their_rooms() {
    let mut faults = Vec::new();
    // What is compiled for tests alone may do what the room may not.
    for source in sources().iter().filter(|source| !source.test_only) {
        let found = effect_faults(&source.room, &source.text);
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", source.path.display())));
    }
    assert_none(&faults);
}

#[test]
fn files_are_short_introduced_and_named_after_the_domain() {
    let mut faults = Vec::new();
    for Source { path, text, test_only, .. } in sources() {
        let (shown, lines) = (path.display(), text.lines().count());
        let most = if test_only { MOST_TEST_LINES } else { MOST_LINES };
        if lines > most {
            faults.push(format!("{shown}: {lines} lines, more than {most}"));
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

/// Modules in files of their own that are not part of the program, and do not look like it: what tests alone need stands in a
/// module `tests`, what fuzzing and benches need too in a module `harness`, so that a list of files tells them apart.
fn disguised(module: &[String], text: &str) -> Vec<String> {
    let apart = ["tests", "harness"];
    if module.iter().any(|part| apart.contains(&part.as_str())) {
        return Vec::new();
    }
    let conditional = conditional_modules(text).into_iter();
    let built =
        |condition: &str| ["test", "fuzzing", "internals"].iter().any(|word| condition.contains(word));
    let is_disguised = |(condition, name): &(&str, &str)| {
        // What is left out where tests are compiled is part of the program.
        built(condition) && !condition.starts_with("not(") && !apart.contains(name)
    };
    conditional
        .filter(is_disguised)
        .map(|(condition, name)| {
            format!("`mod {name}` is compiled for `{condition}`, and stands among the program's files")
        })
        .collect()
}

#[test]
fn what_is_no_part_of_the_program_stands_apart() {
    let faults = sources().into_iter().flat_map(|source| {
        let found = disguised(&source.module, &source.text).into_iter();
        found.map(|fault| format!("{}: {fault}", source.path.display())).collect::<Vec<_>>()
    });
    assert_none(&faults.collect::<Vec<_>>());
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
fn documents_name_files_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let further = ["ARCHITECTURE.md", "CONTRIBUTING.md", "results/README.md", "benches/README.md"];
    let further = further.map(|page| (page.to_owned(), fs::read_to_string(root.join(page)).unwrap()));
    let mut faults = Vec::new();
    let mut found = 0;
    for (document, text) in crate::markdown::pages().into_iter().chain(further) {
        // What stands in angle brackets is for the reader to fill in.
        let named = text.split('`').skip(1).step_by(2);
        for file in named.filter(|file| file.starts_with("src/") && !file.contains(['<', ' '])) {
            found += 1;
            if !root.join(file).exists() {
                faults.push(format!("{document}: `{file}` is not there"));
            }
        }
    }
    assert!(found > 20, "{found} files named");
    assert_none(&faults);
}
