//! Output files of commands. No output is opened before the inputs are known to be other files. A whole output is
//! written beside its place and renamed, so a crash leaves the old one or the new one.

use std::{
    fs::{self, File, Metadata},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// Refuses an output that is an input under this or any other name, or a link to some other file.
pub fn check<'a>(output: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> Result<(), Failure> {
    for input in inputs {
        if same_file(output, input) {
            return Err(Failure::input(format!(
                "{} is the input {}, which writing would destroy\nhint: name another output",
                output.display(),
                input.display()
            )));
        }
    }
    let linked = fs::symlink_metadata(output).is_ok_and(|found| found.file_type().is_symlink());
    if linked && !is_special(output) {
        let to = fs::canonicalize(output).or_else(|_| fs::read_link(output)).unwrap_or_default();
        return Err(Failure::input(format!(
            "{} is a link to {}\nhint: name that file, or remove the link",
            output.display(),
            to.display()
        )));
    }
    Ok(())
}

/// Whether two names stand for one file: the same name, a link, or a hard link.
fn same_file(a: &Path, b: &Path) -> bool {
    let (Ok(of_a), Ok(of_b)) = (fs::metadata(a), fs::metadata(b)) else { return false };
    let regular = of_a.is_file() && of_b.is_file();
    regular && (is_one(&of_a, &of_b) || fs::canonicalize(a).ok() == fs::canonicalize(b).ok())
}

#[cfg(unix)]
fn is_one(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn is_one(_: &Metadata, _: &Metadata) -> bool {
    false
}

/// Whether a name stands for something that is there and no regular file, such as a pipe or a terminal.
pub fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// The name of a file with something appended.
pub fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Writes a whole file, with the folder that it lies in. The inputs must have been read or must be named.
pub fn write<'a>(
    output: &Path,
    bytes: &[u8],
    inputs: impl IntoIterator<Item = &'a Path>,
) -> Result<(), Failure> {
    check(output, inputs)?;
    let failed = |e: io::Error| {
        let hint = match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "\nhint: free space, or choose another place"
            }
            _ => "",
        };
        Failure::input(format!("cannot write {}: {e}{hint}", output.display()))
    };
    if is_special(output) {
        return fs::write(output, bytes).map_err(failed);
    }
    if let Some(folder) = output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let temporary = beside(output, &format!(".{}.tmp", std::process::id()));
    let written = File::create_new(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        finish(&file, &temporary, output)
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failed(error)
    })
}

/// Puts a file that was written beside its place into it.
pub fn finish(file: &File, temporary: &Path, output: &Path) -> io::Result<()> {
    if let Ok(old) = fs::metadata(output) {
        file.set_permissions(old.permissions())?;
    }
    file.sync_all()?;
    fs::rename(temporary, output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_found_under_every_name() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in");
        fs::write(&input, "content").unwrap();
        fs::create_dir(folder.path().join("deep")).unwrap();
        let mut names = vec![input.clone(), folder.path().join("deep/../in")];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&input, folder.path().join("link")).unwrap();
            std::os::unix::fs::symlink("link", folder.path().join("second")).unwrap();
            names.extend([folder.path().join("link"), folder.path().join("second")]);
        }
        fs::hard_link(&input, folder.path().join("hard")).unwrap();
        names.push(folder.path().join("hard"));
        for name in names {
            let refused = write(&name, b"other", [input.as_path()]).unwrap_err();
            assert!(refused.message.contains("is the input"), "{}", refused.message);
            assert_eq!(fs::read_to_string(&input).unwrap(), "content");
        }
        write(&folder.path().join("out/new"), b"other", [input.as_path()]).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("out/new")).unwrap(), "other");
        assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        fs::write(&target, "content").unwrap();
        std::os::unix::fs::symlink(&target, folder.path().join("link")).unwrap();
        let refused = write(&folder.path().join("link"), b"other", []).unwrap_err();
        assert!(refused.message.contains("is a link to"), "{}", refused.message);
        assert_eq!(fs::read_to_string(&target).unwrap(), "content");
    }
}
