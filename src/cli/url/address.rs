//! What a URL says: the protocol, the target, a path or topic, and a login.

use url::{Position, Url};

use super::args::{listed, schemes};
use crate::cli::CliError;
use crate::language::{AddressForm, nearest, quote, without_login};
use crate::protocol::{Facts, percent_decoded, protocols};

/// Characters that a scenario's name has at the most.
const LONGEST_NAME: usize = 64;

/// A URL, taken apart.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) facts: &'static Facts,
    pub(super) is_tls: bool,
    /// The URL as `[target]` has it: without login and fragment.
    pub(super) target: String,
    /// What `[target]` has not: the path, the query or the topic, as the key of the protocol's own table takes it.
    pub(super) place: Option<(&'static str, String)>,
    /// User name, and password if there is one.
    pub(super) login: Option<(String, Option<String>)>,
    /// What a scenario for it is called.
    pub(super) name: String,
    /// It without login and query.
    pub(super) shown: String,
}

impl Address {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// If it is no URL, or not of a form that a protocol here has, without showing its login.
    pub(super) fn read(text: &str) -> Result<Self, CliError> {
        let scheme = text.split_once("://").map_or("", |(scheme, _)| scheme);
        let facts = speaking(scheme).ok_or_else(|| unknown(scheme, text))?;
        let form = &facts.target;
        let invalid = |error| {
            let shown = quote(&without_login(text));
            CliError::usage(format!(
                "`{shown}` is not a valid URL: {error}; write for example {}",
                form.example
            ))
        };
        let variable = Variable::find(text, form);
        let mut url =
            Url::parse(variable.as_ref().map_or(text, |variable| &variable.text)).map_err(invalid)?;
        let login = take_login(&mut url);
        let tail = tail(text);
        let fragment = url.fragment().map(str::to_owned);
        url.set_fragment(None);
        let place = if let Some(key) = facts.one_line.place {
            url.set_path("");
            let topic = tail.split(['?', '#']).next().unwrap_or_default();
            let topic = percent_decoded(topic.strip_prefix('/').unwrap_or(topic));
            // A wildcard behind the fragment's mark is refused where the topic is looked at.
            let topic = topic + &fragment.map(|rest| format!("#{rest}")).unwrap_or_default();
            (!topic.is_empty()).then_some((key, topic))
        } else if form.has_path && ["{{", "${"].iter().any(|mark| tail.contains(mark)) {
            // Encoded, it would name nothing.
            url.set_path("/");
            url.set_query(None);
            let written = tail.split('#').next().unwrap_or_default();
            let slash = if written.starts_with('/') { "" } else { "/" };
            Some(("path", format!("{slash}{written}")))
        } else {
            None
        };
        if !form.has_path && url.path() == "/" {
            url.set_path("");
        }
        form.check(url.as_str()).map_err(|(message, help)| CliError::usage(format!("{message}; {help}")))?;
        let written = |url: &Url| match &variable {
            Some(Variable { written, .. }) => {
                format!("{}://{written}{}", url.scheme(), &url[Position::BeforePath..])
            }
            None => url.as_str().to_owned(),
        };
        let target = written(&url);
        if place.as_ref().is_some_and(|(_, place)| place.contains('\u{fffd}')) {
            return Err(CliError::usage(format!(
                "`{}` has escapes that are not UTF-8; write what they stand for",
                quote(&without_login(text))
            )));
        }
        let is_tls = form.is_tls(&url);
        let authority = &url[Position::BeforeHost..Position::AfterPort];
        let name = name(facts, variable.as_ref().map_or(authority, |variable| variable.written));
        url.set_query(None);
        let shown = written(&url);
        Ok(Self { facts, is_tls, target, place, login, name, shown })
    }
}

/// A host or a port that environment variables stand for: a parser of URLs takes the one for a name, of which it changes the letters,
/// and the other for no number.
struct Variable<'t> {
    /// Both as they are written.
    written: &'t str,
    /// The URL with a host and a port of its own in their place.
    text: String,
}

impl<'t> Variable<'t> {
    fn find(text: &'t str, form: &AddressForm) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let end = rest.len() - tail(text).len();
        let start = rest[..end].rfind('@').map_or(0, |at| at + 1);
        let written = &rest[start..end];
        if !written.contains("${") {
            return None;
        }
        let port = match written.split_once(':') {
            Some((_, port)) if !port.contains("${") => format!(":{port}"),
            // What stands for all of it may hold the port that this form needs.
            None if form.port.is_some() => String::new(),
            _ => ":1".to_owned(),
        };
        let text = format!("{scheme}://{}host.invalid{port}{}", &rest[..start], &rest[end..]);
        Some(Self { written, text })
    }
}

/// The protocol whose URLs begin with `scheme`.
fn speaking(scheme: &str) -> Option<&'static Facts> {
    protocols().filter(|facts| facts.sends()).find(|facts| {
        let over_tls = facts.target.tls_schemes.first();
        [Some(&facts.target.scheme()), over_tls]
            .into_iter()
            .flatten()
            .any(|own| own.eq_ignore_ascii_case(scheme))
    })
}

/// What is wrong with a URL of a scheme that nothing here speaks.
fn unknown(scheme: &str, text: &str) -> CliError {
    let shown = without_login(text);
    let rest = shown.split_once("://").map_or("", |(_, rest)| rest);
    let help = nearest(scheme, schemes()).map_or_else(
        || format!("write {}", listed()),
        |meant| format!("did you mean {meant}://{}?", quote(rest)),
    );
    CliError::usage(format!("`{}://` is not spoken here; {help}", quote(scheme)))
}

/// What stands behind host and port, as it was written.
fn tail(text: &str) -> &str {
    let rest = text.split_once("://").map_or("", |(_, rest)| rest);
    rest.find(['/', '?', '#']).map_or("", |at| &rest[at..])
}

/// Moves the login out of `url`, so that nothing that is made of it shows it.
fn take_login(url: &mut Url) -> Option<(String, Option<String>)> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let login = (percent_decoded(url.username()), url.password().map(percent_decoded));
    // Both calls fail only for URLs without a host, which are refused.
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.is_ok().then_some(login)
}

/// Protocol, host and port, as a name of a scenario is written.
fn name(facts: &Facts, authority: &str) -> String {
    let words = format!("{}-{authority}", facts.protocol).to_ascii_lowercase();
    let mut name = String::new();
    for letter in words.chars() {
        let letter = if letter.is_ascii_alphanumeric() { letter } else { '-' };
        if letter != '-' || !name.ends_with('-') {
            name.push(letter);
        }
    }
    name.truncate(LONGEST_NAME);
    name.trim_end_matches('-').to_owned()
}
