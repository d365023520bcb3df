//! What holds of every table of fields.

use crate::language::{Kind, Need, is_default};
use crate::scenario::section::all;

#[test]
fn every_field_is_described_named_once_and_bound_to_words_that_exist() {
    for section in all() {
        assert!(!section.about.is_empty());
        for (nth, field) in section.fields.iter().enumerate() {
            let place = format!("{} {}", section.title, field.name);
            assert!(!field.about.is_empty(), "{place}");
            assert!(section.fields[..nth].iter().all(|other| other.name != field.name), "{place}");
            let words = match section.selector().map(|selector| &selector.kind) {
                Some(Kind::Word(words)) => *words,
                Some(other) => panic!("{}: a {} decides nothing", section.title, other.word()),
                None => &[],
            };
            assert!(field.only.iter().all(|word| words.contains(word)), "{place}");
        }
    }
}

#[test]
fn every_table_a_field_takes_is_listed_as_a_section() {
    for section in all() {
        for inner in section.fields.iter().filter_map(|field| field.kind.section()) {
            assert!(all().iter().any(|known| std::ptr::eq(*known, inner)));
        }
    }
}

#[test]
fn every_default_is_of_its_kind_and_within_its_bounds() {
    for section in all() {
        for field in section.fields {
            let Need::Default(text) = field.need else { continue };
            let place = format!("{} {}", section.title, field.name);
            let scalar = match &field.kind {
                Kind::Table(_) | Kind::List(_) | Kind::Map(..) => continue,
                Kind::Short(inner) if text.is_empty() => {
                    assert!(!inner.fields.is_empty(), "{place}");
                    continue;
                }
                Kind::Short(inner) => &inner.fields[0].kind,
                kind => kind,
            };
            let found = scalar.parse(&scalar.literal(text));
            assert!(found.is_ok(), "{place}: {found:?}");
            assert!(field.kind.default(text).is_some_and(|found| is_default(field, &found)), "{place}");
        }
    }
}
