//! `Mutant`: one planted bug, as its file tells it.
//!
//! ```text
//! what: One sentence: what is wrong now.
//!   Two spaces carry a line on.
//! breaks: H1 H2
//! file: crates/controller/src/health.rs
//! package: controller
//! test: health::
//! killed-by: a_report_of_a_lower_generation_changes_nothing
//!
//! <<<<
//! the old lines, which stand in the file exactly once
//! ====
//! the new lines
//! >>>>
//! ```
//!
//! `test:` is optional: only tests whose name contains one of its words are run. So is `hangs: yes`: the
//! bug makes its test run for ever, and to be over its time counts as found; else it does not. There may
//! be several blocks, and `file:` again between them.

use std::collections::BTreeMap;

use super::edit::Edit;

/// One planted bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mutant {
    /// The name of its file, without the ending.
    pub(super) name: String,
    /// Its file, as a path from the root.
    pub(super) path: String,
    /// What is wrong when it is planted.
    pub(super) what: String,
    /// The sentences of the supervision contract that then do not hold.
    pub(super) breaks: Vec<String>,
    /// Whose tests are run.
    pub(super) package: String,
    /// Parts of the names of the tests that are run; all of them if empty.
    pub(super) filters: Vec<String>,
    /// The test that must be among those that fail: its name, or how it ends.
    pub(super) killed_by: String,
    /// Whether that test does not end when the bug is planted.
    pub(super) hangs: bool,
    edits: Vec<Edit>,
}

impl Mutant {
    /// Reads the text of the file at `path`.
    ///
    /// # Errors
    ///
    /// What is wrong first, with file and line.
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, String> {
        let at = |fault: Fault| format!("{path}:{}: {}", fault.line, fault.why);
        let mut draft = Draft::read(text).map_err(at)?;
        let file_name = path.rsplit('/').next().unwrap_or(path);
        let mutant = Self {
            name: file_name.trim_end_matches(ENDING).to_owned(),
            path: path.to_owned(),
            what: draft.take("what").map_err(at)?,
            breaks: draft.take_ids().map_err(at)?,
            package: draft.take("package").map_err(at)?,
            filters: words(&draft.take("test").unwrap_or_default()),
            killed_by: draft.take("killed-by").map_err(at)?,
            hangs: draft.take_hangs().map_err(at)?,
            edits: draft.edits,
        };
        if mutant.edits.is_empty() {
            return Err(format!("{path}:{}: there is no block: `{OLD}`", draft.n_lines));
        }
        Ok(mutant)
    }

    /// The text of every file that it touches, with the bug in it.
    ///
    /// # Errors
    ///
    /// What is wrong first, with file and line, if a block does not fit or a file cannot be read.
    pub(super) fn planted(
        &self,
        read: impl Fn(&str) -> Result<String, String>,
    ) -> Result<BTreeMap<String, String>, String> {
        let mut texts = BTreeMap::new();
        for edit in &self.edits {
            let fault = |why| format!("{}:{}: the block {why}", self.path, edit.line);
            let text = match texts.remove(&edit.file) {
                Some(text) => text,
                None => read(&edit.file).map_err(|why| fault(format!("cannot be tried: {why}")))?,
            };
            texts.insert(edit.file.clone(), edit.apply(&text).map_err(fault)?);
        }
        Ok(texts)
    }

    /// Whether the test of that name is the one that must fail.
    pub(super) fn names(&self, test: &str) -> bool {
        test.strip_suffix(self.killed_by.as_str())
            .is_some_and(|module| module.is_empty() || module.ends_with("::"))
    }

    /// Whether the test of that name is run.
    pub(super) fn runs(&self, test: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| test.contains(filter.as_str()))
    }
}

/// What is wrong with the text of a mutant, and where.
struct Fault {
    line: usize,
    why: String,
}

/// What has been read of a mutant.
#[derive(Default)]
struct Draft {
    /// By key: in which line it began, and its value.
    fields: BTreeMap<&'static str, (usize, String)>,
    edits: Vec<Edit>,
    n_lines: usize,
}

impl Draft {
    fn read(text: &str) -> Result<Self, Fault> {
        let mut draft = Self { n_lines: text.lines().count(), ..Self::default() };
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let mut last_key = None;
        while let Some((number, line)) = lines.next() {
            let fault = |why: String| Fault { line: number, why };
            if line == OLD {
                let edit = draft.read_block(number, &mut lines)?;
                draft.edits.push(edit);
                last_key = None;
            } else if let (Some(more), Some(key)) = (line.strip_prefix("  "), last_key) {
                let (_, value) = draft.fields.entry(key).or_default();
                *value = format!("{value} {}", more.trim());
            } else if let Some((key, value)) = line.split_once(':') {
                last_key = Some(draft.set(number, key, value.trim()).map_err(fault)?);
            } else if !line.trim().is_empty() {
                return Err(fault(format!("neither `key: value` nor `{OLD}`: `{line}`")));
            }
        }
        Ok(draft)
    }

    fn set(&mut self, line: usize, key: &str, value: &str) -> Result<&'static str, String> {
        let Some(key) = KEYS.iter().copied().find(|known| *known == key) else {
            return Err(format!("`{key}` is no key: there are {}", KEYS.join(", ")));
        };
        if value.is_empty() {
            return Err(format!("`{key}:` has no value"));
        }
        let before = self.fields.insert(key, (line, value.to_owned()));
        match before {
            Some((before, _)) if key != "file" => {
                Err(format!("`{key}:` stands in line {before} already"))
            }
            _ => Ok(key),
        }
    }

    fn read_block<'a>(
        &self,
        start: usize,
        lines: &mut impl Iterator<Item = (usize, &'a str)>,
    ) -> Result<Edit, Fault> {
        let fault = |line, why: &str| Fault { line, why: why.to_owned() };
        let Some((_, file)) = self.fields.get("file") else {
            return Err(fault(start, "a block before `file:`"));
        };
        let (mut old, mut new, mut is_old) = (String::new(), String::new(), true);
        for (number, line) in lines {
            match line {
                OLD => return Err(fault(number, "a block in a block")),
                NEW if !is_old => return Err(fault(number, "a block has one `====`")),
                NEW if old.is_empty() => return Err(fault(number, "the old text is empty")),
                NEW => is_old = false,
                END if is_old => return Err(fault(number, "the block ends before its `====`")),
                END if old == new => return Err(fault(number, "old and new are the same")),
                END => return Ok(Edit { file: file.clone(), line: start, old, new }),
                _ => {
                    let side = if is_old { &mut old } else { &mut new };
                    side.push_str(line);
                    side.push('\n');
                }
            }
        }
        Err(fault(start, "the block has no end: `>>>>`"))
    }

    fn take(&mut self, key: &'static str) -> Result<String, Fault> {
        let missing = Fault { line: self.n_lines, why: format!("there is no `{key}:`") };
        self.fields.remove(key).map(|(_, value)| value).ok_or(missing)
    }

    fn take_hangs(&mut self) -> Result<bool, Fault> {
        match self.fields.remove("hangs") {
            None => Ok(false),
            Some((_, value)) if value == "yes" => Ok(true),
            Some((line, value)) => Err(Fault {
                line,
                why: format!("`hangs:` is `yes` or is not there, not `{value}`"),
            }),
        }
    }

    fn take_ids(&mut self) -> Result<Vec<String>, Fault> {
        let line = self.fields.get("breaks").map_or(self.n_lines, |(line, _)| *line);
        let ids = words(&self.take("breaks")?);
        match ids.iter().find(|id| !is_id(id)) {
            Some(id) => Err(Fault { line, why: format!("`{id}` is no id of a sentence, like H3") }),
            None => Ok(ids),
        }
    }
}

/// Letters, then a number.
fn is_id(word: &str) -> bool {
    let number = word.trim_start_matches(|c: char| c.is_ascii_uppercase());
    number.len() < word.len() && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
}

fn words(value: &str) -> Vec<String> {
    value.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// How the name of a mutant's file ends.
pub(super) const ENDING: &str = ".mutant";
const KEYS: &[&str] = &["what", "breaks", "file", "package", "test", "killed-by", "hangs"];
const OLD: &str = "<<<<";
const NEW: &str = "====";
const END: &str = ">>>>";

#[cfg(test)]
mod tests;
