//! The reference of the scenario language as Markdown.

use super::section;
use crate::language;

/// Every section with its keys: what `docs/keys.md` holds between its marks.
pub(crate) fn manual() -> String {
    language::manual(section::all())
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
}
