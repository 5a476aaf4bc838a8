//! Multigrid: the steady state in a few cycles, whatever the size of the plate.
//!
//! Sweeps take away what changes from cell to cell, and little else; what is left is smooth, so a grid of every second cell shows it as
//! well. A V(2,1) cycle on A u = f sweeps twice in red and black, restricts what is left, r = f - A u, to the coarser grid, solves A e = r there by the
//! same means, adds e and sweeps once more. The work is that of some seven sweeps, and a cycle divides the residual by twelve or more
//! for any nx and ny, even, odd or very unequal. The grids are in `levels.rs`.
//!
//! Where cells are held the coarse grids cannot show the solution near them so well. There each cycle makes the next direction of a
//! conjugate gradient method. Such a step divides the residual by three to ten for walls, combs, spirals and pores, and by 2.6 at worst (single
//! cells scattered over a large plate), where cycles by themselves would have divided it by 1.2. Each step is the best one along its direction, so
//! the energy of the error falls at every one, for any mask.
//!
//! A level is worked on in two passes, on the way down and up, each of which takes rows through the cache once: all its steps follow each
//! other as a wavefront.
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
