//! Tokens: what whoever shows one may do, plain ones and the keys of signed ones.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use crate::language::{Field, FieldValue, Fields, Kind, Reporter, Section, nearest};
use crate::units::word::words;
use crate::units::{Secret, Span};

words! {
    /// What a token gives the right to.
    Right {
        /// To send readings, and to hear the verdicts on them.
        Publish = "publish",
        /// To hear alerts and messages, and to see what the service does.
        Read = "read",
        /// To stop and start the service, and to break it.
        Control = "control",
    }
}

/// A plain token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What is shown.
    pub token: Secret,
    /// What it gives the right to.
    pub rights: Vec<Right>,
    /// The one device that it speaks for; `None`: any.
    pub device: Option<String>,
    /// What whoever shows it is called; `None`: as its device, or by its place in the list.
    pub name: Option<String>,
}

/// What whoever shows no token is called.
pub(crate) const ANONYMOUS: &str = "anonymous";

impl Token {
    /// A token with all rights, for any device.
    pub fn of(token: &str) -> Self {
        Self { token: Secret::new(token), rights: Right::ALL.to_vec(), device: None, name: None }
    }
}

/// A secret, or the file that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Here.
    Here(Secret),
    /// In this file.
    File(PathBuf),
}

/// By which keys signed tokens (JWT) are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Jwt {
    /// The shared secret of HS256.
    pub hs256: Option<Kept>,
    /// The public key of `EdDSA`: PEM, or its 32 bytes in Base64.
    pub eddsa: Option<Kept>,
    /// How far the signer's clock may be off.
    pub leeway: Span,
}

impl Jwt {
    /// Whether there is any key.
    pub const fn is_on(&self) -> bool {
        self.hs256.is_some() || self.eddsa.is_some()
    }
}

pub(crate) static TOKEN: Section = Section {
    title: "tokens = [{ … }]",
    about: "a token; a bare text has all rights",
    by: None,
    fields: &[
        Field::required("token", Kind::Text, "what is shown; ${NAME} takes it from the environment"),
        Field::with(
            "rights",
            Kind::List(&Kind::Word(Right::WORDS)),
            "publish, read, control",
            "what it gives the right to: to send readings, to see and hear, to stop and break the service",
        ),
        Field::optional("device", Kind::Text, "the one device that it speaks for; any unless stated"),
        Field::optional(
            "name",
            Kind::Name,
            "what whoever shows it is called in the audit, and whose quota it has; its device, or its place in the list, unless stated",
        ),
    ],
};

pub(crate) static JWT: Section = Section {
    title: "jwt = { … }",
    about: "signed tokens: `exp` (required) and `nbf` are heeded, `sub` names the device, `scope` the rights",
    by: None,
    fields: &[
        Field::optional("hs256", Kind::Short(&KEPT), "the shared secret of HS256, of 32 bytes and more"),
        Field::optional(
            "eddsa",
            Kind::Short(&KEPT),
            "the public key of EdDSA (Ed25519): PEM, or its 32 bytes in Base64",
        ),
        Field::with(
            "leeway",
            Kind::Span(Span::ZERO, Span::from_ms(3_600_000)),
            "0s",
            "how far the signer's clock may be off",
        ),
    ],
};

pub(crate) static KEPT: Section = Section {
    title: "hs256 = { … }",
    about: "a key: as a bare text, or in a file",
    by: None,
    fields: &[
        Field::optional("value", Kind::Text, "the key; ${NAME} takes it from the environment"),
        Field::optional("file", Kind::Text, "a file that holds it"),
    ],
};

/// The plain tokens under `tokens`.
pub(super) fn tokens(fields: &Fields, report: &mut Reporter<'_>) -> Vec<Token> {
    let mut known = BTreeSet::new();
    let mut read = |found: &FieldValue| {
        let FieldValue::Table(entry) = found else { return None };
        let token = entry.text("token")?;
        report.context().conceal(token.written());
        if token.value().is_empty() {
            entry.refuse("token", report, "is empty", "write what is to be shown");
        }
        if !known.insert(token.value().to_owned()) {
            entry.refuse("token", report, "stands in the list more than once", "keep one of them");
        }
        let rights = entry.list("rights").iter().filter_map(|(_, right)| match right {
            FieldValue::Word(word) => Right::of(word),
            _ => None,
        });
        let (device, name) = (entry.text("device"), entry.text("name"));
        if name.as_ref().is_some_and(|name| name.value() == ANONYMOUS) {
            let message = format!("`{ANONYMOUS}` is whoever shows no token");
            entry.refuse("name", report, message, "write another name");
        }
        // What a variable stands for is not to be shown.
        let of_device = || device.as_ref().map(|device| format!("device:{}", device.written()));
        let shown = name.map(|name| name.written().to_owned()).or_else(of_device);
        Some(Token {
            token: Secret::new(token.value()),
            rights: rights.collect(),
            device: device.map(|device| device.value().to_owned()),
            name: shown,
        })
    };
    fields.list("tokens").iter().filter_map(|(_, found)| read(found)).collect()
}

/// The keys under `jwt`.
pub(super) fn jwt(fields: &Fields, report: &mut Reporter<'_>) -> Jwt {
    let Some(table) = fields.table("jwt") else { return Jwt::default() };
    let mut kept = |key: &str| {
        let entry = table.table(key)?;
        match (entry.text("value"), entry.text("file")) {
            (Some(value), None) => {
                report.context().conceal(value.written());
                Some(Kept::Here(Secret::new(value.value())))
            }
            (None, Some(file)) => Some(Kept::File(report.context().directory.join(file.value()))),
            (Some(_), Some(_)) => {
                entry.refuse("file", report, "stands beside a `value`", "keep one of the two");
                None
            }
            (None, None) => {
                if entry.given("value").is_none() && entry.given("file").is_none() {
                    entry.refuse("value", report, "is missing", "write a text, or { file = \"…\" }");
                }
                None
            }
        }
    };
    Jwt { hs256: kept("hs256"), eddsa: kept("eddsa"), leeway: table.span("leeway") }
}

/// The tokens in a CSV file: columns `token` (or `password`), and where there are any `rights`, separated by spaces, all unless
/// stated, `device` and `name`. Others are passed over, so that the file may be that of the devices.
///
/// # Errors
/// What is wrong, with its line, and what to do. No token is repeated.
pub(crate) fn tokens_in(text: &str) -> Result<Vec<Token>, String> {
    let mut table = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let broken = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        format!("line {line} has not as many cells as the header; correct it or take it out")
    };
    let header = table.headers().map_err(broken)?.clone();
    let place = |name: &str| header.iter().position(|column| column == name);
    let Some(token) = place("token").or_else(|| place("password")) else {
        return Err("line 1: no column is called token; name token, and rights and device if need be".into());
    };
    let (rights, device, name) = (place("rights"), place("device"), place("name"));
    let (mut tokens, mut lines) = (Vec::new(), HashMap::new());
    for row in table.records() {
        let row = row.map_err(broken)?;
        let line = row.position().map_or(0, csv::Position::line);
        let cell = |place: Option<usize>| place.and_then(|at| row.get(at)).filter(|cell| !cell.is_empty());
        let Some(token) = cell(Some(token)) else {
            return Err(format!("line {line}: the token is empty; fill it in, or take the row out"));
        };
        if let Some(before) = lines.insert(token.to_owned(), line) {
            return Err(format!("line {line}: the token stands in line {before}, too; keep one of the two"));
        }
        let rights = cell(rights).map_or_else(|| Ok(Right::ALL.to_vec()), |words| rights_of(words, line))?;
        if cell(name) == Some(ANONYMOUS) {
            return Err(format!("line {line}: `{ANONYMOUS}` is whoever shows no token; write another name"));
        }
        let text = |place| cell(place).map(str::to_owned);
        tokens.push(Token { token: Secret::new(token), rights, device: text(device), name: text(name) });
    }
    Ok(tokens)
}

fn rights_of(words: &str, line: u64) -> Result<Vec<Right>, String> {
    let right = |word: &str| {
        Right::of(word).ok_or_else(|| match nearest(word, Right::WORDS.iter().copied()) {
            Some(meant) => format!("line {line}: a right of no known name; did you mean {meant}?"),
            None => format!("line {line}: a right of no known name; there are {}", Right::WORDS.join(", ")),
        })
    };
    words.split_whitespace().map(right).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_who_may_do_what() {
        let text = "device,token,rights,header:X,name\nm-00000,t0,publish,x,\n,t1,\"read control\",,Ann\nm-2,t2,,,\n";
        let token = |token, rights: &[Right], device: Option<&str>, name: Option<&str>| Token {
            token: Secret::new(token),
            rights: rights.to_vec(),
            device: device.map(str::to_owned),
            name: name.map(str::to_owned),
        };
        let expected = [
            token("t0", &[Right::Publish], Some("m-00000"), None),
            token("t1", &[Right::Read, Right::Control], None, Some("Ann")),
            token("t2", Right::ALL, Some("m-2"), None),
        ];
        assert_eq!(tokens_in(text).unwrap(), expected);
        assert_eq!(tokens_in("username,password\na,pw\n").unwrap(), [Token::of("pw")]);
        for (text, fault) in [
            ("s3cret\n", "line 1: no column is called token"),
            ("token\ns3cret,x\n", "line 2 has not as many cells"),
            ("token,device\n,m\n", "line 2: the token is empty"),
            ("token,rights\ns3cret,pubish\n", "line 2: a right of no known name; did you mean publish?"),
            ("token\ns3cret\nx\ns3cret\n", "line 4: the token stands in line 2, too"),
            ("token,rights\ns3cret,all\n", "there are publish, read, control"),
            ("token,name\ns3cret,anonymous\n", "line 2: `anonymous` is whoever shows no token"),
        ] {
            let found = tokens_in(text).unwrap_err();
            assert!(found.contains(fault) && !found.contains("s3cret"), "{text}: {found}");
        }
    }
}
