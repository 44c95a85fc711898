//! `Stop`: why a step of the checks ended without having passed.

use std::fmt;

/// Why a step ended without having passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// A command that the step runs did not succeed.
    Command {
        /// The command, as it can be typed.
        command: String,
        /// How it ended.
        ended: String,
    },
    /// Rules that the step holds are broken.
    Problems(Vec<String>),
    /// The step could not be done here. Not a pass.
    Skipped(String),
}

impl Stop {
    /// One broken rule, or one thing that could not be read.
    pub(crate) fn problem(why: impl Into<String>) -> Self {
        Self::Problems(vec![why.into()])
    }

    /// Passed when there is no problem.
    pub(crate) fn unless_empty(problems: Vec<String>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self::Problems(problems)) }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { command, ended } => write!(f, "`{command}`: {ended}"),
            Self::Problems(problems) => {
                let count = problems.len();
                let noun = if count == 1 { "problem" } else { "problems" };
                write!(f, "{}\n{count} {noun}", problems.join("\n"))
            }
            Self::Skipped(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Stop;

    #[test]
    fn no_problem_is_a_pass() {
        assert_eq!(Stop::unless_empty(Vec::new()), Ok(()));
    }

    #[test]
    fn problems_are_listed_and_counted() {
        let stop = Stop::Problems(vec!["a is too long".to_owned(), "b has no doc".to_owned()]);
        assert_eq!(stop.to_string(), "a is too long\nb has no doc\n2 problems");
        assert_eq!(Stop::problem("a is too long").to_string(), "a is too long\n1 problem");
    }
}
