//! Entity tags: whoever asks again is told that nothing has changed (RFC 9110 §13.1.2).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use hyper::{Request, StatusCode};

use super::{Content, JSON, Reply, reply};

/// A reply of JSON with the entity tag of its text.
pub(super) fn tagged(text: String) -> Reply {
    let tag = tag_of(&text);
    let mut reply = reply(StatusCode::OK, JSON, text);
    reply.headers_mut().extend(HeaderValue::try_from(tag).ok().map(|tag| (ETAG, tag)));
    reply
}

/// An entity tag that changes with `text`.
fn tag_of(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// `reply`, or only that it has not changed, where the request names its entity tag among those that it knows.
pub(super) fn conditional(request: &Request<Incoming>, mut reply: Reply) -> Reply {
    let known = request.headers().get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let known: Vec<&str> = known.flat_map(|list| list.split(',')).map(str::trim).collect();
    if reply.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).is_some_and(|tag| is_known(tag, &known)) {
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        reply.headers_mut().remove(CONTENT_TYPE);
        *reply.body_mut() = Content::whole("");
    }
    reply
}

/// Whether `tag` is among those that a client knows, weakly compared (RFC 9110 §8.8.3.2).
fn is_known(tag: &str, known: &[&str]) -> bool {
    known.iter().any(|other| *other == "*" || other.strip_prefix("W/").unwrap_or(other) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_knows_the_tag_knows_the_text() {
        let tag = tag_of("one");
        let weak = format!("W/{tag}");
        for (known, found) in
            [(&tag[..], true), (&weak[..], true), ("*", true), ("\"1\"", false), ("", false)]
        {
            assert_eq!(is_known(&tag, &["\"x\"", known]), found, "{known}");
        }
        assert!(tag != tag_of("two") && tag.starts_with('"') && tag.ends_with('"'));
    }
}
