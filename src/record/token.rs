//! The token of a run, by which its own messages are told from those of other runs at the same peer.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::seed;

/// Crockford's base32 digits in lower case: none is mistaken for another when a token is read aloud or typed.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Names one run: eight characters of `a`–`z` and `0`–`9`, so that what carries it is of the same size in every run.
///
/// It is drawn at random for every run, the one thing that the seed does not fix, since two runs of one scenario must be told
/// apart. It shapes no plan.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunToken(NonZeroU64);

impl RunToken {
    /// Characters of a token.
    pub const LENGTH: usize = 8;

    /// What stands for the token where only the plan is written down: `00000000`.
    pub const UNSET: Self = Self::of_digits(0);

    /// A token that, as good as certainly, no other run has.
    pub fn draw() -> Self {
        Self::of_digits(seed::unseeded())
    }

    /// The token of all shards of the plan with this digest that begin at the same instant, nanoseconds of Unix time.
    pub fn of_shards(plan_digest: &str, start_at_ns: Option<u64>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"squall run token 1\0");
        hash.update(plan_digest.as_bytes());
        hash.update(start_at_ns.unwrap_or_default().to_le_bytes());
        let bytes = hash.finalize();
        Self::of_digits(bytes.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// The token whose digits are the lowest bits of `number`, five each.
    const fn of_digits(number: u64) -> Self {
        let (mut bytes, mut at) = ([0; Self::LENGTH], 0);
        while at < Self::LENGTH {
            bytes[at] = DIGITS[(number >> (5 * at) & 31) as usize];
            at += 1;
        }
        match NonZeroU64::new(u64::from_be_bytes(bytes)) {
            Some(word) => Self(word),
            None => unreachable!(),
        }
    }

    /// The token that `text` is; `None` if it has another length or other characters.
    pub fn of(text: &str) -> Option<Self> {
        let bytes: [u8; Self::LENGTH] = text.as_bytes().try_into().ok()?;
        let sound = bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        sound.then(|| NonZeroU64::new(u64::from_be_bytes(bytes)).map(Self)).flatten()
    }

    /// Its characters, ASCII.
    pub const fn bytes(self) -> [u8; Self::LENGTH] {
        self.0.get().to_be_bytes()
    }
}

impl fmt::Display for RunToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes()))
    }
}

impl fmt::Debug for RunToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunToken({self})")
    }
}

/// A text that is not a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a run token is 8 characters of a-z and 0-9, such as k3x9q2ab")]
pub struct TokenError;

impl FromStr for RunToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        Self::of(text).ok_or(TokenError)
    }
}

impl TryFrom<String> for RunToken {
    type Error = TokenError;

    fn try_from(text: String) -> Result<Self, TokenError> {
        text.parse()
    }
}

impl From<RunToken> for String {
    fn from(token: RunToken) -> Self {
        token.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_eight_lower_case_letters_and_digits() {
        for (text, sound) in [
            ("k3x9q2ab", true),
            ("00000000", true),
            ("zzzzzzzz", true),
            ("k3x9q2a", false),
            ("k3x9q2abc", false),
            ("K3X9Q2AB", false),
            ("k3x9-2ab", false),
            ("k3x9q2ä", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<RunToken>().is_ok(), sound, "{text}");
        }
        let token: RunToken = "k3x9q2ab".parse().unwrap();
        assert_eq!((token.to_string().as_str(), &token.bytes()), ("k3x9q2ab", b"k3x9q2ab"));
        let stored = serde_json::to_string(&token).unwrap();
        assert_eq!(
            (stored.as_str(), serde_json::from_str::<RunToken>(&stored).unwrap()),
            ("\"k3x9q2ab\"", token)
        );
        assert_eq!((RunToken::UNSET.to_string().as_str(), size_of::<Option<RunToken>>()), ("00000000", 8));
    }

    #[test]
    fn tokens_of_runs_differ_and_those_of_shards_agree() {
        let drawn: std::collections::HashSet<RunToken> = (0..1_000).map(|_| RunToken::draw()).collect();
        assert_eq!(drawn.len(), 1_000);
        assert!(drawn.iter().all(|token| token.to_string().parse() == Ok(*token)));
        let base = RunToken::of_shards("abc", Some(5));
        assert_eq!(base, RunToken::of_shards("abc", Some(5)));
        for (digest, at) in [("abd", Some(5)), ("abc", Some(6)), ("abc", None)] {
            assert_ne!(RunToken::of_shards(digest, at), base, "{digest} {at:?}");
        }
    }
}
