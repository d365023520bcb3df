//! As much of Rust's syntax as the tables need: comments and literals, items for tests, modules and paths.

/// The text with comments and the contents of literals replaced by spaces: what is left is code, at the same offsets.
pub(super) fn blanked(text: &str) -> String {
    blanked_but(text, |_| false)
}

/// The same, but for the string literals that `kept` wants to see, which must be plain words.
pub(super) fn blanked_but(text: &str, kept: impl Fn(&str) -> bool) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = if bytes[at..].starts_with(b"//") {
            bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
        } else if bytes[at..].starts_with(b"/*") {
            block_comment_end(bytes, at)
        } else if let Some(end) = raw_string_end(bytes, at) {
            end
        } else if bytes[at] == b'"' || is_character(bytes, at) {
            quoted_end(bytes, at)
        } else {
            at += 1;
            continue;
        };
        if !bytes[at..].starts_with(b"/") && kept(literal(&text[at..end])) {
            at = end;
            continue;
        }
        let blank = |byte: u8| if byte == b'\n' { byte } else { b' ' };
        for byte in &mut out[at..end] {
            *byte = blank(*byte);
        }
        at = end;
    }
    String::from_utf8(out).unwrap()
}

/// What stands between the quotes.
fn literal(quoted: &str) -> &str {
    quoted.trim_matches(['r', '#']).trim_matches('"')
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut at) = (0_usize, start);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if bytes[at..].starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// The end of `r"…"`, `r#"…"#`, `br"…"` that begins here.
fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    if bytes[start] != b'r' || (start > 0 && is_word(bytes[start - 1]) && bytes[start - 1] != b'b') {
        return None;
    }
    let hashes = bytes[start + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = start + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    let body = &bytes[open + 1..];
    let length =
        body.windows(close.len()).position(|window| window == close).unwrap_or(body.len() - hashes - 1);
    Some(open + 1 + length + close.len())
}

fn quoted_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != bytes[start] {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Whether a character begins here, not a lifetime.
fn is_character(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at + 1).filter(|_| bytes[at] == b'\'') {
        Some(b'\\') => true,
        Some(byte) if byte.is_ascii() => bytes.get(at + 2) == Some(&b'\''),
        byte => byte.is_some(), // The first byte of a longer character.
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

const FOR_TESTS: &str = "#[cfg(test)]";

/// Blanked code without its items for tests. One that cannot be told apart from the code around it is a fault.
pub(super) fn without_tests(code: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = code;
    while let Some((before, after)) = rest.split_once(FOR_TESTS) {
        out.push_str(before);
        let item = after_attributes(after);
        let length = item_length(item)
            .ok_or_else(|| format!("`{FOR_TESTS}` before what is not an item: {:?}", item.lines().next()))?;
        rest = &item[length..];
    }
    out.push_str(rest);
    Ok(out)
}

fn after_attributes(code: &str) -> &str {
    let mut rest = code.trim_start();
    while rest.starts_with("#[") {
        rest = rest[closing(rest, 1).map_or(rest.len(), |end| end + 1)..].trim_start();
    }
    rest
}

/// The length of the item that begins the code: to its semicolon, or to its closing brace.
fn item_length(item: &str) -> Option<usize> {
    const WORDS: [&str; 15] = [
        "mod",
        "fn",
        "use",
        "impl",
        "struct",
        "enum",
        "const",
        "static",
        "type",
        "trait",
        "let",
        "async",
        "unsafe",
        "macro_rules",
        "extern",
    ];
    let (_, keyword) = visibility_cut(item);
    if !WORDS.iter().any(|word| {
        keyword.strip_prefix(word).is_some_and(|rest| !rest.starts_with(|c: char| is_word(c as u8)))
    }) {
        return part_length(item);
    }
    let statement = ["use", "const ", "static", "let"].iter().any(|word| keyword.starts_with(word))
        && !keyword.starts_with("const fn");
    let bytes = item.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b';' => return Some(at + 1),
            b'{' if !statement => return closing(item, at).map(|end| end + 1),
            b'{' | b'(' | b'[' => at = closing(item, at)? + 1,
            _ => at += 1,
        }
    }
    None
}

/// The length of what is part of an item, to its comma: a field, a variant or an arm.
fn part_length(part: &str) -> Option<usize> {
    let bytes = part.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b',' | b';' => return Some(at + 1),
            b'}' | b')' | b']' => return Some(at),
            // An arm that is a block needs no comma.
            b'{' if part[..at].trim_end().ends_with("=>") => return closing(part, at).map(|end| end + 1),
            b'{' | b'(' | b'[' => at = closing(part, at)? + 1,
            _ => at += 1,
        }
    }
    None
}

/// Splits a visibility from what follows it.
fn visibility_cut(item: &str) -> (&str, &str) {
    let Some(rest) = item.strip_prefix("pub") else { return ("", item) };
    let open = rest.trim_start();
    let rest = if open.starts_with('(') {
        &open[closing(open, 0).map_or(open.len(), |end| end + 1)..]
    } else {
        rest
    };
    let rest = rest.trim_start();
    (&item[..item.len() - rest.len()], rest)
}

/// Where the bracket that opens at `start` is closed.
fn closing(code: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// The modules in files of their own that a module declares for tests alone.
pub(super) fn test_modules(module: &[String], text: &str) -> Vec<Vec<String>> {
    let code = blanked(text);
    let mut found = Vec::new();
    for (at, _) in code.match_indices(FOR_TESTS) {
        let (_, item) = visibility_cut(after_attributes(&code[at + FOR_TESTS.len()..]));
        let Some((name, _)) = item.strip_prefix("mod ").and_then(|rest| rest.split_once([';', '{'])) else {
            continue;
        };
        if item[4 + name.len()..].starts_with(';') {
            found.push(module.iter().cloned().chain([name.trim().to_owned()]).collect());
        }
    }
    found
}

/// The modules in files of their own that are compiled under a condition, each with that.
pub(super) fn conditional_modules(text: &str) -> Vec<(&str, &str)> {
    const CONDITION: &str = "#[cfg(";
    let conditional = |(at, _): (usize, &'_ str)| {
        let (condition, rest) = text[at + CONDITION.len()..].split_once(")]")?;
        let (_, item) = visibility_cut(after_attributes(rest));
        let (name, end) = word_at(item, item.starts_with("mod ").then_some("mod ".len())?);
        item[end..].starts_with(';').then_some((condition, name))
    };
    text.match_indices(CONDITION).filter_map(conditional).collect()
}

/// What a module's code takes from the crate's root, one name per path: the rooms, or `*` and `self` for the root itself.
pub(super) fn imports(module: &[&str], text: &str) -> Vec<String> {
    let Paths { used, reexported } = crate_paths(module, &blanked(text));
    let first = |path: Vec<String>| path.into_iter().next().unwrap_or_else(|| "self".to_owned());
    used.into_iter().chain(reexported).map(first).collect()
}

/// Paths through the crate, each from its root.
#[derive(Default)]
pub(super) struct Paths {
    pub(super) used: Vec<Vec<String>>,
    /// Those of `pub use`, whatever the visibility.
    pub(super) reexported: Vec<Vec<String>>,
}

/// The paths in the blanked code of a module.
pub(super) fn crate_paths(module: &[&str], code: &str) -> Paths {
    let bytes = code.as_bytes();
    let children = declared_modules(code);
    let mut scope: Vec<String> = module.iter().map(|part| (*part).to_owned()).collect();
    // How deep the braces stood where each inline module of the scope began.
    let mut inline: Vec<usize> = Vec::new();
    let (mut depth, mut at, mut found, mut reexports) = (0_usize, 0, Paths::default(), false);
    while at < bytes.len() {
        let (word, rest) = word_at(code, at);
        if word.is_empty() {
            match bytes[at] {
                b'{' => depth += 1,
                b'}' => {
                    depth = depth.saturating_sub(1);
                    if inline.last() == Some(&depth) {
                        inline.pop();
                        scope.pop();
                    }
                }
                b';' => reexports = false,
                _ => {}
            }
            at += 1;
            continue;
        }
        let fresh = !code[..at].trim_end().ends_with("::");
        let starts_path = ["crate", "super", "self", "squall"].contains(&word)
            || children.contains(&word) && code[rest..].trim_start().starts_with("::");
        if word == "mod" {
            let (name, after) = word_at(code, rest + spaces(&code[rest..]));
            if !name.is_empty() && code[after..].trim_start().starts_with('{') {
                scope.push(name.to_owned());
                inline.push(depth);
            }
        } else if word == "in" && code[..at].trim_end().ends_with("pub(") {
            // A visibility needs nothing of the module that it names.
            at = code[at..].find(')').map_or(code.len(), |end| at + end);
            continue;
        } else if word == "use" {
            let before = code[..at].trim_end();
            reexports = before.ends_with("pub")
                || before.ends_with(')')
                    && before.rsplit_once('(').is_some_and(|(left, _)| left.ends_with("pub"));
        } else if fresh && starts_path {
            let found = if reexports { &mut found.reexported } else { &mut found.used };
            at = paths(code, at, &scope, found);
            continue;
        }
        at = rest;
    }
    found
}

/// The modules in files of their own that blanked code declares.
fn declared_modules(code: &str) -> Vec<&str> {
    let declared = |(at, _): (usize, &str)| {
        let (name, end) = word_at(code, at + "mod ".len());
        (code[end..].starts_with(';') && !name.is_empty()).then_some(name)
    };
    code.match_indices("mod ").filter_map(declared).collect()
}

/// How often a word stands in the code.
pub(super) fn occurrences(code: &str, word: &str) -> usize {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|other| *other == word).count()
}

/// Follows one path, or a tree of them: where each leads from the crate's root, and the offset behind.
/// A word without a path (`self` as a parameter, `pub(crate)`) leads nowhere.
fn paths(code: &str, start: usize, from: &[String], found: &mut Vec<Vec<String>>) -> usize {
    let mut place = from.to_vec();
    let mut at = start;
    loop {
        let (word, rest) = word_at(code, at);
        match word {
            "" if code[at..].starts_with('{') => {
                let end = closing(code, at).unwrap_or(code.len() - 1);
                for branch in branches(&code[at + 1..end]) {
                    paths(branch, 0, &place, found);
                }
                return end + 1;
            }
            "" if code[at..].starts_with('*') => {
                found.push(if place.is_empty() { vec!["*".to_owned()] } else { place });
                return at + 1;
            }
            // Types after `::<`, and the macros' `$`.
            "" => return at,
            "crate" | "squall" if at == start => place.clear(),
            "super" => {
                place.pop();
            }
            "self" => {}
            name => place.push(name.to_owned()),
        }
        let gap = spaces(&code[rest..]);
        if !code[rest + gap..].starts_with("::") {
            let alone = at == start && ["crate", "squall", "super", "self"].contains(&word);
            if !alone || code[rest + gap..].starts_with("as ") {
                found.push(place);
            }
            return rest;
        }
        at = rest + gap + 2;
        at += spaces(&code[at..]);
    }
}

/// The branches of a group, split at its own commas.
fn branches(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_usize, 0, Vec::new());
    for (at, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                found.push(group[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(group[start..].trim());
    found.retain(|branch| !branch.is_empty());
    found
}

fn spaces(code: &str) -> usize {
    code.len() - code.trim_start().len()
}

/// The word that begins at an offset, and the offset behind it.
fn word_at(code: &str, at: usize) -> (&str, usize) {
    let length = code.as_bytes()[at..].iter().take_while(|byte| is_word(**byte)).count();
    (&code[at..at + length], at + length)
}
