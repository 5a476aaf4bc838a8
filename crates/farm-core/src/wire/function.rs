//! References to functions, by which messages name them.
//!
//! Functions are not registered, and there is no macro. Each triple of function, argument and
//! result types has a constant descriptor in the executable, and a message carries the distance of
//! that descriptor from an anchor. Workers run the same executable, so the same distance leads them
//! to the same descriptor, wherever the loader has put the image. The receiver checks the reference
//! before it calls anything: the place must lie in the main executable, be aligned, and hold the
//! right magic number and hash.
//!
//! A function must have no size: it is an `fn` item, a generic instance, or a closure that captures
//! nothing. Data goes into the argument.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::api::error::Failure;
use crate::backend::panics;
use crate::loan::{self, Grants, Phase, in_phase_with_grants, in_phase_without_loans};
use crate::wire::batch::Batch;
use crate::wire::codec::{CodecError, Form, Output, Setting, Source};

/// A value that can travel between master and worker: owned data that serde can encode and decode.
pub trait Data: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Data for T {}

/// A plain function from `A` to `R`: any `fn` item, generic instance, library function, or closure
/// that captures nothing.
///
/// A function of several arguments takes a tuple.
///
/// # Examples
///
/// A constant inside the closure is part of the function:
///
/// ```
/// # use farm_core::{Data, TaskFn, backend::Function};
/// # fn submit<A: Data, R: Data, F: TaskFn<A, R>>(f: F) -> Function {
/// #     Function::of::<F, A, R>(f)
/// # }
/// const SCALE: f64 = 2.0;
/// submit(|x: f64| SCALE * x);
/// ```
///
/// # Closures that capture values without size
///
/// A closure may capture a value that has no size, since nothing of it has to be sent: a worker
/// makes one for itself. With most types that makes no difference. But if such a value is a
/// *witness* of what its process has done ("the library is set up here"), a worker has the witness
/// without having done that, and nothing in the type shows it. Have each worker do it in an
/// initializer, or check in the task whether it was done. A closure that captures a witness must
/// not be sent if its code would be unsafe without what the witness stands for.
///
/// # What does not compile
///
/// A local variable would have to be captured, so this does not compile (`cannot send a closure
/// that captures variables: pass data in the argument`):
///
/// ```compile_fail
/// # use farm_core::{Data, TaskFn, backend::Function};
/// # fn submit<A: Data, R: Data, F: TaskFn<A, R>>(f: F) -> Function {
/// #     Function::of::<F, A, R>(f)
/// # }
/// let scale: f64 = 2.0;
/// submit(move |x: f64| scale * x);
/// ```
///
/// Nor does an `fn` pointer compile, because its value means nothing in another process (`cannot
/// send an fn pointer (name the function itself)`):
///
/// ```compile_fail
/// # use farm_core::{Data, TaskFn, backend::Function};
/// # fn submit<A: Data, R: Data, F: TaskFn<A, R>>(f: F) -> Function {
/// #     Function::of::<F, A, R>(f)
/// # }
/// let root: fn(f64) -> f64 = f64::sqrt;
/// submit(root);
/// ```
pub trait TaskFn<A, R>: Fn(A) -> R + Copy + Send + Sync + 'static {}

impl<A, R, F: Fn(A) -> R + Copy + Send + Sync + 'static> TaskFn<A, R> for F {}

const MAGIC: u64 = 0x4641_524d_2d46_4e31; // "FARM-FN1"

/// What the executable holds for each triple of function, argument and result types.
#[repr(C)]
struct Descriptor {
    magic: u64,
    abi_hash: u64,
    name: fn() -> &'static str,
    call: fn(&[u8], &mut Output<'_>) -> Result<Form, CodecError>,
    call_each: fn(&mut dyn Items, &mut Output<'_>) -> Result<(), CodecError>,
}

/// The items of a batch, as the worker that runs them sees them.
pub trait Items {
    /// Takes up the next item, and returns its encoded argument; `None` if no item is left.
    fn take_up(&mut self) -> Option<&[u8]>;

    /// Answers for the item that was taken up last and has returned. `result` begins with the
    /// length of the encoded result, as in a [`Batch`].
    fn returned(&mut self, result: &[u8], form: Form);

    /// Answers for the item that was taken up last and has failed.
    fn failed(&mut self, failure: Failure);
}

/// A function of this executable, without its types.
#[derive(Clone, Copy)]
pub struct Function(&'static Descriptor);

/// The name of a function in messages: the place of its descriptor, and the hash that must be
/// there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionRef {
    offset: i64,
    abi_hash: u64,
}

/// Why a reference to a function is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FunctionError {
    /// The function's code lies in a dynamic library, which each process may have at another place.
    #[error(
        "{name} lies in a dynamic library; only functions of the main executable can be sent, so link its crate statically"
    )]
    Foreign {
        /// The function.
        name: &'static str,
    },
    /// The reference leads to no function of this executable.
    #[error(
        "offset {offset} leads to no function of this executable; master and worker must run the same build"
    )]
    Unknown {
        /// The offset in the reference.
        offset: i64,
    },
}

static ANCHOR: u8 = 0;

const LEFT_OUT: &str = "its `Deserialize` has left out a handle of a shared array";

struct Describe<F, A, R>(std::marker::PhantomData<fn(F, A) -> R>);

impl<F: TaskFn<A, R>, A: Data, R: Data> Describe<F, A, R> {
    const DESCRIPTOR: &'static Descriptor = &Descriptor {
        magic: MAGIC,
        abi_hash: abi_hash(&[size_of::<A>(), align_of::<A>(), size_of::<R>(), align_of::<R>()]),
        name: std::any::type_name::<F>,
        call: Self::call,
        call_each: Self::call_each,
    };

    fn call(input: &[u8], output: &mut Output<'_>) -> Result<Form, CodecError> {
        let (input, form, grants) = Grants::split_from(input)?;
        let setting = Setting::new();
        let handles = grants.len();
        let decode = || setting.decode(Source::Own(input), form);
        let argument = in_phase_with_grants(Phase::DecodeArgument, grants, decode)?;
        // A handle that was not opened, for whatever reason, leaves its rows as a failed attempt
        // has left them, so the task must not run.
        if loan::borrowed_count() != handles {
            return Err(CodecError::Decode(LEFT_OUT.to_owned()));
        }
        Self::call_with(&setting, argument, output)
    }

    /// Runs items until none is left or one fails.
    fn call_each(items: &mut dyn Items, room: &mut Output<'_>) -> Result<(), CodecError> {
        let setting = Setting::new();
        while let Some(input) = items.take_up() {
            let (input, form, grants) = Grants::split_from(input)?;
            if grants.len() > 0 {
                return Err(CodecError::Decode("nothing is lent to an item".to_owned()));
            }
            panics::forget();
            let decode = || setting.decode(Source::Own(input), form);
            let argument = in_phase_without_loans(Phase::DecodeArgument, decode)?;
            room.clear();
            room.put(&Batch::length(0));
            let form = Self::call_with(&setting, argument, room)?;
            Batch::write_length(room.heap_mut())?;
            items.returned(room.heap(), form);
        }
        Ok(())
    }

    /// Calls the function, which owns its argument, and encodes the result. The result is dropped
    /// here.
    #[inline]
    fn call_with(
        setting: &Setting,
        argument: A,
        output: &mut Output<'_>,
    ) -> Result<Form, CodecError> {
        let function: F = conjure();
        let result = function(argument);
        in_phase_without_loans(Phase::EncodeResult, || setting.encode(&result, output))
    }
}

impl Function {
    /// Returns the descriptor of `function`.
    ///
    /// This does not compile for a closure that captures anything; see [`TaskFn`].
    pub fn of<F: TaskFn<A, R>, A: Data, R: Data>(_function: F) -> Self {
        const {
            // A pointer is never null, so an option of it has the same size.
            assert!(
                size_of::<F>() == 0
                    || size_of::<F>() != size_of::<fn()>()
                    || size_of::<Option<F>>() != size_of::<F>(),
                "cannot send an `fn` pointer (name the function itself), nor a closure that captures a reference \
                 (pass data in the argument)"
            );
            assert!(
                size_of::<F>() == 0,
                "cannot send a closure that captures variables: pass data in the argument"
            );
            assert!(
                align_of::<F>() == 1,
                "cannot send a closure that captures a value, not even one of no size: pass data in the argument"
            );
        }
        Self(Describe::<F, A, R>::DESCRIPTOR)
    }

    /// Returns the path of the function, such as `std::f64::sqrt`.
    pub fn name(self) -> &'static str {
        (self.0.name)()
    }

    /// Returns the name of this function for messages.
    ///
    /// # Errors
    ///
    /// [`FunctionError::Foreign`] if the function does not lie in the main executable.
    pub fn reference(self) -> Result<FunctionRef, FunctionError> {
        let address = std::ptr::from_ref(self.0).expose_provenance();
        if !image().holds::<Descriptor>(address) || !image().holds::<u8>(anchor()) {
            return Err(FunctionError::Foreign { name: self.name() });
        }
        let offset = address.wrapping_sub(anchor()) as i64;
        Ok(FunctionRef { offset, abi_hash: self.0.abi_hash })
    }

    /// Calls the function with an encoded argument, and encodes the result.
    pub(crate) fn call(self, input: &[u8], output: &mut Output<'_>) -> Result<Form, CodecError> {
        (self.0.call)(input, output)
    }

    /// Calls the function with one item after the other, and answers for each. It ends with an
    /// error at an item that fails, which is not answered yet.
    pub(crate) fn call_each(
        self,
        items: &mut dyn Items,
        room: &mut Output<'_>,
    ) -> Result<(), CodecError> {
        (self.0.call_each)(items, room)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Function").field(&self.name()).finish()
    }
}

impl FunctionRef {
    /// Returns the reference as numbers, for a transport.
    pub fn to_words(self) -> [u64; 2] {
        [self.offset.cast_unsigned(), self.abi_hash]
    }

    /// Returns the reference that has these numbers.
    pub fn from_words([offset, abi_hash]: [u64; 2]) -> Self {
        Self { offset: offset.cast_signed(), abi_hash }
    }

    /// Returns the function of this executable that the reference names.
    ///
    /// # Errors
    ///
    /// [`FunctionError::Unknown`] if there is none at that place.
    ///
    /// # Safety
    ///
    /// The reference must be one that [`Function::reference`] has returned, or any other that does
    /// not lead to a place where something that looks like a descriptor was put on purpose.
    pub unsafe fn resolve(self) -> Result<Function, FunctionError> {
        let unknown = FunctionError::Unknown { offset: self.offset };
        let address = anchor().wrapping_add_signed(self.offset as isize);
        if !image().holds::<Descriptor>(address) {
            return Err(unknown);
        }
        let place = std::ptr::with_exposed_provenance::<[u64; 2]>(address);
        // SAFETY: `holds` has established that a whole, aligned `Descriptor` lies within memory
        // that the loader mapped readable from the executable for the life of the process; its
        // first two fields are `u64`, for which every bit pattern is valid.
        let [magic, abi_hash] = unsafe { place.read() };
        if magic != expected_magic() || abi_hash != self.abi_hash {
            return Err(unknown);
        }
        // SAFETY: as above, and magic and hash say that the compiler put a `Descriptor` here: both
        // are together in memory that is never written to only where this file puts them, or where
        // they are forged on purpose, which the caller rules out. Descriptors are immutable and
        // live as long as the process.
        Ok(Function(unsafe { &*place.cast::<Descriptor>() }))
    }
}

/// FNV-1a over sizes and alignments, at compile time.
const fn abi_hash(words: &[usize]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < words.len() {
        hash = (hash ^ words[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    hash
}

/// Returns [`MAGIC`], computed at run time. As a constant, it would lie in the code that compares
/// with it, and a reference to that place, which the sender would give the fitting hash, would be
/// accepted.
fn expected_magic() -> u64 {
    !std::hint::black_box(!MAGIC)
}

fn anchor() -> usize {
    std::ptr::from_ref(&ANCHOR).expose_provenance()
}

/// Makes a value of a function type that has no size.
fn conjure<F: Copy>() -> F {
    const { assert!(size_of::<F>() == 0) };
    // SAFETY: `F` has no bytes, so any aligned pointer can be read. `Function::of` was given a
    // value of it to make the descriptor that leads here, in this process or in one that runs the
    // same executable, and `F` is `Copy`, so one more of it may exist. Functions and closures that
    // capture nothing may exist in this process as well. Whether anything else that a closure has
    // captured may, is left to the user, as `TaskFn` says: a type does not show whether its values
    // are witnesses of what was done in their process.
    unsafe { std::ptr::NonNull::<F>::dangling().read() }
}

/// The main executable, as the loader has mapped it.
struct Image {
    segments: Vec<Range<usize>>,
    build_id: Vec<u8>,
}

impl Image {
    /// Whether a whole and aligned `T` at `address` lies in one segment.
    fn holds<T>(&self, address: usize) -> bool {
        let Some(end) = address.checked_add(size_of::<T>()) else { return false };
        address.is_multiple_of(align_of::<T>())
            && self.segments.iter().any(|s| s.start <= address && end <= s.end)
    }
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut image = Image { segments: Vec::new(), build_id: Vec::new() };
        // SAFETY: `read_main_object` has the signature that the call asks for, and `image` outlives
        // the call.
        unsafe { libc::dl_iterate_phdr(Some(read_main_object), (&raw mut image).cast()) };
        image
    })
}

/// Reads the first object that the loader reports, which is the main executable, and stops there.
unsafe extern "C" fn read_main_object(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    image: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the loader passes a valid `info`, and `image` is the one that `image()` passed in.
    let (info, image) = unsafe { (&*info, &mut *image.cast::<Image>()) };
    let count = usize::from(info.dlpi_phnum);
    // SAFETY: the loader reports `dlpi_phnum` program headers at `dlpi_phdr`.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, count) };
    // Descriptors hold addresses of code, so the loader writes to them once and then, in all but
    // unusual builds, makes their memory read-only.
    let protects = headers.iter().any(|header| header.p_type == libc::PT_GNU_RELRO);
    for header in headers {
        let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        let range = start..start.saturating_add(header.p_memsz as usize);
        let (readable, writable) =
            (header.p_flags & libc::PF_R != 0, header.p_flags & libc::PF_W != 0);
        if header.p_type == libc::PT_GNU_RELRO {
            // It comes first, since descriptors most often lie there.
            image.segments.insert(0, range);
        } else if header.p_type == libc::PT_LOAD && readable && !(writable && protects) {
            image.segments.push(range);
        } else if header.p_type == libc::PT_NOTE {
            let bytes = std::ptr::with_exposed_provenance::<u8>(range.start);
            // SAFETY: a note segment of the main executable lies within one of its loaded segments
            // and is never written to.
            let notes = unsafe { std::slice::from_raw_parts(bytes, range.len()) };
            if let Some(id) = find_build_id(notes) {
                image.build_id = id.to_vec();
            }
        }
    }
    1
}

/// Finds the GNU build id among ELF notes. A note is the size of the name, the size of the content
/// and the type, each a `u32`, and then name and content, both padded to four bytes. Source:
/// elf(5).
fn find_build_id(mut notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: usize = 3;
    let word = |bytes: &[u8], at: usize| -> Option<usize> {
        Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
    };
    loop {
        let (name_size, size, kind) = (word(notes, 0)?, word(notes, 4)?, word(notes, 8)?);
        let content = 12 + name_size.checked_next_multiple_of(4)?;
        let end = content.checked_add(size)?;
        if kind == NT_GNU_BUILD_ID && notes.get(12..12 + name_size)? == b"GNU\0" {
            return notes.get(content..end);
        }
        notes = notes.get(end.checked_next_multiple_of(4)?..)?;
    }
}

/// Returns the build id that the linker gave to this executable; empty if it gave none.
///
/// Master and workers compare their build ids before the first task.
pub fn build_id() -> &'static [u8] {
    &image().build_id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(x: u64) -> u64 {
        2 * x
    }

    #[test]
    fn a_reference_leads_back_to_its_function() {
        let function = Function::of(double);
        let reference = function.reference().expect("in the executable");
        // SAFETY: the reference was just returned by `reference`.
        let found = unsafe { reference.resolve() }.expect("it resolves");
        assert!(found.name().ends_with("double"));
        let input = crate::backend::encode_argument::encode_call(&21_u64).expect("encodes");
        let mut output = Output::default();
        let form = found.call(&input, &mut output).expect("runs");
        let output = output.into_heap();
        let result = crate::wire::codec::decode_value::<u64>(Source::Own(&output), form);
        assert_eq!(result.expect("decodes"), 42);
    }

    #[test]
    fn generic_instances_and_library_functions_have_descriptors_of_their_own() {
        fn keep<T>(x: T) -> T {
            x
        }
        let names = [
            Function::of(keep::<u8>).name(),
            Function::of(keep::<f64>).name(),
            Function::of(f64::sqrt).name(),
            Function::of(|x: f64| x + 1.0).name(),
        ];
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        let good = Function::of(double).reference().expect("in the executable");
        for offset in [0, 1, 8, i64::MAX, i64::MIN, good.offset + 1, good.offset + 8, -good.offset]
        {
            let stray = FunctionRef { offset, ..good };
            // SAFETY: nothing in this program forges a descriptor.
            let error = unsafe { stray.resolve() }.unwrap_err();
            assert_eq!(error, FunctionError::Unknown { offset });
        }
        let other_types = FunctionRef { abi_hash: good.abi_hash ^ 1, ..good };
        // SAFETY: as above.
        assert!(unsafe { other_types.resolve() }.is_err());
    }

    #[test]
    fn nothing_but_descriptors_begins_like_a_descriptor() {
        let good = Function::of(double).reference().expect("in the executable");
        let mut found = Vec::new();
        for segment in &image().segments {
            let start = segment.start.next_multiple_of(align_of::<Descriptor>());
            let places = (start..segment.end).step_by(align_of::<Descriptor>());
            for address in places.filter(|address| image().holds::<Descriptor>(*address)) {
                let place = std::ptr::with_exposed_provenance::<[usize; 4]>(address);
                // SAFETY: as in `resolve`; any bits are a `usize`.
                let [magic, abi_hash, name, call] = unsafe { place.read() };
                if magic as u64 == expected_magic() {
                    let offset = address.wrapping_sub(anchor()) as i64;
                    found.push(FunctionRef { offset, abi_hash: abi_hash as u64 });
                    assert!(
                        [name, call].iter().all(|code| image().holds::<u8>(*code)),
                        "{found:?}"
                    );
                }
            }
        }
        assert!(found.contains(&good));
    }

    #[test]
    fn the_build_id_is_found_and_odd_notes_are_survived() {
        assert_eq!(build_id().len(), 20);
        for length in 0..40 {
            assert_eq!(find_build_id(&vec![0xff; length]), None);
        }
    }
}
