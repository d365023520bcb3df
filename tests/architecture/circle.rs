//! Circles of imports between the files of one room: of the files on a circle none can be understood alone. A `mod.rs` counts as a file.

use std::collections::{BTreeMap, BTreeSet};

use super::syntax::{Paths, blanked, crate_paths, occurrences, without_tests};
use super::{assert_none, sources};

type Module = Vec<String>;
type Edge = (String, String);

/// Rooms whose files import one way.
const ROOMS: [&str; 6] = ["engine", "fault", "language", "net", "protocol", "results"];

/// Imports that close a circle and stay: (from, to, why).
const KEPT: [(&str, &str, &str); 6] = [
    ("language::check", "language::value", "a value may be a table, and a table is checked value by value"),
    ("net::connection_fault", "net::message_fault", "a device keeps what its message faults have done"),
    ("protocol::driver", "protocol", "the table of drivers stands beside the modules of the protocols"),
    ("protocol::driver", "protocol::endpoint", "a driver connects to an endpoint, which knows its driver"),
    ("protocol::endpoint", "protocol::http::driver", "an endpoint may be reached over HTTP besides"),
    ("protocol::mqtt", "protocol::mqtt::resume", "a session is taken apart where it is suspended"),
];

/// The imports between files of one room, by module.
pub(super) fn edges<'a>(room: &str, files: impl Iterator<Item = (&'a Module, &'a str)>) -> BTreeSet<Edge> {
    let mut paths = BTreeMap::new();
    for (module, text) in files.filter(|(module, _)| module.first().is_some_and(|first| first == room)) {
        let code = without_tests(&blanked(text)).unwrap();
        let parts: Vec<&str> = module.iter().map(String::as_str).collect();
        let Paths { mut used, reexported } = crate_paths(&parts, &code);
        // What is passed on and needed besides.
        let needed =
            reexported.iter().filter(|path| path.last().is_some_and(|name| occurrences(&code, name) > 1));
        used.extend(needed.cloned());
        paths.insert(module.clone(), Paths { used, reexported });
    }
    let mut found = BTreeSet::new();
    for (module, Paths { used, .. }) in &paths {
        for path in used {
            if let Some(home) = home(path, &paths).filter(|home| home != module) {
                found.insert((module.join("::"), home.join("::")));
            }
        }
    }
    found
}

/// The file in which the item at `path` stands, through as many re-exports as lead to it.
fn home(path: &Module, paths: &BTreeMap<Module, Paths>) -> Option<Module> {
    let mut path = path.clone();
    // No chain of re-exports is longer than the tree is deep.
    for _ in 0..8 {
        let length = (1..=path.len()).rev().find(|length| paths.contains_key(&path[..*length]))?;
        let module = path[..length].to_vec();
        let target = path.get(length).and_then(|name| {
            paths[&module].reexported.iter().find(|target| target.last() == Some(name) && **target != path)
        });
        match target {
            Some(target) => path = target.iter().chain(&path[length + 1..]).cloned().collect(),
            None => return Some(module),
        }
    }
    None
}

/// A circle among these imports, as the modules on it; none if they run one way.
fn circle(edges: &BTreeSet<Edge>) -> Option<Vec<String>> {
    let starts: BTreeSet<&String> = edges.iter().map(|(from, _)| from).collect();
    // The shortest way back to any module.
    starts.into_iter().filter_map(|start| way(edges, start, start)).min_by_key(Vec::len)
}

/// The shortest way along at least one import.
fn way(edges: &BTreeSet<Edge>, start: &str, end: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![start.to_owned()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for (_, next) in edges.iter().filter(|(from, _)| Some(from) == way.last()) {
                let path: Vec<String> = way.iter().cloned().chain([next.clone()]).collect();
                if next == end {
                    return Some(path);
                }
                if seen.insert(next.clone()) {
                    longer.push(path);
                }
            }
        }
        ways = longer;
    }
    None
}

/// Circles that no entry of `kept` accounts for, and entries that close no circle.
pub(super) fn circle_faults(edges: &BTreeSet<Edge>, kept: &[(&str, &str, &str)]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut one_way = edges.clone();
    for (from, to, _) in kept {
        one_way.remove(&((*from).to_owned(), (*to).to_owned()));
    }
    for (from, to, _) in kept {
        let present = edges.contains(&((*from).to_owned(), (*to).to_owned()));
        if !present || way(&one_way, to, from).is_none() {
            faults.push(format!("{from} -> {to} closes no circle any more: remove it from the list"));
        }
    }
    while let Some(circle) = circle(&one_way) {
        one_way.remove(&(circle[0].clone(), circle[1].clone()));
        faults.push(format!("a circle: {}", circle.join(" -> ")));
    }
    faults
}

#[test]
fn files_of_a_room_import_one_way() {
    let sources = sources();
    let mut faults = Vec::new();
    for room in ROOMS {
        let files = sources.iter().filter(|source| !source.test_only);
        let edges = edges(room, files.map(|source| (&source.module, source.text.as_str())));
        let kept: Vec<_> =
            KEPT.iter().copied().filter(|(from, ..)| from.split("::").next() == Some(room)).collect();
        faults.extend(circle_faults(&edges, &kept));
    }
    assert_none(&faults);
}
