//! Who asks for what it may not have: refusals, told as alerts no more often than subscribers can bear.

use std::cell::Cell;
use std::net::IpAddr;

use hyper::StatusCode;

use crate::clock::Tick;

/// Refusals of one kind within this time are one alert, nanoseconds.
const EVERY: u64 = 10_000_000_000;

/// Why somebody was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspicion {
    /// It shows no token, a wrong one, or one that has expired.
    Token,
    /// Its token gives it no right to that.
    Right,
    /// It asks for the service by another's name, or from another's page.
    Foreign,
}

impl Suspicion {
    const COUNT: usize = 3;

    /// What the answer to a request says of it; `by_token` says that a token decided.
    pub(super) fn of(status: StatusCode, by_token: bool) -> Option<Self> {
        match status {
            StatusCode::UNAUTHORIZED => Some(Self::Token),
            StatusCode::FORBIDDEN if by_token => Some(Self::Right),
            StatusCode::MISDIRECTED_REQUEST => Some(Self::Foreign),
            _ => None,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Token => "without a token that is known and good",
            Self::Right => "for what their token gives no right to",
            Self::Foreign => "from a foreign page, or under a foreign name",
        }
    }
}

/// What has been refused since it was last told, by kind.
#[derive(Debug, Default)]
pub(super) struct Suspicions([Cell<Refused>; Suspicion::COUNT]);

#[derive(Debug, Clone, Copy, Default)]
struct Refused {
    count: u64,
    /// When it may be told again; `None`: it never was.
    next: Option<Tick>,
}

impl Suspicions {
    /// Takes note of a refusal at `now`; what to tell, if it is time.
    pub(super) fn note(&self, suspicion: Suspicion, from: IpAddr, now: Tick) -> Option<String> {
        let cell = &self.0[suspicion as usize];
        let Refused { count, next } = cell.get();
        let count = count + 1;
        if next.is_some_and(|next| now < next) {
            cell.set(Refused { count, next });
            return None;
        }
        cell.set(Refused { count: 0, next: Some(now.plus_ns(EVERY)) });
        let (words, from) = (suspicion.words(), from.to_canonical());
        let since = if next.is_some() { " since this was last told" } else { "" };
        let requests = crate::units::figure::plural(count, "request");
        Some(format!("{requests} {words} refused{since}, the last from {from}"))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn refusals_are_counted_and_told_every_ten_seconds() {
        use Suspicion::{Right, Token};
        let suspicions = Suspicions::default();
        let at = |second: u64, suspicion| {
            suspicions.note(suspicion, Ipv4Addr::LOCALHOST.into(), Tick(second * 1_000_000_000))
        };
        assert_eq!(
            at(5, Token).as_deref(),
            Some("1 request without a token that is known and good refused, the last from 127.0.0.1")
        );
        assert_eq!((at(5, Token), at(14, Token)), (None, None));
        assert!(at(6, Right).is_some(), "another kind is told by itself");
        assert_eq!(
            at(15, Token).as_deref(),
            Some(
                "3 requests without a token that is known and good refused since this was last told, the last from 127.0.0.1"
            )
        );
        assert_eq!(at(16, Token), None);
    }

    #[test]
    fn answers_tell_who_was_refused_and_why() {
        for (status, by_token, expected) in [
            (StatusCode::OK, true, None),
            (StatusCode::UNAUTHORIZED, true, Some(Suspicion::Token)),
            (StatusCode::FORBIDDEN, true, Some(Suspicion::Right)),
            (StatusCode::FORBIDDEN, false, None),
            (StatusCode::MISDIRECTED_REQUEST, false, Some(Suspicion::Foreign)),
            (StatusCode::TOO_MANY_REQUESTS, false, None),
        ] {
            assert_eq!(Suspicion::of(status, by_token), expected, "{status}");
        }
    }
}
