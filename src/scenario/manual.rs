//! The reference of the scenario language as Markdown.

use super::section;
use crate::language;

/// Every section with its keys: what `docs/keys.md` holds between its marks.
pub(crate) fn manual() -> String {
    language::manual(section::all())
}

/// The keys at `paths`, such as `reference.queue`, and all that lies below them.
pub(crate) fn manual_of(paths: &[String]) -> String {
    language::manual_of(section::all(), paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "<!-- reference: begin -->\n";
    const END: &str = "<!-- reference: end -->\n";

    /// `SQUALL_WRITE_DOCS=1 cargo test manual` puts the tables into the page.
    #[test]
    fn the_page_holds_the_tables_that_check_scenarios() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/keys.md");
        let page = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once(BEGIN).expect("the page marks where the reference begins");
        let (found, after) = rest.split_once(END).expect("the page marks where the reference ends");
        let wanted = format!("\n{}\n", manual());
        if std::env::var_os("SQUALL_WRITE_DOCS").is_some() {
            std::fs::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        } else {
            assert_eq!(found, wanted, "run SQUALL_WRITE_DOCS=1 cargo test manual");
        }
    }

    #[test]
    fn every_key_is_in_the_manual() {
        let manual = manual();
        for section in section::all() {
            assert!(manual.contains(&format!("### `{}`", section.title)));
            for field in section.fields {
                assert!(manual.contains(&format!("| `{}` |", field.name)), "{}", field.name);
            }
        }
    }

    #[test]
    fn an_excerpt_has_the_keys_that_are_asked_for_and_those_below() {
        for (paths, tables, rows) in [
            (&["reference.queue"][..], &["queue = { … }"][..], &["capacity", "deadline", "discipline"][..]),
            (&["reference.workers.count"], &["workers = { … }"], &["count"]),
            (&["fleet.meters.retry"], &["retry = { … }"], &["attempts", "budget"]),
            (&["phase.at-a.load", "phase.at-b.load"], &["load = { … }"], &["level"]),
            (&["fleet.monitor.model", "fleet.monitor.rate"], &["[fleet.NAME]"], &["model", "rate"]),
            (&["reference.cache"], &["cache = { … }", "semantic = { … }"], &["ttl", "epsilon"]),
            (&["reference.nothing", "nowhere"], &[], &[]),
        ] {
            let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
            let text = manual_of(&paths);
            for table in tables {
                assert_eq!(text.matches(&format!("### `{table}`\n")).count(), 1, "{paths:?}\n{text}");
            }
            for row in rows {
                assert!(text.contains(&format!("\n| `{row}` |")), "{paths:?}\n{text}");
            }
        }
        assert!(!manual_of(&["reference.workers.count".to_owned()]).contains("| `mode` |"));
    }
}
