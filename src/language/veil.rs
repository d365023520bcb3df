//! Secrets in a document, as far as they are written in it: what hides them wherever the document is stored or quoted.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Keys whose texts are secrets.
const KEYS: [&str; 7] = ["password", "bearer", "token", "tokens", "control_token", "hs256", "secret"];
/// Under such a key the key of the secret itself.
const VALUE: &str = "value";
/// Names of header fields that hold secrets, beside those whose last part is one of [`LAST_PARTS`].
const FIELDS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];
/// Last parts of the names of header fields that hold secrets: `X-Api-Key`.
const LAST_PARTS: [&str; 7] = ["key", "token", "secret", "password", "auth", "authorization", "signature"];
/// No secret of a scenario lies deeper.
const DEEPEST: usize = 8;

/// `text`, a document or an override, with every character of the secrets in it replaced by `*`: passwords in URLs, what stands under a
/// key such as `password` or `bearer`, and header fields that are known to hold secrets. What names a variable (`${NAME}`) is none.
pub(crate) fn veiled(text: &str) -> String {
    let mut hidden = logins(text);
    assigned(text, &mut hidden);
    let (document, _) = DeTable::parse_recoverable(text);
    in_table(document.get_ref(), &mut Vec::new(), &mut hidden);
    let mut is_hidden = vec![false; text.len()];
    for range in hidden {
        if text.get(range.clone()).is_some_and(|secret| !secret.contains("${")) {
            is_hidden[range].fill(true);
        }
    }
    let shown = |(at, letter): (usize, char)| if is_hidden[at] && letter != '\n' { '*' } else { letter };
    text.char_indices().map(shown).collect()
}

/// The passwords in URLs.
fn logins(text: &str) -> Vec<Range<usize>> {
    let (mut found, mut from) = (Vec::new(), 0);
    while let Some(at) = text[from..].find("://") {
        let start = from + at + 3;
        let end = text[start..].find(['"', '\'', ' ', '\t', '\n']).map_or(text.len(), |end| start + end);
        if let Some(at) = text[start..end].rfind('@')
            && let Some(colon) = text[start..start + at].find(':')
        {
            found.push(start + colon + 1..start + at);
        }
        from = end;
    }
    found
}

/// What stands behind a key and an equals sign in one line, also where the document is broken, and in overrides.
fn assigned(text: &str, hidden: &mut Vec<Range<usize>>) {
    for key in KEYS {
        let mut from = 0;
        while let Some(at) = text[from..].find(key) {
            let begins = from + at;
            from = begins + key.len();
            if text[..begins].ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
                continue;
            }
            let rest = text[from..].strip_prefix(".value").unwrap_or(&text[from..]);
            hidden.extend(value(text, rest.trim_start_matches(['"', '\''])));
        }
    }
    if let Some(at) = text.find("auth.headers.").filter(|_| !text.contains('\n')) {
        hidden.extend(text[at..].find('=').and_then(|equals| value(text, &text[at + equals..])));
    }
}

/// The value in the line at the beginning of `rest`, which is the end of `text`: within its quotes if it has some.
fn value(text: &str, rest: &str) -> Option<Range<usize>> {
    let line = rest.lines().next()?;
    let value = line.trim_start_matches([' ', '\t']).strip_prefix('=')?.trim_start_matches([' ', '\t']);
    let start = text.len() - rest.len() + (line.len() - value.len());
    match value.chars().next()? {
        mark @ ('"' | '\'') => {
            let end = value[1..].find(mark).map_or(start + value.trim_end().len(), |end| start + 1 + end);
            Some(start + 1..end.max(start + 1))
        }
        // The texts in them are found where they stand.
        '[' | '{' if !text.starts_with("--set ") => None,
        // As an override has it.
        _ if text.starts_with("--set ") => Some(start..start + value.trim_end().len()),
        // As a query has it.
        _ => {
            let end = value.find(['"', '\'', ',', '&', ' ', '#']).unwrap_or(value.trim_end().len());
            Some(start..start + end)
        }
    }
}

/// The texts under secret keys; `path` is that of the table.
fn in_table(table: &DeTable<'_>, path: &mut Vec<String>, hidden: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        in_value(value, path, hidden);
        path.pop();
    }
}

fn in_value(value: &Spanned<DeValue<'_>>, path: &mut Vec<String>, hidden: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::String(_) if is_secret(path) => {
            // Between its quotes.
            let span = value.span();
            hidden.push(span.start + 1..span.end.saturating_sub(1).max(span.start + 1));
        }
        DeValue::Array(items) if path.len() < DEEPEST => {
            items.iter().for_each(|item| in_value(item, path, hidden));
        }
        DeValue::Table(table) if path.len() < DEEPEST => in_table(table, path, hidden),
        _ => {}
    }
}

/// Whether a text at `path` is a secret.
fn is_secret(path: &[String]) -> bool {
    let mut keys = path.iter().rev().map(String::as_str);
    let (last, above) = match keys.next() {
        Some(VALUE) => (keys.next(), keys.next()),
        last => (last, keys.next()),
    };
    let Some(last) = last else { return false };
    let of_fleet = keys.next() == Some("auth");
    KEYS.contains(&last) || above == Some("headers") && (of_fleet || is_secret_field(last))
}

/// Whether header fields of this name hold secrets.
pub(crate) fn is_secret_field(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let last = name.rsplit(['-', '_']).next().unwrap_or_default();
    FIELDS.contains(&name.as_str()) || LAST_PARTS.contains(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_veiled_and_nothing_else() {
        for (text, shown) in [
            ("mqtt = \"mqtt://ann:s3c@b:1883\"\n", "mqtt = \"mqtt://ann:***@b:1883\"\n"),
            ("mqtt = \"mqtt://ann:${PW}@b\"", "mqtt = \"mqtt://ann:${PW}@b\""),
            ("mqtt = \"tcp://ann@b\" # a:b@c", "mqtt = \"tcp://ann@b\" # a:b@c"),
            ("http = \"http://h:80/a?b=c\"", "http = \"http://h:80/a?b=c\""),
            (
                "mqtt = { username = \"a\", password = \"pä\" }",
                "mqtt = { username = \"a\", password = \"**\" }",
            ),
            ("password = '${PW}'", "password = '${PW}'"),
            ("fleet.m.mqtt.password=s3c", "fleet.m.mqtt.password=***"),
            ("about = \"a password is needed\"", "about = \"a password is needed\""),
            ("mqtt://a:b@h mqtt://c:dd@h", "mqtt://a:*@h mqtt://c:**@h"),
            ("auth = { bearer = \"s3c\" }", "auth = { bearer = \"***\" }"),
            ("auth = { bearer = { value = 's3c' } }", "auth = { bearer = { value = '***' } }"),
            ("auth = { bearer = { file = \"a/b\" } }", "auth = { bearer = { file = \"a/b\" } }"),
            ("[m.auth.bearer]\nvalue = \"s3c\"", "[m.auth.bearer]\nvalue = \"***\""),
            ("auth.bearer.value = \"s3c\"", "auth.bearer.value = \"***\""),
            ("[m.auth]\nheaders = { X = \"s3c\" }", "[m.auth]\nheaders = { X = \"***\" }"),
            (
                "headers = { X = \"abc\", X-Api-Key = \"s3c\" }",
                "headers = { X = \"abc\", X-Api-Key = \"***\" }",
            ),
            ("headers = { cookie = \"s3c\" }", "headers = { cookie = \"***\" }"),
            ("tokens = [\"s3c\",\n  \"d4\"]", "tokens = [\"***\",\n  \"**\"]"),
            (
                "tokens = [{ token = \"s3c\", rights = [\"read\"] }]",
                "tokens = [{ token = \"***\", rights = [\"read\"] }]",
            ),
            ("run_token = true", "run_token = true"),
            ("path = \"/a?token=s3c&b=1\" # c", "path = \"/a?token=***&b=1\" # c"),
            ("tls = { key = \"a.pem\" }", "tls = { key = \"a.pem\" }"),
            ("bearer = \"s3c\nx", "bearer = \"***\nx"),
            ("--set fleet.m.auth.bearer=s3c", "--set fleet.m.auth.bearer=***"),
            ("--set fleet.m.auth.headers.X=s3c", "--set fleet.m.auth.headers.X=***"),
        ] {
            assert_eq!(veiled(text), shown);
        }
    }
}
