//! What is meant where a URL, or an option that goes with one, stands where it is not taken: the line to type instead.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory};

use super::args::{COMMAND, is_url, schemes};
use crate::cli::CliError;
use crate::cli::args::Args;
use crate::language::{nearest, quote, without_login};
use crate::protocol::protocols;

/// What to say of a URL in place of a scenario; `None` where there is none. `arguments` begin with the program's name.
pub(in crate::cli) fn misplaced(arguments: &[OsString]) -> Option<CliError> {
    let [_, word, rest @ ..] = arguments else { return None };
    // Every command begins here: without a URL there is no need of the whole table of commands.
    if !rest.iter().any(|word| is_url(word)) {
        return None;
    }
    let root = Args::command();
    let command = root.find_subcommand(word).filter(|command| takes_scenario(command))?;
    let takes_value =
        |before: usize| rest.get(before).is_some_and(|word| option(command, word).is_some_and(takes));
    let at = rest
        .iter()
        .enumerate()
        .position(|(at, word)| is_url(word) && !at.checked_sub(1).is_some_and(takes_value))?;
    let name = command.get_name();
    let url = std::slice::from_ref(&rest[at]);
    Some(CliError::usage(if name == "run" {
        let line = line(url.iter().chain(&rest[..at]).chain(&rest[at + 1..]));
        format!("`squall run` takes the file of a scenario; for a URL type: {line}")
    } else {
        format!(
            "`squall {name}` takes the file of a scenario; to have one written for a URL type: {} --save s.toml",
            line(url)
        )
    }))
}

/// What to say of arguments that clap has refused by `error`, where it has to do with URLs.
pub(in crate::cli) fn meant(arguments: &[OsString], error: &clap::Error) -> Option<CliError> {
    let root = Args::command();
    let [_, word, rest @ ..] = arguments else { return None };
    match root.find_subcommand(word) {
        Some(command) if error.kind() == ErrorKind::UnknownArgument => {
            let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else { return None };
            let sentence = if command.get_name() == COMMAND {
                elsewhere(&root, given, rest)
            } else {
                astray(&root, command, given, rest)
            };
            sentence.map(CliError::usage)
        }
        Some(_) => None,
        None => Some(CliError::usage(homeless(&root, word, rest)?)),
    }
}

/// What to say of a line that begins neither with a command nor with a URL.
fn homeless(root: &Command, word: &OsString, rest: &[OsString]) -> Option<String> {
    let shown = shown(&word.to_string_lossy());
    if shown.starts_with('-') {
        option(root.find_subcommand(COMMAND)?, word)?;
        let line = line([&example(), word].into_iter().chain(rest));
        return Some(format!(
            "`{}` goes with a URL, and there is none; type for example: {line}",
            quote(&shown)
        ));
    }
    let Some(meant) = unlike_a_command(&word.to_string_lossy()) else {
        // The word as it is would show a password.
        let hides = shown != word.to_string_lossy();
        return hides.then(|| {
            format!("`{}` is no command and no URL; a URL looks like {}", quote(&shown), line_of(&example()))
        });
    };
    let line = line(meant.iter().chain(rest));
    Some(format!("`{}` is no command; did you mean: {line}", quote(&shown)))
}

/// A first word as it is shown: without what may be a login, also where a URL is not quite one.
fn shown(word: &str) -> String {
    let Some(at) = word.rfind('@').filter(|at| !word.contains("://") && word[..*at].contains(':')) else {
        return without_login(word);
    };
    let scheme = word.find(":/").map_or("", |end| &word[..end + 2]);
    format!("{scheme}{}", &word[at + 1..])
}

/// A URL to show what one looks like.
fn example() -> OsString {
    protocols().next().map_or("", |facts| facts.target.example).into()
}

/// What to say of an option of another command behind a URL.
fn elsewhere(root: &Command, given: &str, rest: &[OsString]) -> Option<String> {
    let run = root.find_subcommand("run")?;
    option(run, given.as_ref())?;
    let url = rest.iter().find(|word| is_url(word)).map_or_else(|| COMMAND.to_owned(), line_of);
    Some(format!(
        "`{given}` is an option of `squall run`, and not of a URL; type first: squall {url} --save s.toml, and then: squall run s.toml {given} …"
    ))
}

/// What to say of an option of URLs behind `command`.
fn astray(root: &Command, command: &Command, given: &str, rest: &[OsString]) -> Option<String> {
    let url = root.find_subcommand(COMMAND)?;
    let own = option(url, given.as_ref())?;
    let (name, long) = (command.get_name(), own.get_long()?);
    if command.get_arguments().any(|option| option.get_long() == Some(long)) {
        return Some(format!("`{given}` is `--{long}` for `squall {name}`; write that"));
    }
    let at = rest.iter().position(|word| word.to_string_lossy().split('=').next() == Some(given))?;
    let length = if takes(own) && !rest[at].to_string_lossy().contains('=') { 2 } else { 1 };
    let words = rest.iter().skip(at).take(length);
    let fleets = ["rate", "devices"].contains(&long) && takes_scenario(command);
    let fleets = if fleets {
        format!("; the fleets of a scenario have their own: --set fleet.NAME.{long}=…")
    } else {
        String::new()
    };
    Some(format!(
        "`{given}` is an option of a URL, and not of `squall {name}`; type: {}{fleets}",
        line(std::iter::once(&example()).chain(words))
    ))
}

/// What a first word that is no command was probably meant to be: a URL, or a scenario to run.
fn unlike_a_command(word: &str) -> Option<Vec<OsString>> {
    let usual = schemes().next()?;
    if let Some((scheme, rest)) = word.split_once(':')
        && !rest.starts_with(|c: char| c.is_ascii_digit())
    {
        let scheme = nearest(scheme, schemes())?;
        return Some(vec![format!("{scheme}://{}", rest.trim_start_matches('/')).into()]);
    }
    let (host, path) = word.split_at(word.find('/').unwrap_or(word.len()));
    let port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if Path::new(word).extension().is_some_and(|extension| extension == "toml") {
        return Some(vec!["run".into(), word.into()]);
    }
    let is_host =
        !host.is_empty() && (port || host == "localhost" || host.contains('.') && !host.starts_with('.'));
    is_host.then(|| vec![format!("{usual}://{host}{path}").into()])
}

/// Whether a command takes a scenario.
fn takes_scenario(command: &Command) -> bool {
    command.get_positionals().any(|argument| ["scenario", "scenarios"].contains(&argument.get_id().as_str()))
}

/// The option of `command` that `word` is.
fn option<'c>(command: &'c Command, word: &std::ffi::OsStr) -> Option<&'c clap::Arg> {
    let word = word.to_string_lossy();
    let word = word.split('=').next().unwrap_or_default();
    command.get_arguments().filter(|option| !option.is_positional()).find(|option| {
        option.get_long().is_some_and(|long| word.strip_prefix("--") == Some(long))
            || option.get_short().is_some_and(|short| word.strip_prefix('-') == Some(&*short.to_string()))
    })
}

/// Whether an option takes a value.
fn takes(option: &clap::Arg) -> bool {
    option.get_action().takes_values()
}

/// A line to type.
fn line<'w>(words: impl IntoIterator<Item = &'w OsString>) -> String {
    let words: Vec<_> = words.into_iter().map(line_of).collect();
    format!("squall {}", words.join(" "))
}

/// A word as a shell takes it, without a login that it may have.
fn line_of(word: &OsString) -> String {
    let word = without_login(&word.to_string_lossy());
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:,=@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
