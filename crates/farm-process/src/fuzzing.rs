//! The two places where frames arrive, for the fuzz targets: any bytes, the true receivers.
//!
//! Only what production does is done here, with the functions that it does it with.

use farm_core::backend::{Failure, FromWorker, Function, Payload, ToWorker};
use farm_core::{FunctionError, codec};
use ipc_channel::ipc::{self, IpcReceiver, IpcSender, IpcSharedMemory};
use serde::ser::{Error, SerializeTuple};
use serde::{Deserialize, Serialize, Serializer};

use crate::transport::TransportConfig;
use crate::transport::control::{Down, Up};
use crate::transport::ipc::{receive, send};
use crate::transport::outcome::outcome;

/// What arrives in one packet: bytes, and descriptors beside them.
#[derive(Deserialize)]
pub struct Frame {
    bytes: Vec<u8>,
    up: Option<IpcSender<Up>>,
    blocks: Vec<IpcSharedMemory>,
}

impl Frame {
    /// A frame with a block of shared memory for each of `blocks`.
    pub fn new(bytes: Vec<u8>, blocks: &[&[u8]]) -> Self {
        let blocks = blocks.iter().map(|bytes| IpcSharedMemory::from_bytes(bytes)).collect();
        Self { bytes, up: None, blocks }
    }

    /// The master's welcome. It holds the way up, which must be there for the rest to be looked at, and
    /// which ipc-channel never closes if nobody asks for it; what comes behind it is `rest`.
    pub fn welcome(rest: &[u8], blocks: &[&[u8]]) -> Self {
        const WELCOME_WORKER_AND_WAY_UP: [u8; 3] = [0; 3];
        let frame = Self::new([&WELCOME_WORKER_AND_WAY_UP, rest].concat(), blocks);
        Self { up: ipc::channel().ok().map(|(up, _)| up), ..frame }
    }

    /// Sends it; the far end is typed as production types it.
    fn arrive<T: for<'de> Deserialize<'de> + Serialize>(self) -> Option<T> {
        let (sender, receiver) = ipc::channel::<Self>().expect("there are descriptors");
        send(&sender, self).expect("it fits into the buffer");
        drop(sender);
        let receiver: IpcReceiver<T> = receiver.to_opaque().to();
        receive(&receiver).ok()
    }
}

/// Exactly the bytes, without their number.
impl Serialize for Frame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // ipc-channel sends along whatever has been encoded on this thread.
        codec::encode(&(&self.up, &self.blocks)).map_err(S::Error::custom)?;
        let mut tuple = serializer.serialize_tuple(self.bytes.len())?;
        self.bytes.iter().try_for_each(|byte| tuple.serialize_element(byte))?;
        tuple.end()
    }
}

/// A worker receives a frame: what it would call, be it task or initializer, and on what.
pub fn worker_receives(frame: Frame) -> Option<(Result<Function, FunctionError>, Payload)> {
    match frame.arrive()? {
        Down::Welcome { config, initializer, .. } => {
            if let TransportConfig::Channel(counter) = config {
                counter.take_up();
            }
            let initializer = initializer?;
            // SAFETY: there are no forged descriptors in the fuzz targets.
            let function = unsafe { initializer.function.resolve() };
            Some((function, initializer.argument.into()))
        }
        Down::Evict | Down::End => None,
        Down::Task { head: ToWorker::Run { function, .. }, body } => {
            let argument = body.open().ok()?;
            // SAFETY: as above.
            Some((unsafe { function.resolve() }, argument))
        }
    }
}

/// The master receives a frame: what it would take for the outcome of a task.
pub fn master_receives(frame: Frame) -> Option<Result<Payload, Failure>> {
    match frame.arrive()? {
        Up::Message { head: FromWorker::Done { ending, .. }, body, .. } => {
            Some(outcome(ending, body.open()))
        }
        Up::Ready { .. }
        | Up::Unready { .. }
        | Up::Evicted { .. }
        | Up::Ended { .. }
        | Up::Met { .. }
        | Up::Closed => None,
    }
}
