//! Code that the fuzz targets share.

pub mod arrays;
pub mod forms;
pub mod functions;
pub mod panics;
pub mod values;

/// Sets the options of the address sanitizer for a target.
///
/// The codec takes the address of a local variable to find out how much stack is left. So local
/// variables must not lie on the heap, where `detect_stack_use_after_return` would put them.
#[macro_export]
macro_rules! sanitized {
    () => {
        $crate::sanitized!("");
    };
    // For targets that follow any function reference: `FunctionRef::resolve` reads words of the
    // executable without knowing what lies there, and may read between two statics.
    (gaps between globals may be read) => {
        $crate::sanitized!(":report_globals=0");
    };
    ($more:literal) => {
        // SAFETY: the function has the name and the signature that the sanitizer's runtime
        // documents.
        #[unsafe(no_mangle)]
        extern "C" fn __asan_default_options() -> *const std::ffi::c_char {
            concat!("detect_stack_use_after_return=0", $more, "\0").as_ptr().cast()
        }
    };
}
