//! Files with secrets in them.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Why a file with a secret in it was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {path:?}: {kind}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        kind: std::io::ErrorKind,
    },
    /// Others can read it.
    #[error("{path:?} can be read by others (mode {mode:o}): chmod 600 it, and make a new secret")]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("{path:?} belongs to user {owner}, and we are {us}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// It is longer than any such file.
    #[error("{path:?} has more than {max} bytes: it is not what it was taken for")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// How many it may have.
        max: u64,
    },
}

/// What is in a file that must be ours, and nobody else's to read. Overwritten when it is dropped.
pub(crate) fn read_private(path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    // Of the file that was opened, so that it cannot be another one by now.
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    let us = rustix::process::geteuid().as_raw();
    if metadata.uid() != us {
        return Err(FileError::Foreign { path: path.into(), owner: metadata.uid(), us });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FileError::TooOpen { path: path.into(), mode });
    }
    read_at_most(file, path, max)
}

/// What is in a file that anybody may read.
#[cfg(feature = "tls")]
pub(crate) fn read_public(path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    read_at_most(file, path, max).map(|mut bytes| std::mem::take(&mut *bytes))
}

fn read_at_most(file: File, path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    // As much as it says it has, so that nothing of it is left behind where a buffer has grown.
    let length = file.metadata().map_or(0, |metadata| metadata.len()).min(max);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    file.take(max + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > max {
        return Err(FileError::TooLong { path: path.into(), max });
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &std::io::Error) -> FileError {
    FileError::Unreadable { path: path.into(), kind: error.kind() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_file_is_nobody_elses_to_read_and_no_longer_than_it_may_be() {
        let path = std::env::temp_dir().join(format!("mesh-private-{}", std::process::id()));
        fs::write(&path, "12345678").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        let open = read_private(&path, 8);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let (read, long) = (read_private(&path, 8), read_private(&path, 7));
        fs::remove_file(&path).unwrap();
        assert_eq!(open, Err(FileError::TooOpen { path: path.clone(), mode: 0o604 }));
        assert_eq!(read.map(|bytes| bytes.to_vec()), Ok(b"12345678".to_vec()));
        assert_eq!(long, Err(FileError::TooLong { path: path.clone(), max: 7 }));
        let gone = FileError::Unreadable { path: path.clone(), kind: ErrorKind::NotFound };
        assert_eq!(read_private(&path, 8), Err(gone));
    }
}
