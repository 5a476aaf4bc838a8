//! Cycles through all levels, and the solution of A z = r by them.

use farm_core::Farm;
use farm_shm::SharedArray;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::super::{Mask, Plate};
use super::pass::{Field, Level};
use super::work::{Guess, LevelOp, RowReport};
use crate::SimError;

/// All levels of a plate, and the arrays that solving A z = r takes on each.
#[derive(Debug)]
pub(crate) struct Hierarchy {
    levels: Vec<Level>,
    rooms: Vec<Rooms>,
    /// The arrays of the conjugate gradients; `None` if no cell is held.
    directions: Option<Directions>,
    /// The number of cycles that started at the finest level.
    pub(crate) cycles: usize,
}

/// The arrays of a level, for solving A z = f.
#[derive(Debug)]
struct Rooms {
    /// The right-hand side.
    f: Field,
    z: Field,
    /// The values between the descent and the ascent of a cycle.
    half: Field,
}

/// The arrays of conjugate gradients, beside those of the finest level.
#[derive(Debug)]
struct Directions {
    x: Field,
    next_x: Field,
    p: Field,
    next_p: Field,
    /// -A p.
    q: Field,
}

/// How closely z solves A z = r.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Solved {
    /// The largest |z|.
    pub(crate) z: f64,
    /// The largest |r - A z|.
    pub(crate) left: f64,
}

impl Hierarchy {
    pub(crate) fn new(plate: &Plate, mask: Option<&Mask>) -> Result<Self, SimError> {
        let levels = Level::all(plate, mask)?;
        let rooms = levels
            .iter()
            .map(|level| Ok(Rooms { f: level.field()?, z: level.field()?, half: level.field()? }))
            .collect::<Result<_, SimError>>()?;
        let finest = &levels[0];
        let directions = finest
            .holds()
            .then(|| {
                Ok::<_, SimError>(Directions {
                    x: finest.field()?,
                    next_x: finest.field()?,
                    p: finest.field()?,
                    next_p: finest.field()?,
                    q: finest.field()?,
                })
            })
            .transpose()?;
        Ok(Self { levels, rooms, directions, cycles: 0 })
    }

    /// Whether the caller's thread does the work even on the finest level.
    pub(crate) fn inline(&self, farm: &impl Farm) -> bool {
        self.levels[0].inline(farm)
    }

    /// Whether the plate has held cells.
    pub(crate) fn holds(&self) -> bool {
        self.levels[0].holds()
    }

    /// Makes one cycle on A u = 0 for `u`, whose sides need not be at 0; no cell may be held.
    /// `half` has the same sides.
    pub(crate) fn cycle_on(
        &mut self,
        farm: &impl Farm,
        u: &mut Field,
        half: &mut Field,
    ) -> Result<(), SimError> {
        self.cycles += 1;
        let work = LevelOp::Descend { guess: Guess::Given };
        let level = &self.levels[0];
        let Some(coarse) = self.rooms.get_mut(1) else {
            level.pass(farm, work, [u], [half])?;
            std::mem::swap(u, half);
            return Ok(());
        };
        level.pass(farm, work, [u], [half, &mut coarse.f])?;
        self.cycle(farm, 1, Guess::Zero)?;
        let coarse = &mut self.rooms[1];
        self.levels[0].pass(farm, LevelOp::Ascend, [half, &mut coarse.z], [u])?;
        Ok(())
    }

    /// Makes one cycle on A z = f that starts at level `from`.
    fn cycle(&mut self, farm: &impl Farm, from: usize, guess: Guess) -> Result<(), SimError> {
        self.cycles += usize::from(from == 0);
        let coarsest = self.levels.len() - 1;
        for at in from..=coarsest {
            let guess = if at == from { guess } else { Guess::Zero };
            let work = LevelOp::Descend { guess };
            let level = &self.levels[at];
            let (finer, coarser) = self.rooms.split_at_mut(at + 1);
            let Rooms { f, z, half } = &mut finer[at];
            match (guess, coarser.first_mut()) {
                (Guess::Zero, Some(coarse)) => level.pass(farm, work, [f], [half, &mut coarse.f]),
                (Guess::Given, Some(coarse)) => {
                    level.pass(farm, work, [z, f], [half, &mut coarse.f])
                }
                // Smoothing solves the equation of a single cell exactly.
                (Guess::Zero, None) => level.pass(farm, work, [f], [z]),
                (Guess::Given, None) => level.pass(farm, work, [half, f], [z]),
            }?;
        }
        for at in (from..coarsest).rev() {
            let (finer, coarser) = self.rooms.split_at_mut(at + 1);
            let Rooms { f, z, half } = &mut finer[at];
            self.levels[at].pass(farm, LevelOp::Ascend, [half, &mut coarser[0].z, f], [z])?;
        }
        Ok(())
    }

    /// Solves A z = r until `enough` returns true, or for at most `cycles` cycles. `fill` writes r
    /// to an array whose sides are 0 and must stay 0.
    pub(crate) fn solve(
        &mut self,
        farm: &impl Farm,
        fill: impl Fn(ArrayViewMut2<'_, f64>),
        cycles: usize,
        enough: impl Fn(Solved) -> bool,
    ) -> Result<Solved, SimError> {
        fill(view_mut(&mut self.rooms[0].f)?);
        if !self.holds() {
            return self.cycles(farm, cycles, enough);
        }
        self.gradients(farm, cycles, enough)?;
        // The recursion of conjugate gradients has accumulated rounding errors in its r - A z.
        let f = &mut self.rooms[0].f;
        fill(view_mut(f)?);
        let Directions { x, .. } = self.directions.as_mut().ok_or(SimError::Failed)?;
        Ok(defect(self.levels[0].pass(farm, LevelOp::Defect, [x, f], [])?))
    }

    /// The last z.
    pub(crate) fn solution(&self) -> Result<ArrayView2<'_, f64>, SimError> {
        let z = self.directions.as_ref().map_or(&self.rooms[0].z, |directions| &directions.x);
        z.as_ref().map(SharedArray::view).ok_or(SimError::Failed)
    }

    fn cycles(
        &mut self,
        farm: &impl Farm,
        cycles: usize,
        enough: impl Fn(Solved) -> bool,
    ) -> Result<Solved, SimError> {
        let mut guess = Guess::Zero;
        let mut solved = Solved { z: 0.0, left: f64::INFINITY };
        for _ in 0..cycles {
            self.cycle(farm, 0, guess)?;
            guess = Guess::Given;
            let Rooms { f, z, .. } = &mut self.rooms[0];
            solved = defect(self.levels[0].pass(farm, LevelOp::Defect, [z, f], [])?);
            if enough(solved) {
                break;
            }
        }
        Ok(solved)
    }

    /// Conjugate gradients, where each cycle makes a direction. They are the flexible variant,
    /// because a cycle is not symmetric.
    ///
    /// Source: Notay, Flexible conjugate gradients, SIAM J. Sci. Comput. 22 (2000) 1444.
    fn gradients(
        &mut self,
        farm: &impl Farm,
        cycles: usize,
        enough: impl Fn(Solved) -> bool,
    ) -> Result<(), SimError> {
        let mut p_q = 0.0;
        for step in 0..cycles {
            self.cycle(farm, 0, Guess::Zero)?;
            let Rooms { f, z, half } = &mut self.rooms[0];
            let Some(Directions { x, next_x, p, next_p, q }) = &mut self.directions else {
                return Err(SimError::Failed);
            };
            let level = &self.levels[0];
            if step == 0 {
                view_mut(x)?.fill(0.0);
                view_mut(p)?.fill(0.0);
            }
            let beta = if step == 0 || p_q == 0.0 {
                0.0
            } else {
                -level.pass(farm, LevelOp::Dot, [z, q], [])?.products[0] / p_q
            };
            let told = level.pass(farm, LevelOp::Direct { beta }, [z, p, f], [next_p, q])?;
            std::mem::swap(p, next_p);
            p_q = told.products[1];
            let alpha = if p_q == 0.0 { 0.0 } else { -told.products[0] / p_q };
            let told = level.pass(farm, LevelOp::Step { alpha }, [x, p, f, q], [next_x, half])?;
            std::mem::swap(x, next_x);
            std::mem::swap(f, half);
            if enough(defect(told)) {
                break;
            }
        }
        Ok(())
    }
}

fn view_mut(field: &mut Field) -> Result<ArrayViewMut2<'_, f64>, SimError> {
    field.as_mut().map(SharedArray::view_mut).ok_or(SimError::Failed)
}

fn defect(told: RowReport) -> Solved {
    Solved { z: told.sizes[0], left: told.sizes[1] }
}
