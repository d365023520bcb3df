//! What lines mean: the scenarios that they stand for, and what is said of those that mean nothing.

use std::ffi::OsString;

use clap::Parser;
use proptest::prelude::*;

use super::request::{Load, Request, each, quoted, scenario};
use super::{UrlArgs, arranged, meant, misplaced};
use crate::cli::args::{Args, Command};
use crate::scenario::{Plan, Scenario};
use crate::units::Rate;

fn words(line: &[&str]) -> Vec<OsString> {
    arranged(["squall"].iter().chain(line).map(OsString::from))
}

fn args(line: &[&str]) -> UrlArgs {
    match Args::try_parse_from(words(line)).unwrap_or_else(|error| panic!("{error}")).command {
        Command::Url(args) => *args,
        other => panic!("{other:?}"),
    }
}

/// The scenario of a line, at the rate that it states or at one of ours.
fn text(line: &[&str]) -> Result<String, String> {
    let args = args(line);
    let request = Request::read(&args).map_err(|error| error.message)?;
    let rate = args.rate.map(|rate| Load::Open { rate, why: None });
    let load = if args.closed { Load::Closed } else { rate.unwrap_or_else(|| request.any_load()) };
    let text = request.text(&load);
    scenario(&text, &args).map_err(|error| error.message)?;
    scenario(&request.probe(), &args).map_err(|error| format!("the probe: {}", error.message))?;
    Ok(text)
}

fn checked(line: &[&str]) -> Scenario {
    scenario(&text(line).unwrap(), &args(line)).unwrap_or_else(|error| panic!("{}", error.message))
}

#[test]
fn a_line_is_a_scenario_that_is_pleasant_to_read() {
    let line = [
        "http://127.0.0.1:8080/orders?size=2",
        "-r200/s",
        "-d5s",
        "-b",
        r#"{"id":{{seq}}}"#,
        "-HX-Tenant: a",
        "-HAuthorization: Bearer ${TOKEN}",
        "--budget=p99<250ms",
        "--budget",
        "error_rate < 0.1%",
    ];
    let args = args(&line);
    let request = Request::read(&args).unwrap_or_else(|error| panic!("{}", error.message));
    insta::assert_snapshot!(request.text(&Load::Open { rate: args.rate.unwrap(), why: None }), @r##"
    # One line of squall, as a scenario: change what you like. `squall check` shows its plan, and
    # docs/scenarios.md says what else can be stated.

    [scenario]
    name = "http-127-0-0-1-8080"      # names the directory of its results
    about = "http://127.0.0.1:8080/orders in one line"

    [target]
    http = "http://127.0.0.1:8080/orders?size=2"

    [run]
    warm_up = "1s"                    # before the measured phase, kept out of its figures

    [[phase]]
    name = "steady"
    duration = "5s"

    [fleet.clients]
    protocol = "http"
    devices = 50                      # a connection each
    rate = "4/s"                      # of each device; 200/s of all
    payload = { format = "template", template = '{"id":{{seq}}}' }

    [fleet.clients.auth.headers]
    Authorization = "Bearer ${TOKEN}"

    [fleet.clients.http]
    method = "POST"

    [fleet.clients.http.headers]
    X-Tenant = "a"
    Content-Type = "application/json"

    [[budget]]
    p99 = "<250ms"
    error_rate = "<0.1%"
    "##);
}

#[test]
fn what_variables_stand_for_in_host_and_port_stays_as_it_is_written() {
    for (url, parts) in [
        ("http://${HOST}/a?b=1", &["http = \"http://${HOST}/a?b=1\"", "name = \"http-host\""][..]),
        (
            "http://Api.${Zone}:8080",
            &["http = \"http://Api.${Zone}:8080/\"", "name = \"http-api-zone-8080\""],
        ),
        (
            "http://h:${Port}/x",
            &["http = \"http://h:${Port}/x\"", "about = \"http://h:${Port}/x in one line\""],
        ),
        (
            "http://Ann:${Pw}@${Host}/",
            &["http = \"http://${Host}/\"", "username = \"Ann\"", "password = \"${Pw}\""],
        ),
        ("http://${Host}/d/${Id}", &["http = \"http://${Host}/\"", "path = \"/d/${Id}\""]),
        ("mqtt://${Broker}/plant", &["mqtt = \"mqtt://${Broker}\"", "topic = \"plant\""]),
        ("tcp://${Peer}", &["tcp = \"tcp://${Peer}\""]),
        ("tcp://${Peer}:${Port}", &["tcp = \"tcp://${Peer}:${Port}\""]),
    ] {
        let args = args(&[url]);
        let request = Request::read(&args).unwrap_or_else(|error| panic!("{url}: {}", error.message));
        let text = request.text(&request.any_load());
        assert!(parts.iter().all(|part| text.contains(part)), "{url}: {text}");
    }
}

#[test]
fn every_scheme_has_its_scenario() {
    for (line, parts) in [
        (
            &["http://localhost"][..],
            &["http = \"http://localhost/\"", "payload = \"none\"", "method = \"GET\""][..],
        ),
        (&["HTTPS://localhost/a%20b?x=%2F&y", "-k"], &["https://localhost/a%20b?x=%2F&y", "insecure"]),
        (&["http://[::1]:8080/#top"], &["http = \"http://[::1]:8080/\"", "name = \"http-1-8080\""]),
        (&["http://h/", "-mDELETE"], &["method = \"DELETE\"", "payload = \"none\""]),
        (&["http://h/", "-b", "x", "-m", "PUT"], &["method = \"PUT\"", "template = \"x\""]),
        (
            &["http://h/d/{{device}}?n={{seq}}"],
            &["http = \"http://h/\"", "path = \"/d/{{device}}?n={{seq}}\""],
        ),
        (&["http://ann:p%40w@h/"], &["http = \"http://h/\"", "username = \"ann\"", "password = \"p@w\""]),
        (&["ws://h/stream"], &["ws = \"ws://h/stream\"", "close = \"verdict\""]),
        (&["wss://h", "-b", "ping"], &["ws = \"wss://h/\"", "close = \"reply\"", "correlate = \"order\""]),
        (&["mqtt://h"], &["mqtt = \"mqtt://h\"", "close = \"ack\"", "qos = 1"]),
        (&["mqtt://h:1884/plant/a%20b"], &["mqtt = \"mqtt://h:1884\"", "topic = \"plant/a b\""]),
        (&["mqtt://h//plant"], &["topic = \"/plant\""]),
        (
            &["mqtts://ann@h/p/{{device}}"],
            &["mqtt = \"mqtts://h\"", "topic = \"p/{{device}}\"", "username = \"ann\""],
        ),
        (&["tcp://h:9000/"], &["tcp = \"tcp://h:9000\"", "correlate = \"/seq\""]),
        (&["tcps://[::1]:9000", "-b", "hi"], &["tcp = \"tcps://[::1]:9000\"", "correlate = \"order\""]),
        (&["http://h/", "--closed", "-c", "7"], &["model = \"closed\"", "devices = 7"]),
        (&["-c", "7", "-r", "10/s", "http://h/"], &["rate = \"10/7s\"", "of each device; 10/s of all"]),
        (&["http://h/", "--seed", "9"], &["seed = 9"]),
        (&["http://h/", "--budget", "p99.9<1s", "--budget", "p99_9>1us"], &["p99_9 = [\"<1s\", \">1us\"]"]),
    ] {
        let text = text(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        for part in parts {
            assert!(text.contains(part), "{line:?}: {part}\n{text}");
        }
    }
}

#[test]
fn a_body_that_looks_like_json_is_sent_as_json_unless_the_line_says_otherwise() {
    let json = "Content-Type = \"application/json\"";
    assert!(text(&["http://h/", "-b", " [1]"]).unwrap().contains(json));
    assert!(!text(&["http://h/", "-b", "a=1"]).unwrap().contains("Content-Type"));
    let stated = text(&["http://h/", "-b", "{}", "-H", "content-type: text/x"]).unwrap();
    assert!(stated.contains("content-type = \"text/x\"") && !stated.contains(json));
    assert!(!text(&["ws://h/", "-b", "{}"]).unwrap().contains("Content-Type"));
}

#[test]
fn a_file_is_sent_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    let argument = format!("@{}", file.display());
    std::fs::write(&file, "{{seq}} ${HOME} '\"\\\u{1}\r\n").unwrap();
    let of = |scheme: &str| text(&[scheme, "-b", &argument]).unwrap();
    let template = |text: &str| {
        let document: toml::Table = toml::from_str(text).unwrap();
        document["fleet"]["clients"]["payload"]["template"].as_str().unwrap().to_owned()
    };
    assert_eq!(template(&of("http://h/")), "{{{{seq}} $${HOME} '\"\\\u{1}\r\n");
    std::fs::write(&file, "one line\n").unwrap();
    assert_eq!(template(&of("http://h/")), "one line\n");
    assert_eq!(template(&of("tcp://h:1")), "one line");
}

#[test]
fn what_a_line_cannot_mean_is_said_of_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let (binary, large) = (folder.path().join("binary"), folder.path().join("large"));
    std::fs::write(&binary, [0xff, 0xfe]).unwrap();
    std::fs::write(&large, vec![b'x'; 600 << 10]).unwrap();
    let (binary, large) = (format!("@{}", binary.display()), format!("@{}", large.display()));
    for (line, said) in [
        (&["htp://h/"][..], "`htp://` is not spoken here; did you mean http://h/?"),
        (&["htp://ann:s3cret@h/"], "`htp://` is not spoken here; did you mean http://h/?"),
        (&["grpc://h/"], "`grpc://` is not spoken here; write http://, https://,"),
        (&["http://"], "is not a valid URL: empty host; write for example http://127.0.0.1"),
        (&["http://ann:s3cret@h:99999/"], "`http://h:99999/` is not a valid URL: invalid port number;"),
        (&["http://h:0/"], "port 0 cannot be connected to;"),
        (&["tcp://h"], "`tcp://h` names no port;"),
        (&["tcp://h:1/x"], "has a path, which does not apply here;"),
        (&["mqtt://h/a?b"], "has a query, which does not apply here;"),
        (&["mqtt://h/a/#"], "URL: `a/#` is not a topic that can be published to;"),
        (&["mqtt://h/a/+"], "URL: `a/+` is not a topic that can be published to;"),
        (&["mqtt://h/%ff"], "has escapes that are not UTF-8;"),
        (&["http://h/{{sek}}"], "URL: "),
        (&["http://:s3cret@h/"], "URL: states a password and no user name;"),
        (&["tcp://ann:s3cret@h:1"], "URL: "),
        (&["http://h/", "-r", "9000000/s"], "--rate 9000000/s is 180000/s for each of 50 device(s),"),
        (&["http://h/", "-r", "0/s"], "--rate 0/s is 0/s for each"),
        (&["http://h/", "-d", "0s"], "--duration: `0s` is out of range;"),
        (&["http://h/", "-m", "GE T"], "--method: `GE T` is not a valid method;"),
        (&["http://h/", "-H", "X-A"], "--header has no name and colon;"),
        (&["http://h/", "-H", "X-A: 1", "-H", "x-a: 2"], "--header x-a is given twice;"),
        (&["http://h/", "-H", "Content-Length: 1"], "--header Content-Length: is written by squall itself;"),
        (&["http://h/", "-H", "X A: 1"], "is not a valid header name;"),
        (&["http://ann@h/", "-H", "Authorization: b"], "--header: a header field is stated more than once;"),
        (&["http://h/", "-H", "X-Key: {{seq}}"], "--header X-Key: "),
        (&["http://h/", "-b", "{{sek}}"], "--body: "),
        (&["http://h/", "-b", "@/nowhere/body"], "--body: cannot read /nowhere/body: No such file"),
        (&["http://h/", "-b", &binary], "is not UTF-8, as a scenario has to be;"),
        (&["http://h/", "-b", &large], "has more than 512 KiB;"),
        (
            &["tcp://h:1", "-b", "a\nb"],
            "--body: a line ends at a line feed, and the template of the payload has one;",
        ),
        (
            &["http://h/", "-k"],
            "--insecure: http:// has no certificate; write https://, or take the option out",
        ),
        (&["ws://h/", "--cacert", "ca.pem"], "--cacert: ws:// has no certificate; write wss://,"),
        (&["https://h/", "--cacert", "/nowhere/ca.pem"], "--cacert: "),
        (&["mqtt://h/", "-m", "GET"], "--method: mqtt:// has no methods;"),
        (&["tcp://h:1", "-H", "A: b"], "--header: tcp:// has no header fields;"),
        (
            &["http://h/", "--budget", "p99"],
            "--budget `p99` is not a condition; write for example 'p99<250ms'",
        ),
        (&["http://h/", "--budget", "p99<soon"], "--budget 'p99<soon': `soon` is not a valid span of time;"),
        (&["http://h/", "--budget", "p98x<1ms"], "--budget 'p98x<1ms': "),
        (&["http://h/", "--budget", "p99<1s", "--budget", "p99.9 < soon"], "--budget 'p99.9 < soon': `soon`"),
        (
            &["http://h/", "--budget", "p99<1s", "--budget", "p99<soon"],
            "--budget 'p99<1s', 'p99<soon': `soon`",
        ),
        (&["http://h/", "-H", "Authorization: ${SQUALL_NOT_SET}"], "`SQUALL_NOT_SET` is not set;"),
    ] {
        let error = text(line).expect_err(&format!("{line:?}"));
        assert!(error.contains(said), "{line:?}: {error}");
        assert!(!error.contains("s3cret") && !error.contains("the line:"), "{line:?}: {error}");
    }
}

#[test]
fn what_cannot_be_typed_is_refused_with_a_remedy() {
    for (line, said) in [
        (&["http://h/", "-r", "200"][..], "\"200/s\""),
        (&["http://h/", "-r", "fast"], "write for example \"10/s\""),
        (&["http://h/", "-d", "10"], "10s"),
        (&["http://h/", "-c", "0"], "1..=1000000"),
        (&["http://h/", "--closed", "-r", "1/s"], "cannot be used with"),
        (&["https://h/", "-k", "--cacert", "f"], "cannot be used with"),
    ] {
        let error = Args::try_parse_from(words(line)).expect_err(&format!("{line:?}")).to_string();
        assert!(error.contains(said), "{line:?}: {error}");
    }
}

#[test]
fn secrets_are_no_part_of_the_digest_and_veiled_where_the_scenario_is_stored() {
    let line = |password: &str, token: &str| {
        let url = format!("http://ann:{password}@h/");
        let header = format!("X-Api-Key: {token}");
        let scenario = checked(&[&url, "-r", "5/s", "-H", &header]);
        assert!(!scenario.text.contains(password) && !scenario.text.contains(token), "{}", scenario.text);
        assert_eq!(scenario.name, "http-h");
        Plan::new(scenario).digest().to_owned()
    };
    assert_eq!(line("s3cret", "t0ken"), line("0ther-s3cret", "an0ther-t0ken"));
}

#[test]
fn a_line_that_begins_with_a_url_or_with_an_option_of_one_needs_no_command() {
    for (line, is_url) in [
        (&["http://h/"][..], true),
        (&["-c", "5", "http://h/"], true),
        (&["--closed", "ws://h/"], true),
        (&["--help"], false),
        (&["-V"], false),
        (&["-r", "5/s"], false),
        (&["run", "s.toml"], false),
        (&["run", "s.toml", "--target", "http=http://h/"], false),
        (&["http=http://h/"], false),
    ] {
        assert_eq!(words(line).get(1).is_some_and(|word| word == "URL"), is_url, "{line:?}");
    }
}

#[test]
fn what_stands_in_the_wrong_place_is_told_the_line_to_type() {
    for (line, said) in [
        (
            &["run", "http://h/?a&b", "-r", "200/s"][..],
            "`squall run` takes the file of a scenario; for a URL type: squall 'http://h/?a&b' -r 200/s",
        ),
        (&["run", "--quiet", "http://ann:s3cret@h/"], "for a URL type: squall http://h/ --quiet"),
        (&["run", "http://h/", "-H", "A: it's"], r"type: squall http://h/ -H 'A: it'\''s'"),
        (&["check", "http://h/"], "to have one written for a URL type: squall http://h/ --save s.toml"),
        (
            &["run", "s.toml", "--rate", "200/s"],
            "`--rate` is an option of a URL, and not of `squall run`; type: squall http://127.0.0.1:8080/readings --rate 200/s; the \
             fleets of a scenario have their own: --set fleet.NAME.rate=…",
        ),
        (&["run", "s.toml", "--header", "A: b"], "readings --header 'A: b'"),
        (&["run", "s.toml", "--header=A: b"], "readings '--header=A: b'"),
        (&["check", "s.toml", "-k"], "`-k` is an option of a URL, and not of `squall check`;"),
        (&["serve", "--rate", "5/s"], "`--rate` is an option of a URL, and not of `squall serve`;"),
        (&["run", "s.toml", "-d", "5s"], "`-d` is `--duration` for `squall run`; write that"),
        (
            &["http://h/", "--set", "a.b=1"],
            "`--set` is an option of `squall run`, and not of a URL; type first: squall http://h/ --save s.toml, and then: squall run \
             s.toml --set …",
        ),
        (
            &["localhost:8080", "-c", "5"],
            "`localhost:8080` is no command; did you mean: squall http://localhost:8080 -c 5",
        ),
        (&["example.org/a"], "did you mean: squall http://example.org/a"),
        (&["http:/h/a"], "did you mean: squall http://h/a"),
        (&["htp:/h"], "did you mean: squall http://h"),
        (&["http:/u:s3cret@h/p"], "`http:/h/p` is no command; did you mean: squall http://h/p"),
        (
            &["u:s3cret@h/p"],
            "`h/p` is no command and no URL; a URL looks like http://127.0.0.1:8080/readings",
        ),
        (&["s.toml"], "did you mean: squall run s.toml"),
        (
            &["-r", "5/s"],
            "`-r` goes with a URL, and there is none; type for example: squall http://127.0.0.1:8080/readings -r 5/s",
        ),
    ] {
        let words = words(line);
        let found = misplaced(&words).or_else(|| {
            let error = Args::try_parse_from(&words).expect_err(&format!("{line:?}"));
            meant(&words, &error)
        });
        let message = found.unwrap_or_else(|| panic!("{line:?}")).message;
        assert!(message.contains(said), "{line:?}: {message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
    for line in [&["runn", "s.toml"][..], &["run", "s.toml", "--no-such"], &["compare"]] {
        let words = words(line);
        assert!(misplaced(&words).is_none(), "{line:?}");
        let error = Args::try_parse_from(&words).expect_err(&format!("{line:?}"));
        assert!(meant(&words, &error).is_none(), "{line:?}");
    }
    assert!(misplaced(&words(&["run", "s.toml", "--target", "http=http://h/"])).is_none());
}

proptest! {
    #[test]
    fn any_text_stands_in_the_scenario_as_it_was_typed(text in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
        let document: toml::Table = toml::from_str(&format!("v = {}", quoted(&text))).unwrap();
        prop_assert_eq!(document["v"].as_str(), Some(&*text));
    }

    #[test]
    fn devices_together_have_the_rate_of_all(rate in 1e-2_f64..1e6, devices in 1_u32..10_000) {
        for all in [rate, rate.round().max(1.0)] {
            let one: Rate = each(Rate::per_second(all).unwrap(), devices).parse().unwrap();
            let sum = one.as_per_second() * f64::from(devices);
            prop_assert!((sum / all - 1.0).abs() < 1e-9, "{sum} of {all}");
        }
    }
}
