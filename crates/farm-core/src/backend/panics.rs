//! Catches a panic with its message, its place and its backtrace.
//!
//! The payload of a panic has only the message; the panic hook alone knows place and backtrace. So
//! this module puts a hook in front of the one that the process has. It acts only on a thread that
//! is inside [`catch`], and passes any other panic on to the former hook unchanged.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::loan::drop_as_failed;

/// What is known of a panic.
#[derive(Debug)]
pub(crate) struct Caught {
    pub(crate) message: String,
    pub(crate) location: Option<String>,
    pub(crate) backtrace: String,
}

/// What this thread does about panics.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    No,
    Catching,
    /// Catching, and the hook has noted a panic.
    Seen,
}

thread_local! {
    // This is not a part of `SEEN`, because a thread-local with a destructor is far slower to
    // access, and hardly any task panics.
    static WATCH: Cell<Watch> = const { Cell::new(Watch::No) };
    static SEEN: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Calls `body`. A panic in it is returned as an error, and prints nothing.
#[inline]
pub(crate) fn catch<T>(body: impl FnOnce() -> T) -> Result<T, Box<Caught>> {
    let outer = watch();
    let caught = catch_unwind(AssertUnwindSafe(body)).map_err(examine);
    unwatch(outer);
    caught
}

/// Calls code of other libraries that panics where the system refuses something. The panic prints
/// nothing.
///
/// # Errors
///
/// The message of the panic.
#[doc(hidden)]
pub fn contained<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch(call).map_err(|caught| caught.message)
}

#[inline]
fn watch() -> Watch {
    if !CHAIN.is_completed() {
        chain_hook();
    }
    WATCH.replace(Watch::Catching)
}

/// Forgets what the hook has noted since [`catch`] began: that panic was caught by other code, and
/// does not belong to what follows.
#[inline]
pub(crate) fn forget() {
    WATCH.set(Watch::Catching);
}

#[inline]
fn unwatch(outer: Watch) {
    WATCH.set(outer);
}

#[cold]
fn examine(payload: Box<dyn Any + Send>) -> Box<Caught> {
    let seen = if WATCH.get() == Watch::Seen {
        // The thread-local is gone if the thread is about to end.
        SEEN.try_with(RefCell::take).unwrap_or_default()
    } else {
        None
    };
    let (location, backtrace) = seen.unzip();
    let message = message_of(&*payload);
    // A payload whose own `Drop` panics must not end the worker.
    if let Err(again) = catch_unwind(AssertUnwindSafe(move || drop_as_failed(payload))) {
        std::mem::forget(again);
    }
    Box::new(Caught { message, location, backtrace: backtrace.unwrap_or_default() })
}

static CHAIN: Once = Once::new();

#[cold]
fn chain_hook() {
    // The hook cannot be changed while a panic unwinds this thread; the next task puts it in place.
    if std::thread::panicking() {
        return;
    }
    CHAIN.call_once(|| {
        let former = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if WATCH.get() == Watch::No {
                former(info);
            } else {
                let place = info.location().map(ToString::to_string).unwrap_or_default();
                let trace = Backtrace::force_capture().to_string();
                let _ = SEEN.try_with(|seen| seen.replace(Some((place, trace))));
                WATCH.set(Watch::Seen);
            }
        }));
    });
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic whose payload is not a string".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::catch;

    #[test]
    fn a_caught_panic_has_message_place_and_backtrace() {
        let caught = catch(|| panic!("at {}", 7)).expect_err("it panics");
        assert_eq!(caught.message, "at 7");
        let location = caught.location.expect("the hook saw it");
        assert!(location.contains("panics.rs:"), "{location}");
        assert!(caught.backtrace.contains("farm_core"), "{}", caught.backtrace);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_contained() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        let caught = catch(|| std::panic::panic_any(Bomb)).expect_err("it panics");
        assert!(caught.message.contains("not a string"));
    }
}
