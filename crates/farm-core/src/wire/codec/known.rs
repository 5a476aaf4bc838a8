//! What is known of shapes: a set of facts, in memory that a master and its workers share.
//!
//! Whoever decodes a described value finds out whether the compact form would have brought it back, and
//! notes its facts here, where whoever encodes such values sees it. No message is needed for that, and
//! none is lost. The set forgets where it is full, which costs a description and nothing else; nobody is
//! misled by a number that another process writes here by mistake, since it is no fact's, but for one case in
//! 2^50.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many facts there is room for: lines of eight, which are one line of the cache.
pub const FACTS: usize = LINES * LINE;
const LINES: usize = 512;
const LINE: usize = 8;

/// The set. Zero stands for no fact. The numbers order nothing, hence `Relaxed`.
pub type Facts = [AtomicU64; FACTS];

static OWN: Facts = [const { AtomicU64::new(0) }; FACTS];
static SHARED: OnceLock<&'static Facts> = OnceLock::new();

/// Has this process keep its facts in memory that others share. The first call counts; says whether
/// it was this one.
pub fn share(facts: &'static Facts) -> bool {
    SHARED.set(facts).is_ok()
}

/// The set of this process.
#[inline]
pub(super) fn facts() -> Known {
    Known(SHARED.get().copied().unwrap_or(&OWN))
}

/// The facts that are known.
#[derive(Clone, Copy)]
pub(super) struct Known(&'static Facts);

impl Known {
    #[inline]
    pub(super) fn has(self, fact: u64) -> bool {
        self.0[first(fact)].load(Ordering::Relaxed) == fact || self.has_elsewhere(fact)
    }

    /// Looks through the rest of the line.
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
            // Which is forgotten depends on the fact, so that two do not drive each other out for ever.
            line[(fact >> 32) as usize % LINE].store(fact, Ordering::Relaxed);
        }
    }
}

/// The first place at which a fact is looked for.
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
