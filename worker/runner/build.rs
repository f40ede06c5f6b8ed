//! Rebuilds when a file of the Python package changes; `include_dir!` alone does not notice new files.

fn main() {
    println!("cargo::rerun-if-changed=ar_runner");
    println!("cargo::rerun-if-changed=catalog.toml");
    println!("cargo::rerun-if-changed=requirements.lock");
}
