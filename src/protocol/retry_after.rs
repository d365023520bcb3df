//! How long a service that refuses a reading asks to be left alone.

use std::time::UNIX_EPOCH;

use serde_json::Value;

use crate::units::Span;

/// What a service asks for that refuses a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// No other attempt before so long a wait.
    Wait(Span),
    /// None before this instant, seconds since 1970 in UTC.
    Date(u64),
}

impl RetryAfter {
    /// The value of HTTP's `Retry-After` (RFC 9110 §10.2.3): seconds or a date in one of its three forms. `None` if it is neither, and
    /// so says nothing.
    pub(super) fn of_field(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim_ascii();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let seconds = text.parse().unwrap_or(u64::MAX);
            return Some(Self::Wait(Span::from_ns(seconds.saturating_mul(1_000_000_000))));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        Some(Self::Date(date.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())))
    }

    /// What a message in JSON that refuses a reading says in `retry_after_ms`.
    pub(super) fn of_message(message: &Value) -> Option<Self> {
        let wait_ms = message.get("retry_after_ms")?.as_u64()?;
        Some(Self::Wait(Span::from_ns(wait_ms.saturating_mul(1_000_000))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_hold_seconds_or_dates_and_all_else_says_nothing() {
        let seconds = |seconds: u64| Some(RetryAfter::Wait(Span::from_ms(seconds * 1_000)));
        for (value, expected) in [
            ("0", seconds(0)),
            ("120", seconds(120)),
            (" 7 ", seconds(7)),
            ("007", seconds(7)),
            ("99999999999999999999999", Some(RetryAfter::Wait(Span::from_ns(u64::MAX)))),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(RetryAfter::Date(946_684_799))),
            ("Friday, 31-Dec-99 23:59:59 GMT", Some(RetryAfter::Date(946_684_799))),
            ("Fri Dec 31 23:59:59 1999", Some(RetryAfter::Date(946_684_799))),
            ("", None),
            ("1.5", None),
            ("-1", None),
            ("+1", None),
            ("soon", None),
            ("Fri, 31 Dec 1999", None),
        ] {
            assert_eq!(RetryAfter::of_field(value.as_bytes()), expected, "{value}");
        }
        assert_eq!(RetryAfter::of_field(b"\xff"), None);
    }

    #[test]
    fn a_refusal_says_its_wait_in_milliseconds() {
        let wait = |ms| Some(RetryAfter::Wait(Span::from_ms(ms)));
        for (message, expected) in [
            (
                r#"{"type":"shed","device":"m","seq":1,"reason":"queue_full","retry_after_ms":1500}"#,
                wait(1_500),
            ),
            (r#"{"type":"shed","seq":1}"#, None),
            (r#"{"retry_after_ms":-1}"#, None),
            (r#"{"retry_after_ms":"1"}"#, None),
            ("shed", None),
            ("", None),
        ] {
            let said: Option<Value> = serde_json::from_str(message).ok();
            assert_eq!(said.as_ref().and_then(RetryAfter::of_message), expected, "{message}");
        }
    }
}
