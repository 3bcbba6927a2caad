use conveyor_store::{Access, DataDir, ErrorKind, FORMAT};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_new_directory_is_private_and_has_a_format() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b");
    let directory = DataDir::open(&path, Access::Create).unwrap();
    let mode = fs::metadata(directory.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let format = fs::read_to_string(path.join("format")).unwrap();
    assert_eq!(
        format,
        format!("conveyor data directory, format {FORMAT}\n")
    );
}

#[test]
fn a_held_directory_names_its_holder() {
    let root = tempfile::tempdir().unwrap();
    let held = DataDir::open(root.path(), Access::Create).unwrap();
    let error = DataDir::open(root.path(), Access::Existing).unwrap_err();
    assert_eq!(
        *error.kind(),
        ErrorKind::Locked {
            pid: Some(std::process::id())
        }
    );
    let text = error.to_string();
    assert!(
        text.contains(&format!("held by process {}", std::process::id())),
        "{text}"
    );
    drop(held);
    DataDir::open(root.path(), Access::Existing).unwrap();
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    drop(DataDir::open(root.path(), Access::Create).unwrap());
    let newer = format!("conveyor data directory, format {}\n", FORMAT + 1);
    fs::write(root.path().join("format"), &newer).unwrap();
    let error = DataDir::open(root.path(), Access::Create).unwrap_err();
    assert_eq!(
        *error.kind(),
        ErrorKind::NewerFormat {
            found: FORMAT + 1,
            known: FORMAT
        }
    );
    assert!(
        error.to_string().contains("use the newer program"),
        "{error}"
    );
    assert_eq!(
        fs::read_to_string(root.path().join("format")).unwrap(),
        newer
    );
}

#[test]
fn a_damaged_format_is_refused() {
    let root = tempfile::tempdir().unwrap();
    drop(DataDir::open(root.path(), Access::Create).unwrap());
    fs::write(
        root.path().join("format"),
        "conveyor data directory, format x",
    )
    .unwrap();
    let error = DataDir::open(root.path(), Access::Create).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Corrupt);
}

#[test]
fn someone_elses_directory_is_refused_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("thesis.txt"), "years of work").unwrap();
    let error = DataDir::open(root.path(), Access::Create).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotADataDirectory);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn an_interrupted_first_opening_is_completed() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("lock"), "1\n").unwrap();
    fs::write(root.path().join("format.new"), "conv").unwrap();
    DataDir::open(root.path(), Access::Create).unwrap();
    DataDir::open(root.path(), Access::Existing).unwrap();
}

#[test]
fn a_missing_directory_is_created_only_when_asked() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("none");
    let error = DataDir::open(&path, Access::Existing).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("none"), "{error}");
    assert!(!path.exists());
}
