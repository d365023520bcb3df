//! What the documentation tells people to type is what can be typed.

use clap::Parser;

use super::args::{Args, Command};

const PAGES: [(&str, &str); 4] = [
    ("README.md", include_str!("../../README.md")),
    ("docs/ci.md", include_str!("../../docs/ci.md")),
    ("docs/shards.md", include_str!("../../docs/shards.md")),
    ("docs/comparing.md", include_str!("../../docs/comparing.md")),
];

/// The `squall` commands in the blocks of shell and YAML of a page, continued lines joined.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for block in page.split("```").skip(1).step_by(2) {
        let Some((language, text)) = block.split_once('\n') else { continue };
        if !["sh", "yaml"].contains(&language) {
            continue;
        }
        // Lines after `>-` are one; elsewhere a backslash continues a line.
        let text = text.replace("\\\n", " ").replace("\n      --", " --");
        for line in text.lines() {
            let line = line.trim().trim_start_matches("- ").trim_start_matches("run: ");
            if line.starts_with("squall ") {
                commands.push(line.to_owned());
            }
        }
    }
    commands
}

/// The words of a command as a shell splits them, as far as the pages go: quotes, and an end at `#`, `|` or `;`.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '#' | '|' | ';' | '>') if word.is_none() => break,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn every_command_in_the_documentation_can_be_typed() {
    let mut checked = 0;
    for (name, page) in PAGES {
        for command in commands(page) {
            // What may be left out is typed too; `…` stands for more of the same.
            let typed = |word: String| match word.trim_start_matches('[').trim_end_matches(']') {
                word if word.starts_with("$(date ") || word == "$START_AT" => {
                    "2026-11-20T21:45:00Z".to_owned()
                }
                word => word.to_owned(),
            };
            let words = words(&command).into_iter().filter(|word| word != "…").map(typed);
            if let Err(error) = Args::try_parse_from(words) {
                panic!("{name}: {command}\n{error}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 20, "{checked}");
}

#[test]
fn an_override_that_is_an_option_names_it() {
    use clap::CommandFactory;

    let read =
        |set: &str| match Args::try_parse_from(["squall", "run", "s.toml", "--set", set]).unwrap().command {
            Command::Run(args) => args.overrides.read().map(drop).map_err(|error| error.message),
            other => panic!("{other:?}"),
        };
    let program = Args::command();
    let run = program.find_subcommand("run").unwrap();
    let names: Vec<_> = run.get_arguments().filter_map(|option| option.get_long()).collect();
    assert!(names.contains(&"duration") && names.contains(&"run-token") && names.contains(&"junit"));
    for name in names.into_iter().filter(|name| *name != "help") {
        for key in [name.to_owned(), name.replace('-', "_")] {
            let message = read(&format!("{key}=1")).unwrap_err();
            assert!(message.contains(&format!(": write --{name}")), "{message}");
        }
    }
    for (set, expected) in [
        ("duration = 3s", "write --duration 3s"),
        ("quiet=true", "write --quiet"),
        ("rate=3/s", "write KEY=VALUE"),
        ("duration", "write KEY=VALUE"),
    ] {
        let message = read(set).unwrap_err();
        assert!(message.ends_with(expected) || message.contains(expected), "{message}");
    }
    assert_eq!(read("run.drain=1s"), Ok(()));
}

#[test]
fn commands_are_found_and_split() {
    assert_eq!(
        commands("```sh\nsquall a \\\n  b\nls\n```\nsquall c\n```yaml\n    - squall d\n```"),
        ["squall a    b", "squall d"]
    );
    assert_eq!(words("squall a 'b c' --d=\"e f\" g#h # no"), ["squall", "a", "b c", "--d=e f", "g#h"]);
}
