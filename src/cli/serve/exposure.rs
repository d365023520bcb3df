//! Who is let in by a service that others than this machine reach, as far as it may not be meant.

use std::net::IpAddr;

use crate::service::{AnonymousPolicy, Setup};

/// What whoever starts a service with this `setup` at the address `bind` is to know; `None` where only this machine reaches it, or
/// whoever comes has to show a token over TLS.
pub(super) fn warning(bind: IpAddr, setup: &Setup) -> Option<String> {
    if bind.to_canonical().is_loopback() {
        return None;
    }
    let admission = &setup.admission;
    let admitted = match admission.anonymous {
        _ if !admission.asks() => {
            "nobody is asked for a token: whoever reaches it may publish, read and control it. Ask for one with \
             --token '${NAME}' or --tokens FILE, or listen on 127.0.0.1"
        }
        AnonymousPolicy::Admit | AnonymousPolicy::Limit => {
            "whoever shows no token may publish and read: --set admission.anonymous=refuse if that is not meant"
        }
        AnonymousPolicy::Refuse => "",
    };
    let plain = if admission.asks() && setup.tls.is_none() {
        "tokens come in unencrypted, and whoever hears one may use it: --tls, or TLS in front of it"
    } else {
        ""
    };
    let faults: Vec<&str> = [admitted, plain].into_iter().filter(|fault| !fault.is_empty()).collect();
    (!faults.is_empty())
        .then(|| format!("the service listens on {bind}, beyond this machine; {}", faults.join("; ")))
}

#[cfg(test)]
mod tests {
    use AnonymousPolicy::{Admit, Limit, Refuse};

    use super::*;
    use crate::service::{Admission, Tls, Token};

    #[test]
    fn what_is_open_to_others_is_said_and_nothing_else() {
        let setup = |asks: bool, anonymous, tls: bool| Setup {
            admission: Admission {
                tokens: asks.then(|| Token::of("s3cret")).into_iter().collect(),
                anonymous,
                ..Admission::default()
            },
            tls: tls.then(Tls::default),
            ..Setup::default()
        };
        let (open, free, plain) = ("nobody is asked for a token", "whoever shows no token", "unencrypted");
        for (bind, setup, expected) in [
            ("127.0.0.1", setup(false, Refuse, false), &[] as &[&str]),
            ("127.8.0.1", setup(false, Refuse, false), &[]),
            ("::1", setup(false, Refuse, false), &[]),
            ("::ffff:127.0.0.1", setup(false, Refuse, false), &[]),
            ("0.0.0.0", setup(false, Refuse, false), &[open]),
            ("::", setup(false, Refuse, true), &[open]),
            ("192.0.2.1", setup(true, Admit, true), &[free]),
            ("192.0.2.1", setup(true, Limit, false), &[free, plain]),
            ("192.0.2.1", setup(true, Refuse, false), &[plain]),
            ("192.0.2.1", setup(true, Refuse, true), &[]),
        ] {
            let told = warning(bind.parse().unwrap(), &setup);
            assert_eq!(told.is_some(), !expected.is_empty(), "{bind}: {told:?}");
            let told = told.unwrap_or_default();
            for word in [open, free, plain] {
                assert_eq!(told.contains(word), expected.contains(&word), "{bind} {word}: {told}");
            }
            assert!(!told.contains("s3cret") && (told.is_empty() || told.contains(bind)), "{told}");
        }
    }
}
