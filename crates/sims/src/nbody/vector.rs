//! Vectors of three numbers, for formulas of one body or one pair.

use ndarray::ArrayView2;

pub(crate) type Vector = [f64; 3];

pub(crate) fn row(array: ArrayView2<f64>, i: usize) -> Vector {
    [array[[i, 0]], array[[i, 1]], array[[i, 2]]]
}

pub(crate) fn add(a: Vector, b: Vector) -> Vector {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(crate) fn sub(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(crate) fn scaled(k: f64, a: Vector) -> Vector {
    [k * a[0], k * a[1], k * a[2]]
}

pub(crate) fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}
