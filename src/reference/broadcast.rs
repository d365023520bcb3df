//! What somebody says to all who listen.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value};

/// Largest message, bytes: those that are kept take 1 000 times as much.
pub(super) const LARGEST: usize = 16 * 1024;

/// Members that are the service's own.
const RESERVED: [&str; 3] = ["type", "id", "instance"];

/// A message to all.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Broadcast {
    members: Map<String, Value>,
    /// The instance that it was said to; none if it is this one.
    pub(super) instance: Option<Arc<str>>,
}

impl Broadcast {
    /// Reads what somebody says: a JSON object.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > LARGEST {
            return Err("a broadcast is at most 16 KiB".to_owned());
        }
        let members: Map<String, Value> = serde_json::from_slice(bytes)
            .map_err(|fault| format!("a broadcast is a JSON object: {fault}"))?;
        match RESERVED.into_iter().find(|name| members.contains_key(*name)) {
            Some(name) => Err(format!("`{name}` is given by the service; take it out, or name it otherwise")),
            None => Ok(Self { members, instance: None }),
        }
    }

    /// As one JSON object; `instance` is named in it.
    pub(super) fn encode(&self, id: u64, instance: Option<&str>) -> String {
        let mut text = format!("{{\"type\":\"broadcast\",\"id\":{id}");
        // Writing to a string cannot fail.
        if let Some(instance) = instance {
            let _ = write!(text, ",\"instance\":{}", Value::from(instance));
        }
        for (name, value) in &self.members {
            let _ = write!(text, ",{}:{value}", Value::from(name.as_str()));
        }
        text.push('}');
        text
    }

    /// Reads what another instance encoded; none if it is not a broadcast.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let mut members: Map<String, Value> = serde_json::from_str(text).ok()?;
        let [kind, _, instance] = RESERVED.map(|name| members.remove(name));
        (kind? == "broadcast").then_some(())?;
        Some(Self { members, instance: Some(instance?.as_str()?.into()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_told_with_a_number_and_other_instances_read_it() {
        let said = Broadcast::parse(br#"{"device":"m-1","seq":7,"goal":{"by":"\u00fc"}}"#).unwrap();
        assert_eq!(
            said.encode(3, None),
            r#"{"type":"broadcast","id":3,"device":"m-1","goal":{"by":"ü"},"seq":7}"#
        );
        let text = said.encode(0, Some("north"));
        assert_eq!(Broadcast::decode(&text), Some(Broadcast { instance: Some("north".into()), ..said }));
        assert_eq!(Broadcast::parse(b"{}").unwrap().encode(1, None), r#"{"type":"broadcast","id":1}"#);
        for text in ["[]", "{}", r#"{"type":"alert","instance":"north"}"#, r#"{"type":"broadcast"}"#] {
            assert_eq!(Broadcast::decode(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_too_large_or_takes_the_services_names_is_refused() {
        let large = format!("{{\"x\":\"{}\"}}", "x".repeat(LARGEST));
        for (said, fault) in [
            ("21.5", "a JSON object"),
            ("{", "a JSON object"),
            (r#"{"id":1}"#, "`id` is given by the service"),
            (r#"{"type":"goal"}"#, "`type` is given"),
            (&large, "at most 16 KiB"),
        ] {
            let found = Broadcast::parse(said.as_bytes()).unwrap_err();
            assert!(found.contains(fault), "{found}");
        }
    }
}
