//! The run that a message names under `run`: this one, another, or none.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::record::RunToken;

/// The key under which messages name their run.
const KEY: &str = "run";

/// What stands under `run`: a token, or anything else, which names no run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct RunName(Option<RunToken>);

/// A message is of another run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stranger;

impl RunName {
    /// What `value`, or what is around it, says.
    pub(super) fn in_value(value: &Value) -> Self {
        Self(value.get(KEY).and_then(Value::as_str).and_then(RunToken::of))
    }

    /// What the JSON object `message` says at its top.
    pub(super) fn in_message(message: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct Named {
            #[serde(default)]
            run: RunName,
        }
        if message.trim_ascii_start().first() != Some(&b'{') {
            return Self::default();
        }
        serde_json::from_slice(message).map_or_else(|_| Self::default(), |Named { run }| run)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }

    /// Whether it names the run. Where readings do not name theirs (`run` is `None`) no message is expected to.
    ///
    /// # Errors
    /// If it names another.
    pub(super) fn is_of(self, run: Option<RunToken>) -> Result<bool, Stranger> {
        match (self.0, run) {
            (Some(found), Some(run)) if found != run => Err(Stranger),
            (found, run) => Ok(found.is_some() && run.is_some()),
        }
    }
}

impl<'de> Deserialize<'de> for RunName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RunNameVisitor)
    }
}

/// Takes whatever stands there: a service may have a `run` of its own.
struct RunNameVisitor;

impl<'de> Visitor<'de> for RunNameVisitor {
    type Value = RunName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_str<E>(self, text: &str) -> Result<RunName, E> {
        Ok(RunName(RunToken::of(text)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<RunName, E> {
        Ok(RunName::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<RunName, E> {
        Ok(RunName::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<RunName, E> {
        Ok(RunName::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<RunName, E> {
        Ok(RunName::default())
    }

    fn visit_unit<E>(self) -> Result<RunName, E> {
        Ok(RunName::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RunName, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(RunName::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RunName, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(RunName::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_names_a_run() {
        let token = RunToken::of("k3x9q2ab");
        for (value, named) in [
            (r#""k3x9q2ab""#, true),
            (r#""Monday""#, false),
            ("\"\"", false),
            ("12345678", false),
            ("-1.5", false),
            ("true", false),
            ("null", false),
            (r#"["k3x9q2ab",{"a":[1]}]"#, false),
            (r#"{"run":"k3x9q2ab","a":[1]}"#, false),
        ] {
            let expected = RunName(token.filter(|_| named));
            let message = format!(r#" {{"seq":1,"run":{value},"x":2}}"#);
            assert_eq!(RunName::in_message(message.as_bytes()), expected, "{message}");
            assert_eq!(RunName::in_value(&serde_json::from_str(&message).unwrap()), expected, "{message}");
        }
        for message in ["", "21.5", "[]", r#"{"run""#, r#"{"seq":1}"#] {
            assert_eq!(RunName::in_message(message.as_bytes()), RunName(None), "{message}");
        }
    }

    #[test]
    fn a_message_is_ours_a_strangers_or_nobodys() {
        let (own, other) = (RunToken::of("k3x9q2ab"), RunToken::of("zzzzzzzz"));
        for (name, run, expected) in [
            (own, own, Ok(true)),
            (other, own, Err(Stranger)),
            (None, own, Ok(false)),
            (other, None, Ok(false)),
            (None, None, Ok(false)),
        ] {
            assert_eq!(RunName(name).is_of(run), expected, "{name:?} {run:?}");
        }
    }
}
