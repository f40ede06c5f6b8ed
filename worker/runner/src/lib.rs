//! The Python runner, carried in the binary and sent with each study as part of its blob tree.
//!
//! *Architecture Invariant:* this crate only carries files; who reads them is decided elsewhere.

use include_dir::{Dir, DirEntry, include_dir};

static PACKAGE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/ar_runner");

/// The search space of tabular studies: slots, options, families, conditions.
pub const CATALOG: &str = include_str!("../catalog.toml");

/// The pinned requirements of the Python environment.
pub const REQUIREMENTS: &str = include_str!("../requirements.lock");

/// Every Python file of the package: path from the package's parent (`ar_runner/...`) and content, sorted by path.
pub fn files() -> Vec<(String, &'static [u8])> {
    let mut files = Vec::new();
    collect(&PACKAGE, &mut files);
    files.sort();
    files
}

fn collect(dir: &Dir<'static>, files: &mut Vec<(String, &'static [u8])>) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => collect(dir, files),
            // Byte code of whoever ran the tests here must not travel.
            DirEntry::File(file) if file.path().extension().is_some_and(|ext| ext == "py") => {
                let path: Vec<_> =
                    file.path().components().map(|c| c.as_os_str().to_string_lossy()).collect();
                files.push((format!("ar_runner/{}", path.join("/")), file.contents()));
            }
            DirEntry::File(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_carried_and_no_byte_code() {
        let files = files();
        assert!(files.iter().any(|(path, _)| path == "ar_runner/__main__.py"));
        assert!(files.iter().any(|(path, _)| path.starts_with("ar_runner/options/build_model/")));
        assert!(files.iter().all(|(path, _)| path.ends_with(".py")));
    }
}
