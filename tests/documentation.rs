//! What README and docs tell people: pages that are found and not too long, links that lead somewhere, scenarios that are sound,
//! and commands that work.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::markdown::{blocks, pages};
use crate::program::{squall, told};

mod command;

/// Pages outside `docs` that a reader is led to.
const FURTHER: [&str; 7] = [
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benches/README.md",
    "benches/peers/README.md",
    "fuzz/README.md",
    "results/README.md",
];

/// The one page that is as long as it is, since it is generated.
const GENERATED: &str = "docs/keys.md";

/// Snippets of scenarios that cannot be checked by themselves: page, what tells the snippet, why.
const NOT_CHECKED: [(&str, &str, &str); 4] = [
    ("docs/tls.md", "certs/ca.pem", "names certificates of the reader's own"),
    ("docs/reference.md", "tokens_file", "names files of the reader's own"),
    ("docs/proxies.md", "ca = \"ca.pem\"", "names certificates of the reader's own"),
    ("docs/how-to/certificate.md", "squall-tls/", "names certificates that a command of the page makes"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All pages that links may lead to, by their path.
fn all_pages() -> BTreeMap<String, String> {
    let further = FURTHER.map(|page| (page.to_owned(), fs::read_to_string(root().join(page)).unwrap()));
    pages().into_iter().chain(further).collect()
}

/// The lines of a page outside its blocks of code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    page.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Where the links of a page lead, as they are written, but for those to other sites.
fn links(page: &str) -> Vec<&str> {
    let targets = |line| str::split(line, "](").skip(1).filter_map(|rest| rest.split_once(')'));
    let targets = prose(page).flat_map(targets).map(|(target, _)| target);
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// The names that GitHub gives the headings of a page.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in prose(page).filter(|line| line.starts_with('#')) {
        let text = line.trim_start_matches('#').trim().to_lowercase();
        let named = text.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        });
        let name: String = named.collect();
        let again = (1..).map(|n| format!("{name}-{n}"));
        let name = std::iter::once(name.clone()).chain(again).find(|name| !found.contains(name));
        found.extend(name);
    }
    found
}

/// What a link on `page` leads to: a path from the root of the repository, and a heading.
fn destination<'l>(page: &str, link: &'l str) -> (String, Option<&'l str>) {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    if path.is_empty() {
        return (page.to_owned(), anchor);
    }
    let mut place = PathBuf::new();
    for part in Path::new(page).parent().unwrap().join(path).components() {
        match part {
            Component::ParentDir => drop(place.pop()),
            part => place.push(part),
        }
    }
    (place.to_str().unwrap().to_owned(), anchor)
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let pages = all_pages();
    let (mut faults, mut checked) = (Vec::new(), 0);
    for (name, text) in &pages {
        for link in links(text) {
            checked += 1;
            let (place, anchor) = destination(name, link);
            let is_heading = |anchor| pages.get(&place).is_some_and(|page| anchors(page).contains(anchor));
            if !root().join(&place).exists() {
                faults.push(format!("{name}: {link}: {place} is not there"));
            } else if !anchor.is_none_or(is_heading) {
                faults.push(format!("{name}: {link}: no such heading"));
            }
        }
    }
    assert!(checked > 150, "{checked}");
    assert_none(&faults);
}

#[test]
fn every_page_is_reached_from_the_first() {
    let pages = all_pages();
    let mut reached = BTreeSet::new();
    let mut next = vec!["docs/README.md".to_owned()];
    while let Some(name) = next.pop() {
        let Some(text) = pages.get(&name) else { continue };
        if reached.insert(name.clone()) {
            next.extend(links(text).into_iter().map(|link| destination(&name, link).0));
        }
    }
    let lost: Vec<String> = pages.into_keys().filter(|page| !reached.contains(page)).collect();
    assert_none(&lost);
}

#[test]
fn the_readme_fits_two_screens_and_no_page_is_endless() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 100, "{} lines", readme.lines().count());
    let wide: Vec<_> = readme.lines().filter(|line| line.chars().count() > 100).map(str::to_owned).collect();
    assert_none(&wide);
    let long = |(name, text): &(String, String)| name != GENERATED && text.lines().count() > 400;
    let long: Vec<_> = pages().into_iter().filter(long).map(|(name, _)| name).collect();
    assert_none(&long);
}

/// A snippet with what it leaves out of a scenario.
fn completed(snippet: &str) -> String {
    let mut text = snippet.to_owned();
    if !text.contains("[scenario]") {
        text.push_str("\n[scenario]\nname = \"shown\"\n");
    }
    if !text.contains("[[phase]]") {
        text.push_str("\n[[phase]]\nname = \"shown\"\nduration = \"60s\"\n");
    }
    if text.contains("[fleet.pumps.channel]") {
        text.insert_str(0, "[fleet.pumps]\nprotocol = \"mqtt\"\ndevices = 1\nrate = \"1/s\"\n");
    }
    if !text.contains("[fleet.") {
        let fleet = |name| format!("\n[fleet.{name}]\nprotocol = \"ws\"\ndevices = 100\nrate = \"1/s\"\n");
        text.push_str(&["alarms", "people", "meters"].map(fleet).concat());
    }
    text
}

#[test]
fn scenarios_that_pages_show_are_sound() {
    let (mut faults, mut checked, mut passed_by) = (Vec::new(), 0, BTreeSet::new());
    for (page, text) in pages() {
        for block in blocks(&text).into_iter().filter(|block| block.language == "toml") {
            let listed =
                NOT_CHECKED.iter().find(|(name, part, _)| page == *name && block.text.contains(part));
            if let Some((name, ..)) = listed {
                passed_by.insert(*name);
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("shown.toml"), completed(&block.text)).unwrap();
            let mut check = squall(folder.path(), &["check", "shown.toml"]);
            for variable in
                ["METER_TOKEN", "MQTT_USER", "MQTT_PASSWORD", "SQUALL_TOKEN", "TARGET_PID", "TOKEN"]
            {
                check.env(variable, "x");
            }
            let output = check.output().unwrap();
            if !output.status.success() {
                faults.push(format!("{page}: {}\n{}", told(&output), block.text));
            }
            checked += 1;
        }
    }
    assert!(checked >= 20, "{checked}");
    assert_none(&faults);
    let unused = NOT_CHECKED.iter().map(|(page, ..)| *page).filter(|page| !passed_by.contains(page));
    assert_none(&unused.map(|page| format!("{page}: listed in vain")).collect::<Vec<_>>());
}

#[test]
fn headings_and_links_are_read_as_github_reads_them() {
    let page = "# A b\n```\n# c\n[d](e)\n```\n## `tls = { … }`\n## A b\n[f](g.md#h), [i](https://j)";
    assert_eq!(anchors(page).into_iter().collect::<Vec<_>>(), ["a-b", "a-b-1", "tls----"]);
    assert_eq!(links(page), ["g.md#h"]);
    assert_eq!(destination("docs/a/b.md", "../../c/d.md#e"), ("c/d.md".to_owned(), Some("e")));
    assert_eq!(destination("docs/a.md", "#e"), ("docs/a.md".to_owned(), Some("e")));
}
