//! The set of known facts about [shapes](super::shape), in memory that a master and its workers
//! share.
//!
//! A process that decodes a described value finds out whether the compact form would have brought
//! it back. It adds the facts of the value to this set, where processes that encode such values
//! find them. That needs no message, and no message can be lost. When a line of the set is full, a
//! fact in it is forgotten, which costs one more description and nothing else. A number that
//! another process writes here by mistake is misleading only if it equals a fact, which happens in
//! fewer than one case in 2^50.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of facts that the set holds, in lines of eight. Such a line is a cache line of 64
/// bytes.
pub const FACTS: usize = LINES * LINE;
const LINES: usize = 512;
const LINE: usize = 8;

/// The set. Zero stands for no fact. All accesses are `Relaxed`, because the numbers order no other
/// memory.
pub type Facts = [AtomicU64; FACTS];

static OWN: Facts = [const { AtomicU64::new(0) }; FACTS];
static SHARED: OnceLock<&'static Facts> = OnceLock::new();

/// Makes this process use `facts`, in memory that other processes share. Only the first call has an
/// effect; returns whether this call was the first.
pub fn share(facts: &'static Facts) -> bool {
    SHARED.set(facts).is_ok()
}

/// The set that this process uses.
#[inline]
pub(super) fn facts() -> Known {
    Known(SHARED.get().copied().unwrap_or(&OWN))
}

/// A set of known facts.
#[derive(Clone, Copy)]
pub(super) struct Known(&'static Facts);

impl Known {
    #[inline]
    pub(super) fn has(self, fact: u64) -> bool {
        self.0[first(fact)].load(Ordering::Relaxed) == fact || self.has_elsewhere(fact)
    }

    /// Searches the whole line.
    #[inline(never)]
    fn has_elsewhere(self, fact: u64) -> bool {
        let line = first(fact) & !(LINE - 1);
        self.0[line..line + LINE].iter().any(|place| place.load(Ordering::Relaxed) == fact)
    }

    pub(super) fn add(self, fact: u64) {
        if self.has(fact) {
            return;
        }
        let line = first(fact) & !(LINE - 1);
        let line = &self.0[line..line + LINE];
        let nth = first(fact) % LINE;
        let order = line[nth..].iter().chain(&line[..nth]);
        let free = order.clone().find(|place| {
            place.compare_exchange(0, fact, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        });
        if free.is_none() {
            // Which fact is overwritten depends on the new one, so that two facts do not replace
            // each other for ever.
            line[(fact >> 32) as usize % LINE].store(fact, Ordering::Relaxed);
        }
    }
}

/// The place at which a fact is looked for first.
#[inline]
fn first(fact: u64) -> usize {
    (fact >> 52) as usize % FACTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_known_once_it_is_noted() {
        static SET: Facts = [const { AtomicU64::new(0) }; FACTS];
        let known = Known(&SET);
        let facts = (1..1000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for fact in facts.clone() {
            assert!(!known.has(fact));
            known.add(fact);
            assert!(known.has(fact));
        }
        assert!(facts.filter(|fact| known.has(*fact)).count() > 990);
    }

    #[test]
    fn a_full_set_forgets_and_never_invents() {
        static SET: Facts = [const { AtomicU64::new(0) }; FACTS];
        let known = Known(&SET);
        let facts =
            |from: u64| (from..from + 100_000).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        facts(1).for_each(|fact| known.add(fact));
        assert!(facts(1).filter(|fact| known.has(*fact)).count() >= FACTS / 2);
        assert_eq!(facts(1 << 40).filter(|fact| known.has(*fact)).count(), 0);
    }
}
