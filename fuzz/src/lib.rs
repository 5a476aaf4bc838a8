//! What the fuzz targets share.

pub mod arrays;
pub mod forms;
pub mod functions;
pub mod panics;
pub mod values;

/// For targets that follow any reference: `FunctionRef::resolve` looks at words of the executable without
/// knowing what is there, and may look between two statics, which the address sanitizer would report.
#[macro_export]
macro_rules! gaps_between_globals_may_be_read {
    () => {
        // SAFETY: it has the name and the signature that the sanitizer's runtime documents.
        #[unsafe(no_mangle)]
        extern "C" fn __asan_default_options() -> *const std::ffi::c_char {
            c"report_globals=0".as_ptr()
        }
    };
}
