//! The events that a reply lists.

use serde_json::Value;

use super::super::Failure;
use super::super::correlator::number_at;

/// An event, as JSON, and its number, where it has one.
pub(super) type Listed = (Option<u64>, Vec<u8>);

/// The elements of the list at `pointer` in `body`, which is JSON, with what stands at `number` in each. Nothing at all is an empty list.
///
/// # Errors
/// If there is no list.
pub(super) fn events(body: &[u8], pointer: &str, number: Option<&str>) -> Result<Vec<Listed>, Failure> {
    if body.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let whole: Value =
        serde_json::from_slice(body).map_err(|_| Failure::protocol("the reply to a poll is not JSON"))?;
    let Some(Value::Array(events)) = whole.pointer(pointer) else {
        let place = if pointer.is_empty() { "at its top".to_owned() } else { format!("at `{pointer}`") };
        return Err(Failure::protocol(format!("the reply to a poll has no list {place}")).final_if(true));
    };
    let listed = |event: &Value| {
        let number = number.and_then(|pointer| number_at(event, pointer));
        (number, event.to_string().into_bytes())
    };
    Ok(events.iter().map(listed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_found_where_they_are_said_to_stand() {
        for (body, pointer, expected) in [
            ("", "/alerts", Some(vec![])),
            (" \r\n", "", Some(vec![])),
            (r#"{"alerts":[]}"#, "/alerts", Some(vec![])),
            (r#"[{"id":3},{"id":"4"},{"id":-1},7]"#, "", Some(vec![Some(3), Some(4), None, None])),
            (r#"{"a":[{"b":[{"id":1}]}]}"#, "/a/0/b", Some(vec![Some(1)])),
            (r#"{"alerts":{}}"#, "/alerts", None),
            (r#"{"alerts":[]}"#, "/events", None),
            ("[", "", None),
            ("<html>", "/alerts", None),
        ] {
            let found = events(body.as_bytes(), pointer, Some("/id"));
            let numbers = found.ok().map(|found| found.into_iter().map(|(number, _)| number).collect());
            assert_eq!(numbers, expected, "{body} {pointer}");
        }
        assert_eq!(events(b"[ {\"id\": 1 } ]", "", None).unwrap(), [(None, b"{\"id\":1}".to_vec())]);
    }
}
