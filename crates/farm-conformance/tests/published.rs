//! Published packages have the fields and files that readers look for; the gate `.ci/package`
//! packages them.

use cargo_metadata::MetadataCommand;

/// The published packages; all others have `publish = false`.
const PUBLISHED: [&str; 7] =
    ["farm-core", "farm-mono", "farm-os", "farm-process", "farm-rayon", "farm-shm", "sims"];

#[test]
fn what_is_published_is_on_the_list_and_has_all_fields_and_files() {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo tells");
    let mut lacking = Vec::new();
    let mut published = Vec::new();
    for package in metadata.packages.iter().filter(|p| p.publish.is_none()) {
        published.push(package.name.as_str());
        let has = [
            ("description", package.description.is_some()),
            ("keywords", !package.keywords.is_empty()),
            ("categories", !package.categories.is_empty()),
            ("readme", package.readme.is_some()),
            ("repository", package.repository.is_some()),
            ("license", package.license.is_some()),
            ("rust-version", package.rust_version.is_some()),
        ];
        let fields = has.into_iter().filter(|(_, has)| !has).map(|(field, _)| field);
        let folder = package.manifest_path.parent().expect("a manifest is in a folder");
        let files = ["README.md", "LICENSE-APACHE", "LICENSE-MIT"];
        let files = files.into_iter().filter(|file| !folder.join(file).is_file());
        lacking.extend(fields.chain(files).map(|what| format!("{} has no {what}", package.name)));
    }
    assert!(lacking.is_empty(), "{lacking:#?}");
    published.sort_unstable();
    assert_eq!(published, PUBLISHED, "what is not on the list says `publish = false`");
}
