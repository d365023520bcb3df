//! Formulas and laws: what they are worth, and what is said of those that are none.

use super::law::Sign;
use super::*;

fn lookup(name: &str) -> Result<Quantity, String> {
    match name {
        "fault.stall-2.duration" => Ok(Quantity::seconds(2.0)),
        "phase.r165-a.duration" => Ok(Quantity::seconds(20.0)),
        "lambda" => Ok(Quantity::per_second(340.0)),
        "mu" => Ok(Quantity::per_second(480.0)),
        _ => Err(format!("there is no `{name}`")),
    }
}

fn value(text: &str) -> Quantity {
    Formula::parse(text).unwrap().evaluate(&lookup).unwrap()
}

#[test]
fn formulas_have_values_in_their_units() {
    for (text, power, expected) in [
        ("1 + 2 * 3", 0, 7.0),
        ("(1 + 2) * 3", 0, 9.0),
        ("8 / 2 / 2", 0, 2.0),
        ("7 - 2 - 1", 0, 4.0),
        ("-2 * -3", 0, 6.0),
        ("1_000 ÷ 4 × 2", 0, 500.0),
        ("5%", 0, 0.05),
        ("150ms + 1.5s", 1, 1.65),
        ("1m30s", 1, 90.0),
        ("10/s", -1, 10.0),
        ("6/m", -1, 0.1),
        ("1/30s", -1, 1.0 / 30.0),
        ("340 / 2", 0, 170.0),
        ("fault.stall-2.duration - 1% * phase.r165-a.duration", 1, 1.8),
        ("lambda * fault.stall-2.duration", 0, 680.0),
        ("lambda * 3s / (mu - lambda)", 1, 1_020.0 / 140.0),
        ("lambda / mu", 0, 340.0 / 480.0),
        ("min(3, 1, 2) + max(1s, 5ms) / 1s", 0, 2.0),
        ("sqrt(4s * 1s)", 1, 2.0),
        ("-ln(1 - 99%) / (mu - lambda)", 1, 100.0_f64.ln() / 140.0),
        ("exp(0) + abs(-2)", 0, 3.0),
        ("rank(3s, 1s, 5s, 2s)", 0, 3.0),
        ("rank(1, 1, 1) + rank(7)", 0, 2.0),
    ] {
        let found = value(text);
        assert_eq!(found.dimension, Dimension(power), "{text}");
        assert!((found.value - expected).abs() < 1e-9 * expected.abs().max(1.0), "{text}: {}", found.value);
    }
}

#[test]
fn what_is_no_formula_says_where_and_what_to_write() {
    for (text, column, said) in [
        ("", 1, "a number or a name is missing here"),
        ("1 +", 4, "a number or a name is missing here"),
        ("(1", 3, "a closing bracket is missing here"),
        ("1 2", 3, "the formula has ended before; write a sign between"),
        ("2 $ 3", 3, "`$` has no meaning in a formula; write +, -, *, / and brackets"),
        ("1.2.3", 1, "`1.2.3` is not a number; write for example 1.5"),
        ("5 fortnights", 3, "the formula has ended before; write a sign between"),
        ("sin(1)", 1, "`sin` is no function; there are min, max, sqrt, ln, exp, abs, rank"),
        ("1s + 2", 4, "a time and a number cannot be added; write both in the same unit"),
        ("1 / (lambda - lambda)", 3, "divides by nothing"),
        ("ln(2s)", 1, "`ln` takes a plain number; divide a time by its unit"),
        ("max(1, 2s)", 1, "`max` compares like with like; write all in the same unit"),
        ("rank(1, 2s)", 1, "`rank` compares like with like; write all in the same unit"),
        ("abs(1, 2)", 1, "`abs` takes one value"),
        ("1 + lamda", 5, "there is no `lamda`"),
        ("ln(0)", 1, "has no finite value here"),
    ] {
        let error = Formula::parse(text).and_then(|formula| formula.evaluate(&lookup)).unwrap_err();
        assert_eq!((error.column, error.message.as_str()), (column, said), "{text}");
    }
    let deep = "(".repeat(100);
    assert!(Formula::parse(&deep).unwrap_err().message.contains("nested too deep"));
    assert!(Formula::parse(&"-".repeat(300)).is_err());
    assert!(Formula::parse(&"1+".repeat(300)).unwrap_err().message.contains("too long"));
}

#[test]
fn laws_hold_up_to_their_bounds() {
    let of = |text: &str| Relation::parse(text).unwrap();
    for (text, left, holds) in [
        ("x < 2", 2.0, false),
        ("x <= 2", 2.0, true),
        ("x > 2", 2.0, false),
        ("x >= 2", 2.0, true),
        ("x = 40 within 1", 41.0, true),
        ("x = 40 within 1", 41.5, false),
        ("x = 40 within 5%", 42.0, true),
        ("x = 40 within 5%", 37.0, false),
    ] {
        let law = of(text);
        let lookup = |_: &str| Ok(Quantity::number(left));
        let (one, other) = (law.left.evaluate(&lookup).unwrap(), law.right.evaluate(&lookup).unwrap());
        assert_eq!(law.holds(one, other, false), holds, "{text} {left}");
        let keeps = matches!(law.sign, Sign::More | Sign::AtLeast) && holds;
        assert_eq!(law.holds(one, other, true), keeps, "{text}: at least {left}");
    }
    let law = of("lambda * 3s <= max(1, 2)");
    assert_eq!((law.left.text(), law.right.text()), ("lambda * 3s", "max(1, 2)"));
    assert_eq!(law.left.names(), ["lambda"]);
}

#[test]
fn what_is_no_law_says_what_is_missing() {
    for (text, said) in [
        ("1", "a sign is missing here; write <, <=, >, >= or ="),
        ("1 = 1", "say how near; write for example within 5%"),
        ("1 = 1 within", "say how near; write for example within 5%"),
        ("1 < 2 < 3", "the law has ended before; take this out"),
        ("1 <", "a number or a name is missing here"),
    ] {
        assert_eq!(Relation::parse(text).unwrap_err().message, said, "{text}");
    }
}

#[test]
fn quantities_print_as_people_read_them() {
    for (text, is_share, shown) in [
        ("1.804s", false, "1.80 s"),
        ("3800us", false, "3.80 ms"),
        ("340/s", false, "340/s"),
        ("1020", false, "1,020"),
        ("0.486", true, "48.6 %"),
        ("0.486", false, "0.486"),
        ("7.286", false, "7.29"),
        ("-2s", false, "-2.00 s"),
    ] {
        assert_eq!(value(text).show(is_share), shown, "{text}");
    }
}
