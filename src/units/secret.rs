//! Texts that nobody is to read but whom they are meant for.

use std::fmt;

/// A text that is printed nowhere, for debugging or otherwise: a password, a token. Whoever uses it says so by [`Self::reveal`].
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps `text` to itself.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text, to be sent to whom it is meant for, or compared with what somebody showed.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_printed() {
        let secret = Secret::new("s3cret");
        assert_eq!(
            format!("{secret} {secret:?} {:#?} {}", Some(&secret), secret.reveal()),
            "*** *** Some(\n    ***,\n) s3cret"
        );
    }
}
