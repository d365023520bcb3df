//! What the program prints for shells and for `man`: accepted by those that read it, and whole.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::program::{squall, text};
use crate::skip;

/// What the program prints in an empty folder.
fn printed(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = squall(folder.path(), arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The commands that `--help` lists.
fn commands() -> Vec<String> {
    let help = printed(&["--help"]);
    let (_, listed) = help.split_once("Commands:\n").unwrap();
    let lines = listed.lines().take_while(|line| !line.is_empty());
    let own = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = own.filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    let names: Vec<_> = names.filter(|name| name != "help").collect();
    assert!(names.len() >= 14 && names.iter().any(|name| name == "run"), "{names:?}");
    names
}

/// Those of them that are typed as a word: a URL stands for itself.
fn words() -> impl Iterator<Item = String> {
    commands().into_iter().filter(|name| name != "URL")
}

/// A program that reads `input`; `None` where there is none such.
fn fed(program: &str, arguments: &[&str], input: &str) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(arguments).env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    child.stdin.take()?.write_all(input.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

/// What a bash that has read the script offers for the last of `words`.
fn offered(script: &str, words: &[&str]) -> Option<BTreeSet<String>> {
    let last = words.len() - 1;
    let line = format!(
        "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={last}\n\
         completer=$(complete -p squall | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
         $completer squall '{}' '{}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        words.join(" "),
        words[last],
        words[last - 1],
    );
    let output = fed("bash", &["--norc"], &line)?;
    assert_eq!(text(&output.stderr), "", "{words:?}");
    Some(text(&output.stdout).lines().map(str::to_owned).collect())
}

#[test]
fn bash_takes_its_script_and_completes_commands_options_and_situations() {
    let script = printed(&["completions", "bash"]);
    let Some(checked) = fed("bash", &["-n"], &script) else { return skip::missing("there is no bash") };
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let all = offered(&script, &["squall", ""]).unwrap();
    for name in words() {
        assert!(all.contains(&name), "{name}: {all:?}");
    }
    assert!(!all.contains("URL"), "{all:?}");
    for (words, expected) in [
        (&["squall", "rep"][..], &["report"][..]),
        (&["squall", "fault", "sto"], &["stop", "stop-all"]),
        (&["squall", "run", "--dur"], &["--duration"]),
        (&["squall", "http://localhost/", "--rat"], &["--rate"]),
        (&["squall", "new", "external-t"], &["external-tcp", "external-tls"]),
        (&["squall", "completions", "p"], &["powershell"]),
    ] {
        let expected: BTreeSet<String> = expected.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(offered(&script, words).unwrap(), expected, "{words:?}");
    }
}

#[test]
fn every_shell_has_a_script_that_knows_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for (shell, checks) in [
        ("bash", &["-n"][..]),
        ("zsh", &["-n"]),
        ("fish", &["-n"]),
        ("powershell", &[]),
        ("elvish", &["-compileonly"]),
    ] {
        let script = printed(&["completions", shell]);
        for name in words() {
            assert!(script.contains(&name), "{shell} does not know {name}");
        }
        let path = folder.path().join(shell);
        std::fs::write(&path, &script).unwrap();
        if !checks.is_empty()
            && let Ok(checked) = Command::new(shell).args(checks).arg(&path).output()
        {
            assert!(checked.status.success(), "{shell}: {}", text(&checked.stderr));
        }
    }
    let refused = squall(folder.path(), &["completions", "bsh"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("a similar value exists: 'bash'"), "{}", text(&refused.stderr));
}

#[test]
fn the_manual_page_renders_and_names_every_command() {
    let page = printed(&["man"]);
    for part in [".TH squall 1", ".SH NAME", ".SH SYNOPSIS", ".SH SUBCOMMANDS", "Exit codes"] {
        assert!(page.contains(part), "{part}:\n{page}");
    }
    let Some(shown) = fed("man", &["-l", "--warnings", "-"], &page) else {
        return skip::missing("there is no man");
    };
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert_eq!(text(&shown.stderr), "");
    let shown = text(&shown.stdout);
    for name in commands() {
        assert!(shown.contains(&format!("squall-{name}(1)")), "{name}:\n{shown}");
    }
}

#[test]
fn every_command_has_a_page_of_its_own_where_a_folder_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let written = squall(folder.path(), &["man", "--out", "share/man1"]).output().unwrap();
    assert!(written.status.success(), "{}", text(&written.stderr));
    assert_eq!(text(&written.stderr), "note: made the folder share/man1\n");
    let page = |name: &str| std::fs::read_to_string(folder.path().join("share/man1").join(name)).unwrap();
    assert!(page("squall.1").contains(".SH SUBCOMMANDS"));
    for name in commands() {
        assert!(page(&format!("squall-{name}.1")).contains(".SH SYNOPSIS"), "{name}");
    }
    assert!(page("squall-fault-start.1").contains("\\-\\-for"));
    std::fs::write(folder.path().join("file"), "").unwrap();
    let refused = squall(folder.path(), &["man", "--out", "file/man1"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("cannot write to file/man1"), "{}", text(&refused.stderr));
    assert!(!Path::new("share").exists());
}
