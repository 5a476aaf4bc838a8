//! Multigrid: the steady state in a few cycles, whatever the size of the plate.
//!
//! Sweeps remove the part of the error that changes from cell to cell, and little else. The rest is
//! smooth, so a grid of every second cell represents it as well. A V(2,1) cycle on A u = f sweeps
//! twice in red and black, restricts the residual r = f - A u to the coarser grid, solves A e = r
//! there in the same way, adds e and sweeps once more. The work is that of some seven sweeps, and a
//! cycle divides the residual by twelve or more for any nx and ny, whether even, odd or very
//! unequal. The module `levels` describes the grids.
//!
//! Where cells are held, the coarse grids represent the solution near them less well. There each
//! cycle makes the next direction of a conjugate gradient method. Such a step divides the residual
//! by three to ten for walls, combs, spirals and pores, and by 2.6 in the worst case (single cells
//! scattered over a large plate), where cycles alone would divide it by 1.2. Each step is the best
//! one along its direction, so every step reduces the energy of the error, for any mask.
//!
//! A cycle makes two passes over each level, one on the way down and one on the way up. A pass
//! takes each row through the cache once: its steps follow each other as a wavefront.
//!
//! Source: Trottenberg, Oosterlee and Schüller, Multigrid (2001), sections 2.4 and 4.1.

pub(crate) mod hierarchy;
pub(crate) mod levels;
pub(crate) mod pass;
pub(crate) mod rows;
pub mod solver;
pub(crate) mod sums;
pub(crate) mod work;

pub use pass::IN_LINE_BELOW;
pub use solver::Multigrid;
