//! What the documentation tells people to type is what can be typed.

use std::ffi::OsString;

use clap::Parser;

use super::args::{Args, Command};
use super::url::arranged;

#[path = "../../tests/support/markdown.rs"]
#[expect(dead_code, reason = "files that pages show are for the tests that execute their commands")]
mod markdown;

/// The `squall` commands in a page's blocks of shell, of sessions and of YAML, whatever stands before them on the line: the
/// variables of one command, or what starts it.
fn commands(page: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for mut block in markdown::blocks(page) {
        if block.language == "yaml" {
            // Lines after `>-` are one.
            block.text = block.text.replace("\n      --", " --").replace("- ", "").replace("run: ", "");
            block.language = "sh".to_owned();
        }
        for command in markdown::commands(&block) {
            let skipped =
                |word: &&str| word.contains('=') || ["exec", "taskset", "-c", "0", "1"].contains(word);
            let words: Vec<&str> = command.split(' ').skip_while(skipped).collect();
            if words.first() == Some(&"squall") {
                commands.push(words.join(" "));
            }
        }
    }
    commands
}

/// The words of a command as a shell splits them, as far as the pages go: quotes, and an end at `#`, `|`, `;` or `&`.
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
            (None, '#' | '|' | ';' | '>' | '&') if word.is_none() => break,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[test]
fn every_command_in_the_documentation_can_be_typed() {
    let mut checked = 0;
    for (name, page) in markdown::pages() {
        for command in commands(&page) {
            // What may be left out is typed too; `…` stands for more of the same.
            let typed = |word: String| match word.trim_start_matches('[').trim_end_matches(']') {
                word if word.starts_with("$(date ") || word == "$START_AT" => {
                    "2026-11-20T21:45:00Z".to_owned()
                }
                word => word.to_owned(),
            };
            let words = words(&command).into_iter().filter(|word| word != "…").map(typed);
            if let Err(error) = Args::try_parse_from(arranged(words.map(OsString::from))) {
                panic!("{name}: {command}\n{error}");
            }
            checked += 1;
        }
    }
    assert!(checked >= 60, "{checked}");
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
        commands("```sh\nsquall a \\\n  b\nls\nA=b squall c\n```\nsquall d\n```yaml\n    - squall e\n```"),
        ["squall a    b", "squall c", "squall e"]
    );
    assert_eq!(words("squall a 'b c' --d=\"e f\" g#h # no"), ["squall", "a", "b c", "--d=e f", "g#h"]);
    assert_eq!(words("squall a &"), ["squall", "a"]);
}

#[test]
fn a_system_without_the_means_says_which_commands_are_not_there() {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    for (word, why) in [
        (
            "fault",
            Some("`squall fault` is there on Linux and macOS alone: runs are spoken to over a Unix socket"),
        ),
        (
            "ab",
            Some("`squall ab` is there on Linux and macOS alone: services are started and stopped as groups"),
        ),
        ("fautl", None),
    ] {
        let mut error = clap::Error::new(ErrorKind::InvalidSubcommand);
        error.insert(ContextKind::InvalidSubcommand, ContextValue::String(word.to_owned()));
        let said = super::absent(&error, false).map(|error| error.message);
        assert_eq!(said.is_some(), why.is_some(), "{word}: {said:?}");
        assert!(said.unwrap_or_default().starts_with(why.unwrap_or_default()));
        assert!(super::absent(&error, true).is_none());
    }
}
