//! What the fuzz targets share.

pub mod arrays;
pub mod forms;
pub mod functions;
pub mod panics;
pub mod values;

/// What the address sanitizer must know of each target. The codec tells how much stack is left by where a local variable
/// lies, so that variables must not lie on the heap, where the sanitizer would find those that are used too late.
#[macro_export]
macro_rules! sanitized {
    () => {
        $crate::sanitized!("");
    };
    // For targets that follow any reference: `FunctionRef::resolve` looks at words of the executable without knowing
    // what is there, and may look between two statics.
    (gaps between globals may be read) => {
        $crate::sanitized!(":report_globals=0");
    };
    ($more:literal) => {
        // SAFETY: it has the name and the signature that the sanitizer's runtime documents.
        #[unsafe(no_mangle)]
        extern "C" fn __asan_default_options() -> *const std::ffi::c_char {
            concat!("detect_stack_use_after_return=0", $more, "\0").as_ptr().cast()
        }
    };
}
