//! The name of a wire protocol.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest name, bytes.
const MOST: usize = 15;

/// The wire protocol a fleet speaks: the word used in scenarios, columns and tags. What it can do is known to the room
/// `protocol` alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Protocol {
    word: [u8; MOST],
    len: u8,
}

impl Protocol {
    /// The protocol called `word`.
    ///
    /// # Panics
    /// If it is longer than 15 bytes or not of `a` to `z`, `0` to `9` and `-`.
    pub const fn named(word: &str) -> Self {
        assert!(is_name(word), "no name of a protocol");
        let mut name = Self { word: [0; MOST], len: word.len() as u8 };
        let mut at = 0;
        while at < word.len() {
            name.word[at] = word.as_bytes()[at];
            at += 1;
        }
        name
    }

    /// The word used in scenarios, columns and tags.
    pub fn name(&self) -> &str {
        self.word.get(..self.len.into()).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default()
    }
}

const fn is_name(word: &str) -> bool {
    let mut at = 0;
    while at < word.len() {
        if !matches!(word.as_bytes()[at], b'a'..=b'z' | b'0'..=b'9' | b'-') {
            return false;
        }
        at += 1;
    }
    0 < at && at <= MOST
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Protocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Protocol {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        if !is_name(&word) {
            return Err(de::Error::custom(format!("`{word}` is not the name of a protocol")));
        }
        Ok(Self::named(&word))
    }
}
