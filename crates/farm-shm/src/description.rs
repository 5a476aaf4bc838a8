//! [`Description`]: what other programs need to know to read a shared array.

use std::any::TypeId;
use std::fmt;
use std::path::PathBuf;

use crate::Element;

/// The place, shape and element type of an array, so that other programs can read it.
///
/// The file holds the elements and nothing else, in row-major order and in the byte order of the
/// machine. The user that the program runs as can open it for as long as the array lives. That
/// another program has the file open has no effect on the array. The text of a description is an
/// expression that opens the file in Python:
///
/// ```
/// use farm_shm::SharedArray;
///
/// let plate = SharedArray::<f64, _>::zeros((3, 4))?;
/// let text = plate.describe().to_string();
/// assert!(text.starts_with("numpy.memmap('/dev/shm/farm-"));
/// assert!(text.ends_with("', dtype='<f8', mode='r', shape=(3, 4))"));
/// # Ok::<(), farm_shm::ShmError>(())
/// ```
///
/// Python's own `SharedMemory(name)` must not be used: up to Python 3.12 it removes shared memory
/// that it has only opened.
///
/// A program that reads the file while tasks write to the array sees old values of some elements
/// and new values of others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The file.
    pub path: PathBuf,
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// The element type in numpy's notation. A struct is `V` followed by its size in bytes; its
    /// fields then have to be described to numpy, see `numpy.dtype`.
    pub dtype: String,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, shape, dtype } = self;
        write!(f, "numpy.memmap('{}', dtype='{dtype}', mode='r', shape=(", path.display())?;
        for (axis, length) in shape.iter().enumerate() {
            write!(f, "{}{length}", if axis > 0 { ", " } else { "" })?;
        }
        // In Python, a tuple of one element needs a comma.
        write!(f, "{}))", if shape.len() == 1 { "," } else { "" })
    }
}

/// Returns the element type in numpy's notation.
pub(crate) fn dtype<T: Element>() -> String {
    let is = |kind: TypeId| TypeId::of::<T>() == kind;
    let numbers = [
        (TypeId::of::<f32>(), "f4"),
        (TypeId::of::<f64>(), "f8"),
        (TypeId::of::<i8>(), "i1"),
        (TypeId::of::<i16>(), "i2"),
        (TypeId::of::<i32>(), "i4"),
        (TypeId::of::<i64>(), "i8"),
        (TypeId::of::<isize>(), "i8"),
        (TypeId::of::<u8>(), "u1"),
        (TypeId::of::<u16>(), "u2"),
        (TypeId::of::<u32>(), "u4"),
        (TypeId::of::<u64>(), "u8"),
        (TypeId::of::<usize>(), "u8"),
    ];
    let order = match size_of::<T>() {
        1 => '|',
        _ if cfg!(target_endian = "big") => '>',
        _ => '<',
    };
    match numbers.into_iter().find(|(kind, _)| is(*kind)) {
        Some((_, name)) => format!("{order}{name}"),
        None => format!("V{}", size_of::<T>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_named_as_numpy_does() {
        assert_eq!(dtype::<u8>(), "|u1");
        assert_eq!(dtype::<i32>(), "<i4");
        assert_eq!(dtype::<[f64; 3]>(), "V24");
        let description = |shape: &[usize]| {
            let path = PathBuf::from("/dev/shm/farm-1-2-3");
            Description { path, shape: shape.to_vec(), dtype: dtype::<f32>() }.to_string()
        };
        let with_shape = |shape| {
            format!("numpy.memmap('/dev/shm/farm-1-2-3', dtype='<f4', mode='r', shape={shape})")
        };
        assert_eq!(description(&[]), with_shape("()"));
        assert_eq!(description(&[7]), with_shape("(7,)"));
        assert_eq!(description(&[7, 8]), with_shape("(7, 8)"));
    }
}
