//! Reads the command line; if it is wrong, ends the program with one line.
//!
//! clap decides what is wrong; this crate changes only the message. clap's errors are several lines
//! long, while a user of a batch system sees one line of a log, so [`crate::usage`] makes one line
//! of them. An option that takes a number also accepts a value that begins with a minus sign:
//! otherwise `--nx -5` would be an "unexpected argument '-5'", and the message would name neither
//! the option nor what is allowed.

use std::any::TypeId;
use std::ffi::OsString;
use std::io::ErrorKind as Io;

use clap::error::ErrorKind;
use clap::{Arg, Parser};

use crate::exit::{self, Failure};
use crate::{output, usage};

/// Returns the arguments of this process.
///
/// Help and version go to stdout with exit code 0. An error is one line on stderr,
/// `<program>: <option> <value>: <what is allowed>`, with exit code 2; no file is touched.
pub fn parse<T: Parser>() -> T {
    let line: Vec<OsString> = std::env::args_os().collect();
    match read(&line) {
        Ok(arguments) => arguments,
        Err(Refusal::Asked(text)) => show(&text),
        Err(Refusal::Wrong(failure)) => failure.report_and_exit(),
    }
}

/// The reason that a program does not run.
#[derive(Debug)]
enum Refusal {
    /// The user asked for help or the version.
    Asked(clap::Error),
    /// The arguments are wrong; the failure is one line.
    Wrong(Failure),
}

fn read<T: Parser>(line: &[OsString]) -> Result<T, Refusal> {
    let mut command = T::command().mut_args(take_minus_signs);
    exit::name_program(command.get_name());
    command
        .try_get_matches_from_mut(line)
        .and_then(|mut matches| T::from_arg_matches_mut(&mut matches))
        .map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refusal::Asked(error),
            _ => Refusal::Wrong(Failure::Usage(usage::message(&error, &command, line))),
        })
}

/// Lets an option for numbers accept a leading minus sign, so that a negative number, or text that
/// is no number, is checked by the option itself.
fn take_minus_signs(option: Arg) -> Arg {
    let takes = option.get_value_parser().type_id();
    let numbers =
        [TypeId::of::<f64>(), TypeId::of::<usize>(), TypeId::of::<u64>(), TypeId::of::<u32>()];
    if option.get_action().takes_values() && numbers.iter().any(|number| takes == *number) {
        option.allow_hyphen_values(true)
    } else {
        option
    }
}

/// Prints help or version. It is no failure if the reader has closed standard output.
fn show(text: &clap::Error) -> ! {
    match text.print() {
        Err(error) if error.kind() != Io::BrokenPipe => {
            Failure::run(format!("standard output: {error}")).report_and_exit()
        }
        _ => {
            let _last = output::critical();
            std::process::exit(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values;
    use std::os::unix::ffi::OsStringExt;
    use std::path::PathBuf;

    #[derive(Debug, Parser)]
    #[command(name = "heated-plate", version = "1.2.3")]
    struct Sample {
        /// Points along x.
        #[arg(long, short = 'x', default_value_t = 10, value_parser = values::count_to::<1000>)]
        nx: usize,
        /// Temperature of the west side.
        #[arg(long, default_value_t = 0.0, value_parser = values::finite)]
        west: f64,
        #[arg(long, value_parser = values::count, conflicts_with = "tolerance")]
        sweeps: Option<usize>,
        #[arg(long, value_parser = values::positive)]
        tolerance: Option<f64>,
        #[arg(long, value_enum, default_value_t)]
        backend: crate::backend::Backend,
        #[arg(long)]
        output: Option<PathBuf>,
        #[arg(long, requires = "output")]
        title: Option<String>,
        #[arg(long)]
        quiet: bool,
    }

    fn message(arguments: &[&str]) -> String {
        message_of(arguments.iter().map(OsString::from).collect())
    }

    fn message_of(arguments: Vec<OsString>) -> String {
        let line: Vec<_> = std::iter::once("bin/other-name".into()).chain(arguments).collect();
        match read::<Sample>(&line) {
            Err(Refusal::Wrong(failure)) => {
                assert_eq!(failure.code(), 2);
                assert!(!failure.to_string().contains('\n'));
                failure.to_string()
            }
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn an_unknown_option_is_named_with_the_nearest_known_one() {
        assert_eq!(
            message(&["--sweps", "3"]),
            "--sweps: no such option; did you mean --sweeps? (see --help)"
        );
        assert_eq!(message(&["--zzz=3"]), "--zzz: no such option (see --help)");
        assert_eq!(message(&["-q"]), "-q: no such option (see --help)");
    }

    #[test]
    fn a_missing_value_names_its_option_and_what_is_allowed() {
        assert_eq!(message(&["--nx"]), "--nx: needs a value (see --help)");
        assert_eq!(
            message(&["--backend"]),
            "--backend: needs a value: must be one of mono, process, rayon (see --help)"
        );
        assert_eq!(message(&["--output", "--quiet"]), "--output: needs a value (see --help)");
    }

    #[test]
    fn an_invalid_value_names_option_value_and_range() {
        let range = "must be a whole number from 1 to 1000 (see --help)";
        assert_eq!(message(&["--nx", "0"]), format!("--nx 0: {range}"));
        assert_eq!(message(&["--nx=0"]), format!("--nx 0: {range}"));
        assert_eq!(message(&["-x0"]), format!("--nx 0: {range}"));
        assert_eq!(message(&["--nx", "-5"]), format!("--nx -5: {range}"));
        assert_eq!(message(&["--nx", "--quiet"]), format!("--nx --quiet: {range}"));
        assert_eq!(message(&["--nx", ""]), format!("--nx '': {range}"));
        assert_eq!(
            message(&["--tolerance", "-inf"]),
            "--tolerance -inf: must be a finite number above 0 (see --help)"
        );
    }

    #[test]
    fn a_value_of_several_lines_stays_on_one() {
        assert_eq!(
            message(&["--west", "warm\nand\u{1b}[31m dry"]),
            "--west 'warm\\nand\\u{1b}[31m dry': must be a finite number (see --help)"
        );
        assert!(message(&["two\nlines"]).starts_with("two\\nlines: "));
    }

    #[test]
    fn an_unknown_backend_lists_those_there_are() {
        assert_eq!(
            message(&["--backend", "threads"]),
            "--backend threads: must be one of mono, process, rayon (see --help)"
        );
    }

    #[test]
    fn options_that_exclude_each_other_are_both_named() {
        let both = message(&["--sweeps", "5", "--tolerance", "0.1"]);
        assert_eq!(
            both,
            "--sweeps 5: cannot be used with --tolerance 0.1; give one of them (see --help)"
        );
        assert_eq!(message(&["--nx", "5", "--nx", "6"]), "--nx: given more than once (see --help)");
    }

    #[test]
    fn an_unexpected_positional_is_named() {
        assert_eq!(message(&["plate.npy"]), "plate.npy: unexpected argument (see --help)");
        assert_eq!(message(&["a b"]), "'a b': unexpected argument (see --help)");
    }

    #[test]
    fn a_value_for_a_flag_is_refused() {
        assert_eq!(message(&["--quiet=yes"]), "--quiet yes: takes no value (see --help)");
    }

    #[test]
    fn a_missing_companion_is_named() {
        assert_eq!(message(&["--title", "x"]), "--output: is required (see --help)");
    }

    #[test]
    fn an_argument_that_is_not_utf_8_is_named_with_its_option() {
        let raw = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let expected = "--nx 5\\xff: must be UTF-8 text (see --help)";
        assert_eq!(message_of(vec!["--nx".into(), raw(b"5\xff")]), expected);
        assert_eq!(message_of(vec![raw(b"--nx=5\xff")]), expected);
        let path = vec!["--output".into(), raw(b"\xfe.npy"), "--nx".into(), raw(b"5\xff")];
        assert_eq!(message_of(path), expected);
        assert!(message_of(vec![raw(b"\xff")]).contains("unexpected argument"));
        assert!(message_of(vec![raw(b"--\xff")]).contains("no such option"));
    }

    #[test]
    fn a_path_need_not_be_utf_8() {
        let name = OsString::from_vec(b"\xfe.npy".to_vec());
        let line = ["x".into(), "--output".into(), name.clone()];
        assert_eq!(read::<Sample>(&line).unwrap().output, Some(name.into()));
    }

    #[test]
    fn good_arguments_are_read() {
        let line = ["x", "--nx", "7", "--west", "-2.5", "--backend", "rayon"].map(Into::into);
        let sample: Sample = read(&line).unwrap();
        assert_eq!((sample.nx, sample.west), (7, -2.5));
        assert_eq!(sample.backend, crate::backend::Backend::Rayon);
    }

    #[test]
    fn help_and_version_are_no_failures() {
        for flag in ["--help", "-h", "--version"] {
            let line = ["x", flag].map(Into::into);
            assert!(matches!(read::<Sample>(&line), Err(Refusal::Asked(_))));
        }
    }
}
