//! The bench `procs`: many processes come, go and are missed; by a program that has hosts already, and by
//! commands, beside plain loops and the commands of others.

mod inside;
mod launchers;
mod roll;
mod tally;
mod whole;

use std::env;
use std::fs;
use std::process::ExitCode;

use crate::measure::Effort;
use crate::report::{Record, Report};

/// The program that measures: it is its own guards, and what everybody starts.
pub(crate) fn main(print: fn(&[Vec<Record>])) -> ExitCode {
    let words: Vec<String> = env::args().collect();
    if let [_, word, path] = &words[..]
        && word == roll::ARGUMENT
    {
        return roll::answer(path);
    }
    let is_quick = words.iter().any(|word| Effort::Quick.words().contains(&word.as_str()));
    let effort = if is_quick { Effort::Quick } else { Effort::Full };
    meshwarden::main(
        |_| (),
        async |root| {
            let hosts = root.hosts(1).await?;
            let mut found = Vec::new();
            for &n_procs in sizes(effort) {
                found.extend(inside::measure(&root, &hosts, (n_procs, effort)).await?);
            }
            hosts.close().await;
            let launchers = launchers::all();
            for &n_procs in sizes(effort) {
                found.extend(whole::measure(&launchers, (n_procs, effort))?);
            }
            print(&found);
            Ok(ExitCode::SUCCESS)
        },
    )
}

/// How many processes there are.
const fn sizes(effort: Effort) -> &'static [usize] {
    match effort {
        Effort::Full => &[8, 64, 256],
        Effort::Quick => &[2],
    }
}

/// Shows what the other program has measured, and which targets hold.
pub(crate) fn show(_: Effort, found: Vec<Vec<Record>>, report: &mut Report) {
    for records in found {
        if let [ours, others @ ..] = &records[..]
            && let Some(floor) = others.iter().find(|record| record.by() == "floor")
            && let Some((_, max)) = TARGETS.iter().find(|(suffix, _)| ours.work().ends_with(suffix))
        {
            let target = format!("{}, ÷ floor", ours.work());
            report.judge(&target, ours.median() / floor.median(), (*max, "×"));
        }
        report.add(records);
    }
    for (launcher, why) in launchers::missing() {
        report.skipped(launcher, why);
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    report.note(&format!("load of the machine at the end, over 1, 5 and 15 minutes: {load}"));
}

/// By how their works end.
const TARGETS: &[(&str, f64)] = &[("processes up, in a program", 2.0)];
