//! What a document may refer to outside its text: environment variables, and files beside it.

use std::cell::RefCell;
#[cfg(test)]
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;

use super::field::Section;
use super::refusal::{Refusal, quote};

/// Where `${NAME}` is looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Environment {
    /// In the environment of this process.
    #[default]
    Process,
    /// In this table alone.
    #[cfg(test)]
    Fixed(BTreeMap<String, String>),
}

impl Environment {
    fn variable(&self, name: &str) -> Option<String> {
        match self {
            Self::Process => std::env::var(name).ok(),
            #[cfg(test)]
            Self::Fixed(table) => table.get(name).cloned(),
        }
    }
}

/// What a document is read against.
#[derive(Debug, Clone, Default)]
pub(crate) struct Context {
    pub(crate) environment: Environment,
    /// Where relative paths begin: the directory of the document.
    pub(crate) directory: PathBuf,
    /// All sections of the language, to say where a misplaced key belongs.
    pub(crate) sections: &'static [&'static Section],
    /// What is to be masked: values of the environment variables that were put in, and secrets as they are written.
    pub(crate) revealed: RefCell<BTreeSet<String>>,
}

impl Context {
    /// Notes that the template `written` is a secret: what stands between its placeholders is to be masked wherever it shows.
    pub(crate) fn conceal(&self, written: &str) {
        let pieces = written.split("{{").enumerate().map(|(place, piece)| match piece.split_once("}}") {
            Some((_, rest)) if place > 0 => rest,
            _ => piece,
        });
        self.revealed.borrow_mut().extend(pieces.filter(|piece| !piece.is_empty()).map(str::to_owned));
    }

    /// Notes that `text`, which stands elsewhere, is to be masked wherever it shows.
    pub(crate) fn keep_to_itself(&self, text: &str) {
        self.revealed.borrow_mut().insert(text.to_owned());
    }

    /// `text` with every `${NAME}` replaced; `$${` stands for `${`.
    pub(crate) fn expand(&self, text: &str) -> Result<String, Refusal> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                out.push_str(&rest[..at]);
                out.push('{');
                rest = &rest[at + 2..];
                continue;
            }
            out.push_str(&rest[..at]);
            let inner = &rest[at + 2..];
            let Some(end) = inner.find('}').filter(|end| is_variable(&inner[..*end])) else {
                let message = format!("`{}` names no environment variable", quote(&rest[at..]));
                return Err((message, "write ${NAME}, or $${ for the characters ${".into()));
            };
            let name = &inner[..end];
            let Some(value) = self.environment.variable(name) else {
                let message = format!("the environment variable `{}` is not set", quote(name));
                return Err((message, format!("set it: export {}=…", quote(name))));
            };
            out.push_str(&value);
            self.revealed.borrow_mut().insert(value);
            rest = &inner[end + 1..];
        }
        out.push_str(rest);
        Ok(out)
    }
}

fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        let table = [("TOKEN", "s3cret"), ("EMPTY", ""), ("_A1", "x")];
        let table = table.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Context { environment: Environment::Fixed(table.into()), ..Context::default() }
    }

    #[test]
    fn variables_are_put_in_and_escapes_taken_out() {
        for (text, value) in [
            ("", ""),
            ("plain $5 {x}", "plain $5 {x}"),
            ("Bearer ${TOKEN}", "Bearer s3cret"),
            ("${TOKEN}${EMPTY}${_A1}.", "s3cretx."),
            ("$${TOKEN} ${TOKEN}", "${TOKEN} s3cret"),
        ] {
            assert_eq!(context().expand(text).unwrap(), value, "{text}");
        }
        for (text, message) in [
            ("${NOPE}", "the environment variable `NOPE` is not set"),
            ("a ${TOKEN", "`${TOKEN` names no environment variable"),
            ("${}", "`${}` names no environment variable"),
            ("${1A}", "`${1A}` names no environment variable"),
        ] {
            assert_eq!(context().expand(text).unwrap_err().0, message, "{text}");
        }
    }

    #[test]
    fn of_a_secret_that_names_the_device_the_rest_is_concealed() {
        for (written, concealed) in [
            ("hunter2", vec!["hunter2"]),
            ("{{device}}", vec![]),
            ("a{{device}}-b{{run}}", vec!["-b", "a"]),
            ("a}}b", vec!["a}}b"]),
        ] {
            let context = context();
            context.conceal(written);
            let found: Vec<_> = context.revealed.borrow().iter().cloned().collect();
            assert_eq!(found, concealed, "{written}");
        }
    }
}
