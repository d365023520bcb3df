//! Signed tokens: JWT (RFC 7519) by HS256 and `EdDSA`, and nothing else. A key is of one algorithm, and a token names its own.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::{hmac, signature};
use serde::Deserialize;
use serde_json::Value;

use super::Grant;
use crate::service::{Jwt, Kept, Right};
use crate::units::Span;

/// Longest token that is looked at, bytes.
const LONGEST: usize = 8 * 1024;
/// Shortest secret of HS256, bytes (RFC 7518 §3.2).
const SHORTEST_SECRET: usize = 32;
/// What stands before the 32 bytes of a public key of Ed25519 (RFC 8410).
const KEY_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const UNKNOWN: &str = "the token is not known here";
const UNREADABLE: &str = "the token is not a JWT that can be read";
const UNSIGNED: &str = "the token's signature does not fit";

/// Why a key is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::reference) enum KeyFault {
    #[error(
        "the secret of HS256 has less than {SHORTEST_SECRET} bytes; write a longer one, for example from `openssl rand -hex 32`"
    )]
    Short,
    #[error(
        "the key of EdDSA is not a public key of Ed25519; give what `openssl pkey -pubout` prints, or its 32 bytes in Base64"
    )]
    Unreadable,
    #[error(
        "the key of EdDSA is a private key, which the service must not have; give the public one: `openssl pkey -pubout`"
    )]
    Private,
    #[error("a key of signed tokens was not read from its file")]
    Unread,
}

/// When a token is good, seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    from: f64,
    until: f64,
}

impl Window {
    /// # Errors
    /// If the token is not good at `now`.
    pub(super) fn admits(self, now: f64) -> Result<(), &'static str> {
        if now >= self.until {
            Err("the token has expired")
        } else if now < self.from {
            Err("the token is not good yet")
        } else {
            Ok(())
        }
    }
}

/// What checks signatures.
#[derive(Default)]
pub(super) struct Verifier {
    hs256: Option<hmac::Key>,
    eddsa: Option<[u8; 32]>,
    leeway: Span,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// Extensions that must be understood (RFC 7515 §4.1.11): none is.
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    exp: Option<f64>,
    nbf: Option<f64>,
    sub: Option<String>,
    scope: Option<Scope>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Scope {
    Words(String),
    List(Vec<String>),
}

impl Verifier {
    pub(super) fn new(setup: &Jwt) -> Result<Self, KeyFault> {
        let text = |kept: &Option<Kept>| match kept {
            None => Ok(None),
            Some(Kept::Here(secret)) => Ok(Some(secret.reveal().to_owned())),
            Some(Kept::File(_)) => Err(KeyFault::Unread),
        };
        let secret = text(&setup.hs256)?;
        if secret.as_ref().is_some_and(|secret| secret.len() < SHORTEST_SECRET) {
            return Err(KeyFault::Short);
        }
        Ok(Self {
            hs256: secret.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())),
            eddsa: text(&setup.eddsa)?.as_deref().map(public_key).transpose()?,
            leeway: setup.leeway,
        })
    }

    /// What a signed token says, and when it is good.
    ///
    /// # Errors
    /// If it is none, or is not signed by a key of ours. It repeats nothing of it.
    pub(super) fn verify(&self, token: &str) -> Result<(Grant, Window), &'static str> {
        if self.hs256.is_none() && self.eddsa.is_none() {
            return Err(UNKNOWN);
        }
        if token.len() > LONGEST {
            return Err("the token is longer than 8 KiB");
        }
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, signed] = parts[..] else { return Err(UNKNOWN) };
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| UNREADABLE);
        let message = &token.as_bytes()[..header.len() + 1 + claims.len()];
        self.check(&decoded(header)?, message, &decoded(signed)?)?;
        let claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| UNREADABLE)?;
        self.read(claims)
    }

    /// Checks the signature by the one key that is of the algorithm which the header names.
    fn check(&self, header: &[u8], message: &[u8], signed: &[u8]) -> Result<(), &'static str> {
        let header: Header = serde_json::from_slice(header).map_err(|_| UNREADABLE)?;
        if header.crit.is_some() {
            return Err("the token has critical extensions, of which none is understood");
        }
        match (header.alg.as_str(), &self.hs256, &self.eddsa) {
            ("HS256", Some(key), _) => hmac::verify(key, message, signed).map_err(|_| UNSIGNED),
            ("EdDSA" | "Ed25519", _, Some(key)) => {
                let key = signature::UnparsedPublicKey::new(&signature::ED25519, key);
                key.verify(message, signed).map_err(|_| UNSIGNED)
            }
            _ => Err("the token is signed by an algorithm that is not accepted here"),
        }
    }

    fn read(&self, claims: Claims) -> Result<(Grant, Window), &'static str> {
        let leeway = self.leeway.as_secs_f64();
        let until = claims.exp.ok_or("the token does not say when it expires: `exp` is missing")? + leeway;
        let words = match claims.scope {
            None => Vec::new(),
            Some(Scope::Words(words)) => words.split_whitespace().map(str::to_owned).collect(),
            Some(Scope::List(words)) => words,
        };
        // What others give a right to is none here.
        let rights = words.iter().filter_map(|word| Right::of(word)).collect();
        let grant = Grant::signed(rights, claims.sub.as_deref());
        Ok((grant, Window { from: claims.nbf.map_or(f64::MIN, |from| from - leeway), until }))
    }
}

/// The public key in `text`: PEM, or its bytes in Base64 of either alphabet.
fn public_key(text: &str) -> Result<[u8; 32], KeyFault> {
    if text.contains("PRIVATE KEY") {
        return Err(KeyFault::Private);
    }
    let bare: String = text.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
    let bare = bare.trim_end_matches('=').replace('-', "+").replace('_', "/");
    let padded = format!("{bare}{}", "=".repeat(bare.len().wrapping_neg() % 4));
    let bytes = STANDARD.decode(padded).map_err(|_| KeyFault::Unreadable)?;
    let key = bytes.strip_prefix(&KEY_PREFIX[..]).unwrap_or(&bytes);
    key.try_into().map_err(|_| KeyFault::Unreadable)
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    use serde_json::json;

    use super::*;
    use crate::units::Secret;

    const SECRET: &str = "an-example-of-a-secret-of-32-bytes";

    fn pair() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
    }

    fn here(text: &str) -> Kept {
        Kept::Here(Secret::new(text))
    }

    fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn hs256(secret: &str) -> impl Fn(&[u8]) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        move |message| hmac::sign(&key, message).as_ref().to_vec()
    }

    fn eddsa(message: &[u8]) -> Vec<u8> {
        pair().sign(message).as_ref().to_vec()
    }

    fn both() -> Verifier {
        let key = STANDARD.encode(pair().public_key().as_ref());
        let setup = Jwt { hs256: Some(here(SECRET)), eddsa: Some(here(&key)), leeway: Span::ZERO };
        Verifier::new(&setup).unwrap()
    }

    #[test]
    fn what_is_signed_by_a_key_of_ours_gives_its_rights() {
        let claims = json!({ "exp": 2e9, "nbf": 1e9, "sub": "m-1", "scope": "read control other" });
        let list = json!({ "exp": 2e9, "scope": ["publish"] });
        let verifier = both();
        for token in [
            signed(&json!({ "alg": "HS256", "typ": "JWT" }), &claims, hs256(SECRET)),
            signed(&json!({ "alg": "EdDSA" }), &claims, eddsa),
            signed(&json!({ "alg": "Ed25519" }), &claims, eddsa),
        ] {
            let (grant, window) = verifier.verify(&token).unwrap();
            assert_eq!(
                (grant.rights, grant.device.as_deref()),
                (vec![Right::Read, Right::Control], Some("m-1"))
            );
            assert_eq!(window.admits(1e9), Ok(()));
            assert_eq!(window.admits(2e9 - 1.0), Ok(()));
            assert_eq!(window.admits(2e9), Err("the token has expired"));
            assert_eq!(window.admits(1e9 - 1.0), Err("the token is not good yet"));
        }
        let (grant, _) = verifier.verify(&signed(&json!({ "alg": "HS256" }), &list, hs256(SECRET))).unwrap();
        assert_eq!((grant.rights, grant.device), (vec![Right::Publish], None));
        let late = Verifier { leeway: Span::from_ms(5_000), ..both() };
        let (_, window) = late.verify(&signed(&json!({ "alg": "EdDSA" }), &claims, eddsa)).unwrap();
        assert_eq!(window, Window { from: 1e9 - 5.0, until: 2e9 + 5.0 });
    }

    /// The example of RFC 7515 §A.1, whose claims say nothing of rights, and that of RFC 8037 §A.4, whose payload is not a set of claims.
    #[test]
    fn the_examples_of_the_standards_are_read() {
        let key = URL_SAFE_NO_PAD
            .decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
            .unwrap();
        let verifier =
            Verifier { hs256: Some(hmac::Key::new(hmac::HMAC_SHA256, &key)), ..Verifier::default() };
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
            eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
            dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let (grant, window) = verifier.verify(token).unwrap();
        assert_eq!((grant.rights, window.until), (vec![], 1_300_819_380.0));
        let eddsa = public_key("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let verifier = Verifier { eddsa: Some(eddsa), ..Verifier::default() };
        let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
            hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(verifier.verify(token).unwrap_err(), UNREADABLE);
        assert_eq!(verifier.verify(&token.replace("hgyY", "hgyZ")).unwrap_err(), UNSIGNED);
    }

    #[test]
    fn whatever_else_is_shown_is_refused() {
        let claims = json!({ "exp": 2e9, "scope": "control" });
        let alg = |name: &str| json!({ "alg": name });
        let public = STANDARD.encode(pair().public_key().as_ref());
        let none = signed(&alg("none"), &claims, |_| Vec::new());
        let good = signed(&alg("HS256"), &claims, hs256(SECRET));
        let no_algorithm = "the token is signed by an algorithm that is not accepted here";
        for (token, expected) in [
            ("x".to_owned(), UNKNOWN),
            ("a.b".to_owned(), UNKNOWN),
            ("a.b.c.d".to_owned(), UNKNOWN),
            ("..".to_owned(), UNREADABLE),
            (none, no_algorithm),
            (signed(&alg("None"), &claims, |_| Vec::new()), no_algorithm),
            (signed(&alg("HS512"), &claims, hs256(SECRET)), no_algorithm),
            (signed(&alg("HS256"), &claims, hs256("another-secret-of-at-least-32-bytes")), UNSIGNED),
            // The public key is known to everybody.
            (signed(&alg("HS256"), &claims, hs256(&public)), UNSIGNED),
            (signed(&alg("HS256"), &claims, |_| Vec::new()), UNSIGNED),
            (signed(&alg("EdDSA"), &claims, hs256(SECRET)), UNSIGNED),
            (signed(&alg("HS256"), &claims, eddsa), UNSIGNED),
            (format!("{good}="), UNREADABLE),
            (good.replace('.', ". "), UNREADABLE),
            (
                signed(&json!({ "alg": "HS256", "crit": ["b64"] }), &claims, hs256(SECRET)),
                "the token has critical extensions, of which none is understood",
            ),
            (signed(&json!({ "typ": "JWT" }), &claims, hs256(SECRET)), UNREADABLE),
            (
                signed(&alg("HS256"), &json!({ "scope": "read" }), hs256(SECRET)),
                "the token does not say when it expires: `exp` is missing",
            ),
            (signed(&alg("HS256"), &json!({ "exp": "never" }), hs256(SECRET)), UNREADABLE),
            ("a".repeat(9_000), "the token is longer than 8 KiB"),
        ] {
            assert_eq!(both().verify(&token).map(drop), Err(expected), "{token}");
        }
        let only = Verifier { hs256: None, ..both() };
        assert_eq!(only.verify(&good).map(drop), Err(no_algorithm));
        assert_eq!(Verifier::default().verify(&good).map(drop), Err(UNKNOWN));
    }

    #[test]
    fn keys_are_read_or_refused_with_what_to_do() {
        let bytes = pair().public_key().as_ref().to_vec();
        let pem = STANDARD.encode([&KEY_PREFIX[..], &bytes].concat());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n");
        for text in [pem, STANDARD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            assert_eq!(public_key(&text).unwrap()[..], bytes[..], "{text}");
        }
        let fault = |hs256, eddsa| Verifier::new(&Jwt { hs256, eddsa, leeway: Span::ZERO }).err().unwrap();
        assert_eq!(fault(Some(here("short")), None), KeyFault::Short);
        assert_eq!(fault(None, Some(here("no key"))), KeyFault::Unreadable);
        assert_eq!(fault(None, Some(here("-----BEGIN PRIVATE KEY-----"))), KeyFault::Private);
        assert_eq!(fault(None, Some(Kept::File("x".into()))), KeyFault::Unread);
    }
}
