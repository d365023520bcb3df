//! The terminal: taken over for the screen, and given back as it was, however the screen ends.

use std::io::{self, Stdout, Write};
use std::os::fd::AsFd as _;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute, queue};
use ratatui::layout::Rect;

use super::frame_writer::FrameWriter;
use super::session::{Flow, Session};
use crate::cli::CliError;
use crate::clock::Monotonic;
use crate::tui::{Depth, Palette};

/// So often it is looked whether the files have grown. Keys do not wait for that.
const LOOK: Duration = Duration::from_millis(100);

/// A terminal that shows the screen.
struct Screen {
    out: CrosstermBackend<FrameWriter<Stdout>>,
    palette: Palette,
    /// What is on it.
    shown: Buffer,
}

/// Gives the terminal back when it goes out of scope, also while a panic unwinds.
struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Leaves the screen, shows the cursor, and has the terminal read lines again if this process had it read keys.
pub(super) fn restore() {
    // Whatever fails here, there is nothing more to do about it.
    let _ = execute!(io::stdout(), EndSynchronizedUpdate, LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

/// Ends the process once its terminal is gone: the library that reads keys then reads their end again and again, and never
/// comes back to where the screen could end.
///
/// # Errors
/// If the system gives no thread.
fn end_with_terminal() -> io::Result<()> {
    let wait = || {
        let keys = io::stdin();
        // Nothing is asked for: only the end of the terminal is told.
        let mut terminal = [PollFd::new(keys.as_fd(), PollFlags::empty())];
        while poll(&mut terminal, PollTimeout::NONE) == Err(Errno::EINTR) {}
        // A system that watches no terminals says so at once, and that is no end of one.
        if terminal[0].revents().is_some_and(|told| told.contains(PollFlags::POLLHUP)) {
            // There is nobody to be told anything, and nothing to be written.
            let _ = kill(Pid::this(), Signal::SIGKILL);
        }
    };
    thread::Builder::new().name("squall-terminal".into()).spawn(wait).map(drop)
}

/// Takes the terminal over while `work` lasts, and gives it back however that ends.
///
/// # Errors
/// If the terminal cannot be used, and those of `work`.
fn taken_over(work: impl FnOnce() -> Result<(), CliError>) -> Result<(), CliError> {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        // What it says belongs on the screen the user comes back to.
        restore();
        before(panic);
    }));
    enable_raw_mode().map_err(terminal_fails)?;
    let guard = Guard;
    execute!(io::stdout(), EnterAlternateScreen, cursor::Hide).map_err(terminal_fails)?;
    let ended = work();
    drop(guard);
    ended
}

/// Shows `session` until the user leaves, the process is told to end, or the run has ended whose own screen this is.
///
/// # Errors
/// If the terminal or a file of the run fails.
pub(super) fn show(session: &mut Session) -> Result<(), CliError> {
    let told = super::interrupted()?;
    taken_over(|| {
        let depth = depth(|name| std::env::var(name).ok());
        let out = CrosstermBackend::new(FrameWriter::new(io::stdout(), depth == Depth::Sixteen));
        let palette = Palette::new(depth);
        let mut screen = Screen { out, palette, shown: Buffer::default() };
        end_with_terminal().map_err(terminal_fails)?;
        screen.run(session, &told)
    })
}

#[expect(clippy::needless_pass_by_value, reason = "made to be handed to `map_err`")]
fn terminal_fails(error: io::Error) -> CliError {
    CliError::failed(format!("the terminal cannot be used: {error}"))
}

impl Screen {
    fn run(&mut self, session: &mut Session, told: &AtomicBool) -> Result<(), CliError> {
        let clock = Monotonic::start();
        while !told.load(Ordering::Relaxed) {
            session.step(clock.now())?;
            if session.is_over() {
                return Ok(());
            }
            let area = self.area().map_err(terminal_fails)?;
            // To make up a frame takes longer than to find that nothing was written.
            if session.has_changed() || self.shown.area != area {
                self.draw(session, area).map_err(terminal_fails)?;
            }
            let look = if session.is_behind() { Duration::ZERO } else { LOOK };
            let mut waits = look;
            while event::poll(waits).map_err(terminal_fails)? {
                waits = Duration::ZERO;
                match event::read().map_err(terminal_fails)? {
                    Event::Key(key)
                        if key.kind != KeyEventKind::Release && session.press(key)? == Flow::Leave =>
                    {
                        return Ok(());
                    }
                    // The terminal may have lost what it showed.
                    Event::Resize(..) => self.shown = Buffer::default(),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// What there is of the terminal. It is asked for before every frame: a signal that it has another size may come
    /// before the library that reads keys listens for it.
    fn area(&self) -> io::Result<Rect> {
        let size = self.out.size()?;
        Ok(Rect::new(0, 0, size.width, size.height))
    }

    /// Draws what has changed; where nothing has, nothing is written.
    fn draw(&mut self, session: &Session, area: Rect) -> io::Result<()> {
        let next = session.draw(self.palette, area);
        let is_fresh = self.shown.area != next.area;
        if is_fresh {
            self.shown = Buffer::empty(next.area);
        }
        let changes = self.shown.diff(&next);
        if changes.is_empty() && !is_fresh {
            return Ok(());
        }
        queue!(self.out, BeginSynchronizedUpdate)?;
        if is_fresh {
            queue!(self.out, Clear(ClearType::All))?;
        }
        self.out.draw(changes.into_iter())?;
        queue!(self.out, EndSynchronizedUpdate)?;
        Write::flush(&mut self.out)?;
        self.shown = next;
        Ok(())
    }
}

/// How many colours the terminal shows, by its environment.
fn depth(variable: impl Fn(&str) -> Option<String>) -> Depth {
    let of = |name: &str| variable(name).unwrap_or_default();
    if !of("NO_COLOR").is_empty() {
        return Depth::Plain;
    }
    if matches!(of("COLORTERM").as_str(), "truecolor" | "24bit") {
        return Depth::Full;
    }
    let term = of("TERM");
    if term.contains("direct") {
        Depth::Full
    } else if term.contains("256color") {
        Depth::Indexed
    } else {
        Depth::Sixteen
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{IsTerminal, Read};
    use std::process::{Command, Stdio};

    use nix::pty::{Winsize, openpty};
    use nix::sys::termios::{LocalFlags, tcgetattr};

    use super::*;

    const PANIC: &str = "cli::watch::terminal::tests::a_screen_panics";
    const SAID: &str = "a panic in the middle of a frame";

    /// Does nothing where it is not the test below that runs it, in a terminal of its own.
    #[test]
    fn a_screen_panics() {
        if io::stdin().is_terminal() && std::env::args().any(|argument| argument == PANIC) {
            let _ = taken_over(|| {
                let termios = tcgetattr(io::stdin()).unwrap();
                assert!(!termios.local_flags.contains(LocalFlags::ICANON), "keys are read one by one");
                panic!("{SAID}");
            });
        }
    }

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_is_told() {
        let pty = openpty(&Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }, None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([PANIC, "--exact", "--nocapture"]).env_remove("RUST_BACKTRACE");
        let mut child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
        drop(command);
        let mut master = File::from(pty.master);
        // Read as it is written: who fills the terminal would wait.
        let reader = thread::spawn(move || {
            let (mut text, mut bytes) = (Vec::new(), [0; 4_096]);
            while let Ok(read @ 1..) = master.read(&mut bytes) {
                text.extend_from_slice(&bytes[..read]);
            }
            String::from_utf8_lossy(&text).into_owned()
        });
        assert!(!child.wait().unwrap().success());
        assert_eq!(tcgetattr(&pty.slave).unwrap(), before);
        // The last end of the terminal: the reader comes to its end.
        drop(pty.slave);
        let text = reader.join().unwrap();
        let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words:?} is not in {text:?}"));
        assert!(at("\x1b[?1049h") < at("\x1b[?1049l") && at("\x1b[?1049l") < at(SAID), "{text:?}");
        assert!(at("\x1b[?25h") < at(SAID), "{text:?}");
    }

    #[test]
    fn a_terminal_gets_the_colours_it_says_it_has() {
        for (no_color, colorterm, term, expected) in [
            ("1", "truecolor", "xterm-256color", Depth::Plain),
            ("", "truecolor", "xterm", Depth::Full),
            ("", "", "tmux-256color", Depth::Indexed),
            ("", "", "xterm-direct", Depth::Full),
            ("", "", "linux", Depth::Sixteen),
            ("", "", "", Depth::Sixteen),
        ] {
            let of = |name: &str| match name {
                "NO_COLOR" => Some(no_color.to_owned()),
                "COLORTERM" => Some(colorterm.to_owned()),
                "TERM" => Some(term.to_owned()),
                _ => None,
            };
            assert_eq!(depth(of), expected, "{no_color} {colorterm} {term}");
        }
    }
}
