//! What of the peers' replies may be kept.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};

use crate::record::Reason;

/// Secrets shorter than this are not looked for: they would be found everywhere.
const LEAST_SECRET: usize = 4;

/// What takes the place of a secret.
const MASK: &str = "***";

/// What must not be kept of the peers' replies.
#[derive(Debug, Clone, Default)]
pub struct Privacy {
    /// Values that must not appear in any file: passwords, values of environment variables.
    secrets: Arc<[String]>,
    /// Whether samples of replies are kept, by fleet; those beyond the list are.
    samples: Arc<[bool]>,
}

impl Privacy {
    /// `secrets` are values that must not appear; `samples` says for each fleet whether samples of replies are kept.
    pub fn new(secrets: impl IntoIterator<Item = String>, samples: impl IntoIterator<Item = bool>) -> Self {
        let secrets = secrets.into_iter().filter(|text| text.len() >= LEAST_SECRET);
        let mut secrets: Vec<_> = secrets.flat_map(|secret| written(&secret)).collect();
        // Of two that begin alike the longer one first, so that nothing of it is left.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets: secrets.into(), samples: samples.into_iter().collect() }
    }

    /// `reason` of a fleet without what must not be kept.
    pub(crate) fn filter(&self, fleet: usize, reason: &Reason) -> Reason {
        let keeps = self.samples.get(fleet).copied().unwrap_or(true);
        let sample = reason.sample.as_deref().filter(|_| keeps).map(|sample| self.mask(sample).into());
        Reason { sentence: self.mask(&reason.sentence).into(), sample, ..reason.clone() }
    }

    /// `text` without secrets.
    pub(crate) fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for secret in self.secrets.iter() {
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
        let kept = privacy.filter(0, &reason);
        assert_eq!((&*kept.sentence, kept.sample.as_deref()), ("no ***", Some("body")));
        assert_eq!(privacy.filter(1, &reason).sample, None);
        assert_eq!(privacy.filter(7, &reason).sample.as_deref(), Some("body"));
        let privacy = Privacy::new(["s3\"cr et/".into()], []);
        for text in ["s3\"cr et/", r#"s3\"cr et/"#, "s3%22cr%20et%2F", "s3%22cr+et%2F", "czMiY3IgZXQv"] {
            assert_eq!(privacy.mask(&format!("<{text}>")), "<***>");
        }
    }
}
