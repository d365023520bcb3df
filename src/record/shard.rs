//! A share of a plan: what one of several processes drives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::is_steering;

/// One of several processes that drive one plan together: it drives the devices whose global index modulo the number of shards
/// is its own number less one. Written `2/4`: the second of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    number: u32,
    of: u32,
}

impl Shard {
    /// All devices.
    pub const WHOLE: Self = Self { number: 1, of: 1 };
    /// Shards that a plan can have.
    pub const MOST: u32 = 65_536;

    /// Shard `number` of `of`; `None` unless `1 <= number <= of <= `[`Shard::MOST`].
    pub const fn new(number: u32, of: u32) -> Option<Self> {
        if 1 <= number && number <= of && of <= Self::MOST { Some(Self { number, of }) } else { None }
    }

    /// Which it is, from 1.
    pub const fn number(self) -> u32 {
        self.number
    }

    /// How many there are.
    pub const fn of(self) -> u32 {
        self.of
    }

    /// Whether it does what is to happen once however many shards there are.
    pub const fn leads(self) -> bool {
        self.number == 1
    }

    /// Whether it drives the device with this global index.
    pub const fn drives(self, global: u32) -> bool {
        global % self.of == self.number - 1
    }

    /// How many it drives of the `devices` whose first has the global index `first`.
    pub const fn count(self, first: u32, devices: u32) -> u32 {
        let (end, first) = (first as u64 + devices as u64, first as u64);
        (self.below(end) - self.below(first)) as u32
    }

    /// How many it drives of those with a global index below `end`.
    const fn below(self, end: u64) -> u64 {
        (end + (self.of - self.number) as u64) / self.of as u64
    }

    /// The index within the fleet of the `nth` device it drives, from 0, of a fleet whose first device has the global index
    /// `first`.
    pub const fn member(self, first: u32, nth: u32) -> u32 {
        let (of, first) = (self.of as u64, first as u64);
        let offset = (self.number as u64 - 1 + of - first % of) % of;
        (offset + nth as u64 * of) as u32
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// A text that names no shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no shard; write K/N with K from 1 to N, and N at most 65536, such as 2/4")]
pub struct ShardError(String);

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let plain =
            |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten();
        let shard = text.split_once('/').and_then(|(number, of)| Self::new(plain(number)?, plain(of)?));
        shard.ok_or_else(|| ShardError(text.chars().filter(|c| !is_steering(*c)).take(40).collect()))
    }
}

impl TryFrom<String> for Shard {
    type Error = ShardError;

    fn try_from(text: String) -> Result<Self, ShardError> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_shard_is_written_as_its_number_of_how_many() {
        for (number, of) in [(1, 1), (2, 4), (65_536, 65_536)] {
            let shard = Shard::new(number, of).unwrap();
            assert_eq!(shard.to_string().parse(), Ok(shard));
            let stored = serde_json::to_string(&shard).unwrap();
            assert_eq!(serde_json::from_str::<Shard>(&stored).unwrap(), shard);
        }
        for wrong in [
            "",
            "2",
            "0/4",
            "5/4",
            "1/0",
            "0/0",
            "1/65537",
            "+1/4",
            "1 /4",
            "1/4/4",
            "a/b",
            "-1/4",
            "1/99999999999",
        ] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_device_is_driven_by_one_shard(of in 1_u32..9, first in 0_u32..50, devices in 0_u32..50) {
            let mut driven = vec![0; devices as usize];
            for number in 1..=of {
                let shard = Shard::new(number, of).unwrap();
                let own: Vec<u32> = (0..shard.count(first, devices)).map(|nth| shard.member(first, nth)).collect();
                let asked: Vec<u32> = (0..devices).filter(|index| shard.drives(first + index)).collect();
                prop_assert_eq!(&own, &asked);
                for index in own {
                    driven[index as usize] += 1;
                }
            }
            prop_assert!(driven.iter().all(|times| *times == 1));
        }
    }
}
