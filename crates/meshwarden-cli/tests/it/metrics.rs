//! What a scraper sees of a run.

use std::error::Error;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::fixture::{Running, WITHIN, run_script, until};
use crate::prometheus::{Prometheus, get, request};
use crate::{Outcome, trial, trial_with};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(every_metric_is_there_from_the_start_with_help_and_type),
        trial(the_gauges_follow_the_ranks_and_failures_are_counted),
        trial(restarts_are_counted),
        trial(only_this_machine_may_read_and_nobody_write),
        trial_with("promtool", promtool_finds_nothing_to_complain_about),
        trial_with("prometheus", a_pause_of_the_controller_is_a_stall_in_prometheus_and_no_failure),
    ]
}

/// Starts it with a metrics endpoint at a free port; returns where that is.
fn start_with_metrics(args: &str, script: &str) -> Result<(Running, String), Box<dyn Error>> {
    let running = run_script(&format!("{args} --metrics 127.0.0.1:0"), script).start()?;
    let address = || {
        let stderr = running.stderr();
        let rest = stderr.split_once("metrics at http://")?.1;
        Some(rest.split_once("/metrics\n")?.0.to_owned())
    };
    until("the address of the metrics", WITHIN, || address().is_some())?;
    let address = address().ok_or("it was there")?;
    Ok((running, address))
}

/// The value of a series, by its name and labels as they are written.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn until_value(address: &str, series: &str, expected: f64) -> Outcome {
    let is_it =
        || get(address, "/metrics").is_ok_and(|text| value(&text, series) == Some(expected));
    until(&format!("{series} {expected}"), WITHIN, is_it)
        .map_err(|error| format!("{error}: {}", get(address, "/metrics").unwrap_or_default()))?;
    Ok(())
}

fn every_metric_is_there_from_the_start_with_help_and_type() -> Outcome {
    let (running, address) = start_with_metrics("--extent procs=2", "exec sleep 1000")?;
    until_value(
        &address,
        "meshwarden_ranks{mesh=\"run\",mesh_kind=\"proc\",status=\"running\"}",
        2.0,
    )?;
    let text = get(&address, "/metrics")?;
    for (name, kind) in [
        ("meshwarden_controller_stalls_total", "counter"),
        ("meshwarden_controller_lateness_seconds", "histogram"),
        ("meshwarden_ranks", "gauge"),
        ("meshwarden_rank_failures_total", "counter"),
        ("meshwarden_restarts_total", "counter"),
        ("meshwarden_detection_seconds", "histogram"),
        ("meshwarden_subscriber_lags_total", "counter"),
        ("meshwarden_procs_unkillable_total", "counter"),
    ] {
        assert_eq!(text.matches(&format!("# HELP {name} ")).count(), 1, "{name}: {text}");
        assert_eq!(text.matches(&format!("# TYPE {name} {kind}\n")).count(), 1, "{name}: {text}");
    }
    for kind in ["host", "proc", "actor"] {
        for (name, labels) in [
            ("controller_stalls_total", ""),
            ("restarts_total", ""),
            ("subscriber_lags_total", ""),
            ("controller_lateness_seconds_bucket", ",le=\"+Inf\""),
            ("detection_seconds_bucket", ",le=\"+Inf\""),
            ("rank_failures_total", ",cause=\"orphaned\""),
        ] {
            let series = format!("meshwarden_{name}{{mesh_kind=\"{kind}\"{labels}}}");
            let found = value(&text, &series);
            let is_fine = found == Some(0.0) || (name.contains("lateness") && found.is_some());
            assert!(is_fine, "{series} is {found:?} in {text}");
        }
    }
    running.signal(Signal::INT)?;
    running.finish()?.must_be(130)?;
    Ok(())
}

fn the_gauges_follow_the_ranks_and_failures_are_counted() -> Outcome {
    let ranks = |status: &str| {
        format!("meshwarden_ranks{{mesh=\"job\",mesh_kind=\"proc\",status=\"{status}\"}}")
    };
    let script = "test $RANK = 0 && kill -STOP $$
        test $RANK = 1 && { sleep 0.2; kill -9 $$; }
        test $RANK = 2 && exit 0
        exec sleep 1000";
    let args = "--extent procs=5 --name job --on-failure continue";
    let (running, address) = start_with_metrics(args, script)?;
    for (status, n_ranks) in [("failed", 1.0), ("stalled", 1.0), ("stopped", 1.0), ("running", 2.0)]
    {
        until_value(&address, &ranks(status), n_ranks)?;
    }
    let text = get(&address, "/metrics")?;
    for status in ["initializing", "suspect", "unreachable", "stopping", "timeout"] {
        assert_eq!(value(&text, &ranks(status)), Some(0.0), "{status}: {text}");
    }
    let failures = "meshwarden_rank_failures_total{mesh_kind=\"proc\",cause=\"signal\"}";
    until_value(&address, failures, 1.0)?;
    until_value(&address, "meshwarden_detection_seconds_count{mesh_kind=\"proc\"}", 1.0)?;
    let text = get(&address, "/metrics")?;
    let sum = value(&text, "meshwarden_detection_seconds_sum{mesh_kind=\"proc\"}");
    assert!(sum.is_some_and(|sum| sum > 0.0 && sum < 1.0), "told after {sum:?} s");
    running.signal(Signal::INT)?;
    running.finish()?.must_be(137)?;
    Ok(())
}

fn restarts_are_counted() -> Outcome {
    let script = "test $MESHWARDEN_INCARNATION = 3 && exec sleep 1000; exit 1";
    let args = "--extent procs=2 --max-restarts 6 --backoff-min 10ms";
    let (running, address) = start_with_metrics(args, script)?;
    until_value(&address, "meshwarden_restarts_total{mesh_kind=\"proc\"}", 6.0)?;
    until_value(
        &address,
        "meshwarden_rank_failures_total{mesh_kind=\"proc\",cause=\"exit\"}",
        6.0,
    )?;
    running.signal(Signal::INT)?;
    running.finish()?.must_be(130)?;
    Ok(())
}

fn only_this_machine_may_read_and_nobody_write() -> Outcome {
    let (_running, address) = start_with_metrics("--extent procs=1", "exec sleep 1000")?;
    let status = |lines: &str| -> Result<String, Box<dyn Error>> {
        let answer = request(&address, &format!("{lines}\r\n"))?;
        Ok(answer.split_ascii_whitespace().nth(1).unwrap_or_default().to_owned())
    };
    let own = format!("Host: {address}\r\n");
    assert_eq!(status(&format!("GET /metrics HTTP/1.0\r\n{own}"))?, "200");
    assert_eq!(status("GET /metrics HTTP/1.0\r\nHost: evil.example\r\n")?, "403");
    let page = format!("GET /metrics HTTP/1.0\r\n{own}Origin: http://evil.example\r\n");
    assert_eq!(status(&page)?, "403");
    assert_eq!(status(&format!("POST /metrics HTTP/1.0\r\n{own}Content-Length: 0\r\n"))?, "405");
    assert_eq!(status(&format!("GET / HTTP/1.0\r\n{own}"))?, "404");
    Ok(())
}

fn promtool_finds_nothing_to_complain_about() -> Outcome {
    let script = "test $RANK = 0 && exit 3; exec sleep 1000";
    let (_running, address) = start_with_metrics("--extent procs=3 --on-failure continue", script)?;
    let failures = "meshwarden_rank_failures_total{mesh_kind=\"proc\",cause=\"exit\"}";
    until_value(&address, failures, 1.0)?;
    let text = get(&address, "/metrics")?;
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut child = promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("it was piped")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    let complaints = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&complaints));
    assert_eq!(String::from_utf8_lossy(&complaints), "", "of {text}");
    Ok(())
}

/// L4, F2
fn a_pause_of_the_controller_is_a_stall_in_prometheus_and_no_failure() -> Outcome {
    const STALLS: &str = "meshwarden_controller_stalls_total{mesh_kind=\"proc\"}";
    let args = "--extent hosts=2,procs=2 --lease 4s";
    let (running, address) = start_with_metrics(args, "exec sleep 1000")?;
    let prometheus = Prometheus::start(&address)?;
    prometheus.until(STALLS, |stalls| stalls == 0.0)?;
    prometheus.until("sum(meshwarden_ranks{status=\"running\"})", |ranks| ranks == 4.0)?;
    running.signal(Signal::STOP)?;
    // Two and a half check periods, and less than the lease.
    std::thread::sleep(Duration::from_millis(2_500));
    running.signal(Signal::CONT)?;
    prometheus.until(STALLS, |stalls| stalls >= 1.0)?;
    // What was scraped with the stall was scraped after the pause.
    prometheus.until("sum(meshwarden_rank_failures_total)", |failures| failures == 0.0)?;
    prometheus.until("sum(meshwarden_ranks{status=\"running\"})", |ranks| ranks == 4.0)?;
    let late = "meshwarden_controller_lateness_seconds_count{mesh_kind=\"proc\"} - on(mesh_kind)
        meshwarden_controller_lateness_seconds_bucket{mesh_kind=\"proc\",le=\"1\"}";
    prometheus.until(late, |late| late >= 1.0)?;
    running.signal(Signal::INT)?;
    let ended = running.finish()?.must_be(130)?;
    assert_eq!(
        ended.stderr.matches("stalled: a check started late").count(),
        1,
        "{}",
        ended.stderr
    );
    Ok(())
}
