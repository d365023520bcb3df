//! Which devices of a worker a reason has concerned, and what of a reason may be kept.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};

use super::failure::{Ending, further_of, same};
use crate::record::{Code, Kind, Reason};

/// Most reasons that are told apart by device, of one fleet, kind and ending.
const MOST_KNOWN: usize = 32;

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
    fn filter(&self, fleet: usize, reason: &Reason) -> Reason {
        let keeps = self.samples.get(fleet).copied().unwrap_or(true);
        let sample = reason.sample.as_deref().filter(|_| keeps).map(|sample| self.mask(sample).into());
        Reason { sentence: self.mask(&reason.sentence).into(), sample, ..reason.clone() }
    }

    fn mask(&self, text: &str) -> String {
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

/// Devices by their number within a fleet.
#[derive(Debug, Default)]
struct Devices(Vec<u64>);

impl Devices {
    /// Adds a device; true if it was not there.
    fn add(&mut self, device: u32) -> bool {
        let (word, bit) = (device as usize / 64, 1 << (device % 64));
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }
}

/// What a reason is told apart by: measured readings of a fleet from others, and connections from readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) fleet: usize,
    pub(super) kind: Kind,
    pub(super) ending: Ending,
    pub(super) measured: bool,
}

/// A reason that has been met.
#[derive(Debug)]
struct KnownReason {
    scope: Scope,
    met: Reason,
    kept: Reason,
    devices: Devices,
}

/// What one worker knows of reasons met so far. Bounded by the numbers of fleets and devices.
#[derive(Debug, Default)]
pub(super) struct ReasonLedger {
    known: Vec<KnownReason>,
    failed: Vec<(usize, bool, Devices)>,
    refused: Vec<(usize, Devices)>,
    pub(super) privacy: Privacy,
}

impl ReasonLedger {
    /// The form in which `reason` is kept, and whether it concerns `device` for the first time.
    pub(super) fn meet(&mut self, scope: Scope, reason: &Reason, device: u32) -> (Reason, bool) {
        let place = self.known.iter().position(|known| known.scope == scope && same(&known.met, reason));
        let place = place.unwrap_or_else(|| {
            let several = self.known.iter().filter(|known| known.scope == scope).count();
            let known = |code: &Code| self.known.iter().any(|k| k.scope == scope && k.met.code == *code);
            let met = if several < MOST_KNOWN { reason.clone() } else { further_of(reason, known) };
            let again = self.known.iter().position(|known| known.scope == scope && same(&known.met, &met));
            again.unwrap_or_else(|| {
                let kept = self.privacy.filter(scope.fleet, &met);
                self.known.push(KnownReason { scope, met, kept, devices: Devices::default() });
                self.known.len() - 1
            })
        });
        let known = &mut self.known[place];
        let new = known.devices.add(device);
        (known.kept.clone(), new)
    }

    /// Notes that a reading of `device` failed; true for the first of its measured, or of its other readings.
    pub(super) fn fail(&mut self, fleet: usize, measured: bool, device: u32) -> bool {
        let place = self.failed.iter().position(|(f, m, _)| (*f, *m) == (fleet, measured));
        let place = place.unwrap_or_else(|| {
            self.failed.push((fleet, measured, Devices::default()));
            self.failed.len() - 1
        });
        self.failed[place].2.add(device)
    }

    /// Notes that `device` was refused for good; true for the first time.
    pub(super) fn refuse(&mut self, fleet: usize, device: u32) -> bool {
        let place = self.refused.iter().position(|(f, _)| *f == fleet);
        let place = place.unwrap_or_else(|| {
            self.refused.push((fleet, Devices::default()));
            self.refused.len() - 1
        });
        self.refused[place].1.add(device)
    }
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

    #[test]
    fn a_device_counts_once_for_each_reason() {
        let mut concerns = ReasonLedger::default();
        let scope = Scope { fleet: 0, kind: Kind::Reading, ending: Ending::Error, measured: true };
        let mut new = |sentence: &'static str, device| {
            concerns.meet(scope, &Reason::new(Code::word("x"), sentence), device).1
        };
        let found = [new("a", 5), new("a", 5), new("a", 64), new("b", 5), new("a", 0)];
        assert_eq!(found, [true, false, true, true, true]);
        assert_eq!(
            [concerns.fail(0, true, 9), concerns.fail(0, true, 9), concerns.fail(0, false, 9)],
            [true, false, true]
        );
        assert_eq!(
            [concerns.refuse(1, 9), concerns.refuse(1, 9), concerns.refuse(0, 9)],
            [true, false, true]
        );
    }

    #[test]
    fn reasons_without_end_are_bounded() {
        let mut concerns = ReasonLedger::default();
        let scope = Scope { fleet: 0, kind: Kind::Reading, ending: Ending::Error, measured: true };
        for number in 0..500 {
            let reason = Reason::new(Code::word("x"), format!("error {number}"));
            let (kept, _) = concerns.meet(scope, &reason, 0);
            assert_eq!(same(&kept, &reason), number < MOST_KNOWN);
        }
        assert_eq!(concerns.known.len(), MOST_KNOWN + 1);
    }
}
