//! How other programs look in.

use std::any::TypeId;
use std::fmt;
use std::path::PathBuf;

use crate::Element;

/// Where the elements of an array are and what they are, for other programs to look in.
///
/// The file holds the elements and nothing else, in row-major order, in the byte order of the machine. It can be
/// opened by the user that the program runs as, for as long as the array lives, and the array does not care about who
/// has it open. Its text opens it in Python:
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
/// Python's own `SharedMemory(name)` is not the way: up to Python 3.12 it removes what it has only opened.
///
/// Who looks in while tasks write sees some elements as they were and others as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The file.
    pub path: PathBuf,
    /// The length of each axis.
    pub shape: Vec<usize>,
    /// The element in numpy's notation. A struct is `V` and its size in bytes; numpy is then told its fields, see
    /// `numpy.dtype`.
    pub dtype: String,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, shape, dtype } = self;
        write!(f, "numpy.memmap('{}', dtype='{dtype}', mode='r', shape=(", path.display())?;
        for (axis, length) in shape.iter().enumerate() {
            write!(f, "{}{length}", if axis > 0 { ", " } else { "" })?;
        }
        // A tuple of one has a comma.
        write!(f, "{}))", if shape.len() == 1 { "," } else { "" })
    }
}

/// The type in numpy's notation.
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
