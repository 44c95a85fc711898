//! What ranks are started in: flags, environment and file.

use std::fs;

use libtest_mimic::Trial;

use crate::fixture::{meshwarden, run_script, temporary};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(ranks_inherit_what_was_named_and_work_where_was_said),
        trial(what_ranks_are_started_in_can_stand_in_a_file),
        trial(a_working_directory_that_is_not_there_is_told),
    ]
}

fn ranks_inherit_what_was_named_and_work_where_was_said() -> Outcome {
    let script = "echo $A,$B,$MESHWARDEN_RANK; pwd";
    let cases = [("all", "1,2,0"), ("none", ",,0"), ("B,PATH", ",2,0")];
    for (which, expected) in cases {
        let args = format!("--extent procs=1 --dir /usr --inherit-env {which}");
        let run = run_script(&args, script).env("A", "1").env("B", "2");
        assert_eq!(run.finish()?.must_be(0)?.lines_of("procs=0"), [expected, "/usr"], "{which}");
    }
    Ok(())
}

fn what_ranks_are_started_in_can_stand_in_a_file() -> Outcome {
    let file = temporary("surroundings.toml");
    fs::write(&file, "extent = \"procs=1\"\ndir = \"/usr\"\ninherit_env = \"B\"\n")?;
    let file = file.to_str().ok_or("the path is text")?;
    let args = ["run", "--config", file, "--", "sh", "-c", "echo $A,$B; pwd"];
    let ended = meshwarden(args).env("A", "1").env("B", "2").finish()?.must_be(0)?;
    assert_eq!(ended.lines_of("procs=0"), [",2", "/usr"]);
    Ok(())
}

/// C4
fn a_working_directory_that_is_not_there_is_told() -> Outcome {
    let ended = run_script("--extent procs=2 --dir /no/such/dir", "true").finish()?.must_be(2)?;
    assert!(ended.stderr.contains("its working directory cannot be entered"), "{ended:?}");
    assert!(ended.stderr.contains("rank 1 (procs=1)"), "{ended:?}");
    Ok(())
}
