//! Arrays of shape `(n, 3)` as slices of vectors.

use std::borrow::Cow;

use ndarray::{ArrayView2, ArrayViewMut2};

/// The rows of an array, copied if they are not contiguous.
pub(in crate::nbody) fn rows<'a>(array: &'a ArrayView2<f64>) -> Cow<'a, [[f64; 3]]> {
    match array.as_slice() {
        Some(numbers) => Cow::Borrowed(numbers.as_chunks().0),
        None => array.rows().into_iter().map(|row| [row[0], row[1], row[2]]).collect(),
    }
}

/// Calls `write` with the rows of an array, or with a copy that is stored afterwards if they are
/// not contiguous.
pub(in crate::nbody) fn with_rows_mut<R>(
    array: &mut ArrayViewMut2<f64>,
    write: impl FnOnce(&mut [[f64; 3]]) -> R,
) -> R {
    if let Some(numbers) = array.as_slice_mut() {
        return write(numbers.as_chunks_mut().0);
    }
    let mut rows = vec![[0.0; 3]; array.nrows()];
    let result = write(&mut rows);
    for (mut to, row) in array.rows_mut().into_iter().zip(rows) {
        to.assign(&ndarray::aview1(&row));
    }
    result
}
