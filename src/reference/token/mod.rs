//! Who may do what: tokens with rights, plain or signed.

mod jwt;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use quick_cache::unsync::Cache;
use ring::hmac;

pub(super) use self::jwt::KeyFault;
use self::jwt::Verifier;
use crate::clock::WallTime;
use crate::seed;
use crate::service::{ANONYMOUS, Admission, AnonymousPolicy, Right, Token};

/// Signed tokens that are remembered, so that a signature is not checked with every request.
const REMEMBERED: usize = 10_000;

/// Whether a sender has shown a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Authenticated,
    AnonymousPolicy,
}

/// What somebody may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    rights: Vec<Right>,
    /// The one device it speaks for; `None`: any.
    device: Option<Arc<str>>,
    /// By which quota its readings are measured.
    pub(super) class: Class,
    /// Nobody was asked for a token.
    is_open: bool,
    /// What whoever has it is called: what its quota is kept by, and what the audit says.
    who: Arc<str>,
}

impl Grant {
    /// What anybody may where no token is asked for.
    pub(super) fn open() -> Self {
        let who = ANONYMOUS.into();
        Self { rights: Right::ALL.to_vec(), device: None, class: Class::Authenticated, is_open: true, who }
    }

    /// What the token at a `place` in the list, from 0, gives.
    pub(super) fn of(token: &Token, place: usize) -> Self {
        let device: Option<Arc<str>> = token.device.as_deref().map(Arc::from);
        let who = match (&token.name, &device) {
            (Some(name), _) => name.as_str().into(),
            (None, Some(device)) => format!("device:{device}").into(),
            (None, None) => format!("token-{}", place + 1).into(),
        };
        Self { rights: token.rights.clone(), device, class: Class::Authenticated, is_open: false, who }
    }

    /// What a signed token gives. It is called by its subject, and never as a plain one can be.
    fn signed(rights: Vec<Right>, subject: Option<&str>) -> Self {
        let who = subject.map_or_else(|| "jwt".into(), |subject| format!("jwt:{subject}").into());
        Self { rights, device: subject.map(Arc::from), class: Class::Authenticated, is_open: false, who }
    }

    /// What whoever shows no token may, where others do.
    fn anonymous(class: Class) -> Self {
        let who = ANONYMOUS.into();
        Self { rights: vec![Right::Publish, Right::Read], device: None, class, is_open: false, who }
    }

    /// What whoever has it is called.
    pub(super) const fn who(&self) -> &Arc<str> {
        &self.who
    }

    /// # Errors
    /// If the right is missing.
    pub(super) fn demand(&self, right: Right) -> Result<(), Denial> {
        if self.rights.contains(&right) { Ok(()) } else { Err(Denial::Lacks(right)) }
    }

    /// The one device it speaks for.
    pub(super) fn device(&self) -> Option<&Arc<str>> {
        self.device.as_ref()
    }

    /// # Errors
    /// If it speaks for another device only.
    pub(super) fn demand_device(&self, device: &str) -> Result<(), Denial> {
        match &self.device {
            Some(own) if **own != *device => Err(Denial::Foreign(Arc::clone(own))),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// If it speaks for one device only, and so is not told of all.
    pub(super) fn demand_all(&self) -> Result<(), Denial> {
        self.device.as_ref().map_or(Ok(()), |own| Err(Denial::Foreign(Arc::clone(own))))
    }

    /// What keeps sessions apart that clients of the same identifier have with other rights or for other devices.
    pub(super) fn realm(&self) -> String {
        if self.is_open {
            return String::new();
        }
        let reads = if self.rights.contains(&Right::Read) { "r" } else { "" };
        // No client identifier has this character (MQTT 3.1.1 §1.5.3).
        format!("{}\0{reads}\0", self.device.as_deref().unwrap_or_default())
    }
}

/// Why somebody is turned away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Denial {
    /// No token was shown.
    Missing,
    /// What was shown is none, or none any more: why.
    Invalid(&'static str),
    /// It does not give this right.
    Lacks(Right),
    /// It speaks for this device, and not for the one that was named.
    Foreign(Arc<str>),
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("a token is needed: Authorization: Bearer TOKEN"),
            Self::Invalid(why) => f.write_str(why),
            Self::Lacks(right) => write!(f, "the token does not give the right to {}", right.name()),
            Self::Foreign(own) => write!(f, "the token speaks for the device `{own}` alone"),
        }
    }
}

type Digest = [u8; 32];

/// All tokens that are accepted.
pub(super) struct Keyring {
    /// Tokens are looked up by their keyed digests: the time that takes tells nothing of how much of a guess is right.
    salt: hmac::Key,
    plain: HashMap<Digest, Arc<Grant>>,
    signed: Verifier,
    remembered: Cache<Digest, (Arc<Grant>, jwt::Window)>,
    anonymous: Result<Arc<Grant>, Denial>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("plain", &self.plain.len()).finish_non_exhaustive()
    }
}

impl Keyring {
    /// The tokens of `setup`, whose files are read.
    ///
    /// # Errors
    /// If a key of signed tokens is none.
    pub(super) fn new(setup: &Admission) -> Result<Self, KeyFault> {
        let signed = Verifier::new(&setup.jwt)?;
        let salt = hmac::Key::new(hmac::HMAC_SHA256, &seed::unseeded().to_le_bytes());
        let grant = |(place, token): (usize, &Token)| {
            (digest(&salt, token.token.reveal()), Arc::new(Grant::of(token, place)))
        };
        let plain = setup.tokens.iter().enumerate().map(grant).collect();
        let anonymous = match setup.anonymous {
            _ if !setup.asks() => Ok(Grant::open()),
            AnonymousPolicy::Admit => Ok(Grant::anonymous(Class::Authenticated)),
            AnonymousPolicy::Limit => Ok(Grant::anonymous(Class::AnonymousPolicy)),
            AnonymousPolicy::Refuse => Err(Denial::Missing),
        };
        let (remembered, anonymous) = (Cache::new(REMEMBERED), anonymous.map(Arc::new));
        Ok(Self { salt, plain, signed, remembered, anonymous })
    }

    /// What whoever shows `token` at `now` may.
    ///
    /// # Errors
    /// If that is nothing.
    pub(super) fn identify(&mut self, token: Option<&str>, now: WallTime) -> Result<Arc<Grant>, Denial> {
        let Some(token) = token else { return self.anonymous.clone() };
        if let Ok(open) = &self.anonymous
            && open.is_open
        {
            return Ok(Arc::clone(open));
        }
        let digest = digest(&self.salt, token);
        if let Some(grant) = self.plain.get(&digest) {
            return Ok(Arc::clone(grant));
        }
        let now = now.epoch_secs();
        if let Some((grant, window)) = self.remembered.get(&digest) {
            return window.admits(now).map(|()| Arc::clone(grant)).map_err(Denial::Invalid);
        }
        let (grant, window) = self.signed.verify(token).map_err(Denial::Invalid)?;
        let grant = Arc::new(grant);
        self.remembered.insert(digest, (Arc::clone(&grant), window));
        window.admits(now).map(|()| grant).map_err(Denial::Invalid)
    }
}

fn digest(salt: &hmac::Key, token: &str) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(hmac::sign(salt, token.as_bytes()).as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_token_is_refused_whatever_becomes_of_those_without() {
        let now = WallTime::now();
        let wrong = Err(Denial::Invalid("the token is not known here"));
        for (anonymous, without) in [
            (AnonymousPolicy::Refuse, Err(Denial::Missing)),
            (AnonymousPolicy::Admit, Ok(Class::Authenticated)),
            (AnonymousPolicy::Limit, Ok(Class::AnonymousPolicy)),
        ] {
            let tokens = vec![Token::of("secret")];
            let setup = Admission { tokens, anonymous, ..Admission::default() };
            let mut keyring = Keyring::new(&setup).unwrap();
            let mut class = |token| keyring.identify(token, now).map(|grant| grant.class);
            assert_eq!(class(Some("secret")), Ok(Class::Authenticated));
            assert_eq!(class(Some("secreT")), wrong);
            assert_eq!(class(Some("")), wrong);
            assert_eq!(class(None), without, "{}", anonymous.name());
            assert!(!format!("{keyring:?}").contains("secret"));
        }
        let mut open = Keyring::new(&Admission::default()).unwrap();
        assert_eq!(*open.identify(Some("any"), now).unwrap(), Grant::open());
        assert_eq!(*open.identify(None, now).unwrap(), Grant::open());
        let tokens_file = Some("unread".into());
        let mut unread = Keyring::new(&Admission { tokens_file, ..Admission::default() }).unwrap();
        assert_eq!(unread.identify(None, now), Err(Denial::Missing));
        assert_eq!(unread.identify(Some("any"), now).map(|grant| grant.class), wrong);
    }

    #[test]
    fn a_token_gives_its_rights_and_speaks_for_its_device() {
        let token = Token { rights: vec![Right::Publish], device: Some("m-1".into()), ..Token::of("t") };
        let setup = Admission { tokens: vec![token], ..Admission::default() };
        let mut keyring = Keyring::new(&setup).unwrap();
        let grant = keyring.identify(Some("t"), WallTime::now()).unwrap();
        assert_eq!(grant.demand(Right::Publish), Ok(()));
        assert_eq!(grant.demand(Right::Control), Err(Denial::Lacks(Right::Control)));
        assert_eq!(grant.demand_device("m-1"), Ok(()));
        assert_eq!(grant.demand_device("m-2"), Err(Denial::Foreign("m-1".into())));
        assert!(grant.demand_all().is_err());
    }

    #[test]
    fn whoever_shows_a_token_is_called_by_its_name_its_device_or_its_place() {
        let of = |text: &str, name: Option<&str>, device: Option<&str>| Token {
            name: name.map(str::to_owned),
            device: device.map(str::to_owned),
            ..Token::of(text)
        };
        let tokens = vec![
            of("a", Some("ann"), None),
            of("b", Some("ann"), Some("m-1")),
            of("c", None, Some("m-1")),
            of("d", None, None),
        ];
        let setup = Admission { tokens, anonymous: AnonymousPolicy::Admit, ..Admission::default() };
        let mut keyring = Keyring::new(&setup).unwrap();
        for (token, who) in [
            (Some("a"), "ann"),
            (Some("b"), "ann"),
            (Some("c"), "device:m-1"),
            (Some("d"), "token-4"),
            (None, "anonymous"),
        ] {
            assert_eq!(&**keyring.identify(token, WallTime::now()).unwrap().who(), who, "{token:?}");
        }
        assert_eq!(&**Grant::open().who(), "anonymous");
        for (subject, who) in [(Some("m-1"), "jwt:m-1"), (None, "jwt")] {
            assert_eq!(&**Grant::signed(Vec::new(), subject).who(), who);
        }
    }
}
