//! What a device proves by who it is: a token, a login, header fields.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::http::{reserved_header, valid_header};
use super::{Login, Misfit};
use crate::units::Secret;

/// What one device shows. Where it goes is the business of its protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Credential {
    /// A bearer token.
    pub(crate) bearer: Option<Secret>,
    /// A user name with its password.
    pub(crate) login: Option<Login>,
    /// Header fields by name.
    pub(crate) headers: Vec<(String, Secret)>,
}

impl Credential {
    /// Everything of it that must be told to nobody, in the forms in which it travels.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let password = self.login.as_ref().and_then(|login| login.password.as_ref());
        let texts = self.bearer.iter().chain(password).chain(self.headers.iter().map(|(_, value)| value));
        let texts = texts.map(|secret| secret.reveal().to_owned());
        texts.chain(self.login.as_ref().map(basic)).collect()
    }

    /// Adds it to the header fields of a request; what is wrong with it, if anything is.
    pub(super) fn head(&self, headers: &mut Vec<(String, String)>) -> Option<Misfit> {
        let bearer = self.bearer.as_ref().map(|token| ("bearer", format!("Bearer {}", token.reveal())));
        let login = self.login.as_ref().map(|login| ("username", format!("Basic {}", basic(login))));
        let named = bearer.into_iter().chain(login).map(|(key, value)| (key, "Authorization", value));
        let further =
            self.headers.iter().map(|(name, value)| ("headers", name.as_str(), value.reveal().to_owned()));
        let mut misfit = self.login.as_ref().filter(|login| login.user.contains(':')).map(|_| Misfit {
            key: "username",
            subject: "the user name",
            fault: "has a colon, behind which basic authentication takes all for the password",
            help: "take it out",
        });
        for (key, name, value) in named.chain(further) {
            misfit = misfit.or_else(|| unfit(key, name, &value, headers));
            headers.push((name.to_owned(), value));
        }
        misfit
    }
}

/// What is wrong with a header field beside those that are there.
fn unfit(key: &'static str, name: &str, value: &str, there: &[(String, String)]) -> Option<Misfit> {
    let subject = "a header field";
    if there.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
        let fault = "is stated more than once";
        return Some(Misfit { key, subject, fault, help: "keep one of them" });
    }
    if reserved_header(name) {
        let fault = "is written by squall itself";
        return Some(Misfit { key, subject, fault, help: "take it out" });
    }
    (!valid_header(name, value) || !value.is_ascii()).then_some(Misfit {
        key,
        subject,
        fault: "is not a token and visible ASCII characters in one line",
        help: "look for line ends and letters beyond ASCII in it",
    })
}

/// As basic authentication has it (RFC 7617).
fn basic(login: &Login) -> String {
    let password = login.password.as_ref().map_or("", Secret::reveal);
    BASE64.encode(format!("{}:{password}", login.user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Identity, driver};
    use crate::record::Protocol;

    fn credential(bearer: Option<&str>, login: Option<(&str, &str)>, headers: &[(&str, &str)]) -> Credential {
        Credential {
            bearer: bearer.map(Secret::new),
            login: login
                .map(|(user, word)| Login { user: user.to_owned(), password: Some(Secret::new(word)) }),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect(),
        }
    }

    fn present(protocol: &'static str, credential: &Credential) -> (Identity, Option<Misfit>) {
        let mut identity = Identity::of("d");
        let driver = driver(Protocol::named(protocol)).unwrap();
        let misfit = driver.present(credential, &mut identity);
        (identity, misfit)
    }

    #[test]
    fn each_protocol_carries_it_in_its_own_way() {
        let token = credential(Some("t0k"), None, &[("X-Api-Key", "k3y")]);
        let login = credential(None, Some(("Aladdin", "open sesame")), &[]);
        for protocol in ["http", "ws"] {
            let (identity, misfit) = present(protocol, &token);
            assert_eq!(misfit, None);
            let shown: Vec<_> = identity.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(shown, [("Authorization", "Bearer t0k"), ("X-Api-Key", "k3y")]);
            let (identity, misfit) = present(protocol, &login);
            assert_eq!(misfit, None);
            // The example of RFC 7617.
            assert_eq!(identity.headers[0].1, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        }
        let (identity, misfit) = present("mqtt", &login);
        assert_eq!((identity.login, misfit), (login.login.clone(), None));
        let (identity, misfit) = present("mqtt", &credential(Some("t0k"), None, &[]));
        let expected = Login { user: "d".to_owned(), password: Some(Secret::new("t0k")) };
        assert_eq!((identity.login, misfit), (Some(expected), None));
    }

    #[test]
    fn what_a_protocol_cannot_carry_is_said_without_telling_it() {
        for (protocol, credential, key, fault) in [
            ("tcp", credential(Some("s3cret"), None, &[]), "", "nothing in the protocol"),
            ("mqtt", credential(None, None, &[("X-Key", "s3cret")]), "headers", "no place in MQTT"),
            ("mqtt", credential(None, Some(("a\0", "s3cret")), &[]), "username", "U+0000"),
            ("http", credential(None, Some(("a:b", "s3cret")), &[]), "username", "a colon"),
            ("http", credential(Some("s3cret\r\nX: y"), None, &[]), "bearer", "in one line"),
            ("ws", credential(Some("s3crét"), None, &[]), "bearer", "visible ASCII"),
            ("http", credential(None, None, &[("Connection", "s3cret")]), "headers", "squall itself"),
            (
                "http",
                credential(Some("s3cret"), None, &[("authorization", "x")]),
                "headers",
                "more than once",
            ),
        ] {
            let misfit = present(protocol, &credential).1.unwrap();
            assert_eq!(misfit.key, key, "{protocol} {fault}");
            let said = format!("{misfit:?} {credential:?}");
            assert!(said.contains(fault) && !said.contains("s3cr"), "{said}");
        }
        let secrets = credential(Some("t0k"), Some(("a", "b")), &[("X", "k3y")]).secrets();
        assert_eq!(secrets, ["t0k", "b", "k3y", "YTpi"]);
    }
}
