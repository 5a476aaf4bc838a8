//! The pulls of source bodies on target bodies, where no body is both.

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut2};

use super::kernel::between;
use super::lanes::Lanes;
use super::law::Newton;
use super::level::{LaneKernel, Level};
use super::packing::{Packing, far_away, packs, packs_mut};
use super::pair_sum::PairSum;
use super::rows::{rows, with_rows_mut};

/// Writes the accelerations of `targets` due to `sources` of masses `gm`.
pub(super) fn accelerations(
    level: Level,
    targets: ArrayView2<f64>,
    sources: ArrayView2<f64>,
    gm: ArrayView1<f64>,
    mut out: ArrayViewMut2<f64>,
) {
    let (targets, sources) = (rows(&targets), rows(&sources));
    let away = far_away(&targets).max(far_away(&sources));
    let pack = |bodies: &[[f64; 3]], gm: &[f64]| {
        let mut packed = vec![0.0; PairSum { level, n: bodies.len() }.packed_len::<4>()];
        level.run(Packing::<4> { gm, vectors: &[bodies], away, packed: &mut packed });
        packed
    };
    let bodies = pack(&targets, &vec![0.0; targets.len()]);
    let sources = pack(&sources, &gm.to_vec());
    let mut sums = vec![0.0; bodies.len() / 4 * 3];
    level.run(Apart { bodies: &bodies, sources: &sources, sums: &mut sums });
    let width = level.width();
    with_rows_mut(&mut out, |out| {
        for (i, a) in out.iter_mut().enumerate() {
            let at = i / width * 3 * width + i % width;
            *a = [sums[at], sums[at + width], sums[at + 2 * width]];
        }
    });
}

struct Apart<'a> {
    bodies: &'a [f64],
    sources: &'a [f64],
    sums: &'a mut [f64],
}

impl LaneKernel for Apart<'_> {
    #[inline(always)]
    fn run<const N: usize, const K: usize, L: Lanes<N>>(self, lanes: L) {
        let (bodies, sums) = (packs::<N, 4>(self.bodies), packs_mut::<N, 3>(self.sums));
        for source in packs::<N, 4>(self.sources) {
            // The targets have no mass here, so they do not pull the source.
            let mut reaction = [[0.0; N]; 3];
            between::<N, K, 4, 3, L, Newton>(lanes, bodies, sums, source, &mut reaction);
        }
    }
}
