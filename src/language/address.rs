//! URLs of targets: one grammar for documents and command lines, and how one is shown without its login.

use url::Url;

use super::refusal::{Refusal, quote};

/// The form of the URLs of one protocol.
#[derive(Debug)]
pub(crate) struct AddressForm {
    /// Their schemes, the usual one first.
    pub(crate) schemes: &'static [&'static str],
    /// Schemes of the same over TLS.
    pub(crate) tls_schemes: &'static [&'static str],
    /// A URL as one might write it in a document.
    pub(crate) example: &'static str,
    /// The port of one that names none; `None`: each names one.
    pub(crate) port: Option<u16>,
    /// The same over TLS.
    pub(crate) tls_port: Option<u16>,
    /// Whether they may have a path and a query.
    pub(crate) has_path: bool,
    /// Whether they take `user:password@`.
    pub(crate) takes_login: bool,
    /// Schemes of the same within another protocol.
    pub(crate) carried: &'static [Carried],
}

/// A scheme of URLs whose protocol is spoken within another.
#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) scheme: &'static str,
    pub(crate) is_tls: bool,
    /// The path of one that names none.
    pub(crate) path: &'static str,
    /// The port of one that names none.
    pub(crate) port: u16,
}

/// What is wrong with a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressFault {
    /// Its scheme is that of another protocol.
    Scheme,
    /// It names no host.
    Host,
    /// It names no port, and there is no usual one.
    NoPort,
    /// Its port is 0.
    Port,
    /// It has a part that does not apply here: which.
    Part(&'static str),
}

impl AddressForm {
    /// The scheme that is written unless another is wanted.
    pub(crate) fn scheme(&self) -> &'static str {
        self.schemes.first().copied().unwrap_or_default()
    }

    /// Whether `url` asks for TLS.
    pub(crate) fn is_tls(&self, url: &Url) -> bool {
        self.tls_schemes.contains(&url.scheme()) || self.carried_by(url).is_some_and(|carried| carried.is_tls)
    }

    /// What `url` says of the protocol that carries this one; `None`: it stands for itself.
    pub(crate) fn carried_by(&self, url: &Url) -> Option<&'static Carried> {
        self.carried.iter().find(|carried| carried.scheme == url.scheme())
    }

    /// The port of `url`, if it names none; `None`: it has to name one.
    pub(crate) fn usual_port(&self, url: &Url) -> Option<u16> {
        match self.carried_by(url) {
            Some(carried) => Some(carried.port),
            None if self.is_tls(url) => self.tls_port,
            None => self.port,
        }
    }

    /// All schemes, the usual one first.
    pub(crate) fn all_schemes(&self) -> impl Iterator<Item = &'static str> {
        let carried = self.carried.iter().map(|carried| carried.scheme);
        self.schemes.iter().chain(self.tls_schemes).copied().chain(carried)
    }

    /// What is wrong with `url`, if anything is.
    pub(crate) fn fault(&self, url: &Url) -> Option<AddressFault> {
        let has_path = self.has_path || self.carried_by(url).is_some();
        let has_login = !url.username().is_empty() || url.password().is_some();
        if self.all_schemes().all(|scheme| scheme != url.scheme()) {
            Some(AddressFault::Scheme)
        } else if url.host_str().is_none_or(str::is_empty) {
            Some(AddressFault::Host)
        } else if self.port.or(url.port()).is_none() {
            Some(AddressFault::NoPort)
        } else if url.port() == Some(0) {
            Some(AddressFault::Port)
        } else if has_login && !self.takes_login {
            Some(AddressFault::Part("a user name"))
        } else if has_login && url.username().is_empty() {
            // MQTT 3.1.1 [3.1.2-22] takes none either.
            Some(AddressFault::Part("a password without a user name"))
        } else if !has_path && !matches!(url.path(), "" | "/") {
            Some(AddressFault::Part("a path"))
        } else if !has_path && url.query().is_some() {
            Some(AddressFault::Part("a query"))
        } else {
            None
        }
    }

    /// Whether `text` is such a URL.
    ///
    /// # Errors
    /// What is wrong with it, without its login, and what to write instead.
    pub(crate) fn check(&self, text: &str) -> Result<(), Refusal> {
        let example = format!("write for example \"{}\"", self.example);
        let shown = quote(&without_login(text));
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return Err((format!("`{shown}` is not a valid URL: {error}"), example)),
        };
        let scheme = quote(url.scheme());
        let message = match self.fault(&url) {
            None => return Ok(()),
            Some(AddressFault::Scheme) => format!("`{scheme}` is not the scheme of this key"),
            Some(AddressFault::Host) => format!("`{shown}` names no host"),
            Some(AddressFault::NoPort) => format!("`{shown}` names no port"),
            Some(AddressFault::Port) => "port 0 cannot be connected to".to_owned(),
            Some(AddressFault::Part(part)) => format!("`{shown}` has {part}, which does not apply here"),
        };
        Err((message, example))
    }
}

/// A URL's text without its credentials, whether it can be parsed or not.
pub(crate) fn without_login(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    // A password may hold what would end the authority, had it been encoded.
    let login = rest[..end].rfind('@').or_else(|| rest.rfind('@'));
    login.map_or_else(|| url.to_owned(), |at| format!("{scheme}://{}", &rest[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_no_part_of_what_is_shown() {
        for (url, shown) in [
            ("mqtt://a:b@h:1", "mqtt://h:1"),
            ("mqtt://a:b/c@h", "mqtt://h"),
            ("mqtt://h/a@b", "mqtt://b"),
            ("h:1", "h:1"),
        ] {
            assert_eq!(without_login(url), shown);
        }
    }
}
