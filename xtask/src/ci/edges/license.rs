//! Which licences a package may have, by its SPDX expression.

use crate::metadata::Package;

/// What is wrong with the licence of one package.
pub(super) fn problem(package: &Package) -> Option<String> {
    let Package { name, version, .. } = package;
    match package.license.as_deref() {
        None => Some(format!("{name} {version} has no license expression")),
        Some(expression) if is_allowed(expression) => None,
        Some(expression) => {
            Some(format!("{name} {version} has a license not allowed: {expression}"))
        }
    }
}

/// Whether we may use what is licensed so: one alternative of `OR`, every part of `AND`.
///
/// What cannot be read is not allowed.
fn is_allowed(expression: &str) -> bool {
    // `MIT/Apache-2.0` is the old way to write `MIT OR Apache-2.0`.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    any_of(&mut words) == Some(true) && words.is_empty()
}

/// Reads `a OR b OR …`. The next word is the last of `words`.
fn any_of(words: &mut Vec<&str>) -> Option<bool> {
    let mut allowed = all_of(words)?;
    while words.pop_if(|word| *word == "OR").is_some() {
        allowed |= all_of(words)?;
    }
    Some(allowed)
}

/// Reads `a AND b AND …`, which binds closer than `OR`.
fn all_of(words: &mut Vec<&str>) -> Option<bool> {
    let mut allowed = one(words)?;
    while words.pop_if(|word| *word == "AND").is_some() {
        allowed &= one(words)?;
    }
    Some(allowed)
}

/// Reads one licence with its exception, or an expression in parentheses.
fn one(words: &mut Vec<&str>) -> Option<bool> {
    let word = words.pop()?;
    if word == "(" {
        let allowed = any_of(words)?;
        return words.pop_if(|word| *word == ")").map(|_| allowed);
    }
    if words.pop_if(|word| *word == "WITH").is_none() {
        return Some(ALLOWED.contains(&word));
    }
    let exception = words.pop()?;
    Some(ALLOWED.contains(&&*format!("{word} WITH {exception}")))
}

/// What is allowed. `deny.toml` holds the same list.
const ALLOWED: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unicode-3.0",
    "Zlib",
    "CC0-1.0",
    "MIT-0",
    "Unlicense",
    "BSL-1.0",
    "MPL-2.0",
    "OpenSSL",
];

#[cfg(test)]
mod tests {
    use super::{ALLOWED, Package, is_allowed, problem};

    #[test]
    fn one_alternative_suffices() {
        assert!(is_allowed("GPL-3.0-only OR MIT"));
        assert!(is_allowed("MIT/GPL-2.0"));
        assert!(!is_allowed("GPL-3.0-only OR AGPL-3.0"));
    }

    #[test]
    fn every_part_is_needed() {
        assert!(is_allowed("MIT AND ISC"));
        assert!(!is_allowed("MIT AND GPL-3.0-only"));
    }

    #[test]
    fn and_binds_closer_than_or() {
        assert!(is_allowed("MIT OR ISC AND GPL-3.0-only"));
        assert!(!is_allowed("(MIT OR ISC) AND GPL-3.0-only"));
        assert!(is_allowed("(Apache-2.0 OR GPL-3.0-only) AND (Unicode-3.0)"));
    }

    #[test]
    fn an_exception_is_part_of_the_licence() {
        assert!(is_allowed("Apache-2.0 WITH LLVM-exception"));
        assert!(!is_allowed("MIT WITH LLVM-exception"));
    }

    #[test]
    fn what_cannot_be_read_is_not_allowed() {
        for expression in ["", "MIT OR", "(MIT", "MIT)", "MIT ISC", "OR", "Apache-2.0 WITH"] {
            assert!(!is_allowed(expression), "{expression}");
        }
    }

    #[test]
    fn a_package_without_an_allowed_licence_is_reported() {
        let package = |license: Option<&str>| Package {
            name: "theirs".to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            ..Package::default()
        };
        assert_eq!(problem(&package(Some("MIT"))), None);
        assert_eq!(
            problem(&package(Some("GPL-3.0-only"))),
            Some("theirs 1.0.0 has a license not allowed: GPL-3.0-only".to_owned())
        );
        assert_eq!(
            problem(&package(None)),
            Some("theirs 1.0.0 has no license expression".to_owned())
        );
    }

    #[test]
    fn deny_toml_holds_the_same_list() {
        let deny = include_str!("../../../../deny.toml");
        let list = deny.split("allow = [").nth(1).and_then(|rest| rest.split(']').next());
        let words = list.unwrap_or_default().split('"').skip(1).step_by(2);
        assert_eq!(words.collect::<Vec<_>>(), ALLOWED);
    }
}
