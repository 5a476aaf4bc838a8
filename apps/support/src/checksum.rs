//! A checksum of results: the SHA-256 of the numbers' bits.
//!
//! Two runs with equal checksums have computed the same bits, whatever pool they used. The numbers
//! are hashed in logical row-major order and as little-endian bytes, so neither the layout in
//! memory nor the machine matters. The shape is not part of the checksum.

use ndarray::{ArrayView, Dimension};
use sha2::{Digest, Sha256};

/// The numbers that are converted at a time: enough for the hash to run at full speed.
const CHUNK: usize = 512;

/// A checksum that is being computed, over one array or several in turn.
#[derive(Debug, Clone, Default)]
pub struct Checksum(Sha256);

impl Checksum {
    /// The checksum of no numbers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the numbers of an array.
    pub fn update<D: Dimension>(&mut self, array: ArrayView<'_, f64, D>) {
        if let Some(numbers) = array.as_slice() {
            numbers.chunks(CHUNK).for_each(|chunk| self.add(chunk.iter()));
        } else {
            let mut rest = array.iter();
            while rest.len() > 0 {
                self.add(rest.by_ref().take(CHUNK));
            }
        }
    }

    /// The checksum as 64 hexadecimal digits.
    pub fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn add<'a>(&mut self, numbers: impl Iterator<Item = &'a f64>) {
        let mut bytes = [0; CHUNK * 8];
        let mut filled = 0;
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
            filled += 8;
        }
        self.0.update(&bytes[..filled]);
    }
}

/// The checksum of one array.
pub fn checksum<D: Dimension>(array: ArrayView<'_, f64, D>) -> String {
    let mut sum = Checksum::new();
    sum.update(array);
    sum.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2, Array3, array, s};

    #[test]
    fn known_bytes_have_their_known_sum() {
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(checksum(Array1::<f64>::zeros(0).view()), nothing);
        // printf '\0\0\0\0\0\0\360\77' | sha256sum
        let one = checksum(array![1.0].view());
        assert_eq!(one, hex(&Sha256::digest(1.0_f64.to_le_bytes())));
    }

    #[test]
    fn the_layout_in_memory_does_not_show() {
        let rows = Array2::from_shape_fn((37, 41), |(i, j)| (i * 100 + j) as f64);
        let mut columns = Array2::zeros((41, 37)).reversed_axes();
        columns.assign(&rows);
        assert!(columns.as_slice().is_none());
        assert_eq!(checksum(rows.view()), checksum(columns.view()));
        let cut = rows.slice(s![1..36, 1..40]);
        assert_eq!(checksum(cut), checksum(cut.to_owned().view()));
    }

    #[test]
    fn one_changed_bit_shows() {
        let mut numbers = Array3::<f64>::zeros((3, 50, 7));
        let before = checksum(numbers.view());
        numbers[[2, 49, 6]] = -0.0;
        assert_ne!(checksum(numbers.view()), before);
    }

    #[test]
    fn parts_in_turn_equal_the_whole() {
        let whole = Array1::from_iter((0..3000).map(f64::from));
        let mut parts = Checksum::new();
        parts.update(whole.slice(s![..1001]));
        parts.update(whole.slice(s![1001..]));
        assert_eq!(parts.finish(), checksum(whole.view()));
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
