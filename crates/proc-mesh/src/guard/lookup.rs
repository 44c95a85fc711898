//! Which file a program is: what `execvp` does, without its way of handing to a shell what is no program.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

/// The file that `program` names on `path`, for a process that works in `dir`.
///
/// What has a slash in it is a path. With no `path` at all there is `/bin` and `/usr/bin`.
pub(super) fn lookup(
    program: &OsStr,
    path: Option<&OsStr>,
    dir: Option<&Path>,
) -> Result<PathBuf, Errno> {
    // std refuses a zero byte in its own words.
    if program.as_bytes().iter().any(|byte| [b'/', 0].contains(byte)) {
        return Ok(program.into());
    }
    if program.is_empty() {
        return Err(Errno::NOENT);
    }
    let mut problem = Errno::NOENT;
    for entry in env::split_paths(path.unwrap_or_else(|| OsStr::new("/bin:/usr/bin"))) {
        // The empty entry is the working directory, and what is relative is so to that.
        let entry = if entry.as_os_str().is_empty() { PathBuf::from(".") } else { entry };
        let found = entry.join(program);
        let seen = dir.map_or_else(|| found.clone(), |dir| dir.join(&found));
        match access(&seen, Access::EXEC_OK) {
            Ok(()) if seen.is_dir() => problem = Errno::ACCESS,
            Ok(()) => return Ok(found),
            Err(Errno::ACCESS) => problem = Errno::ACCESS,
            Err(_) => {}
        }
    }
    Err(problem)
}

/// Whether the kernel would refuse to execute the file because it knows no such format. `execvp` gives
/// that to a shell, and nothing else of the kind is done for a process that is started directly.
pub(super) fn is_no_program(file: &Path) -> bool {
    // What is no file is not opened: a pipe would be waited for. The kernel refuses it.
    if !fs::metadata(file).is_ok_and(|found| found.is_file()) {
        return false;
    }
    let mut magic = Vec::new();
    let read = File::open(file).and_then(|file| file.take(4).read_to_end(&mut magic));
    // What cannot be read can perhaps be executed.
    read.is_ok() && !magic.starts_with(b"#!") && magic != b"\x7fELF" && !has_other_formats()
}

/// Whether this system has been taught formats of its own.
fn has_other_formats() -> bool {
    let entries = fs::read_dir("/proc/sys/fs/binfmt_misc").into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name != "register" && name != "status")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_as_execvp_does() {
        let on = |path: &str, program: &str| {
            lookup(OsStr::new(program), Some(OsStr::new(path)), None).map(PathBuf::into_os_string)
        };
        assert_eq!(on("/no/such:/bin:/usr/bin", "sh"), Ok("/bin/sh".into()));
        assert_eq!(on("/no/such", "sh"), Err(Errno::NOENT));
        assert_eq!(on("/bin", ""), Err(Errno::NOENT));
        assert_eq!(on("/", "etc"), Err(Errno::ACCESS), "a directory");
        assert_eq!(on("/etc", "passwd"), Err(Errno::ACCESS), "not executable");
        assert_eq!(on("/etc:/bin", "sh"), Ok("/bin/sh".into()));
        assert_eq!(on("", "./no/such"), Ok("./no/such".into()), "left to the kernel");
        assert_eq!(lookup(OsStr::new("sh"), None, None), Ok("/bin/sh".into()));
    }

    #[test]
    fn what_is_relative_is_so_to_the_working_directory() {
        let in_bin =
            |path: &str| lookup(OsStr::new("sh"), Some(OsStr::new(path)), Some(Path::new("/bin")));
        assert_eq!(in_bin(""), Ok("./sh".into()));
        assert_eq!(in_bin("."), Ok("./sh".into()));
        assert_eq!(in_bin("nothing:../bin"), Ok("../bin/sh".into()));
    }

    #[test]
    fn a_program_has_a_format() {
        assert!(!is_no_program(Path::new("/proc/self/exe")));
        assert!(!is_no_program(Path::new("/no/such/file")), "the kernel says what is wrong");
        if !has_other_formats() {
            assert!(is_no_program(Path::new("/etc/passwd")));
        }
    }
}
