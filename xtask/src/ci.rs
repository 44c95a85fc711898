//! `cargo xtask ci`: every check there is, in order, up to the first that fails. Edits nothing.

mod alone;
mod bench;
mod consumers;
mod doc;
mod edges;
mod examples;
mod fuzz;
mod mutants;
mod report;
mod sim;
mod step;
mod test;
mod tidy;

use std::process::ExitCode;
use std::time::Instant;

use report::{Report, Row, Verdict};
use step::{STEPS, Step};

use crate::stop::Stop;

/// Runs all steps, the named ones, or lists them.
pub(crate) fn run(args: &[String]) -> ExitCode {
    if args == ["--list"] {
        for Step { name, about, .. } in STEPS {
            println!("{name:<10} {about}");
        }
        return ExitCode::SUCCESS;
    }
    match select(args) {
        Ok(steps) => run_steps(&steps),
        Err(why) => crate::usage_error(&why),
    }
}

/// The steps to run, in the order of the list; all of them if none is named.
fn select(names: &[String]) -> Result<Vec<&'static Step>, String> {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        return Err(format!("ci has no step {unknown}: see `cargo xtask ci --list`"));
    }
    let is_chosen = |step: &&Step| names.is_empty() || names.iter().any(|name| step.name == name);
    Ok(STEPS.iter().filter(is_chosen).collect())
}

fn run_steps(steps: &[&Step]) -> ExitCode {
    let mut report = Report::default();
    for (index, step) in steps.iter().enumerate() {
        let row = if report.has_failed() {
            Row { name: step.name, verdict: Verdict::NotRun, time: None }
        } else {
            println!("\n=== {}/{} {}: {}", index + 1, steps.len(), step.name, step.about);
            run_step(step)
        };
        report.push(row);
    }
    println!("\n{report}");
    if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn run_step(step: &Step) -> Row {
    let started = Instant::now();
    let result = step.run();
    let row = Row { name: step.name, verdict: verdict(&result), time: Some(started.elapsed()) };
    tell(step, &row, &result);
    row
}

fn verdict(result: &Result<(), Stop>) -> Verdict {
    match result {
        Ok(()) => Verdict::Passed,
        Err(Stop::Skipped(why)) => Verdict::Skipped(why.clone()),
        Err(Stop::Command { .. } | Stop::Problems(_)) => Verdict::Failed,
    }
}

/// Says how a step ended; after a failure, also how to repeat it.
fn tell(step: &Step, row: &Row, result: &Result<(), Stop>) {
    let time = row.seconds();
    let again = format!("cargo xtask ci {}", step.name);
    match result {
        Ok(()) => println!("--- {}: passed in {time}", step.name),
        Err(Stop::Skipped(why)) => println!("\n!!! {}: SKIPPED: {why}\n", step.name),
        Err(stop) => {
            println!("\n--- {}: FAILED after {time}\n{stop}\n", step.name);
            println!("Repeat the step with:     {again}");
            if let Stop::Command { command, .. } = stop {
                println!("or only what failed with: {command}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{STEPS, select};

    fn names(args: &[&str]) -> Result<Vec<&'static str>, String> {
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        select(&args).map(|steps| steps.into_iter().map(|step| step.name).collect())
    }

    #[test]
    fn without_names_every_step_runs() {
        assert_eq!(names(&[]), Ok(STEPS.iter().map(|step| step.name).collect()));
    }

    #[test]
    fn named_steps_run_once_and_in_order() {
        assert_eq!(names(&["doc", "fmt", "doc"]), Ok(vec!["fmt", "doc"]));
    }

    #[test]
    fn an_unknown_step_runs_nothing() {
        assert_eq!(
            names(&["fmt", "lint"]),
            Err("ci has no step lint: see `cargo xtask ci --list`".to_owned())
        );
    }

    #[test]
    fn no_two_steps_have_one_name() {
        let mut all: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), STEPS.len());
    }
}
