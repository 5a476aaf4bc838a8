//! Entry points for the fuzz targets: any bytes, received by the functions that receive frames in
//! production, in a worker and in the master.
//!
//! This module does only what production does, and with the same functions.

use farm_core::backend::{Failure, FromWorker, Function, Payload, ToWorker};
use farm_core::{FunctionError, codec};
use ipc_channel::ipc::{self, IpcReceiver, IpcSender, IpcSharedMemory};
use serde::ser::{Error, SerializeTuple};
use serde::{Deserialize, Serialize, Serializer};

use crate::transport::TransportConfig;
use crate::transport::control::{Down, Up};
use crate::transport::ipc::{receive, send};
use crate::transport::outcome::outcome;

/// The content of one packet: bytes, and descriptors beside them.
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

    /// The master's welcome, followed by `rest`. It holds a sender to the master, for two reasons:
    /// without it, the rest is not decoded; and if nothing decodes it, ipc-channel never closes it.
    pub fn welcome(rest: &[u8], blocks: &[&[u8]]) -> Self {
        const WELCOME_WORKER_AND_WAY_UP: [u8; 3] = [0; 3];
        let frame = Self::new([&WELCOME_WORKER_AND_WAY_UP, rest].concat(), blocks);
        Self { up: ipc::channel().ok().map(|(up, _)| up), ..frame }
    }

    /// Sends the frame through a channel whose receiver has the type that production uses.
    fn arrive<T: for<'de> Deserialize<'de> + Serialize>(self) -> Option<T> {
        let (sender, receiver) = ipc::channel::<Self>().expect("there are descriptors");
        send(&sender, self).expect("it fits into the buffer");
        drop(sender);
        let receiver: IpcReceiver<T> = receiver.to_opaque().to();
        receive(&receiver).ok()
    }
}

/// Writes exactly the bytes, without a length.
impl Serialize for Frame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // ipc-channel sends along all descriptors that have been encoded on this thread.
        codec::encode(&(&self.up, &self.blocks)).map_err(S::Error::custom)?;
        let mut tuple = serializer.serialize_tuple(self.bytes.len())?;
        self.bytes.iter().try_for_each(|byte| tuple.serialize_element(byte))?;
        tuple.end()
    }
}

/// A worker receives a frame. Returns the function that it would call, of a task or an initializer,
/// and the argument.
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

/// The master receives a frame. Returns what it would take for the outcome of a task.
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
