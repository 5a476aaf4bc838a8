//! The colours of numbers: inferno, dark for low and light for high.
//!
//! Equal steps in the number look like equal steps in brightness, also in grey print and to
//! colour-blind readers. A rainbow would show edges where there are none.
//!
//! Source: "inferno" by N. Smith and S. van der Walt (CC0), matplotlib's `_cm_listed.py`; the ten
//! evenly spaced points are those of `viridisLite::inferno(10)`.

use embedded_graphics::pixelcolor::Rgb888;

/// The colour of NaN.
pub const NO_NUMBER: Rgb888 = Rgb888::new(150, 150, 150);

const INFERNO: [[u8; 3]; 10] = [
    [0x00, 0x00, 0x04],
    [0x1B, 0x0C, 0x42],
    [0x4B, 0x0C, 0x6B],
    [0x78, 0x1C, 0x6D],
    [0xA5, 0x2C, 0x60],
    [0xCF, 0x44, 0x46],
    [0xED, 0x69, 0x25],
    [0xFB, 0x9A, 0x06],
    [0xF7, 0xD0, 0x3C],
    [0xFC, 0xFF, 0xA4],
];

/// The colour of a number between 0 and 1, and grey for NaN; other numbers get the nearest colour.
pub fn inferno(share: f64) -> Rgb888 {
    if share.is_nan() {
        return NO_NUMBER;
    }
    let place = share.clamp(0.0, 1.0) * (INFERNO.len() - 1) as f64;
    let below = (place as usize).min(INFERNO.len() - 2);
    let part = place - below as f64;
    let [red, green, blue] = std::array::from_fn(|channel| {
        let low = f64::from(INFERNO[below][channel]);
        let high = f64::from(INFERNO[below + 1][channel]);
        (low + part * (high - low)).round() as u8
    });
    Rgb888::new(red, green, blue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_graphics::pixelcolor::RgbColor;

    #[test]
    fn brightness_rises_all_the_way() {
        let bright = |share| {
            let colour = inferno(share);
            0.2126 * f64::from(colour.r())
                + 0.7152 * f64::from(colour.g())
                + 0.0722 * f64::from(colour.b())
        };
        for step in 0..100 {
            let share = f64::from(step) / 100.0;
            assert!(bright(share) <= bright(share + 0.01), "{share}");
        }
    }

    #[test]
    fn numbers_outside_get_the_nearest_colour_and_nan_is_grey() {
        assert_eq!(inferno(-1.0), Rgb888::new(0, 0, 4));
        assert_eq!(inferno(f64::INFINITY), Rgb888::new(252, 255, 164));
        assert_eq!(inferno(f64::NAN), NO_NUMBER);
    }
}
