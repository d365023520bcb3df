//! What a student may change of a scenario, and what the lab holds fixed: a law that is kept because less was
//! asked of the service is not kept.

use std::collections::BTreeMap;

/// The values of a document by their keys in full; items of a list by their names.
type Leaves = BTreeMap<String, String>;

/// The first thing in which `changed` differs from `given` where `mend` does not allow it, in a sentence with
/// what to write instead.
///
/// # Errors
/// That sentence, or that one of them is no document.
pub(super) fn confine(given: &str, changed: &str, mend: &[String]) -> Result<(), String> {
    let (given, changed) = (leaves(given)?, leaves(changed)?);
    let keys = given.keys().chain(changed.keys());
    let fixed = keys.filter(|key| !is_open(key, mend));
    let mut differing = fixed.filter(|key| given.get(*key) != changed.get(*key));
    let Some(key) = differing.next() else { return Ok(()) };
    let remedy = match given.get(key) {
        Some(value) => format!("put it back to {value}"),
        None => "take it out".to_owned(),
    };
    let open = if mend.is_empty() { "nothing".to_owned() } else { mend.join(", ") };
    Err(format!("`{key}` is held fixed by this lab; {remedy}. What may be changed is: {open}"))
}

/// Whether `key` may be changed: it is said so, or no plan depends on it.
fn is_open(key: &str, mend: &[String]) -> bool {
    let below = |open: &String| {
        key.strip_prefix(open.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            // The bare value that stands for a table is part of what lies in it.
            || open.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))
    };
    key == "scenario.about" || mend.iter().any(below)
}

fn leaves(text: &str) -> Result<Leaves, String> {
    let table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut leaves = Leaves::new();
    spread("", &toml::Value::Table(table), &mut leaves);
    Ok(leaves)
}

fn spread(key: &str, value: &toml::Value, leaves: &mut Leaves) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match value {
        toml::Value::Table(table) => {
            table.iter().for_each(|(name, value)| spread(&below(name), value, leaves));
        }
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            let name = |item: &toml::Value| item.get("name").and_then(toml::Value::as_str).map(str::to_owned);
            let names: Vec<_> = items.iter().map(|item| name(item).unwrap_or_default()).collect();
            // Their order is that of time.
            leaves.insert(below("order"), names.join(", "));
            for (item, name) in items.iter().zip(&names) {
                spread(&below(name), item, leaves);
            }
        }
        value => _ = leaves.insert(key.to_owned(), value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "[scenario]\nname = \"x\"\n[reference]\nworkers = 1\nqueue = { capacity = 20000 }\n\
                         [[phase]]\nname = \"a\"\nduration = \"2s\"\n[[phase]]\nname = \"b\"\nduration = \"3s\"\n";

    #[test]
    fn what_a_lab_holds_fixed_stays_and_the_rest_is_free() {
        let mend = ["reference.queue".to_owned(), "reference.workers.count".to_owned()];
        for (from, to, refused) in [
            ("20000", "100", None),
            ("{ capacity = 20000 }", "100", None),
            ("{ capacity = 20000 }", "{ capacity = 20000, deadline = \"150ms\" }", None),
            ("workers = 1", "workers = 2", None),
            ("workers = 1", "workers = 1 # a comment", None),
            ("\"2s\"", "\"1s\"", Some("`phase.a.duration` is held fixed by this lab; put it back to \"2s\"")),
            (
                "workers = 1",
                "workers = 1\ncache = 0",
                Some("`reference.cache` is held fixed by this lab; take it out"),
            ),
            ("name = \"a\"", "name = \"c\"", Some("`phase.a.duration` is held fixed")),
        ] {
            let found = confine(GIVEN, &GIVEN.replacen(from, to, 1), &mend);
            match refused {
                None => assert_eq!(found, Ok(()), "{to}"),
                Some(said) => assert!(found.as_ref().unwrap_err().starts_with(said), "{to}: {found:?}"),
            }
        }
        let swapped = GIVEN.replace("\"a\"", "\"c\"").replace("\"b\"", "\"a\"").replace("\"c\"", "\"b\"");
        assert!(confine(GIVEN, &swapped, &mend).is_err());
        assert!(confine(GIVEN, "x =", &mend).is_err());
    }
}
