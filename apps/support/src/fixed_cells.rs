//! Reads the cells of a plate that are held at fixed temperatures, from a picture or an array.
//!
//! In an array of floating-point numbers, a number is the temperature of a held cell, and NaN
//! leaves the cell free. An array of `bool`, of whole numbers, or of the numbers 0 and 1 alone says
//! which cells are held. So does the brightness of a picture: black and transparent cells are free,
//! white ones are held at the temperature `full`, and grey ones at a fraction of it.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use ndarray::{Array2, ArrayView2, s};
use ndarray_npy::{ViewElement, ViewNpyError, ViewNpyExt};

use crate::exit::Failure;

/// Reads the held cells, where `full` is the temperature of cells without one of their own; free
/// cells are NaN.
///
/// # Shapes
/// The result has a row for each row of the array, or of the picture from its lowest row up.
///
/// # Errors
/// [`Failure::Usage`] in one line with `option`, the path, and the reason that the file is not a
/// mask.
pub fn read(option: &str, path: &Path, full: f64) -> Result<Array2<f64>, Failure> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let cells = match extension.to_ascii_lowercase().as_str() {
        "png" => from_png(path, full),
        "npy" => from_npy(path, full),
        _ => Err("must be a .png or a .npy file".into()),
    };
    let cells = cells.and_then(|cells| {
        let infinite = cells.iter().any(|cell| cell.is_infinite());
        let empty = cells.is_empty();
        match () {
            () if empty => Err("has no cells".into()),
            () if infinite => Err("holds a cell at an infinite temperature".into()),
            () => Ok(cells),
        }
    });
    cells.map_err(|reason: String| Failure::usage(format!("{option} {}: {reason}", path.display())))
}

fn from_png(path: &Path, full: f64) -> Result<Array2<f64>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let mut bytes = vec![0; reader.output_buffer_size().ok_or("is too large")?];
    let info = reader.next_frame(&mut bytes).map_err(|error| error.to_string())?;
    let samples = info.color_type.samples();
    let (colours, opaque) = match samples {
        2 | 4 => (samples - 1, Some(samples - 1)),
        _ => (samples, None),
    };
    let (width, height) = (info.width as usize, info.height as usize);
    Ok(Array2::from_shape_fn((height, width), |(j, i)| {
        let start = (height - 1 - j) * info.line_size + i * samples;
        let pixel = &bytes[start..start + samples];
        let brightest = pixel[..colours].iter().copied().max().unwrap_or(0);
        let seen = opaque.is_none_or(|alpha| pixel[alpha] >= 128);
        if seen && brightest > 0 { full * f64::from(brightest) / 255.0 } else { f64::NAN }
    }))
}

fn from_npy(path: &Path, full: f64) -> Result<Array2<f64>, String> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|error| error.to_string())?;
    let yes = |is: bool| if is { full } else { f64::NAN };
    let number = |x: f64| x;
    let cells = None
        .or_else(|| view::<f64>(&bytes, number))
        .or_else(|| view::<f32>(&bytes, |x| number(f64::from(x))))
        .or_else(|| view::<bool>(&bytes, yes))
        .or_else(|| view::<u8>(&bytes, |x| yes(x != 0)))
        .or_else(|| view::<i8>(&bytes, |x| yes(x != 0)))
        .or_else(|| view::<u16>(&bytes, |x| yes(x != 0)))
        .or_else(|| view::<i16>(&bytes, |x| yes(x != 0)))
        .or_else(|| view::<u32>(&bytes, |x| yes(x != 0)))
        .or_else(|| view::<i32>(&bytes, |x| yes(x != 0)))
        .or_else(|| view::<u64>(&bytes, |x| yes(x != 0)))
        .or_else(|| view::<i64>(&bytes, |x| yes(x != 0)))
        .unwrap_or_else(|| {
            Err("must hold numbers or bool, in this machine's order of bytes".into())
        })?;
    let says_yes_or_no = cells.iter().all(|cell| *cell == 0.0 || *cell == 1.0);
    Ok(if says_yes_or_no { cells.mapv(|cell| yes(cell == 1.0)) } else { cells })
}

/// The array, if its elements are of type `T`.
fn view<T: ViewElement + Copy>(
    bytes: &[u8],
    cell: impl Fn(T) -> f64,
) -> Option<Result<Array2<f64>, String>> {
    match ArrayView2::<T>::view_npy(bytes) {
        Ok(view) => Some(Ok(view.mapv(cell))),
        Err(ViewNpyError::WrongDescriptor(_)) => None,
        Err(ViewNpyError::WrongNdim(_, found)) => {
            Some(Err(format!("must have two dimensions, rows and columns, and has {found}")))
        }
        Err(error) => Some(Err(error.to_string())),
    }
}

/// Extends cells to the shape of a plate: either they include the sides, or the sides are added as
/// free cells.
///
/// # Shapes
/// The result is `(ny + 2, nx + 2)`; `cells` are that or `(ny, nx)`.
///
/// # Errors
/// Both shapes, if `cells` have another one.
pub fn fit(cells: Array2<f64>, (nx, ny): (usize, usize)) -> Result<Array2<f64>, String> {
    let (rows, columns) = cells.dim();
    if (rows, columns) == (ny + 2, nx + 2) {
        return Ok(cells);
    }
    if (rows, columns) != (ny, nx) {
        return Err(format!(
            "is {columns} x {rows} cells, and must be {nx} x {ny}, or {} x {} with the sides",
            nx + 2,
            ny + 2
        ));
    }
    let mut whole = Array2::from_elem((ny + 2, nx + 2), f64::NAN);
    whole.slice_mut(s![1..=ny, 1..=nx]).assign(&cells);
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};
    use ndarray_npy::{WritableElement, write_npy};

    const FREE: f64 = f64::NAN;

    fn same(found: &Array2<f64>, expected: &Array2<f64>) -> bool {
        found.dim() == expected.dim()
            && found.iter().zip(expected).all(|(a, b)| a == b || a.is_nan() && b.is_nan())
    }

    fn of_array<T: WritableElement>(array: &Array2<T>) -> Result<Array2<f64>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.npy");
        write_npy(&path, array).unwrap();
        read("--mask", &path, 80.0)
    }

    fn of_picture(colour: png::ColorType, bytes: &[u8]) -> Array2<f64> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("MASK.PNG");
        let mut encoder = png::Encoder::new(File::create(&path).unwrap(), 2, 2);
        encoder.set_color(colour);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header().unwrap().write_image_data(bytes).unwrap();
        read("--mask", &path, 255.0).unwrap()
    }

    #[test]
    fn numbers_are_temperatures_and_nan_is_free() {
        let cells = array![[FREE, 3.5], [-1.0, FREE]];
        assert!(same(&of_array(&cells).unwrap(), &cells));
        assert!(same(&of_array(&cells.mapv(|x| x as f32)).unwrap(), &cells));
    }

    #[test]
    fn yes_is_the_temperature_that_is_given_beside() {
        let expected = array![[FREE, 80.0, FREE]];
        assert!(same(&of_array(&array![[false, true, false]]).unwrap(), &expected));
        assert!(same(&of_array(&array![[0_u8, 255, 0]]).unwrap(), &expected));
        assert!(same(&of_array(&array![[0_i64, -7, 0]]).unwrap(), &expected));
        assert!(same(&of_array(&array![[0.0, 1.0, 0.0]]).unwrap(), &expected));
    }

    #[test]
    fn the_lowest_row_of_a_picture_is_the_first() {
        let found = of_picture(png::ColorType::Grayscale, &[0, 255, 51, 0]);
        assert!(same(&found, &array![[51.0, FREE], [FREE, 255.0]]));
    }

    #[test]
    fn what_is_transparent_is_free() {
        let found = of_picture(png::ColorType::GrayscaleAlpha, &[255, 0, 255, 255, 0, 255, 9, 200]);
        assert!(same(&found, &array![[FREE, 9.0], [FREE, 255.0]]));
        let rgba = [[0, 7, 0, 255], [9, 9, 9, 0], [0, 0, 0, 255], [1, 2, 3, 255]].concat();
        assert!(same(&of_picture(png::ColorType::Rgba, &rgba), &array![[FREE, 3.0], [7.0, FREE]]));
    }

    #[test]
    fn what_is_no_mask_is_told_in_one_line() {
        let reason = |failure: Result<Array2<f64>, Failure>| failure.unwrap_err().to_string();
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        std::fs::write(place("mask.npy"), b"\x93NUMPY\x01\x00").unwrap();
        std::fs::write(place("mask.png"), b"GIF").unwrap();
        write_npy(place("line.npy"), &Array1::<f64>::zeros(3)).unwrap();
        for name in ["mask.npy", "mask.png", "line.npy", "none.npy", "none.png", "mask.bmp", "mask"]
        {
            let line = reason(read("--mask", &place(name), 1.0));
            assert!(line.starts_with("--mask ") && line.contains(&format!("{name}: ")), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
        let line = reason(read("--mask", &place("line.npy"), 1.0));
        assert!(line.ends_with("must have two dimensions, rows and columns, and has 1"), "{line}");
        assert!(reason(of_array(&array![[f64::INFINITY]])).ends_with("infinite temperature"));
        assert!(reason(of_array(&Array2::<f64>::zeros((0, 4)))).ends_with("has no cells"));
    }

    #[test]
    fn a_header_that_promises_more_than_the_file_holds_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mask.npy");
        let header = "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 9), }";
        let mut file = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        file.extend(format!("{header:<117}\n").bytes());
        std::fs::write(&path, file).unwrap();
        assert_eq!(read("--mask", &path, 1.0).unwrap_err().code(), 2);
    }

    #[test]
    fn cells_come_with_the_sides_or_without() {
        let fitted = fit(array![[1.0, 2.0]], (2, 1)).unwrap();
        assert_eq!(fitted.dim(), (3, 4));
        assert_eq!((fitted[[1, 1]], fitted[[1, 2]]), (1.0, 2.0));
        assert_eq!(fitted.iter().filter(|cell| cell.is_nan()).count(), 10);
        assert_eq!(fit(Array2::zeros((3, 4)), (2, 1)), Ok(Array2::zeros((3, 4))));
        let line = fit(Array2::zeros((3, 5)), (2, 1)).unwrap_err();
        assert_eq!(line, "is 5 x 3 cells, and must be 2 x 1, or 4 x 3 with the sides");
    }
}
