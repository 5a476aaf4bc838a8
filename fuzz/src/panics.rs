//! Decides which panics are findings.

use std::panic::Location;

/// Lets ipc-channel panic without ending the process.
///
/// libFuzzer's hook ends the process at any panic. The panics of ipc-channel are known, and
/// farm-process turns them into errors. One that farm-process does not catch still ends the
/// process.
pub fn let_ipc_channel_panic() {
    let end_the_process = std::panic::take_hook();
    let of_ipc_channel = |place: &Location<'_>| place.file().contains("/ipc-channel-");
    std::panic::set_hook(Box::new(move |info| {
        if !info.location().is_some_and(of_ipc_channel) {
            end_the_process(info);
        }
    }));
}
