//! The instruction set of the kernel, chosen at run time.
//!
//! Each level gives different last bits, because it rounds at different places. The caller that
//! distributes the work chooses one level for all workers. On a processor that lacks the level, the
//! kernel panics and never uses another level.

use serde::{Deserialize, Serialize};

use super::lanes::{Lanes, Portable};

/// An instruction set that the kernel can run with.
///
/// # Examples
///
/// ```
/// use sims::nbody::gravity::Level;
///
/// assert!(Level::Portable.is_available());
/// println!("{} is the fastest here", Level::best().name());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Level {
    /// Plain Rust, square roots and divisions included: two bodies at a time, on any processor.
    Portable,
    /// AVX2 and FMA: four bodies at a time.
    Avx2,
    /// AVX-512: eight bodies at a time.
    Avx512,
}

/// A computation on lanes of any width, K vectors of bodies at a time.
pub(super) trait LaneKernel {
    fn run<const N: usize, const K: usize, L: Lanes<N>>(self, lanes: L);
}

impl Level {
    /// All levels, from the slowest to the fastest.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// The fastest level that this processor has.
    #[must_use]
    pub fn best() -> Self {
        let available = Self::ALL.into_iter().rev().find(|level| level.is_available());
        available.unwrap_or(Self::Portable)
    }

    /// The level's name in lower case: `portable`, `avx2` or `avx512`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this processor has the instructions.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The number of bodies that the kernel handles at a time.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Portable => 2,
            Self::Avx2 => 4,
            Self::Avx512 => 8,
        }
    }

    /// Runs `work` with the instructions of this level.
    ///
    /// # Panics
    ///
    /// If this processor lacks the instructions.
    pub(super) fn run(self, work: impl LaneKernel) {
        match self {
            Self::Portable => work.run::<2, 2, _>(Portable),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                let lanes = pulp::x86::V3::try_new().unwrap_or_else(|| self.lacking());
                lanes.vectorize(OnLanes::<4, 1, _, _>(lanes, work));
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                let lanes = pulp::x86::V4::try_new().unwrap_or_else(|| self.lacking());
                lanes.vectorize(OnLanes::<8, 2, _, _>(lanes, work));
            }
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => self.lacking(),
        }
    }

    #[cold]
    fn lacking(self) -> ! {
        panic!("this processor lacks {}; choose a level that all workers have", self.name())
    }
}

/// The work and its lanes as one function without arguments, into which the compiler inlines
/// everything.
#[cfg(target_arch = "x86_64")]
struct OnLanes<const N: usize, const K: usize, L, W>(L, W);

#[cfg(target_arch = "x86_64")]
impl<const N: usize, const K: usize, L: Lanes<N>, W: LaneKernel> pulp::NullaryFnOnce
    for OnLanes<N, K, L, W>
{
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.1.run::<N, K, L>(self.0);
    }
}
