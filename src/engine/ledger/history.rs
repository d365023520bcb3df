//! What a device remembers of the readings that have ended, for the delivery audit.

use crate::record::AuditFinding;

/// The last sequence numbers a device ended, for the delivery audit: a sliding window of 64.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The highest sequence number that was sent and has ended, plus one; 0 while none has.
    top: u64,
    /// The highest sequence number that was answered, plus one.
    answered_top: u64,
    /// Bit k: sequence number `top − 1 − k` was answered.
    answered: u64,
}

impl History {
    const WINDOW: u64 = 64;

    /// Notes the first answer to `seq`; true if a later reading had been answered before it.
    pub(super) fn answer(&mut self, seq: u64) -> bool {
        self.advance(seq);
        self.mark(seq);
        let reordered = seq + 1 < self.answered_top;
        self.answered_top = self.answered_top.max(seq + 1);
        reordered
    }

    /// Notes that `seq` ended without an answer.
    pub(super) fn give_up(&mut self, seq: u64) {
        self.advance(seq);
    }

    /// What an answer to a reading that is not in flight means; `None` if no such reading was ever sent.
    pub(super) fn classify(&mut self, seq: u64) -> Option<AuditFinding> {
        if seq >= self.top {
            return None;
        }
        let age = self.top - 1 - seq;
        if age >= Self::WINDOW {
            return Some(AuditFinding::Late);
        }
        if self.answered >> age & 1 == 1 {
            return Some(AuditFinding::Duplicated);
        }
        self.mark(seq);
        Some(AuditFinding::Late)
    }

    /// Whether `seq`, which has ended, is among the last of which is known how.
    pub(super) fn remembers(&self, seq: u64) -> bool {
        self.top.saturating_sub(seq) <= Self::WINDOW
    }

    fn advance(&mut self, seq: u64) {
        if seq >= self.top {
            let step = seq + 1 - self.top;
            self.answered = if step >= Self::WINDOW { 0 } else { self.answered << step };
            self.top = seq + 1;
        }
    }

    fn mark(&mut self, seq: u64) {
        let age = self.top - 1 - seq;
        if age < Self::WINDOW {
            self.answered |= 1 << age;
        }
    }
}
