//! limits: every limit of what strangers may take is reached, holds, and counts whom it turns away. They are
//! those of the whole process, so that one test runs after the other; and what is not there to reach one shows
//! as not run.

#[path = "../tls/authority.rs"]
#[expect(dead_code, reason = "bad certificates are made elsewhere")]
mod authority;
mod counts;
mod crowd;
mod descriptors;
#[path = "../cost/inject.rs"]
mod inject;
#[expect(dead_code, reason = "nothing is cut here")]
#[path = "../it/proxy.rs"]
mod proxy;
mod slow;
mod spoken;
#[path = "../it/support.rs"]
mod support;
mod user;

use std::any::type_name_of_val;
use std::io::{self, Write};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if user::is_other() {
        return user::knock();
    }
    counts::install();
    let mut trials = vec![
        trial(slow::a_thousand_slow_ones_from_one_address_delay_no_beat),
        trial(slow::nor_do_they_from_a_thousand_addresses),
        trial(slow::nor_do_they_at_a_port_with_tls),
        trial(descriptors::without_descriptors_it_waits_and_goes_on),
        trial(spoken::who_is_too_slow_or_says_too_much_is_counted),
        trial(spoken::every_other_refusal_is_counted),
        trial(spoken::frames_that_are_none_are_counted),
    ];
    let is_elsewhere = crowd::address_of_ours().is_some();
    trials.push(trial_if(
        is_elsewhere,
        "there is no address but loopback",
        crowd::one_address_has_its_share_and_no_more,
    ));
    let is_root = rustix::process::geteuid().is_root();
    trials.push(trial_if(is_root, "only root can be another user", user::another_user_is_counted));
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test named after its function.
fn trial(test: impl Fn() + Send + 'static) -> Trial {
    let path = type_name_of_val(&test);
    let name = path.rsplit("::").next().unwrap_or(path).to_owned();
    Trial::test(name, move || {
        test();
        Ok(())
    })
}

/// A test that needs what may not be here: then it is shown as ignored, and says so.
fn trial_if(is_here: bool, why_not: &str, test: impl Fn() + Send + 'static) -> Trial {
    let trial = trial(test);
    if !is_here {
        _ = writeln!(io::stderr(), "SKIPPED: {}: {why_not}", trial.name()).is_ok();
    }
    trial.with_ignored_flag(!is_here)
}

/// Two threads, as a small machine has.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("there is room")
}
