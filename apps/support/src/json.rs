//! One JSON object on standard output, for programs that read the result.
//!
//! The object is written through the handle of stdout, because `println!` panics if the reader has
//! closed it. A reader that stops early (`| head`) is no failure. Numbers that are not finite
//! become `null`, because JSON cannot represent them.

use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use crate::exit::Failure;

/// Prints `object` and a line feed on standard output.
///
/// # Errors
/// If the object cannot be written as JSON, or standard output fails for any reason except a reader
/// that has closed it.
pub fn print(object: &impl Serialize) -> Result<(), Failure> {
    write(io::stdout().lock(), object)
}

fn write(mut target: impl Write, object: &impl Serialize) -> Result<(), Failure> {
    let mut line = serde_json::to_string(object)
        .map_err(|error| Failure::run(format!("cannot write the result as JSON: {error}")))?;
    line.push('\n');
    match target.write_all(line.as_bytes()).and_then(|()| target.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::run(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::OpenOptions;

    #[derive(Serialize)]
    struct Summary {
        sweeps: usize,
        residual: f64,
    }
    const SUMMARY: Summary = Summary { sweeps: 3, residual: f64::NAN };

    #[test]
    fn an_object_is_one_line() {
        let mut bytes = Vec::new();
        write(&mut bytes, &SUMMARY).unwrap();
        assert_eq!(bytes, b"{\"sweeps\":3,\"residual\":null}\n");
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        assert_eq!(write(writer, &SUMMARY), Ok(()));
    }

    #[test]
    fn a_full_device_is_a_failed_run() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert_eq!(write(full, &SUMMARY).unwrap_err().code(), 1);
    }
}
