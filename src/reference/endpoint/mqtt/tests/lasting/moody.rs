//! Clients that break off at random, and lose nothing by it.

use std::collections::HashSet;

use rand::Rng;

use super::*;
use crate::seed::{Seed, Stream};

/// A client that breaks off at random.
struct Moody<'a> {
    scene: &'a Scene,
    name: &'static str,
    random: Stream,
    client: Client,
}

impl<'a> Moody<'a> {
    fn new(scene: &'a Scene, name: &'static str, client: Client) -> Self {
        Self { scene, name, random: Seed(7).stream(name, 0), client }
    }

    /// Perhaps connects anew, with or without the service having noticed that the last connection ended; whether it did.
    fn breaks_off(&mut self) -> bool {
        let breaks = self.random.next_u32().is_multiple_of(4);
        if breaks {
            // Else the new connection takes over.
            if self.random.next_u32().is_multiple_of(2) {
                let _ = self.client.stream.shutdown(Shutdown::Both);
            }
            self.client = self.scene.resume(self.name, true);
        }
        breaks
    }

    /// Sends `bytes` until an answer is heard; its first byte tells what it is.
    fn ask(&mut self, bytes: &[u8], answer: u8) {
        let (mut bytes, mut first) = (bytes.to_vec(), true);
        loop {
            // Only a PUBLISH has a mark for being repeated.
            if !first && bytes[0] & 0xf0 == 0x30 {
                bytes = repeated(bytes);
            }
            first = false;
            if self.breaks_off() {
                continue;
            }
            self.client.send(&bytes);
            if !self.breaks_off() {
                assert_eq!(self.client.next()[0], answer);
                return;
            }
        }
    }
}

/// What a subscriber takes in, each message once as the standard wants it, until `count` have come and been completed.
fn take_in(moody: &mut Moody<'_>, count: usize) -> Vec<u8> {
    let (mut heard, mut open) = (Vec::new(), HashSet::new());
    while heard.len() < count || !open.is_empty() {
        let packet = moody.client.next();
        let answer = match packet[0] & 0xf0 {
            0x30 => {
                let pid = [packet[5], packet[6]];
                if open.insert(pid) {
                    heard.push(packet[7]);
                }
                [0x50, 2, pid[0], pid[1]]
            }
            0x60 => {
                open.remove(&[packet[2], packet[3]]);
                [0x70, 2, packet[2], packet[3]]
            }
            other => panic!("{other:#x}"),
        };
        if !moody.breaks_off() {
            moody.client.send(&answer);
            moody.breaks_off();
        }
    }
    heard
}

#[test]
fn exactly_once_means_that_however_often_both_sides_break_off() {
    let scene = Scene::new();
    let subscriber = scene.subscriber(2);
    let publisher = scene.resume("publisher", false);
    let heard = thread::scope(|scope| {
        let listening = scope.spawn(|| take_in(&mut Moody::new(&scene, "subscriber", subscriber), 200));
        let mut moody = Moody::new(&scene, "publisher", publisher);
        for number in 0..200 {
            moody.ask(&publish(2, 1 + u16::from(number % 3), "t", &[number]), 0x50);
            moody.ask(&pubrel(1 + number % 3), 0x70);
        }
        listening.join().unwrap()
    });
    assert_eq!(heard, (0..200).collect::<Vec<u8>>(), "each once, and in order");
    assert_eq!(scene.metrics.mqtt_dropped.get(), 0);
}
