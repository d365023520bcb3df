//! What of the peers' replies may be kept.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};

use crate::record::Reason;

/// Secrets shorter than this are not looked for: they would be found everywhere.
const LEAST_SECRET: usize = 4;

/// Schemes of authentication, as header fields have them before the secret itself.
const SCHEMES: [&str; 6] = ["basic", "bearer", "digest", "negotiate", "token", "apikey"];

/// What takes the place of a secret.
const MASK: &str = "***";

/// What must not be kept of the peers' replies.
#[derive(Debug, Clone, Default)]
pub struct Privacy {
    /// Values that must not appear in any file: passwords, values of environment variables.
    secrets: Arc<[String]>,
    /// Whether samples of replies are kept, by fleet; those beyond the list are.
    samples: Arc<[bool]>,
    devices: Option<DeviceSecrets>,
}

/// What a single device shows to nobody but its peer, by its fleet and its number there. There may be a million of them, so they are
/// asked for where a new reason is met.
#[derive(Clone)]
struct DeviceSecrets(Arc<dyn Fn(usize, u32) -> Vec<String> + Send + Sync>);

impl fmt::Debug for DeviceSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceSecrets")
    }
}

impl Privacy {
    /// `secrets` are values that must not appear; `samples` says for each fleet whether samples of replies are kept.
    pub fn new(secrets: impl IntoIterator<Item = String>, samples: impl IntoIterator<Item = bool>) -> Self {
        Self { secrets: forms(secrets).into(), samples: samples.into_iter().collect(), devices: None }
    }

    /// The same, which knows besides what device number so and so of a fleet shows.
    #[must_use]
    pub fn with_devices(self, secrets: impl Fn(usize, u32) -> Vec<String> + Send + Sync + 'static) -> Self {
        Self { devices: Some(DeviceSecrets(Arc::new(secrets))), ..self }
    }

    /// `reason`, met by a device of a fleet, without what must not be kept.
    pub(crate) fn filter(&self, fleet: usize, device: u32, reason: &Reason) -> Reason {
        let own = self.devices.as_ref().map(|devices| forms((devices.0)(fleet, device))).unwrap_or_default();
        let mask = |text: &str| self.mask(&without(&own, text));
        let keeps = self.samples.get(fleet).copied().unwrap_or(true);
        let sample = reason.sample.as_deref().filter(|_| keeps).map(|sample| mask(sample).into());
        Reason { sentence: mask(&reason.sentence).into(), sample, ..reason.clone() }
    }

    /// `text` without the secrets of all.
    pub(crate) fn mask(&self, text: &str) -> String {
        without(&self.secrets, text)
    }
}

/// All forms of `secrets` that are looked for.
fn forms(secrets: impl IntoIterator<Item = String>) -> Vec<String> {
    let parts = secrets.into_iter().flat_map(|secret| parts(&secret).into_iter().chain([secret]));
    let secrets = parts.filter(|text| text.len() >= LEAST_SECRET);
    let mut forms: Vec<_> = secrets.flat_map(|secret| written(&secret)).collect();
    // Of two that begin alike the longer one first, so that nothing of it is left.
    forms.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    forms
}

/// `text` with `secrets` masked.
fn without(secrets: &[String], text: &str) -> String {
    let mut masked = text.to_owned();
    for secret in secrets {
        masked = masked.replace(secret, MASK);
        // The end of a sample may cut a secret in two.
        let cut = (LEAST_SECRET..secret.len())
            .rev()
            .find(|&n| secret.is_char_boundary(n) && masked.ends_with(&secret[..n]));
        if let Some(n) = cut {
            masked.truncate(masked.len() - n);
            masked.push_str(MASK);
        }
    }
    masked
}

/// What is secret in a header field that names its scheme: what stands behind it, and in basic authentication the login and its
/// password. Services write schemes in letters of their own, and say what they have decoded.
fn parts(secret: &str) -> Vec<String> {
    let Some((scheme, rest)) = secret.trim().split_once(' ') else { return Vec::new() };
    if SCHEMES.iter().all(|known| !known.eq_ignore_ascii_case(scheme)) {
        return Vec::new();
    }
    let rest = rest.trim();
    let is_basic = scheme.eq_ignore_ascii_case("basic");
    let decoded = is_basic.then(|| BASE64.decode(rest).ok()).flatten();
    let login = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let password =
        login.as_deref().and_then(|login| login.split_once(':')).map(|(_, password)| password.to_owned());
    [Some(rest.to_owned()), login, password].into_iter().flatten().collect()
}

/// A secret as services may write it back: as it is, in JSON, in a URL, and in Base64.
fn written(secret: &str) -> Vec<String> {
    let json = serde_json::Value::from(secret).to_string();
    let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut forms = vec![
        secret.to_owned(),
        json.trim_matches('"').to_owned(),
        url.replace('+', "%20"),
        url,
        BASE64.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
    ];
    forms.sort_unstable();
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Code;

    #[test]
    fn secrets_are_masked_also_where_they_are_cut() {
        let privacy = Privacy::new(["s3cret".into(), "s3cret-longer".into(), "ab".into()], [true, false]);
        for (text, masked) in [
            ("token s3cret is wrong", "token *** is wrong"),
            ("s3cret-longer", "***"),
            ("ends in s3cr", "ends in ***"),
            ("s3c", "s3c"),
            ("ab", "ab"),
        ] {
            assert_eq!(privacy.mask(text), masked);
        }
        let reason = Reason::new(Code::word("x"), "no s3cret").with_sample(b"body");
        let kept = privacy.filter(0, 7, &reason);
        assert_eq!((&*kept.sentence, kept.sample.as_deref()), ("no ***", Some("body")));
        assert_eq!(privacy.filter(1, 7, &reason).sample, None);
        assert_eq!(privacy.filter(7, 7, &reason).sample.as_deref(), Some("body"));
        let known = |fleet: usize, device: u32| vec![format!("t0k-{fleet}-{device}")];
        let reason = Reason::new(Code::word("x"), "no t0k-3-5").with_sample(b"t0k-3-5, not t0k-3-6");
        let kept = privacy.with_devices(known).filter(3, 5, &reason);
        assert_eq!((&*kept.sentence, kept.sample.as_deref()), ("no ***", Some("***, not t0k-3-6")));
        let privacy = Privacy::new(["basic YW5uOnMzY3IzdA==".into(), "Bearer t0k3n".into()], []);
        for (text, masked) in [
            ("no basic YW5uOnMzY3IzdA==", "no ***"),
            ("authorization: Basic YW5uOnMzY3IzdA==", "authorization: Basic ***"),
            ("no ann:s3cr3t here", "no *** here"),
            ("password s3cr3t", "password ***"),
            ("BEARER t0k3n", "BEARER ***"),
            ("basic authentication is needed", "basic authentication is needed"),
        ] {
            assert_eq!(privacy.mask(text), masked);
        }
        let privacy = Privacy::new(["s3\"cr et/".into()], []);
        for text in ["s3\"cr et/", r#"s3\"cr et/"#, "s3%22cr%20et%2F", "s3%22cr+et%2F", "czMiY3IgZXQv"] {
            assert_eq!(privacy.mask(&format!("<{text}>")), "<***>");
        }
    }
}
