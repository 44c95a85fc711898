//! `meshwarden config`: every setting, its value, and where it came from.

use std::error::Error;
use std::fs;

use libtest_mimic::Trial;

use crate::fixture::{Ended, meshwarden, temporary};
use crate::{Outcome, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(without_anything_said_the_preset_holds),
        trial(every_flag_of_a_run_is_a_setting),
        trial(a_flag_beats_the_environment_that_beats_the_file_that_beats_the_preset),
        trial(how_ranks_speak_has_the_same_layers),
        trial(an_impossible_combination_is_refused),
        trial(an_unknown_name_in_the_file_is_refused_with_its_line),
        trial(a_wrong_value_in_the_file_is_refused_with_its_line),
        trial(a_file_that_is_not_there_is_refused),
        trial(a_run_takes_its_settings_from_the_file),
    ]
}

/// The value of a setting and where it came from.
fn row(ended: &Ended, key: &str) -> Option<(String, String)> {
    let line = ended.stdout.lines().find(|line| line.split("  ").next() == Some(key))?;
    let mut columns = line.split("  ").map(str::trim).filter(|column| !column.is_empty()).skip(1);
    Some((columns.next()?.to_owned(), columns.next()?.to_owned()))
}

fn shown(ended: &Ended, key: &str, value: &str, source: &str) -> Outcome {
    if row(ended, key) == Some((value.to_owned(), source.to_owned())) {
        return Ok(());
    }
    Err(format!("{key} is not {value} from {source}: {}", ended.stdout).into())
}

fn settings_file(text: &str) -> Result<String, Box<dyn Error>> {
    let path = temporary("settings.toml");
    fs::write(&path, text)?;
    Ok(path.to_str().ok_or("the path is text")?.to_owned())
}

fn without_anything_said_the_preset_holds() -> Outcome {
    let ended = meshwarden(["config"]).finish()?.must_be(0)?;
    shown(&ended, "preset", "local", "preset, built in")?;
    shown(&ended, "extent", "hosts=1,procs=4", "preset, built in")?;
    shown(&ended, "on_failure", "stop", "preset, built in")?;
    shown(&ended, "max_restarts", "0", "preset, built in")?;
    shown(&ended, "grace", "10s", "preset, built in")?;
    shown(&ended, "lease", "4s", "preset local")?;
    shown(&ended, "check", "1s", "preset, derived from the lease")?;
    shown(&ended, "metrics", "-", "preset, built in")
}

fn every_flag_of_a_run_is_a_setting() -> Outcome {
    let help = meshwarden(["run", "--help"]).finish()?.must_be(0)?;
    let config = meshwarden(["config"]).finish()?.must_be(0)?;
    let words = help.stdout.split_ascii_whitespace();
    let flags = words.filter_map(|word| word.strip_prefix("--")).map(|flag| flag.replace('-', "_"));
    for flag in flags.filter(|flag| !["", "help", "config", "stdin"].contains(&flag.as_str())) {
        // Without what may follow it: `--fold[=<BOOL>]`.
        let flag = flag.split(|it: char| !it.is_ascii_alphanumeric() && it != '_').next();
        let flag = flag.unwrap_or_default();
        assert!(row(&config, flag).is_some(), "{flag} is missing: {}", config.stdout);
    }
    Ok(())
}

fn a_flag_beats_the_environment_that_beats_the_file_that_beats_the_preset() -> Outcome {
    let file = settings_file("preset = \"lan\"\nlease = \"6s\"\ngrace = \"7s\"\nname = \"f\"\n")?;
    let ended = meshwarden(["config", "--config", &file, "--lease", "8s"])
        .env("MESHWARDEN_LEASE", "7s")
        .env("MESHWARDEN_GRACE", "9s")
        .finish()?
        .must_be(0)?;
    shown(&ended, "lease", "8s", "flag")?;
    shown(&ended, "grace", "9s", "environment")?;
    shown(&ended, "name", "f", "file")?;
    shown(&ended, "preset", "lan", "file")?;
    shown(&ended, "heartbeat", "400ms", "preset, derived from the lease")?;
    let ended = meshwarden(["config", "--preset", "wan"]).finish()?.must_be(0)?;
    shown(&ended, "lease", "30s", "preset wan")
}

fn how_ranks_speak_has_the_same_layers() -> Outcome {
    let ended = meshwarden(["config"]).finish()?.must_be(0)?;
    shown(&ended, "notify", "false", "preset, built in")?;
    shown(&ended, "ready_within", "1m 30s", "preset, built in")?;
    shown(&ended, "watchdog", "-", "preset, built in")?;
    let file = settings_file("notify = true\nready_within = \"3s\"\nwatchdog = \"2s\"\n")?;
    let ended = meshwarden(["config", "--config", &file, "--watchdog", "4s"])
        .env("MESHWARDEN_READY_WITHIN", "5s")
        .finish()?
        .must_be(0)?;
    shown(&ended, "notify", "true", "file")?;
    shown(&ended, "ready_within", "5s", "environment")?;
    shown(&ended, "watchdog", "4s", "flag")?;
    let ended = meshwarden(["config", "--config", &file, "--notify=false"]).finish()?.must_be(0)?;
    shown(&ended, "notify", "false", "flag")?;
    shown(&ended, "watchdog", "2s", "file")?;

    let short = settings_file("notify = true\nwatchdog = \"1ms\"\n")?;
    let ended = meshwarden(["config", "--config", &short]).finish()?.must_be(2)?;
    assert!(ended.stderr.contains("line 2") && ended.stderr.contains("at least 100ms"));
    Ok(())
}

fn an_impossible_combination_is_refused() -> Outcome {
    let cases: [(&[&str], &str); 4] = [
        (&["--lease", "10s", "--suspect", "1s"], "suspect"),
        (&["--lease", "4s", "--timeout", "4s"], "timeout"),
        (&["--lease", "1ms"], "lease"),
        (&["--check", "0s"], "check"),
    ];
    for (flags, says) in cases {
        for task in ["config", "run"] {
            let end: &[&str] = if task == "run" { &["--", "true"] } else { &[] };
            let ended = meshwarden([&[task], flags, end].concat()).finish()?.must_be(2)?;
            assert!(ended.stderr.contains(says), "{flags:?}: {}", ended.stderr);
        }
    }
    Ok(())
}

fn an_unknown_name_in_the_file_is_refused_with_its_line() -> Outcome {
    let file = settings_file("lease = \"6s\"\n\nleese = \"7s\"\n")?;
    let ended = meshwarden(["config", "--config", &file]).finish()?.must_be(2)?;
    assert!(ended.stderr.contains("line 3"), "{}", ended.stderr);
    assert!(ended.stderr.contains("unknown field `leese`"), "{}", ended.stderr);
    assert!(ended.stderr.contains(&file), "{}", ended.stderr);
    Ok(())
}

fn a_wrong_value_in_the_file_is_refused_with_its_line() -> Outcome {
    for line in
        ["extent = \"gpus=0\"", "lease = \"soon\"", "grace = 10", "max_restarts = -1", "preset ="]
    {
        let file = settings_file(&format!("name = \"m\"\n{line}\n"))?;
        let ended = meshwarden(["config", "--config", &file]).finish()?.must_be(2)?;
        assert!(ended.stderr.contains("line 2"), "{line}: {}", ended.stderr);
    }
    Ok(())
}

fn a_file_that_is_not_there_is_refused() -> Outcome {
    let ended = meshwarden(["config", "--config", "/no/such/file"]).finish()?.must_be(2)?;
    assert!(ended.stderr.contains("/no/such/file"), "{}", ended.stderr);
    Ok(())
}

fn a_run_takes_its_settings_from_the_file() -> Outcome {
    let file = settings_file("extent = \"a=2,b=3\"\nname = \"filed\"\nmaster_port = 4711\n")?;
    let script = "echo $MESHWARDEN_MESH $MESHWARDEN_EXTENT $MASTER_PORT";
    let ended = meshwarden(["run", "--config", &file, "--", "sh", "-c", script]).finish()?;
    let ended = ended.must_be(0)?;
    assert_eq!(ended.lines_of("a=1,b=2"), ["filed a=2,b=3 4711"]);
    assert_eq!(ended.stdout.lines().count(), 6);
    Ok(())
}
