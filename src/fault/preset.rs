//! Links by one word.

use super::delay::{Delay, DelayLaw, Loss};
use super::effect::{Direction, Toxic, ToxicKind};
use crate::units::{ByteSize, Span};

/// Words of links, each with its figures and their source. Latency is a round trip; see [`preset`].
///
/// Sources: *Comcast*: the table "Network Condition Profiles" of the README of github.com/tylertreat/comcast. *Ookla 5G*:
/// "Growing and Slowing: The State of 5G Worldwide in 2021" (medians of the third quarter), with the median latency of the
/// leading network of "O2 and T-Mobile Lead in Network Performance in Czechia" (2024). *NB-IoT*: data sheet rates of a Cat-NB1
/// module (`SIM7020C`) and the latency measured by Ugwuanyi, Paul & Irvine, *Electronics* 10 (2021) 2224,
/// doi 10.3390/electronics10182224. *Kerlink*: "fair backhaul" of a `LoRaWAN` gateway in the page "Network delays" of the Wanesy
/// documentation; it names no rate and no loss.
pub(crate) const PRESETS: &[(&str, &str)] = &[
    ("gprs", "500 ms, 50 kbit/s, 2 % loss (Comcast, good GPRS)"),
    ("edge", "300 ms, 250 kbit/s, 1.5 % loss (Comcast, good EDGE)"),
    ("3g", "250 ms, 750 kbit/s, 1.5 % loss (Comcast, good 3G/HSDPA)"),
    ("dsl-poor", "70 ms, 2 Mbit/s, 2 % loss (Comcast, poor DSL)"),
    ("dsl", "40 ms, 8 Mbit/s, 0.5 % loss (Comcast, good DSL)"),
    ("wifi", "40 ms, 30 Mbit/s, 0.2 % loss (Comcast, good WIFI)"),
    ("satellite", "1500 ms, no limit of rate, 0.2 % loss (Comcast, Satellite)"),
    ("5g", "33 ms, 21.1 Mbit/s up, 166 Mbit/s down, no loss (Ookla 2021 and 2024)"),
    ("nb-iot", "837 ms, 62.5 kbit/s up, 26.15 kbit/s down, no loss (SIM7020C; Ugwuanyi et al. 2021)"),
    ("lora-backhaul", "300 ms, no limit of rate, no loss (Kerlink, fair backhaul)"),
];

/// The smallest time-out before TCP sends a lost segment again is this much above the round trip: `TCP_RTO_MIN` of Linux.
const RTO_MIN: u64 = 200;

/// Figures of one link. Rates in kbit/s.
struct Figures {
    rtt_ms: u64,
    up: Option<f64>,
    down: Option<f64>,
    lost: f64,
}

impl Figures {
    const fn even(rtt_ms: u64, rate: f64, percent: f64) -> Self {
        Self { rtt_ms, up: Some(rate), down: Some(rate), lost: percent / 100.0 }
    }
}

/// The toxics that stand for the link called `word` in [`PRESETS`]; `None` for other words.
///
/// All sources give latency as something a round trip shows: half of it acts on the way up, half on the way down. Loss is of
/// single segments, independent of each other, both ways. Rates have no burst: a message arrives when its last byte does.
pub(crate) fn preset(word: &str) -> Option<Vec<Toxic>> {
    let Figures { rtt_ms, up, down, lost } = match word {
        "gprs" => Figures::even(500, 50.0, 2.0),
        "edge" => Figures::even(300, 250.0, 1.5),
        "3g" => Figures::even(250, 750.0, 1.5),
        "dsl-poor" => Figures::even(70, 2_000.0, 2.0),
        "dsl" => Figures::even(40, 8_000.0, 0.5),
        "wifi" => Figures::even(40, 30_000.0, 0.2),
        "satellite" => Figures { rtt_ms: 1_500, up: None, down: None, lost: 0.002 },
        "5g" => Figures { rtt_ms: 33, up: Some(21_080.0), down: Some(166_130.0), lost: 0.0 },
        "nb-iot" => Figures { rtt_ms: 837, up: Some(62.5), down: Some(26.15), lost: 0.0 },
        "lora-backhaul" => Figures { rtt_ms: 300, up: None, down: None, lost: 0.0 },
        _ => return None,
    };
    let both = |kind| Toxic { direction: Direction::Both, kind };
    let half = Span::from_ns(rtt_ms * 500_000);
    let delay = Delay { law: DelayLaw::Constant(half), correlation: 0.0 };
    let mut toxics = vec![both(ToxicKind::Latency(delay))];
    for (direction, rate) in [(Direction::Up, up), (Direction::Down, down)] {
        let bandwidth = |rate: f64| ToxicKind::Bandwidth { rate: rate * 1_000.0 / 8.0, burst: ByteSize(0) };
        toxics.extend(rate.map(|rate| Toxic { direction, kind: bandwidth(rate) }));
    }
    if lost > 0.0 {
        toxics.push(both(ToxicKind::Loss(Loss {
            worsens: 0.0,
            recovers: 1.0,
            lost_good: lost,
            lost_bad: lost,
            rtt: Span::from_ms(rtt_ms),
            rto: Span::from_ms(rtt_ms + RTO_MIN),
        })));
    }
    Some(toxics)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Latency of a round trip, milliseconds.
    fn round_trip(toxics: &[Toxic]) -> f64 {
        let one_way = toxics.iter().map(|toxic| match &toxic.kind {
            ToxicKind::Latency(Delay { law: DelayLaw::Constant(span), .. }) => span.as_secs_f64() * 1e3,
            _ => 0.0,
        });
        2.0 * one_way.sum::<f64>()
    }

    fn rate(toxics: &[Toxic], way: Direction) -> Option<f64> {
        toxics.iter().find_map(|toxic| match toxic.kind {
            ToxicKind::Bandwidth { rate, .. } if toxic.direction == way => Some(rate * 8.0 / 1e3),
            _ => None,
        })
    }

    #[test]
    fn every_word_of_the_list_is_a_link_with_the_latency_it_says() {
        for (word, says) in PRESETS {
            let toxics = preset(word).unwrap();
            let stated: f64 = says.split_once(" ms").unwrap().0.parse().unwrap();
            assert!((round_trip(&toxics) - stated).abs() < 1e-9, "{word}");
            let loses = toxics.iter().any(|toxic| matches!(toxic.kind, ToxicKind::Loss(_)));
            assert_eq!(loses, says.contains("% loss"), "{word}");
            let limited = rate(&toxics, Direction::Up).is_some() && rate(&toxics, Direction::Down).is_some();
            assert_eq!(limited, !says.contains("no limit of rate"), "{word}");
        }
        assert_eq!(preset("carrier-pigeon"), None);
    }

    #[test]
    fn rates_are_kilobits() {
        let gprs = preset("gprs").unwrap();
        assert_eq!(rate(&gprs, Direction::Up).map(f64::round), Some(50.0));
        let nb_iot = preset("nb-iot").unwrap();
        assert!(rate(&nb_iot, Direction::Down).unwrap() < rate(&nb_iot, Direction::Up).unwrap());
    }
}
