//! Sets of HTTP statuses, as scenarios write them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Statuses a response can have: 1xx announce one, and none has a number of four digits.
const LEAST: u16 = 200;
const MOST: u16 = 599;

/// Whether what was answered with `status` will never succeed as it is: a client error other than those that ask to wait
/// (RFC 9110 §15.5, RFC 6585, RFC 8470).
pub(super) const fn refuses_for_good(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 408 | 425 | 429)
}

/// HTTP statuses of final responses, 200 to 599. Cheap to clone.
///
/// Read from `200`, `2xx` or `200-204`, or several of these between commas; collected from several sets as their union,
/// from none as the set without a member. Two sets with the same members are equal, and print alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StatusSet {
    /// Sorted, disjoint and not adjacent; first and last are members.
    ranges: Arc<[(u16, u16)]>,
}

impl StatusSet {
    /// Every success: 2xx.
    pub fn success() -> Self {
        Self::of(vec![(200, 299)])
    }

    /// How services say that they are asked too much: 429 (Too Many Requests) and 503 (Service Unavailable).
    pub fn overload() -> Self {
        Self::of(vec![(429, 429), (503, 503)])
    }

    /// Whether `status` is a member.
    pub fn contains(&self, status: u16) -> bool {
        self.ranges.iter().any(|&(first, last)| (first..=last).contains(&status))
    }

    fn of(mut ranges: Vec<(u16, u16)>) -> Self {
        ranges.sort_unstable();
        // A range that overlaps or touches the one before it is merged into that.
        ranges.dedup_by(|next, kept| {
            let touches = next.0 <= kept.1 + 1;
            if touches {
                kept.1 = kept.1.max(next.1);
            }
            touches
        });
        Self { ranges: ranges.into() }
    }
}

impl FromIterator<Self> for StatusSet {
    fn from_iter<I: IntoIterator<Item = Self>>(sets: I) -> Self {
        Self::of(sets.into_iter().flat_map(|set| set.ranges.to_vec()).collect())
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, &(first, last)) in self.ranges.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else if last - first == 99 && first % 100 == 0 {
                write!(f, "{comma}{}xx", first / 100)?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

/// A text that names no HTTP status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no HTTP status of a response: write 200 to 599, a class like 2xx, or a range like 200-204"
)]
pub struct StatusError(String);

impl FromStr for StatusSet {
    type Err = StatusError;

    fn from_str(text: &str) -> Result<Self, StatusError> {
        let parse = |part: &str| range(part.trim()).ok_or_else(|| StatusError(part.trim().to_owned()));
        Ok(Self::of(text.split(',').map(parse).collect::<Result<_, _>>()?))
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
        return match class.as_bytes() {
            &[digit @ b'2'..=b'5'] => {
                let first = u16::from(digit - b'0') * 100;
                Some((first, first + 99))
            }
            _ => None,
        };
    }
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (status(first.trim_end())?, status(last.trim_start())?),
        None => (status(text)?, status(text)?),
    };
    (first <= last).then_some((first, last))
}

fn status(digits: &str) -> Option<u16> {
    let plain = digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten().filter(|status| (LEAST..=MOST).contains(status))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_name_statuses_classes_and_ranges() {
        let table: [(&str, &[u16], &[u16], &str); 10] = [
            ("200", &[200], &[199, 201], "200"),
            ("2xx", &[200, 250, 299], &[199, 300], "2xx"),
            ("4XX", &[400, 499], &[399, 500], "4xx"),
            ("200-204", &[200, 204], &[199, 205], "200-204"),
            ("200 - 204", &[200, 204], &[205], "200-204"),
            ("2xx, 404", &[204, 404], &[400, 405], "2xx,404"),
            ("503,429", &[429, 503], &[430, 500], "429,503"),
            ("200-204,203-210,211", &[200, 211], &[212], "200-211"),
            ("2xx,300-399", &[200, 399], &[400], "200-399"),
            ("200-299", &[299], &[300], "2xx"),
        ];
        for (text, members, others, shown) in table {
            let set: StatusSet = text.parse().unwrap();
            assert!(members.iter().all(|status| set.contains(*status)), "{text}");
            assert!(!others.iter().any(|status| set.contains(*status)), "{text}");
            assert_eq!(set.to_string(), shown);
        }
        assert_eq!("2xx".parse(), Ok(StatusSet::success()));
        assert_eq!("429,503".parse(), Ok(StatusSet::overload()));
    }

    #[test]
    fn other_texts_are_refused_by_name() {
        let table = [
            "",
            "20",
            "2000",
            "+20",
            "199",
            "600",
            "1xx",
            "6xx",
            "xx",
            "2x",
            "22xx",
            "204-200",
            "200-",
            "-200",
            "2xx,",
            "200-2xx",
            "ok",
            "２００",
            "éxx",
        ];
        for text in table {
            let refusal = text.parse::<StatusSet>().unwrap_err().to_string();
            assert!(refusal.contains("write 200 to 599"), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_union_of_none_has_no_member() {
        let none: StatusSet = std::iter::empty().collect();
        assert!((0..=999).all(|status| !none.contains(status)));
        let both: StatusSet = [StatusSet::success(), StatusSet::overload(), none].into_iter().collect();
        assert_eq!(both.to_string(), "2xx,429,503");
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_as_the_same_members(
            ranges in proptest::collection::vec((200_u16..=599, 0_u16..150), 1..8),
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(first, more)| (first, (first + more).min(599))).collect();
            let texts: Vec<_> = ranges.iter().map(|(first, last)| format!("{first}-{last}")).collect();
            let set: StatusSet = texts.join(",").parse().unwrap();
            for status in 190..610 {
                let expected = ranges.iter().any(|&(first, last)| first <= status && status <= last);
                prop_assert_eq!(set.contains(status), expected);
            }
            prop_assert_eq!(set.to_string().parse(), Ok(set));
        }
    }
}
