//! Sizes in bytes: `120B`, `4KiB`, `1MB`. A KB is 1 000 bytes, however its k is written; a KiB is 1 024.

use std::fmt;
use std::str::FromStr;

use super::{UnitError, split_number};

const UNITS: [(&str, f64); 8] = [
    ("B", 1.0),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("kB", 1e3),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
];

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let fault = || {
            UnitError(format!(
                "`{text}` is not a valid size; write for example \"120B\", \"4KiB\" or \"1MB\""
            ))
        };
        let (number, unit) = split_number(text).ok_or_else(fault)?;
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(fault)?;
        let bytes = number * scale;
        if bytes.fract() != 0.0 || bytes >= u64::MAX as f64 {
            return Err(fault());
        }
        Ok(Self(bytes as u64))
    }
}

impl fmt::Display for ByteSize {
    /// The largest binary unit that is exact: `4KiB`, `1500B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.into_iter().find(|(scale, _)| self.0 >= *scale && self.0.is_multiple_of(*scale)) {
            Some((scale, unit)) => write!(f, "{}{unit}", self.0 / scale),
            None => write!(f, "{}B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [
            ("120B", 120),
            ("4KiB", 4096),
            ("1.5 KiB", 1536),
            ("2KB", 2_000),
            ("100KB", 100_000),
            ("2kB", 2_000),
            ("1MB", 1_000_000),
            ("0B", 0),
        ] {
            assert_eq!(text.parse::<ByteSize>().unwrap(), ByteSize(bytes), "{text}");
        }
        for text in ["", "12", "1.5B", "-1B", "1 mb", "1kb"] {
            assert!(
                text.parse::<ByteSize>().unwrap_err().to_string().contains("write for example"),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_give_the_size_back(bytes in 0_u64..1 << 50) {
            let size = ByteSize(bytes);
            prop_assert_eq!(size.to_string().parse::<ByteSize>().unwrap(), size);
        }
    }
}
