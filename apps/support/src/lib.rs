//! The parts that the programs have in common besides physics and pools.
//!
//! A program reads its arguments ([`arguments`]), checks before the run that its output can be
//! written ([`destination`]), runs with a bar on the terminal ([`progress`]), writes its files
//! whole or not at all ([`output`]) and ends with one line and an exit code ([`exit`]), also when a
//! user stops it ([`signals`]). The program draws pictures itself ([`heat_map`], [`orbits`]), so it
//! needs no font, display or other program on the machine.
//!
//! No module depends on a pool or a simulation, so every program can use all of them.

#![deny(unsafe_code)]

pub mod arguments;
pub mod backend;
pub mod canvas;
pub mod checksum;
pub mod colours;
pub mod destination;
pub mod exit;
pub mod fixed_cells;
pub mod heat_map;
pub mod image;
mod isotherms;
pub mod json;
mod labels;
mod orbit_panel;
pub mod orbits;
pub mod output;
pub mod progress;
pub mod signals;
pub mod summary;
pub mod ticks;
pub mod usage;
pub mod values;

pub use exit::Failure;
