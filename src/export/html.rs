//! A page to look at: see the room `page`.

use super::{Format, Writer};
use crate::page;

pub(super) const FORMAT: Format = Format {
    name: "html",
    about: "a page to look at in a browser, in one file that loads nothing; the same as --html FILE",
    run: Writer::Page(page::run),
    comparison: Writer::Compared(page::comparison::page),
};

#[cfg(test)]
mod tests {
    use crate::export::specimen;
    use crate::page;
    use crate::results::History;

    const HARM: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

    #[test]
    fn nothing_that_comes_from_elsewhere_is_markup() {
        let mut report = specimen::failing();
        let run = &mut report.run;
        run.scenario.name = format!("n{HARM}");
        run.label = format!("l{HARM}");
        run.scenario.text = format!("[scenario]\nabout = '''a{HARM}'''\n# </pre>{HARM}\n");
        run.scenario.overrides = vec![HARM.to_owned()];
        run.fleets[0].target = format!("http://t/{HARM}");
        run.run_id = HARM.to_owned();
        run.host.name = HARM.to_owned();
        run.budgets[0].name = Some(HARM.to_owned());
        if let Some(validity) = &mut run.validity {
            validity.reasons = vec![HARM.to_owned()];
        }
        report.failures[0].reason = HARM.to_owned();
        report.delivery[0].fleet = HARM.to_owned();
        report.faults.push(outage(HARM));
        for row in &mut report.summary {
            row.fleet = format!("{}{HARM}", row.fleet);
        }
        let page = page::run(&report, &History::default(), HARM);
        assert_eq!(page.matches("<script").count(), 0, "a run without intervals needs no script");
        assert!(
            !page.contains("<img") && !page.contains("</pre>&lt;img") && page.matches("</pre>").count() == 1
        );
        assert!(page.matches("&lt;script&gt;alert(1)").count() >= 12, "{page}");
        for tag in page.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
            // What stands in quotes is not a name of an attribute.
            let names: String = tag.split('"').step_by(2).collect::<Vec<_>>().join(" ");
            let mut words = names.split(' ').filter(|word| word.ends_with('='));
            assert!(!words.any(|word| word.starts_with("on") || word == "style="), "{tag}");
        }
    }

    fn outage(text: &str) -> crate::results::Outage {
        serde_json::from_value(serde_json::json!({
            "fault": text, "layer": "service", "kind": text, "turn": 0, "planned_s": 1.0,
            "start_s": 1.0, "end_s": 2.0, "instant": false, "devices": 0, "acted": 0,
            "state": "not_recovered", "recovered_after_s": null, "p99_before_ms": 1.5, "worst_p99_ms": 9_900.0,
            "worst_p99_censored": true, "worst_at_s": 1.0, "ok": 10, "shed": 0, "error": 0, "timeout": 0,
            "lost": 0, "dropped": 0, "duplicated": 0, "reordered": 0, "first_ok_after_s": 0.1,
            "backlog_before": 2, "peak_backlog": 10_000, "backlog_drained_after_s": 10.0, "reconnected": 0,
            "peak_reconnects_per_s": null, "reconnected_99_after_s": null, "remark": text,
        }))
        .unwrap()
    }

    #[test]
    fn an_invalid_run_says_so_first() {
        let report = specimen::invalid();
        let page = page::run(&report, &History::default(), "");
        let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}: {page}"));
        assert!(place("<title>quickstart · INVALID") < place("invalid: the generator was the bottleneck"));
        assert!(
            place("nothing below is evidence about the service")
                < place("<main id=\"main\" class=\"muted\">")
        );
        assert!(place("Do not use these figures") < place("p50 response"));
        assert!(page.contains("not judged") && !page.contains("budgets failed"));
    }
}
