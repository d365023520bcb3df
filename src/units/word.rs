//! Choices by word: one list of words serves files, schema and messages.

/// A choice whose variants are written as words.
pub(crate) trait Choice: Copy + 'static {
    /// The first in the order of documents.
    const FIRST: Self;

    /// The choice written as `word`.
    fn choice(word: &str) -> Option<Self>;
}

/// Defines a choice whose variants are written as words.
macro_rules! words {
    ($(#[$outer:meta])* $name:ident { $($(#[$inner:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$inner])* $variant),+ }

        impl $name {
            /// All of them, in the order documents list them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Their words, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word it is written as.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The choice written as `word`.
            pub fn of(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|choice| choice.name() == word)
            }
        }

        impl $crate::units::word::Choice for $name {
            const FIRST: Self = Self::ALL[0];

            fn choice(word: &str) -> Option<Self> {
                Self::of(word)
            }
        }
    };
}

pub(crate) use words;
