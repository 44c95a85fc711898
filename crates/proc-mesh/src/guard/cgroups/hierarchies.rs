//! Where cgroups are mounted, and where in them this process is.

use std::fs;
use std::path::{Path, PathBuf};

/// One hierarchy of cgroups that is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) version: Version,
    /// The controllers of version 1; those of version 2 differ from cgroup to cgroup.
    pub(super) controllers: Vec<String>,
    mount: PathBuf,
    /// The directory of the cgroup that this process is in.
    pub(super) dir: PathBuf,
}

/// The two kinds of hierarchies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// One for each controller, or for some together.
    One,
    /// One for all.
    Two,
}

impl Hierarchy {
    /// Where cgroups may be made: below the own one; in version 2, where one with processes has none
    /// below it that can be limited, also beside it.
    pub(super) fn places(&self) -> Vec<&Path> {
        let beside = self.dir.parent().filter(|_| self.dir != self.mount);
        match self.version {
            Version::One => vec![&self.dir],
            Version::Two => [Some(self.dir.as_path()), beside].into_iter().flatten().collect(),
        }
    }
}

/// The hierarchies that this process is in and can see.
pub(super) fn mounted() -> Vec<Hierarchy> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
}

/// From the lines of `mountinfo` and of `cgroup` of a process.
fn parse(mountinfo: &str, memberships: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for mount in mountinfo.lines().filter_map(Mount::parse) {
        let own = memberships.lines().find_map(|line| mount.path_of(line));
        // A path that leads out of what is mounted belongs to somebody else.
        let below = own.and_then(|own| Path::new(own).strip_prefix(mount.root).ok());
        if let Some(below) = below.filter(|below| !below.starts_with("..")) {
            let mount_point = PathBuf::from(mount.point);
            let dir = if below.as_os_str().is_empty() {
                mount_point.clone()
            } else {
                mount_point.join(below)
            };
            let (version, controllers) = (mount.version, mount.controllers);
            let controllers = controllers.into_iter().map(str::to_owned).collect();
            found.push(Hierarchy { version, controllers, mount: mount_point, dir });
        }
    }
    found
}

/// A line of `mountinfo` that is of a cgroup.
struct Mount<'a> {
    version: Version,
    root: &'a str,
    point: &'a str,
    controllers: Vec<&'a str>,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (place, kind) = line.split_once(" - ")?;
        let mut kind = kind.split(' ');
        let version = match kind.next()? {
            "cgroup" => Version::One,
            "cgroup2" => Version::Two,
            _ => return None,
        };
        let controllers = match version {
            Version::One => kind.nth(1)?.split(',').collect(),
            Version::Two => Vec::new(),
        };
        let mut place = place.split(' ').skip(3);
        Some(Self { version, root: place.next()?, point: place.next()?, controllers })
    }

    /// The path of a process in this hierarchy, if the line of `cgroup` is about it.
    fn path_of<'b>(&self, line: &'b str) -> Option<&'b str> {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let is_it = match self.version {
            Version::Two => controllers.is_empty(),
            Version::One => {
                let mut names = controllers.split(',');
                !controllers.is_empty() && names.all(|name| self.controllers.contains(&name))
            }
        };
        is_it.then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs(mountinfo: &str, memberships: &str) -> Vec<(Version, String)> {
        let found = parse(mountinfo, memberships).into_iter();
        found.map(|it| (it.version, it.dir.display().to_string())).collect()
    }

    #[test]
    fn a_system_with_version_2_has_one_hierarchy() {
        let mounts = "24 1 0:22 / /proc rw - proc proc rw\n\
                      30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let found = parse(mounts, "0::/user.slice/app.scope\n");
        assert_eq!(found[0].dir, Path::new("/sys/fs/cgroup/user.slice/app.scope"));
        let beside = ["/sys/fs/cgroup/user.slice/app.scope", "/sys/fs/cgroup/user.slice"];
        assert_eq!(found[0].places(), beside.map(Path::new));
        assert_eq!(parse(mounts, "0::/\n")[0].places(), [Path::new("/sys/fs/cgroup")]);
    }

    #[test]
    fn a_hybrid_system_has_one_for_each_controller_and_one_more() {
        let mounts = "35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n\
                      32 31 0:29 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                      40 31 0:37 / /cg/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
                      41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n";
        let own = "9:name=systemd:/s\n5:memory:/a/b\n3:cpu,cpuacct:/\n0::/u\n";
        assert_eq!(
            dirs(mounts, own),
            [
                (Version::One, "/cg/memory/a/b".to_owned()),
                (Version::One, "/cg/cpu,cpuacct".to_owned()),
                (Version::One, "/cg/systemd/s".to_owned()),
                (Version::Two, "/cg/unified/u".to_owned()),
            ]
        );
    }

    #[test]
    fn what_is_mounted_in_a_container_begins_at_its_own_root() {
        let mounts = "35 31 0:32 /docker/1 /cg/memory ro - cgroup cgroup rw,memory\n";
        assert_eq!(dirs(mounts, "5:memory:/docker/1/x\n"), [(Version::One, "/cg/memory/x".into())]);
        assert_eq!(dirs(mounts, "5:memory:/docker/1\n"), [(Version::One, "/cg/memory".into())]);
        assert_eq!(dirs(mounts, "5:memory:/docker/2\n"), []);
        let mounts = "30 23 0:26 / /cg rw - cgroup2 cgroup2 rw\n";
        assert_eq!(dirs(mounts, "0::/../other\n"), []);
    }

    #[test]
    fn no_line_is_too_strange() {
        for line in
            ["", "1 2", " - cgroup", " - cgroup2", "1 2 3 / - cgroup2 c", ":::", "a - cgroup b c"]
        {
            assert_eq!(parse(line, line), [], "{line}");
        }
    }
}
