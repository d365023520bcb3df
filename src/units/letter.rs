//! Characters that do something to a screen instead of standing on it.

/// Whether `letter` is none to be seen and changes how what follows is shown: a control character, a mark that turns the direction of
/// writing, the end of a line or a paragraph, an invisible space. Texts from elsewhere could say one thing and show another by them.
pub(crate) const fn is_steering(letter: char) -> bool {
    letter.is_ascii_control()
        || matches!(
            letter,
            '\u{80}'..='\u{9f}'
                | '\u{61c}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_told_from_what_is_read() {
        for letter in "\u{0}\u{7}\u{1b}\n\t\u{7f}\u{85}\u{9b}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}".chars() {
            assert!(is_steering(letter), "{letter:?}");
        }
        // A family of one emoji is held together by joiners, and the space in a number must not break.
        for letter in " aZ\u{a0}µ\u{202f}–…é\u{5d0}\u{627}\u{200d}漢\u{1f469}".chars() {
            assert!(!is_steering(letter), "{letter:?}");
        }
    }
}
