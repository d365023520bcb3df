//! Where Redis is.

use crate::language::{Fields, Reporter, quote, without_login};
use crate::units::Secret;

/// The address of a Redis. It is shown without its login, and with the variables that were written in place of what they stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisAddress {
    url: Secret,
    shown: Box<str>,
}

impl From<&str> for RedisAddress {
    fn from(url: &str) -> Self {
        Self { url: Secret::new(url), shown: without_login(url).into() }
    }
}

impl RedisAddress {
    /// The address under `redis`, checked as far as its form goes.
    pub(super) fn from_fields(fields: &Fields, report: &mut Reporter<'_>) -> Self {
        let text = fields.text("redis").unwrap_or_default();
        let (url, shown) = (text.value(), without_login(text.written()));
        let sound = url::Url::parse(url).is_ok_and(|url| url.scheme() == "redis" && url.has_host());
        if !url.is_empty() && !sound {
            let message = format!("`{}` is not a valid Redis address", quote(&shown));
            fields.refuse("redis", report, message, "write for example \"redis://127.0.0.1:6379\"");
        }
        Self { url: Secret::new(url), shown: shown.into() }
    }

    /// The whole of it, for the client that connects.
    pub(crate) fn url(&self) -> &str {
        self.url.reveal()
    }

    /// What may be shown of it: `redis://127.0.0.1:6379`, or `${REDIS_URL}` where that was written.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }
}
