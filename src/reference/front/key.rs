//! By what a request is known that is to go to the same instance as others of its device.

use hyper::http::request::Parts;
use serde::Deserialize;

/// The header that names a device, for whoever cannot be known otherwise.
const HEADER: &str = "x-device";
/// Paths below which the next part is a device.
const DEVICES: &str = "/v1/devices/";

/// The device of a request, as far as its header `x-device`, its path, its query or its body names one.
pub(super) fn device(head: &Parts, body: &[u8]) -> Option<String> {
    if let Some(name) = head.headers.get(HEADER).and_then(|name| name.to_str().ok()) {
        return Some(name.to_owned());
    }
    if let Some(name) = head.uri.path().strip_prefix(DEVICES) {
        return Some(name.to_owned());
    }
    let query = head.uri.query().unwrap_or_default();
    let asked = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "device");
    asked.map(|(_, name)| name.into_owned()).or_else(|| of_body(body))
}

/// The device that a reading names, or the first of a list.
fn of_body(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        device: String,
    }
    let one = body.trim_ascii_start();
    if one.first() == Some(&b'[') {
        // The first will do: what follows need not be read.
        let rest = &one[1..];
        let mut readings = serde_json::Deserializer::from_slice(rest).into_iter::<Named>();
        return readings.next()?.ok().map(|named| named.device);
    }
    serde_json::from_slice(one).ok().map(|Named { device }| device)
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    #[test]
    fn a_device_is_known_by_header_path_query_or_body() {
        for (path, header, body, expected) in [
            ("/v1/readings", Some("m-1"), r#"{"device":"m-2"}"#, Some("m-1")),
            ("/v1/devices/m-3", None, "", Some("m-3")),
            ("/v1/alerts?after=1&device=m%204", None, "", Some("m 4")),
            ("/v1/readings", None, r#" {"seq":1,"device":"m-5","value":1.5}"#, Some("m-5")),
            ("/v1/readings", None, r#"[{"device":"m-6","value":1},{"device":"m-7"}]"#, Some("m-6")),
            ("/v1/readings", None, "[]", None),
            ("/v1/readings", None, "{", None),
            ("/v1/stream", None, "", None),
        ] {
            let mut request = Request::builder().uri(path);
            if let Some(name) = header {
                request = request.header("X-Device", name);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(device(&head, body.as_bytes()).as_deref(), expected, "{path} {body}");
        }
    }
}
