//! A program that forgets `init`: this test file does not call `init_before_main!`.

use farm_core::FarmError;
use farm_process::Pool;

#[test]
fn a_forgotten_init_is_one_clear_error_and_starts_no_process() {
    let error = Pool::new().expect_err("nobody has called init");
    assert!(matches!(error, FarmError::NotInitialised), "{error}");
    let text = error.to_string();
    assert!(text.contains("farm_process::init() first in main"), "{text}");
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    for thread in threads {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap();
        assert_eq!(children, "", "a process was started");
    }
}
