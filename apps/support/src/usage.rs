//! One line for each error that clap knows: `<option> <value>: <what is allowed> (see --help)`.
//!
//! The text is made from the error's kind and context, never from clap's own rendering, so that the
//! option and the value are always there and a new version of clap does not change the line. For a
//! kind that is not listed here, clap's own text is put on one line.
//!
//! clap does not report which argument was not UTF-8; this module searches the command line for it.

use std::any::TypeId;
use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use crate::exit::one_line;

/// The error in one line, without the program's name.
pub fn message(error: &Error, command: &Command, line: &[OsString]) -> String {
    let told = describe(error, command, line).unwrap_or_else(|| flattened(error));
    format!("{told} (see --help)")
}

fn describe(error: &Error, command: &Command, line: &[OsString]) -> Option<String> {
    let argument = || list(error, ContextKind::InvalidArg).map(|names| bare(&names));
    let value = || list(error, ContextKind::InvalidValue).map(|values| quoted(&values.join(" ")));
    let told = match error.kind() {
        ErrorKind::InvalidValue => {
            let allowed = list(error, ContextKind::ValidValue)
                .filter(|values| !values.is_empty())
                .map(|values| format!("must be one of {}", values.join(", ")));
            match (list(error, ContextKind::InvalidValue)?.concat(), allowed) {
                (empty, None) if empty.is_empty() => format!("{}: needs a value", argument()?),
                (empty, Some(allowed)) if empty.is_empty() => {
                    format!("{}: needs a value: {allowed}", argument()?)
                }
                (_, allowed) => {
                    let allowed = allowed.unwrap_or_else(|| "is not allowed".into());
                    format!("{} {}: {allowed}", argument()?, value()?)
                }
            }
        }
        ErrorKind::ValueValidation => {
            let allowed = error.source().map_or("is not allowed".into(), ToString::to_string);
            format!("{} {}: {}", argument()?, value()?, one_line(&allowed))
        }
        ErrorKind::UnknownArgument => {
            let name = list(error, ContextKind::InvalidArg)?.join(" ");
            if name.starts_with('-') {
                let near = list(error, ContextKind::SuggestedArg).map(|names| bare(&names));
                let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
                format!("{}: no such option{hint}", quoted(&name))
            } else {
                format!("{}: unexpected argument", quoted(&name))
            }
        }
        ErrorKind::ArgumentConflict => {
            let other = list(error, ContextKind::PriorArg).map(|names| bare(&names));
            match (argument()?, other) {
                (one, Some(other)) if one == other => format!("{one}: given more than once"),
                (one, Some(other)) => format!(
                    "{}: cannot be used with {}; give one of them",
                    typed(line, &one),
                    typed(line, &other)
                ),
                (one, None) => format!("{one}: cannot be used with the other options"),
            }
        }
        ErrorKind::MissingRequiredArgument => format!("{}: is required", argument()?),
        ErrorKind::TooManyValues => format!("{} {}: takes no value", argument()?, value()?),
        ErrorKind::TooFewValues | ErrorKind::WrongNumberOfValues => {
            format!("{}: has too few or too many values", argument()?)
        }
        ErrorKind::NoEquals => format!("{}: needs '=' before its value", argument()?),
        ErrorKind::InvalidUtf8 => {
            format!("{}: must be UTF-8 text", not_utf8(command, line)?)
        }
        _ => return None,
    };
    Some(told)
}

/// A context value as a list of strings, whatever its type.
fn list(error: &Error, kind: ContextKind) -> Option<Vec<String>> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(vec![text.clone()]),
        ContextValue::Strings(texts) => Some(texts.clone()),
        ContextValue::StyledStr(text) => Some(vec![text.to_string()]),
        ContextValue::StyledStrs(texts) => Some(texts.iter().map(ToString::to_string).collect()),
        ContextValue::Number(number) => Some(vec![number.to_string()]),
        _ => None,
    }
}

/// The names of the options without their values: clap gives `--nx <NX>` or `--colour[=<WHEN>]`.
fn bare(names: &[String]) -> String {
    let short: Vec<_> = names
        .iter()
        .map(|name| {
            if name.starts_with('-') {
                name.split([' ', '=', '[']).next().unwrap_or(name)
            } else {
                name
            }
        })
        .collect();
    short.join(", ")
}

/// The option with its value, as on the command line.
fn typed(line: &[OsString], name: &str) -> String {
    let words: Vec<_> = line.iter().skip(1).map(|word| word.to_string_lossy()).collect();
    let value = words.iter().enumerate().find_map(|(at, word)| {
        if word == name {
            words.get(at + 1).map(|value| value.as_ref()).filter(|value| !value.starts_with("--"))
        } else {
            word.strip_prefix(name)?.strip_prefix('=')
        }
    });
    value.map_or_else(|| name.to_owned(), |value| format!("{name} {}", quoted(value)))
}

/// The value as it was typed, in quotes if it is empty or contains spaces.
fn quoted(value: &str) -> String {
    let line: String = value.chars().map(one_character).collect();
    if line.is_empty() || line.contains(' ') { format!("'{line}'") } else { line }
}

fn one_character(character: char) -> String {
    if character.is_control() {
        character.escape_default().to_string()
    } else {
        character.to_string()
    }
}

/// The first argument that is not UTF-8 and does not belong to an option that takes a path.
fn not_utf8(command: &Command, line: &[OsString]) -> Option<String> {
    let escaped = |bytes: &[u8]| bytes.escape_ascii().to_string();
    (1..line.len()).find_map(|at| {
        let bytes = line[at].as_encoded_bytes();
        if line[at].to_str().is_some() {
            return None;
        }
        if let (true, Some(equals)) =
            (bytes.starts_with(b"--"), bytes.iter().position(|b| *b == b'='))
        {
            let (name, value) = (escaped(&bytes[..equals]), escaped(&bytes[equals + 1..]));
            return (!takes_path(command, &name)).then(|| format!("{name} {value}"));
        }
        let before = line[at - 1].to_str().filter(|text| at > 1 && text.starts_with('-'));
        match before {
            Some(name) if takes_path(command, name) => None,
            Some(name) => Some(format!("{name} {}", escaped(bytes))),
            None => Some(escaped(bytes)),
        }
    })
}

fn takes_path(command: &Command, name: &str) -> bool {
    let raw = [TypeId::of::<PathBuf>(), TypeId::of::<OsString>(), TypeId::of::<Box<OsStr>>()];
    command.get_arguments().any(|option| {
        let long = option.get_long().is_some_and(|long| name.strip_prefix("--") == Some(long));
        let short = option.get_short().is_some_and(|short| name == format!("-{short}"));
        let takes = option.get_value_parser().type_id();
        (long || short) && raw.iter().any(|kind| takes == *kind)
    })
}

/// clap's own text up to its usage section, on one line.
fn flattened(error: &Error) -> String {
    let text = error.to_string();
    let body = text.split("\n\nUsage:").next().unwrap_or_default();
    let body = body.strip_prefix("error: ").unwrap_or(body);
    let lines: Vec<_> = body.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    one_line(&lines.join("; "))
}
