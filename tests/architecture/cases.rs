//! Made-up sources that prove each check of the tables can fail, and that none fails over nothing.

use std::path::Path;

use super::circle::{circle_faults, edges};
use super::protocol::protocol_words;
use super::syntax::{blanked, imports, test_modules, without_tests};
use super::{disguised, edge_faults, effect_faults, module_of, sources};

#[test]
fn an_import_is_seen_however_it_is_written() {
    let cases: [(&[&str], &str, &[&str]); 17] = [
        (&["arrival"], "use crate::engine::run;", &["engine"]),
        (&["arrival"], "pub(crate) use crate::engine::run;", &["engine"]),
        (&["results"], "use crate::{\n    clock::Tick,\n    scenario::Plan,\n};", &["clock", "scenario"]),
        (
            &["arrival"],
            "use crate::{clock::{Tick, Pacer}, engine::{run, End}};",
            &["clock", "clock", "engine", "engine"],
        ),
        (&["arrival"], "use crate::{a::{self, b}, engine};", &["a", "engine"]),
        (&["arrival"], "fn f() { crate::engine::run(); }", &["engine"]),
        (&["arrival"], "fn f(plan: &crate::scenario::Plan<crate::engine::End>) {}", &["scenario", "engine"]),
        (&["arrival"], "use super::engine::run;", &["engine"]),
        (&["arrival", "law"], "use super::super::engine::run;", &["engine"]),
        (&["arrival", "process"], "use super::{ArrivalProcess, super::engine::End};", &["arrival", "engine"]),
        (&["arrival", "law"], "mod tests { use super::super::super::engine::End; }", &["engine"]),
        (&["arrival", "law"], "mod a { mod b {} }\nuse super::super::engine::End;", &["engine"]),
        (&["arrival"], "fn f() { self::super::engine::run() }", &["engine"]),
        (&["arrival"], "use crate::*;", &["*"]),
        (&["arrival"], "use super as root;", &["self"]),
        (&["main"], "fn main() { squall::cli::main() }", &["cli"]),
        (
            &["arrival"],
            "fn f(&self) { self.x(r\"crate::engine\", '\"', \"\\\"crate::engine\") } // crate::engine",
            &[],
        ),
    ];
    for (module, text, expected) in cases {
        assert_eq!(imports(module, text), expected, "{module:?}: {text}");
    }
}

#[test]
fn a_path_within_a_room_is_no_edge() {
    for (module, text) in [
        (&["engine", "drive"][..], "use super::{account::Account, Setup};"),
        (&["engine", "drive"], "mod tests { use super::super::account; use super::*; }"),
        (&["engine", "drive"], "pub(super) fn f() {} pub(crate) fn g() {} pub(in crate::engine) fn h() {}"),
        (&["engine"], "use crate::{clock::Tick, scenario::Plan};"),
    ] {
        assert_eq!(edge_faults(module, text), [""; 0], "{text}");
    }
}

#[test]
fn an_edge_that_must_not_be_is_a_fault() {
    for (module, text, fault) in [
        (&["arrival"][..], "use crate::engine::run;", "arrival (storey 1) imports engine (storey 5)"),
        (&["arrival", "law"], "use super::super::engine;", "arrival (storey 1) imports engine (storey 5)"),
        (
            &["results"],
            "use crate::{clock::Tick, scenario::Plan};",
            "results (storey 2) imports scenario (storey 4)",
        ),
        (
            &["engine"],
            "use crate::results::Recorder;",
            "engine imports results: a run hands the engine its sinks",
        ),
        (&["engine"], "use crate::Recorder;", "engine imports `Recorder` of the crate, which is no room"),
        (&["engine"], "use crate::*;", "engine imports `*` of the crate, which is no room"),
        (&["attic"], "", "room `attic` has no storey"),
    ] {
        assert_eq!(edge_faults(module, text), [fault], "{text}");
    }
}

#[test]
fn an_effect_is_seen_wherever_code_stands() {
    for (room, text, faults) in [
        ("engine", "fn f() { let _ = std::time::Instant::now(); }", 1),
        ("engine", "#[cfg(test)]\nmod tests;\n\nfn f() { Instant::now(); }", 1),
        ("engine", "#[cfg(test)]\npub(crate) mod specimen;\nfn f() { Instant::now(); }", 1),
        ("engine", "#[cfg(test)]\nmod tests { fn f() { \"}\"; } }\nfn f() { Instant::now(); }", 1),
        ("engine", "#[cfg(test)]\nuse a::{B, c};\nfn f() { Instant::now(); }", 1),
        ("engine", "#[cfg(test)]\nconst A: A = A { b: 1 };\nfn f() { Instant::now(); }", 1),
        ("engine", "enum A { #[cfg(test)] B(u8, u8), C(fs::File) }\nconst X: u8 = Instant::now;", 2),
        ("engine", "match a { #[cfg(test)] B(x) => { x } C => Instant::now(), }", 1),
        (
            "engine",
            "match a { C => Instant::now(), #[cfg(test)] B(x) => x }\nfn f() { SystemTime::now(); }",
            2,
        ),
        ("engine", "#[cfg(test)] 7", 1),
        ("engine", "#[cfg(any(test, unix))]\nfn f() { Instant::now(); }", 1),
        ("arrival", "async fn f() { tokio::task::yield_now().await }", 2),
        ("engine", "fn f() { println!(); std::process::exit(1); tokio::fs::read(); }", 4),
    ] {
        assert_eq!(effect_faults(room, text).len(), faults, "{text}: {:?}", effect_faults(room, text));
    }
}

#[test]
fn comments_literals_and_tests_have_no_effects() {
    for text in [
        "// Instant::now\n/* Instant::now /* nested */ Instant::now */ fn f() {}",
        "fn f<'a>(x: &'a str) -> &'static str { \"Instant::now\\\" Instant::now\" }",
        "const A: &str = r#\"Instant::now \" Instant::now\"#;",
        "#[cfg(test)]\nmod tests { fn f() { Instant::now(); } }",
        "#[cfg(test)]\n#[expect(clippy::float_cmp, reason = \"{\")]\nmod tests { fn f() { Instant::now(); } }",
        "#[cfg(test)]\npub(in crate::engine) fn f<A, B>(a: [u8; 4]) { Instant::now(); }",
        "enum A { B, #[cfg(test)] C(fs::File, u8), D }",
        "match a { #[cfg(test)] B(x) => f(x, Instant::now()), C => 1 }",
        "impl A { #[cfg(test)] fn f() { Instant::now(); } fn g() {} }",
    ] {
        assert_eq!(effect_faults("engine", text), [""; 0], "{text}");
    }
}

#[test]
fn what_is_cut_is_the_test_and_nothing_else() {
    let code = blanked("#[cfg(test)]\nmod a;\nfn b() {}\n#[cfg(test)]\nmod c { fn d() { '}'; } }\nfn e() {}");
    assert_eq!(without_tests(&code).unwrap(), "\nfn b() {}\n\nfn e() {}");
    assert!(without_tests("#[cfg(test)] 7").is_err());
}

#[test]
fn files_for_tests_are_those_declared_so() {
    let module = ["engine".to_owned()];
    let text = "#[cfg(test)]\n#[path = \"a.rs\"]\npub(crate) mod a;\nmod b;\n#[cfg(test)]\nmod c { }\n// #[cfg(test)] mod d;";
    assert_eq!(test_modules(&module, text), [["engine", "a"]]);
    assert_eq!(module_of(Path::new("protocol/mqtt/snag.rs")), ["protocol", "mqtt", "snag"]);
    assert_eq!(module_of(Path::new("protocol/mqtt/mod.rs")), ["protocol", "mqtt"]);
    assert_eq!(module_of(Path::new("lib.rs")), [""; 0]);
}

#[test]
fn files_that_are_no_part_of_the_program_are_told_apart() {
    for (module, text, faults) in [
        ("net", "#[cfg(test)]\nmod proof;", 1),
        ("net", "#[cfg(test)]\npub(crate) mod tests;\nmod link;", 0),
        ("net", "#[cfg(all(test, unix))]\n#[allow(x)]\npub(super) mod proof;", 1),
        ("net", "#[cfg(any(test, fuzzing, feature = \"internals\"))]\nmod script;", 1),
        ("net", "#[cfg(any(test, fuzzing, feature = \"internals\"))]\nmod harness;", 0),
        ("net", "#[cfg(feature = \"internals\")]\npub mod internals;", 1),
        ("net", "#[cfg(not(test))]\nmod link;\n#[cfg(unix)]\nmod socket;\n#[cfg(test)]\nmod inline { }", 0),
        ("tests", "#[cfg(test)]\nmod proof;", 0),
        ("harness", "#[cfg(fuzzing)]\npub mod fuzz;", 0),
    ] {
        assert_eq!(disguised(&[module.to_owned()], text).len(), faults, "{text}");
    }
}

#[test]
fn no_file_of_the_tree_is_cut_away_whole() {
    for source in sources().iter().filter(|source| !source.test_only) {
        let code = without_tests(&blanked(&source.text)).unwrap();
        assert!(!code.trim().is_empty(), "{}: nothing is left to look at", source.path.display());
    }
}

/// Circles in a room of made-up files, where the entries of `kept` may stay.
fn circles(files: &[(&[&str], &str)], kept: &[(&str, &str, &str)]) -> Vec<String> {
    let files: Vec<(Vec<String>, &str)> = files
        .iter()
        .map(|(module, text)| (module.iter().map(|part| (*part).to_owned()).collect(), *text))
        .collect();
    circle_faults(&edges("engine", files.iter().map(|(module, text)| (module, *text))), kept)
}

/// Made-up files: a module's path, and its text.
type Files<'a> = &'a [(&'a [&'a str], &'a str)];

#[test]
fn a_circle_of_files_is_a_fault_however_it_is_closed() {
    let (root, a, b, c) = (&["engine"], &["engine", "a"], &["engine", "b"], &["engine", "b", "c"]);
    let files: [(Files, &str); 7] = [
        (&[(a, "use super::b::B;"), (b, "use crate::engine::a::A;")], "engine::a -> engine::b -> engine::a"),
        (
            &[(a, "use super::b::c::C;"), (b, "mod c; use super::a::A;"), (c, "use super::B;")],
            "engine::a -> engine::b::c -> engine::b -> engine::a",
        ),
        (&[(root, "mod a; fn f() { a::g(); }"), (a, "use super::f;")], "engine -> engine::a -> engine"),
        (
            &[(root, "mod a; pub use a::A; fn f(a: &A) {}"), (a, "use super::f;")],
            "engine -> engine::a -> engine",
        ),
        // Through what `mod.rs` passes on.
        (
            &[
                (root, "mod a; mod b; pub(crate) use {a::A, b::B};"),
                (a, "use super::B;"),
                (b, "use super::A;"),
            ],
            "engine::a -> engine::b -> engine::a",
        ),
        (
            &[(a, "fn f() -> super::b::B {}"), (b, "fn g() { super::a::f(); }")],
            "engine::a -> engine::b -> engine::a",
        ),
        (
            &[(a, "mod i { use super::super::b; }"), (b, "use super::a;")],
            "engine::a -> engine::b -> engine::a",
        ),
    ];
    for (files, circle) in files {
        assert_eq!(circles(files, &[]), [format!("a circle: {circle}")], "{files:?}");
    }
}

#[test]
fn files_that_import_one_way_and_their_tests_are_no_circle() {
    let (root, a, b) = (&["engine"], &["engine", "a"], &["engine", "b"]);
    let files: [&[(&[&str], &str)]; 5] = [
        &[(a, "use super::b::B;"), (b, "")],
        &[(a, "use super::b::B;"), (b, "#[cfg(test)]\nmod tests { use super::super::a::A; }")],
        &[(root, "mod a; mod b; pub use a::A; pub use b::B;"), (a, "use super::B;"), (b, "")],
        &[(root, "mod a; fn f() { a::g(); }"), (a, "pub(in crate::engine) fn g() {}")],
        &[(a, "use super::b::B; // crate::engine::a"), (b, "const B: &str = \"super::a\";")],
    ];
    for files in files {
        assert_eq!(circles(files, &[]), [""; 0], "{files:?}");
    }
}

#[test]
fn a_circle_that_stays_is_listed_as_long_as_it_is_one() {
    let (a, b, c) = (&["engine", "a"], &["engine", "b"], &["engine", "c"]);
    let kept = [("engine::a", "engine::b", "why")];
    let over = ["engine::a -> engine::b closes no circle any more: remove it from the list"];
    assert_eq!(circles(&[(a, "use super::b;"), (b, "use super::a;")], &kept), [""; 0]);
    assert_eq!(circles(&[(a, "use super::b;"), (b, "")], &kept), over);
    assert_eq!(circles(&[(a, ""), (b, "use super::a;")], &kept), over);
    let files: [(&[&str], &str); 3] = [(a, "use super::b;"), (b, "use super::{a, c};"), (c, "use super::b;")];
    assert_eq!(circles(&files, &kept), ["a circle: engine::b -> engine::c -> engine::b"]);
}

#[test]
fn a_protocol_is_seen_wherever_it_is_named() {
    let words = ["http", "ws", "wss", "MQTT"].map(str::to_owned).into();
    let table: [(&str, &[&str]); 12] = [
        ("fn f() { Protocol::named(\"http\"); }", &["http", "Protocol::named"]),
        ("const P: Protocol = Protocol::named(NAME);", &["Protocol::named"]),
        ("match name { \"ws\" | \"wss\" => 1, _ => 2 }", &["ws", "wss"]),
        ("fn f() { if facts.title != r#\"MQTT\"# {} }", &["MQTT"]),
        ("fn f() { bytes == b\"http\" }", &["http"]),
        ("#[cfg(test)]\nmod tests;\nconst A: &[&str] = &[\"ws\"];", &["ws"]),
        ("fn f(facts: &Facts) -> bool { facts.speaks_http }", &[]),
        ("// Protocol::named(\"http\")\n/* \"ws\" */ fn http() { mqtt::f(); }", &[]),
        ("const A: &str = \"http://127.0.0.1\"; const B: &str = \"a \\\"ws\\\" b\";", &[]),
        ("const A: &str = \"HTTP and MQTT\";", &[]),
        ("#[cfg(test)]\nmod tests { fn f() { Protocol::named(\"http\"); } }", &[]),
        ("/// Such as \"http\".\nfn f() {}", &[]),
    ];
    for (text, expected) in table {
        assert_eq!(protocol_words(text, &words), expected, "{text}");
    }
}
