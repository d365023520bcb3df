//! Small syntaxes that requests and messages are made of.

/// A token of RFC 9110 §5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// `200`, `2xx` or `200-204` as an inclusive range.
pub(super) fn status(text: &str) -> Option<(u16, u16)> {
    let one = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|status| digits && (200..=599).contains(status))
    };
    if let Some(class) = text.strip_suffix("xx").filter(|class| class.len() == 1) {
        let class = class.parse::<u16>().ok().filter(|class| (2..=5).contains(class))?;
        return Some((class * 100, class * 100 + 99));
    }
    match text.split_once('-') {
        Some((from, to)) => Some((one(from)?, one(to)?)).filter(|(from, to)| from <= to),
        None => one(text).map(|status| (status, status)),
    }
}

/// A JSON pointer (RFC 6901) that is not the whole document.
pub(super) fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    text.starts_with('/') && escapes
}

/// The text outside its placeholders.
pub(super) fn outside(text: &str) -> String {
    let mut rest = text;
    let mut out = String::new();
    while let Some((before, inner)) = rest.split_once("{{") {
        out.push_str(before);
        rest = inner.split_once("}}").map_or("", |(_, after)| after);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_pointers_and_tokens_are_told_from_what_they_are_not() {
        for (text, range) in [
            ("200", Some((200, 200))),
            ("2xx", Some((200, 299))),
            ("200-204", Some((200, 204))),
            ("6xx", None),
            ("20", None),
            ("+20", None),
            ("204-200", None),
            ("", None),
            ("xx", None),
            ("2x", None),
        ] {
            assert_eq!(status(text), range, "{text}");
        }
        for (text, sound) in [("/id", true), ("/a/0/b~1c", true), ("id", false), ("", false), ("/a~2", false)]
        {
            assert_eq!(is_pointer(text), sound, "{text}");
        }
        for (text, sound) in [("POST", true), ("X-Api-Key", true), ("", false), ("a b", false), ("é", false)]
        {
            assert_eq!(is_token(text), sound, "{text}");
        }
    }
}
