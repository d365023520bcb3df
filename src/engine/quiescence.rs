//! The end of a run whose workers hear for each other: none leaves while another may still have something to tell it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

/// How often one that has settled everything looks whether the others have, nanoseconds.
pub(super) const LOOK_NS: u64 = 1_000_000;

/// One worker's part in finding out that nothing is open in the whole run.
#[derive(Debug)]
pub(super) struct Quiescence {
    /// Workers that have something open, or may come to have.
    busy: Arc<AtomicU64>,
    is_busy: Cell<bool>,
}

impl Quiescence {
    /// Those of `workers`, all of them busy.
    pub(super) fn among(workers: usize) -> Vec<Self> {
        let busy = Arc::new(AtomicU64::new(workers as u64));
        (0..workers).map(|_| Self { busy: Arc::clone(&busy), is_busy: Cell::new(true) }).collect()
    }

    /// This worker, which is sending no more, has something open or not. True if no worker has: then everything that one of them
    /// will ever have told another is waiting there.
    pub(super) fn is_reached(&self, is_busy: bool) -> bool {
        if self.is_busy.replace(is_busy) != is_busy {
            if is_busy {
                self.busy.fetch_add(1, SeqCst)
            } else {
                self.busy.fetch_sub(1, SeqCst)
            };
        }
        !is_busy && self.busy.load(SeqCst) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_reached_when_the_last_has_settled_and_one_may_begin_again() {
        let [one, other] = &Quiescence::among(2)[..] else { unreachable!("as many as asked for") };
        assert!(!one.is_reached(false), "the other is still sending");
        assert!(!other.is_reached(true));
        assert!(!one.is_reached(true), "it was told of something");
        assert!(!other.is_reached(false));
        assert!(one.is_reached(false) && other.is_reached(false));
        assert!(one.is_reached(false), "however often it is asked");
    }

    #[test]
    fn what_was_told_before_it_is_there_when_it_is_reached() {
        let mut all = Quiescence::among(2);
        let (other, own) = (all.remove(1), all.remove(0));
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let teller = std::thread::spawn(move || {
            tell.send(7).unwrap();
            other.is_reached(false);
        });
        while !own.is_reached(false) {
            std::thread::yield_now();
        }
        assert_eq!(told.try_recv(), Ok(7));
        teller.join().unwrap();
    }
}
