//! Lists the cases of `cases/`, so that the program has them within it.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=cases");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("cases");
    let mut files = Vec::new();
    find(&root, &root, &mut files)?;
    files.sort();
    let mut list = String::from("[\n");
    for file in files {
        let place = format!("concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/cases/{file}\")");
        writeln!(list, "    ({file:?}, include_str!({place})),")?;
    }
    list.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("cases.rs"), list)?;
    Ok(())
}

/// The YAML files of a directory, by their paths below `root` with slashes.
fn find(root: &Path, directory: &Path, files: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            find(root, &path, files)?;
        } else if path.extension().is_some_and(|end| end == "yaml") {
            let below = path.strip_prefix(root)?.to_str();
            let below = below.ok_or("the name of a file of cases is no UTF-8")?;
            files.push(below.replace('\\', "/"));
        }
    }
    Ok(())
}
