//! Decodes the outcome of a task from an answer.

use farm_core::Stage;
use farm_core::backend::{Ending, Failure, Payload};
use farm_core::codec::{self, Form};

/// The outcome of a task that has ended in this way. `body` is the body of the answer, or the
/// reason why it did not arrive. How the task has ended is known even without the body.
pub(crate) fn outcome(ending: Ending, body: Result<Payload, String>) -> Result<Payload, Failure> {
    let failure = || {
        let bytes = body.as_ref().map_err(String::clone)?;
        // The failure is decoded from a copy, because the worker may still write to the original.
        codec::decode::<Failure>(&bytes.to_vec()).map_err(|error| error.to_string())
    };
    let lost = |stage| move |reason| Failure::Decode { stage, reason };
    match ending {
        Ending::Returned => body.map_err(lost(Stage::Result)),
        Ending::Described => {
            body.map(|result| result.in_form(Form::Described)).map_err(lost(Stage::Result))
        }
        Ending::Failed => Err(failure().unwrap_or_else(lost(Stage::Failure))),
        Ending::Escaped => Err(match failure() {
            Ok(escaped @ Failure::Escaped { .. }) => escaped,
            _ => Failure::Escaped { handles: vec!["handles whose names were lost".to_owned()] },
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_task_has_ended_is_known_without_the_body() {
        let lost = || Err("its block was lost".to_owned());
        for ending in [Ending::Returned, Ending::Described] {
            let outcome = outcome(ending, lost());
            assert!(matches!(outcome, Err(Failure::Decode { stage: Stage::Result, .. })));
        }
        let failed = outcome(Ending::Failed, lost());
        assert!(matches!(failed, Err(Failure::Decode { stage: Stage::Failure, .. })));
        assert!(matches!(outcome(Ending::Escaped, lost()), Err(Failure::Escaped { .. })));
        let reason = "no".to_owned();
        let other = codec::encode(&Failure::Encode { stage: Stage::Result, reason }).unwrap();
        let escaped = outcome(Ending::Escaped, Ok(other.into()));
        assert!(matches!(escaped, Err(Failure::Escaped { .. })));
    }
}
