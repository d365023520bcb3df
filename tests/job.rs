//! Jobs of the reference system over its endpoints: submitted, watched, retried, scheduled, raised by alerts, and across crashes.

use std::io::{BufRead, Read};

use serde_json::{Value, json};
use squall::reference::{Config, Server};
use squall::service::{AlertTrigger, Backoff, JobClass, Jobs, Setup};
use squall::units::Span;

use crate::client::{Client, wait_for};

/// What is asked about jobs.
trait Asker {
    fn submit(&mut self, job: &Value) -> (u16, Value);
    fn get(&mut self, path: &str) -> Value;
    /// What is counted of the class at this place.
    fn class(&mut self, place: usize) -> Value;
}

impl Asker for Client {
    fn submit(&mut self, job: &Value) -> (u16, Value) {
        let (status, text) = self.text("POST", "/v1/jobs", &job.to_string());
        (status, serde_json::from_str(&text).unwrap())
    }

    fn get(&mut self, path: &str) -> Value {
        serde_json::from_str(&self.text("GET", path, "").1).unwrap()
    }

    fn class(&mut self, place: usize) -> Value {
        self.get("/v1/jobs")["classes"][place].clone()
    }
}

fn serve(jobs: Jobs) -> Server {
    let setup = Setup { jobs, faults: true, ..Setup::default() };
    Server::start(&Config { setup, ..Config::default() }).unwrap()
}

fn classes(classes: impl Into<Vec<JobClass>>) -> Jobs {
    Jobs { classes: classes.into(), ..Jobs::default() }
}

/// Tries follow one another at once.
const AT_ONCE: Backoff = Backoff { first: Span::ZERO, longest: Span::ZERO, jitter: 0.0 };

#[test]
fn jobs_are_submitted_looked_at_and_kept_as_dead_letters() {
    let failing = JobClass { tries: 2, failure: 1.0, backoff: AT_ONCE, ..JobClass::named("broken") };
    let server = serve(classes([failing, JobClass::named("email")]));
    let mut client = Client::new(server.http_addr());
    let (status, job) = client.submit(&json!({"class": "email", "key": "order-17", "about": "m-1"}));
    assert_eq!(
        (status, &job["job"], &job["by"], &job["about"]),
        (202, &1.into(), &"request".into(), &"m-1".into())
    );
    wait_for("it is done", || client.get("/v1/jobs/1")["state"] == "done");
    let (status, again) = client.submit(&json!({"class": "email", "key": "order-17"}));
    assert_eq!(
        (status, &again["job"], &again["state"]),
        (200, &1.into(), &"done".into()),
        "there is one with this key"
    );
    client.submit(&json!({"class": "broken"}));
    wait_for("it is dead", || client.get("/v1/jobs/2")["state"] == "dead");
    let letters = client.get("/v1/jobs/dead-letters");
    assert_eq!(
        (letters.as_array().unwrap().len(), &letters[0]["job"], &letters[0]["tries"]),
        (1, &2.into(), &2.into())
    );
    assert!(letters[0]["reason"].as_str().unwrap().contains("on purpose"), "{letters}");
    let broken = client.class(0);
    assert_eq!(
        (&broken["class"], &broken["dead"], &broken["failures"]),
        (&"broken".into(), &1.into(), &2.into())
    );
    let (_, metrics) = client.text("GET", "/metrics", "");
    for line in [
        "squall_jobs_submitted_total{class=\"email\"} 1\n",
        "squall_jobs_ended_total{class=\"email\",end=\"done\"} 1\n",
        "squall_jobs_ended_total{class=\"broken\",end=\"dead\"} 1\n",
        "squall_job_tries_total{class=\"broken\",end=\"failed\"} 2\n",
        "squall_jobs_waiting{class=\"broken\"} 0\n",
        "squall_job_seconds_count{class=\"email\"} 1\n",
        "squall_job_try_seconds_count{class=\"broken\"} 2\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
    server.stop();
}

#[test]
fn what_is_no_job_is_refused_with_what_to_write_instead() {
    let slow = JobClass { capacity: 1, cost: Span::from_ms(3_600_000), ..JobClass::named("slow") };
    let server = serve(classes([slow]));
    let mut client = Client::new(server.http_addr());
    let long = "x".repeat(257);
    for (body, reason) in [
        ("{}".to_owned(), "missing field `class`"),
        (r#"{"class":"fast"}"#.to_owned(), "there is no class `fast`; there are slow"),
        (r#"{"class":"slow","prio":"high"}"#.to_owned(), "unknown field `prio`"),
        (r#"{"class":"slow","priority":"huge"}"#.to_owned(), "critical, high, medium or low, not `huge`"),
        (format!(r#"{{"class":"slow","key":"{long}"}}"#), "`key` has at most 256 characters"),
    ] {
        let (status, text) = client.text("POST", "/v1/jobs", &body);
        assert_eq!(status, 400, "{body}");
        assert!(text.replace("\\\"", "\"").contains(reason), "{body}: {text}");
    }
    client.submit(&json!({"class": "slow"}));
    wait_for("a worker is at it", || client.class(0)["running"] == 1);
    assert_eq!(client.submit(&json!({"class": "slow"})).0, 202);
    let (status, refusal) = client.submit(&json!({"class": "slow"}));
    assert_eq!(
        (status, &refusal["reason"]),
        (503, &"1 job of the class `slow` waiting, as many as may".into())
    );
    for (path, status) in [
        ("/v1/jobs/9", 404),
        ("/v1/jobs/x", 400),
        ("/v1/jobs/0", 400),
        ("/v1/jobs/stream?job=9", 404),
        ("/v1/jobs/stream?x=1", 400),
    ] {
        assert_eq!(client.text("GET", path, "").0, status, "{path}");
    }
    assert_eq!(client.text("DELETE", "/v1/jobs/1", "").0, 405);
    // The service stops although a job of an hour is under way.
    server.stop();
    let without = serve(Jobs::default());
    let (status, refusal) = Client::new(without.http_addr()).submit(&json!({"class": "a"}));
    assert!(
        status == 400 && refusal["reason"].as_str().unwrap().contains("[reference.jobs.classes.NAME]"),
        "{refusal}"
    );
}

#[test]
fn the_stream_of_a_job_begins_with_how_it_is_and_ends_with_it() {
    let report = JobClass { steps: 4, cost: Span::from_ms(400), ..JobClass::named("report") };
    let server = serve(classes([report]));
    let mut client = Client::new(server.http_addr());
    client.submit(&json!({"class": "report"}));
    let mut stream = Client::new(server.http_addr());
    stream.send("GET", "/v1/jobs/stream?job=1", "");
    let mut told = Vec::new();
    for line in stream.stream.by_ref().lines() {
        let line = line.unwrap();
        if let Some(text) = line.strip_prefix("data: ") {
            told.push(serde_json::from_str::<Value>(text).unwrap());
        }
        // The last chunk.
        if line == "0" {
            break;
        }
    }
    let steps: Vec<u64> = told.iter().map(|job| job["step"].as_u64().unwrap()).collect();
    assert!(steps.is_sorted() && steps.len() >= 2, "{told:?}");
    let last = told.last().unwrap();
    assert_eq!((&last["state"], &last["step"], &last["steps"]), (&"done".into(), &4.into(), &4.into()));
    server.stop();
}

#[test]
fn jobs_come_by_schedule_and_by_alerts() {
    for workers in [0, 1] {
        let scheduled = JobClass { every: Some(Span::from_ms(20)), ..JobClass::named("cleanup") };
        let alerted = JobClass { on_alert: Some(AlertTrigger::Low), ..JobClass::named("notify") };
        let server = serve(Jobs { workers, ..classes([scheduled, alerted]) });
        let mut client = Client::new(server.http_addr());
        wait_for("three of the schedule", || client.class(0)["done"].as_u64() >= Some(3));
        for seq in 0..400_u64 {
            let value = if seq == 399 { 1e6 } else { 20.0 + (seq % 7) as f64 * 0.1 };
            client.text(
                "POST",
                "/v1/readings",
                &json!({"device": "m-1", "seq": seq, "value": value}).to_string(),
            );
        }
        wait_for("one of the alert", || client.class(1)["done"].as_u64() >= Some(1));
        let raised = client.get("/v1/realtime").pointer("/alerts/raised").cloned();
        assert_eq!(Some(client.class(1)["submitted"].clone()), raised, "one for every alert");
        server.stop();
    }
}

#[test]
fn jobs_survive_the_crash_of_their_workers() {
    const JOBS: u64 = 1_000;
    let once = JobClass { capacity: JOBS as usize, cost: Span::from_ns(100_000), ..JobClass::named("once") };
    let server = serve(Jobs { workers: 2, ..classes([once]) });
    let (mut client, mut control) = (Client::new(server.http_addr()), Client::new(server.http_addr()));
    let crash = r#"{"operation":"start","name":"c","kind":"crash","workers":2}"#;
    for number in 0..JOBS {
        assert_eq!(client.submit(&json!({"class": "once", "key": number.to_string()})).0, 202);
        if number % 200 == 100 {
            let (status, told) = control.text("POST", "/v1/faults", crash);
            let told: Value = serde_json::from_str(&told).unwrap();
            assert_eq!(status, 200, "{told}");
            // The one for readings, and of both for jobs those that are back from the crash before.
            assert!((1..=3).contains(&told["acted"].as_u64().unwrap()), "{told}");
        }
    }
    wait_for("all are done", || client.class(0)["done"] == JOBS);
    let class = client.class(0);
    for (figure, expected) in
        [("submitted", JOBS), ("effects", JOBS), ("dead", 0), ("failures", 0), ("waiting", 0)]
    {
        assert_eq!(class[figure], expected, "{figure}: {class}");
    }
    server.stop();
}
