//! The layers of the workspace: the crates that each crate may import. `docs/architecture.md` shows
//! the same table.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// The crates of this workspace that each crate may import; programs and benches may import all of
/// them.
const MAY_IMPORT: [(&str, &[&str]); 8] = [
    ("farm-os", &[]),
    ("farm-core", &[]),
    ("farm-shm", &["farm-core", "farm-os"]),
    ("farm-mono", &["farm-core"]),
    ("farm-process", &["farm-core", "farm-os"]),
    ("farm-rayon", &["farm-core", "farm-os"]),
    ("farm-conformance", &["farm-core", "farm-shm"]),
    ("sims", &["farm-core", "farm-shm"]),
];

/// The folders of the crates that may import all others.
const TOP: [&str; 2] = ["apps", "benches"];

fn imports(package: &Package) -> BTreeSet<&str> {
    let normal = package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
    normal.map(|dependency| dependency.name.as_str()).collect()
}

#[test]
fn crates_import_only_what_is_below_them() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo tells");
    let rules: BTreeMap<_, _> = MAY_IMPORT.into_iter().collect();
    let ours: BTreeSet<_> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    for package in &metadata.packages {
        let folder = package.manifest_path.strip_prefix(&metadata.workspace_root).expect("inside");
        if TOP.iter().any(|top| folder.starts_with(top)) {
            continue;
        }
        let name = package.name.as_str();
        let allowed = rules.get(name).unwrap_or_else(|| panic!("{name} has no place in the table"));
        for import in imports(package).intersection(&ours) {
            assert!(allowed.contains(import), "{name} must not import {import}");
        }
    }
    let missing: Vec<_> = rules.keys().filter(|name| !ours.contains(**name)).collect();
    assert!(missing.is_empty(), "the table speaks of crates that are gone: {missing:?}");
}

#[test]
fn only_what_is_published_is_imported_by_what_is_published() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo tells");
    let private: BTreeSet<_> = metadata
        .packages
        .iter()
        .filter(|p| p.publish.as_ref().is_some_and(Vec::is_empty))
        .map(|p| p.name.as_str())
        .collect();
    for package in metadata.packages.iter().filter(|p| !private.contains(p.name.as_str())) {
        let both: Vec<_> = imports(package).intersection(&private).copied().collect();
        assert!(both.is_empty(), "{} is published and imports {both:?}", package.name);
    }
}
