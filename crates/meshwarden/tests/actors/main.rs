//! Meshes of actors on real processes, over TCP. The test binary re-executes itself as guards and workers.

mod calls;
mod ends;
mod hangs;
mod pauses;
mod program;
mod secrets;
mod support;
mod tool;
mod tree;

use std::any::type_name_of_val;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use meshwarden::Root;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::support::{Outcome, TEST_WITHIN};

fn main() -> ExitCode {
    meshwarden::main(
        |registry| _ = registry.actor::<tool::Tool>().actor::<tool::Heavy>(),
        async |root| {
            let mut args = std::env::args().skip(1);
            if args.next().as_deref() == Some(program::ARGUMENT) {
                let lease = args.next().ok_or("it has a lease")?.parse()?;
                return program::be_a_program(&root, Duration::from_millis(lease)).await;
            }
            let root = Arc::new(root);
            let wall_clocks =
                trial(&root, pauses::an_hour_forth_and_back_on_the_wall_clocks_changes_nothing);
            let can_step = pauses::can_step();
            if !can_step {
                let name = wall_clocks.name();
                let why = "there is no faketime on the PATH";
                _ = writeln!(io::stderr(), "SKIPPED: {name}: {why}").is_ok();
            }
            let trials = vec![
                trial(&root, calls::every_process_is_called_and_answers_in_its_place),
                trial(&root, calls::a_slice_is_called_and_cast_to_in_order),
                trial(&root, calls::a_ref_is_called_from_process_to_process),
                trial(&root, calls::a_mesh_on_some_of_the_processes_has_their_ranks),
                trial(&root, calls::a_large_message_reaches_every_process),
                trial(&root, ends::real_processes_keep_the_contract_of_homes),
                trial(&root, ends::a_killed_process_is_the_answer_of_its_rank_at_once),
                trial(&root, ends::a_process_that_exits_is_told_with_its_code),
                trial(&root, ends::a_panic_is_told_with_its_place_and_the_process_lives_on),
                trial(&root, ends::a_suspended_process_is_left_to_the_deadline_and_answers_later),
                trial(&root, ends::a_process_that_was_suspended_for_long_is_used_again),
                trial(&root, ends::a_blocked_handler_keeps_nobody_from_supervising_its_process),
                trial(&root, ends::a_process_that_is_started_again_gets_its_actor_again),
                trial(&root, ends::a_mesh_that_is_dropped_leaves_its_processes_to_others),
                trial(&root, ends::processes_that_are_dropped_are_told_with_their_actors),
                trial(&root, ends::parameters_that_are_too_large_are_refused_with_the_reason),
                trial(&root, hangs::a_handler_that_blocks_is_told_of_its_rank_and_its_process),
                trial(&root, hangs::a_handler_that_waits_is_told_of_its_rank_only),
                trial(&root, hangs::a_poisoned_process_refuses_spawns_and_says_why),
                trial(&root, secrets::a_worker_shows_nobody_what_it_was_told),
                trial(&root, tree::every_process_is_reached_over_others_in_order),
                trial(&root, tree::a_forwarder_that_is_killed_in_mid_call_holds_nobody_up),
                trial(&root, tree::a_forwarder_that_is_suspended_holds_nobody_up),
                trial(&root, tree::replies_are_merged_in_processes_on_the_way),
                trial(&root, ends::a_stop_lets_actors_clean_up),
                trial(&root, ends::who_was_asked_to_end_has_stopped_with_a_host_that_is_closed),
                trial(&root, pauses::an_owner_that_is_suspended_for_less_than_its_lease_is_told_nothing),
                trial(
                    &root,
                    pauses::actors_of_an_owner_that_is_suspended_beyond_its_lease_are_orphaned_and_not_crashed,
                ),
                wall_clocks.with_ignored_flag(!can_step),
            ];
            let arguments = Arguments::from_args();
            let run = move || libtest_mimic::run(&arguments, trials);
            Ok(tokio::task::spawn_blocking(run).await?.exit_code())
        },
    )
}

/// A test named after its function, with a deadline.
fn trial<T, F>(root: &Arc<Root>, test: T) -> Trial
where
    T: Fn(Arc<Root>) -> F + Send + 'static,
    F: Future<Output = Outcome>,
{
    let path = type_name_of_val(&test);
    let name = path.rsplit("::").next().unwrap_or(path);
    let (root, runtime) = (Arc::clone(root), Handle::current());
    Trial::test(name, move || {
        let outcome = runtime.block_on(async { timeout(TEST_WITHIN, test(root)).await });
        outcome.map_err(Failed::from)?.map_err(Failed::from)
    })
}
