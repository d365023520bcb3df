//! How the run is looked at, and what keys do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::Switch;

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Overview,
    Fleets,
    Faults,
    Generator,
    Curve,
}

impl View {
    pub(super) const ALL: [Self; 5] =
        [Self::Overview, Self::Fleets, Self::Faults, Self::Generator, Self::Curve];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Fleets => "fleets",
            Self::Faults => "faults",
            Self::Generator => "generator",
            Self::Curve => "percentiles",
        }
    }

    fn step(self, by: usize) -> Self {
        let place = Self::ALL.iter().position(|view| *view == self).unwrap_or(0);
        Self::ALL[(place + by) % Self::ALL.len()]
    }
}

/// By what fleets are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Scenario,
    Slowest,
    Failed,
    Waiting,
}

impl Order {
    const ALL: [Self; 4] = [Self::Scenario, Self::Slowest, Self::Failed, Self::Waiting];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Scenario => "as in the scenario",
            Self::Slowest => "by p99",
            Self::Failed => "by failures",
            Self::Waiting => "by what waits",
        }
    }
}

/// What lies over the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layer {
    None,
    Help,
    /// The list of faults: which is chosen, and for how many seconds it is to be on.
    Faults {
        chosen: usize,
        seconds: String,
    },
    /// Whether the run is to end.
    End,
    /// Whether the phase under way is to end.
    EndPhase,
}

/// What the user may do to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    /// The run is this screen's own: to leave is to end it.
    pub(crate) owns: bool,
    /// Somebody is there to take orders.
    pub(crate) orders: bool,
    /// The run has ended or is replayed: time is the user's.
    pub(crate) replays: bool,
}

/// What is to be done for the user.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    /// Leave; the run goes on.
    Leave,
    /// End the run in an orderly way.
    End,
    /// Ctrl-C: as without the screen.
    Interrupt,
    /// Switch a fault, on for so many seconds where that is said.
    Switch {
        fault: String,
        on: bool,
        seconds: Option<u64>,
    },
    /// Switch all faults off.
    StopAll,
    /// End the phase under way: what the plan still has in it is left out.
    EndPhase,
    /// Go to another instant, so many seconds away.
    Seek(f64),
    /// Go to the beginning, or to the end.
    Rewind,
    Forward,
    /// Replay so many times faster.
    Faster(f64),
    /// Stand still, or go on.
    Pause,
}

/// How the run is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Controls {
    pub(super) rights: Rights,
    view: View,
    pub(super) order: Order,
    pub(super) layer: Layer,
    /// The screen stands still; the run does not.
    pub(super) frozen: bool,
    /// The last minute instead of the whole plan.
    pub(super) minute: bool,
    /// Columns from the right that the cursor stands at.
    pub(super) cursor: Option<u16>,
    /// Decades that the scale of times is cut by, from above.
    pub(super) cut: u16,
    /// Lines that a list has moved up.
    pub(super) scroll: usize,
}

impl Controls {
    pub(crate) const fn new(rights: Rights) -> Self {
        Self {
            rights,
            view: View::Overview,
            order: Order::Scenario,
            layer: Layer::None,
            frozen: false,
            minute: false,
            cursor: None,
            cut: 0,
            scroll: 0,
        }
    }

    pub(super) const fn view(&self) -> View {
        self.view
    }

    /// Whether the screen is to stand still.
    pub(crate) const fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// What may be done has changed: the run has ended, or nobody takes orders any more.
    pub(crate) fn allow(&mut self, rights: Rights) {
        if rights.orders != self.rights.orders && !rights.orders {
            self.layer = Layer::None;
        }
        // A replay is paused instead: there is no key that would end what is frozen.
        self.frozen &= !rights.replays;
        self.rights = rights;
    }

    /// Takes a key; gives what is to be done, if anything but drawing anew is.
    pub(crate) fn press(&mut self, key: KeyEvent, switches: &[Switch]) -> Option<Request> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Some(Request::Interrupt),
                _ => None,
            };
        }
        match &self.layer {
            Layer::None => self.press_view(key.code, switches),
            Layer::Help => {
                self.layer = Layer::None;
                None
            }
            Layer::End => self.answer(key.code, Request::End),
            Layer::EndPhase => self.answer(key.code, Request::EndPhase),
            Layer::Faults { .. } => self.press_faults(key.code, switches),
        }
    }

    /// Takes the answer to a question: what was `asked` about is done only if it is yes.
    fn answer(&mut self, code: KeyCode, asked: Request) -> Option<Request> {
        self.layer = Layer::None;
        matches!(code, KeyCode::Char('y' | 'Y') | KeyCode::Enter).then_some(asked)
    }

    fn press_view(&mut self, code: KeyCode, switches: &[Switch]) -> Option<Request> {
        let Rights { owns, orders, replays } = self.rights;
        match code {
            KeyCode::Char('q') | KeyCode::Esc if !owns || !orders => return Some(Request::Leave),
            KeyCode::Char('q') => self.layer = Layer::End,
            KeyCode::Char('e') if orders => self.layer = Layer::End,
            KeyCode::Char('n') if orders => self.layer = Layer::EndPhase,
            KeyCode::Char('f') if orders && !switches.is_empty() => {
                self.layer = Layer::Faults { chosen: 0, seconds: String::new() };
            }
            KeyCode::Char('?' | 'h') => self.layer = Layer::Help,
            KeyCode::Tab => self.show(self.view.step(1)),
            KeyCode::BackTab => self.show(self.view.step(View::ALL.len() - 1)),
            KeyCode::Char(digit @ '1'..='5') => {
                self.show(View::ALL[usize::from(digit as u8 - b'1')]);
            }
            KeyCode::Char(' ') if replays => return Some(Request::Pause),
            KeyCode::Char(' ') => self.frozen = !self.frozen,
            KeyCode::Char('w') => self.minute = !self.minute,
            KeyCode::Char('s') => {
                let place = Order::ALL.iter().position(|order| *order == self.order).unwrap_or(0);
                self.order = Order::ALL[(place + 1) % Order::ALL.len()];
            }
            KeyCode::Char('+') => self.cut = (self.cut + 1).min(6),
            KeyCode::Char('-') => self.cut = self.cut.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll = (self.scroll + 1).min(1_000),
            KeyCode::Up | KeyCode::Char('k') => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::Left => self.cursor = Some(self.cursor.map_or(0, |cursor| (cursor + 1).min(500))),
            KeyCode::Right => self.cursor = self.cursor.and_then(|cursor| cursor.checked_sub(1)),
            _ if replays => return seek(code),
            _ => {}
        }
        None
    }

    fn show(&mut self, view: View) {
        (self.view, self.scroll) = (view, 0);
    }

    fn press_faults(&mut self, code: KeyCode, switches: &[Switch]) -> Option<Request> {
        let Layer::Faults { chosen, seconds } = &mut self.layer else { return None };
        match code {
            KeyCode::Down | KeyCode::Char('j') => {
                *chosen = (*chosen + 1).min(switches.len().saturating_sub(1));
            }
            KeyCode::Up | KeyCode::Char('k') => *chosen = chosen.saturating_sub(1),
            KeyCode::Char(digit) if digit.is_ascii_digit() && seconds.len() < 5 => seconds.push(digit),
            KeyCode::Backspace => _ = seconds.pop(),
            KeyCode::Char('0'..='9') => {}
            KeyCode::Char('x') => {
                self.layer = Layer::None;
                return Some(Request::StopAll);
            }
            KeyCode::Enter => {
                let switch = switches.get(*chosen);
                let seconds = seconds.parse().ok().filter(|seconds| *seconds > 0);
                self.layer = Layer::None;
                return switch.map(|switch| Request::Switch {
                    fault: switch.name.clone(),
                    on: !switch.on,
                    seconds: seconds.filter(|_| !switch.on),
                });
            }
            _ => self.layer = Layer::None,
        }
        None
    }
}

/// Keys of a replay.
fn seek(code: KeyCode) -> Option<Request> {
    Some(match code {
        KeyCode::Char('t') | KeyCode::PageDown => Request::Seek(10.0),
        KeyCode::Char('T') | KeyCode::PageUp => Request::Seek(-10.0),
        KeyCode::Char('.') => Request::Seek(1.0),
        KeyCode::Char(',') => Request::Seek(-1.0),
        KeyCode::Home | KeyCode::Char('b') => Request::Rewind,
        KeyCode::End => Request::Forward,
        KeyCode::Char('>') => Request::Faster(2.0),
        KeyCode::Char('<') => Request::Faster(0.5),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Rights = Rights { owns: true, orders: true, replays: false };
    const GUEST: Rights = Rights { owns: false, orders: true, replays: false };
    const REPLAY: Rights = Rights { owns: false, orders: false, replays: true };

    fn pressed(controls: &mut Controls, keys: &str) -> Vec<Request> {
        let switch = |name: &str, on| Switch { name: name.into(), kind: "stall".into(), on };
        let switches = [switch("freeze", false), switch("cut", true)];
        let code = |letter| match letter {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '↓' => KeyCode::Down,
            '←' => KeyCode::Left,
            '␛' => KeyCode::Esc,
            letter => KeyCode::Char(letter),
        };
        let press = |letter| controls.press(KeyEvent::new(code(letter), KeyModifiers::NONE), &switches);
        keys.chars().filter_map(press).collect()
    }

    #[test]
    fn keys_ask_for_what_they_say_and_the_run_is_never_ended_unasked() {
        let on = |fault: &str, on, seconds| Request::Switch { fault: fault.into(), on, seconds };
        for (rights, keys, requests) in [
            (OWN, "q", vec![]),
            (OWN, "qn", vec![]),
            (OWN, "qy", vec![Request::End]),
            (OWN, "qqy", vec![]),
            (OWN, "f\n", vec![on("freeze", true, None)]),
            (OWN, "f12\n", vec![on("freeze", true, Some(12))]),
            (OWN, "f↓5\n", vec![on("cut", false, None)]),
            (OWN, "f␛q", vec![]),
            (OWN, "fx", vec![Request::StopAll]),
            (OWN, "n", vec![]),
            (OWN, "nn", vec![]),
            (OWN, "ny", vec![Request::EndPhase]),
            (GUEST, "n\n", vec![Request::EndPhase]),
            (REPLAY, "ny", vec![]),
            (OWN, " ", vec![]),
            (GUEST, "q", vec![Request::Leave]),
            (GUEST, "e", vec![]),
            (GUEST, "ey", vec![Request::End]),
            (REPLAY, "qf", vec![Request::Leave]),
            (
                REPLAY,
                " tTb>",
                vec![
                    Request::Pause,
                    Request::Seek(10.0),
                    Request::Seek(-10.0),
                    Request::Rewind,
                    Request::Faster(2.0),
                ],
            ),
            (REPLAY, "e", vec![]),
        ] {
            assert_eq!(pressed(&mut Controls::new(rights), keys), requests, "{keys:?}");
        }
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(Controls::new(OWN).press(interrupt, &[]), Some(Request::Interrupt));
    }

    #[test]
    fn space_freezes_the_screen_alone_and_views_go_round() {
        let mut controls = Controls::new(OWN);
        assert!(pressed(&mut controls, "\t\t s").is_empty());
        assert!(controls.is_frozen());
        assert_eq!((controls.view(), controls.order), (View::Faults, Order::Slowest));
        pressed(&mut controls, "\t\t\t ←");
        assert_eq!(
            (controls.view(), controls.is_frozen(), controls.cursor),
            (View::Overview, false, Some(0))
        );
        pressed(&mut controls, " f");
        assert!(controls.is_frozen());
        controls.allow(REPLAY);
        assert_eq!((&controls.layer, controls.is_frozen()), (&Layer::None, false));
    }
}
