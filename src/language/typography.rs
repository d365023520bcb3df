//! Characters that word processors and web pages put in the place of those that a document needs.

/// A character out of place: where it stands, what it is called, and what to write in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Typographic {
    /// Bytes from the beginning of the line.
    pub(super) at: usize,
    pub(super) character: char,
    pub(super) name: &'static str,
    pub(super) remedy: &'static str,
}

impl Typographic {
    /// What is wrong.
    pub(super) fn message(self) -> String {
        let Self { character, name, .. } = self;
        let code = u32::from(character);
        if character.is_whitespace() || character.is_control() || matches!(character, '\u{200b}' | '\u{feff}')
        {
            format!("there is {name} (U+{code:04X}) here")
        } else {
            format!("`{character}` (U+{code:04X}) is {name}")
        }
    }
}

/// The first such character of a line outside its texts and comments, or in a text that is not closed.
pub(super) fn typographic(line: &str) -> Option<Typographic> {
    let mut open = None;
    let mut escaped = false;
    for (at, letter) in line.char_indices() {
        match open {
            Some((quote, _)) if letter == quote && !escaped => open = None,
            Some((quote, _)) => escaped = quote == '"' && letter == '\\' && !escaped,
            None if matches!(letter, '"' | '\'') => open = Some((letter, at)),
            None if letter == '#' => return None,
            None => {
                if let Some((name, remedy)) = named(letter) {
                    return Some(Typographic { at, character: letter, name, remedy });
                }
            }
        }
    }
    let (_, from) = open?;
    let in_text = line[from..].char_indices().filter(|(_, letter)| is_quote(*letter));
    let mut found = in_text.filter_map(|(at, character)| {
        named(character).map(|(name, remedy)| Typographic { at: from + at, character, name, remedy })
    });
    found.next()
}

const fn is_quote(letter: char) -> bool {
    matches!(letter, '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}')
}

const fn named(letter: char) -> Option<(&'static str, &'static str)> {
    Some(match letter {
        _ if is_quote(letter) => ("a typographic quote", "write the plain quote \""),
        '\u{a0}' | '\u{202f}' | '\u{2007}' => ("a non-breaking space", "write a plain space"),
        '\u{2000}'..='\u{200a}' | '\u{3000}' => ("a typographic space", "write a plain space"),
        '\u{200b}' | '\u{feff}' => ("an invisible space", "remove it"),
        '\u{2010}'..='\u{2015}' | '\u{2212}' => ("a typographic dash", "write the plain hyphen -"),
        '\u{ff1d}' => ("a full-width equals sign", "write the plain ="),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_out_of_place_are_found_outside_of_sound_texts() {
        for (line, expected) in [
            ("name = \u{201c}a\u{201d}", Some((7, "a typographic quote"))),
            ("name = \u{2018}a\u{2019}", Some((7, "a typographic quote"))),
            ("name = \u{ab}a\u{bb}", Some((7, "a typographic quote"))),
            ("name = \"a\u{201d}", Some((9, "a typographic quote"))),
            ("seed =\u{a0}7", Some((6, "a non-breaking space"))),
            ("\u{200b}seed = 7", Some((0, "an invisible space"))),
            ("seed \u{2013} 7", Some((5, "a typographic dash"))),
            ("about = \"it\u{2019}s \\\" fine\u{a0}!\" x", None),
            ("about = 'it\u{2019}s' # so\u{a0}there", None),
            ("rate = 2/s", None),
        ] {
            let found = typographic(line).map(|found| (found.at, found.name));
            assert_eq!(found, expected, "{line}");
        }
    }
}
