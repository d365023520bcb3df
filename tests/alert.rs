//! Alerts of every class: what raises them, once, and who hears of them.

use serde_json::Value;
use squall::reference::{Config, Server};
use squall::service::{Admission, AlertClass, Alerts, AnonymousPolicy, Features, Right, Setup, Token};

use crate::client::{Client, wait_for};

fn serve(classes: &[AlertClass], setup: Setup) -> Server {
    let mut alerts = Alerts { classes: [false; 4], ..Alerts::default() };
    for class in classes {
        alerts.classes[*class as usize] = true;
    }
    Server::start(&Config { setup: Setup { alerts, ..setup }, ..Config::default() }).unwrap()
}

/// The alerts of a class so far, each as `level device reason`.
fn told(client: &mut Client, class: AlertClass) -> Vec<String> {
    let page = client.ask("GET", &format!("/v1/alerts?class={}", class.name()), "").1;
    let text = |alert: &Value, key: &str| alert[key].as_str().unwrap_or("-").to_owned();
    let alerts = page["alerts"].as_array().unwrap().iter();
    alerts.map(|alert| ["level", "device", "reason"].map(|key| text(alert, key)).join(" ")).collect()
}

#[test]
fn what_goes_wrong_with_the_service_is_an_alert_once() {
    let all = AlertClass::ALL;
    let server = serve(all, Setup::default());
    let mut client = Client::new(server.http_addr());
    client.ask("POST", "/v1/realtime", r#"{"operation":"pause"}"#);
    wait_for("the pause is told", || !told(&mut client, AlertClass::System).is_empty());
    let expected = ["high - the service is paused; it should be running"];
    assert_eq!(told(&mut client, AlertClass::System), expected);
    // Bad input does not make the pause another alert.
    for _ in 0..20 {
        assert_eq!(client.ask("POST", "/v1/readings", "nonsense").0, 400);
    }
    wait_for("bad input is told", || told(&mut client, AlertClass::System).len() > 1);
    let system = told(&mut client, AlertClass::System);
    assert!(system.len() == 2 && system[1].contains("was no reading"), "{system:?}");
    assert_eq!(told(&mut client, AlertClass::Security), [""; 0]);
    server.stop();
}

#[test]
fn a_sensor_that_breaks_is_told_once_and_only_where_it_is_asked_for() {
    for (classes, expected) in [(AlertClass::ALL, 2), (&[AlertClass::Anomaly][..], 0)] {
        let features = Features { range: (0.0, 100.0), ..Features::default() };
        let server = serve(classes, Setup { features, ..Setup::default() });
        let mut client = Client::new(server.http_addr());
        for (seq, value) in [20.0, 500.0, 501.0, 21.0, 22.0, -3.0].iter().enumerate() {
            let body = format!(r#"{{"device":"m-1","seq":{seq},"value":{value}}}"#);
            assert_eq!(client.ask("POST", "/v1/readings", &body).0, 200);
        }
        let found = told(&mut client, AlertClass::System);
        assert_eq!(found, vec!["medium m-1 the sensor's data are wrong: range"; expected]);
        server.stop();
    }
}

#[test]
fn who_is_refused_is_told_to_those_who_may_hear_of_all() {
    let token = |name: &str, rights: &[Right], device: Option<&str>| Token {
        rights: rights.to_vec(),
        device: device.map(str::to_owned),
        ..Token::of(name)
    };
    let tokens =
        vec![token("reads", &[Right::Read], None), token("own", &[Right::Read, Right::Publish], Some("m-1"))];
    let admission = Admission { tokens, anonymous: AnonymousPolicy::Refuse, ..Admission::default() };
    let server = serve(&[AlertClass::Security], Setup { admission, ..Setup::default() });
    let address = server.http_addr();
    let ask = |token: &str, method: &str, path: &str, fields: &str, body: &str| {
        let fields = format!("Authorization: Bearer {token}\r\n{fields}");
        crate::program::ask_with(address, method, path, &fields, body)
    };
    let reading = r#"{"device":"m-2","seq":1,"value":1}"#;
    for _ in 0..3 {
        assert!(ask("wrong", "GET", "/v1/realtime", "", "").starts_with("HTTP/1.1 401"));
        assert!(ask("own", "POST", "/v1/readings", "", reading).starts_with("HTTP/1.1 403"));
        assert!(
            ask("own", "POST", "/v1/readings", "Origin: https://evil.example\r\n", reading)
                .starts_with("HTTP/1.1 403")
        );
    }
    let heard = |token: &str| {
        let answer = ask(token, "GET", "/v1/alerts?class=security", "", "");
        let page: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        let alerts = page["alerts"].as_array().unwrap().iter();
        alerts.map(|alert| alert["reason"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    wait_for("all three are told", || heard("reads").len() == 3);
    let mut told = heard("reads");
    told.sort();
    assert_eq!(
        told,
        [
            "1 request for what their token gives no right to refused, the last from 127.0.0.1",
            "1 request from a foreign page, or under a foreign name refused, the last from 127.0.0.1",
            "1 request without a token that is known and good refused, the last from 127.0.0.1",
        ]
    );
    assert_eq!(heard("own"), [""; 0], "who speaks for one device hears of that alone");
    server.stop();
}
