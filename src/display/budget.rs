//! What became of the budgets: how many were met, those that failed first, each with what was demanded and measured.

use super::style::Tone;
use crate::results::BudgetResult;

/// A line per condition, failed ones first, after one that counts them; each with the word in it that is painted. Those of an
/// `invalid` measurement say nothing about the service, met or not.
pub(crate) fn budgets(
    results: &[BudgetResult],
    invalid: bool,
) -> Vec<(String, Option<(&'static str, Tone)>)> {
    if invalid {
        let line = |result: &BudgetResult| {
            (format!("not judged {}", result.sentence()), Some(("not judged", Tone::Warning)))
        };
        return results.iter().map(line).collect();
    }
    let (met, unmet): (Vec<_>, Vec<_>) = results.iter().partition(|result| result.met);
    let (open, failed): (Vec<_>, Vec<_>) = unmet.into_iter().partition(|result| result.unjudged);
    let counted = match (results.len(), failed.len(), open.len()) {
        (0, ..) => return Vec::new(),
        (1, ..) => None,
        (all, 0, 0) => Some((format!("all {all} met"), Some(("met", Tone::Good)))),
        (all, 0, open) => Some((format!("{open} of {all} not judged"), Some(("not judged", Tone::Warning)))),
        (all, failed, _) => Some((format!("{failed} of {all} failed"), Some(("failed", Tone::Bad)))),
    };
    counted.into_iter().chain(failed.into_iter().chain(open).chain(met).map(line)).collect()
}

/// How many of all budgets came to `word`: `budget met`, `all 3 budgets met`, `1 of 3 budgets failed`.
pub(crate) fn counted(some: usize, all: usize, word: &str) -> String {
    match (some, all) {
        (1, 1) => format!("budget {word}"),
        _ if some == all => format!("all {all} budgets {word}"),
        _ => format!("{some} of {all} budgets {word}"),
    }
}

/// What became of a budget, in a word; `invalid` says that the measurement is.
pub(crate) const fn word(result: &BudgetResult, invalid: bool) -> (&'static str, Tone) {
    match (result.met, result.unjudged) {
        _ if invalid => ("not judged", Tone::Warning),
        (true, _) => ("met", Tone::Good),
        (false, true) => ("not judged", Tone::Warning),
        (false, false) => ("failed", Tone::Bad),
    }
}

fn line(result: &BudgetResult) -> (String, Option<(&'static str, Tone)>) {
    let (word, tone) = word(result, false);
    let aborted = if result.aborted { "; it ended the run" } else { "" };
    (format!("{word} {}{aborted}", result.sentence()), Some((word, tone)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(scope: &str, demand: &str, measured: Option<&str>) -> BudgetResult {
        let (scope, demand, measured) = (scope.to_owned(), demand.to_owned(), measured.map(str::to_owned));
        BudgetResult { demand, measured, scope, ..BudgetResult::default() }
    }

    #[test]
    fn failed_budgets_come_first_and_all_are_counted() {
        let met = BudgetResult { met: true, ..result("all fleets", "error rate < 0.1%", Some("0 %")) };
        let aborted = BudgetResult {
            name: Some("commands stay quick".into()),
            aborted: true,
            ..result("pumps in burst", "p99 < 250ms", Some("at least 5.00 s"))
        };
        let empty = BudgetResult {
            reason: Some("nothing came due".into()),
            ..result("meters in burst", "lost <= 0", None)
        };
        let lines: Vec<_> =
            budgets(&[met.clone(), aborted, empty], false).into_iter().map(|(text, _)| text).collect();
        assert_eq!(
            lines,
            [
                "2 of 3 failed",
                "failed commands stay quick (pumps in burst): p99 < 250ms, measured at least 5.00 s; it ended the run",
                "failed meters in burst: lost <= 0, measured no data: nothing came due",
                "met all fleets: error rate < 0.1%, measured 0 %",
            ]
        );
        let open = BudgetResult {
            unjudged: true,
            reason: Some("interrupted before enough samples".into()),
            ..result("meters", "p99.9 < 1s", None)
        };
        assert_eq!(
            budgets(&[met.clone(), open], false).into_iter().map(|(text, _)| text).collect::<Vec<_>>(),
            [
                "1 of 2 not judged",
                "not judged meters: p99.9 < 1s, measured no data: interrupted before enough samples",
                "met all fleets: error rate < 0.1%, measured 0 %",
            ]
        );
        assert_eq!(budgets(std::slice::from_ref(&met), false).len(), 1, "one needs no count");
        assert_eq!(budgets(&[met.clone(), met.clone()], false)[0].0, "all 2 met");
        assert!(budgets(&[], false).is_empty());
        let lines = budgets(&[met], true);
        assert!(lines.len() == 1 && lines[0].0.starts_with("not judged "), "{lines:?}");
    }
}
