//! Files that are written whole. No output is opened before its inputs are known to be other files. A file is written
//! beside its place and renamed, so that a reader, also after a crash, sees the old one or the new one.

use std::{
    fs::{self, File, Metadata},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The output is one of the inputs, under whatever name.
    #[error("{} is the input {}, which writing would destroy\nhint: name another output", output.display(), input.display())]
    Input {
        /// The output.
        output: PathBuf,
        /// The input.
        input: PathBuf,
    },
    /// The output is a link, and what it leads to was not named.
    #[error("{} is a link to {}\nhint: name that file, or remove the link", output.display(), to.display())]
    Link {
        /// The output.
        output: PathBuf,
        /// The file behind it.
        to: PathBuf,
    },
    /// The system refused.
    #[error("cannot write {}: {source}{}", output.display(), hint(source))]
    Io {
        /// The output.
        output: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "\nhint: free space, or choose another place"
        }
        _ => "",
    }
}

impl Refusal {
    /// The same as an error of the system, for those who name the file themselves.
    pub fn into_io(self) -> io::Error {
        match self {
            Self::Io { source, .. } => source,
            other => io::Error::new(io::ErrorKind::InvalidInput, other.to_string()),
        }
    }
}

/// When the system must have put the bytes on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Before the file takes its place: a user's output outlives a power failure.
    Now,
    /// When it likes: for what can be made again, and for what a run would wait for.
    Later,
}

/// Refuses an output that is an input under this or any other name, or a link to some other file.
///
/// # Errors
/// As the refusal says.
pub fn check<'a>(output: &Path, inputs: impl IntoIterator<Item = &'a Path>) -> Result<(), Refusal> {
    if let Some(input) = inputs.into_iter().find(|input| same_file(output, input)) {
        return Err(Refusal::Input { output: output.into(), input: input.into() });
    }
    let linked = fs::symlink_metadata(output).is_ok_and(|found| found.file_type().is_symlink());
    if linked && !is_special(output) {
        let to = fs::canonicalize(output).or_else(|_| fs::read_link(output)).unwrap_or_default();
        return Err(Refusal::Link { output: output.into(), to });
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
///
/// # Errors
/// As [`check`], or when the system refuses; the old file stays then.
pub fn write<'a>(
    output: &Path,
    bytes: &[u8],
    inputs: impl IntoIterator<Item = &'a Path>,
    flush: Flush,
) -> Result<(), Refusal> {
    check(output, inputs)?;
    put(output, bytes, flush).map_err(|source| Refusal::Io { output: output.into(), source })
}

fn put(output: &Path, bytes: &[u8], flush: Flush) -> io::Result<()> {
    // Two threads may write the same file: each has its own until the rename.
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    if is_special(output) {
        return fs::write(output, bytes);
    }
    if let Some(folder) = output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let n = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let temporary = beside(output, &format!(".{}-{n}.tmp", std::process::id()));
    let written = File::create_new(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        match flush {
            Flush::Now => finish(&file, &temporary, output),
            Flush::Later => fs::rename(&temporary, output),
        }
    });
    written.inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Puts a file that was written beside its place into it, with the permissions of the file that it replaces.
///
/// # Errors
/// When the system refuses.
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
            let refused = write(&name, b"other", [input.as_path()], Flush::Now).unwrap_err().to_string();
            assert!(refused.contains("is the input"), "{refused}");
            assert_eq!(fs::read_to_string(&input).unwrap(), "content");
        }
        for flush in [Flush::Now, Flush::Later] {
            let output = folder.path().join("out/new");
            write(&output, b"other", [input.as_path()], flush).unwrap();
            assert_eq!(fs::read_to_string(&output).unwrap(), "other");
            assert_eq!(fs::read_dir(folder.path().join("out")).unwrap().count(), 1);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        fs::write(&target, "content").unwrap();
        std::os::unix::fs::symlink(&target, folder.path().join("link")).unwrap();
        for flush in [Flush::Now, Flush::Later] {
            let refused = write(&folder.path().join("link"), b"other", [], flush).unwrap_err().to_string();
            assert!(refused.contains("is a link to"), "{refused}");
            assert_eq!(fs::read_to_string(&target).unwrap(), "content");
        }
    }
}
