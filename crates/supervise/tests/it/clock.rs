//! clock: moments are of tokio's monotonic clock (L4).

use std::time::Duration;

use mesh_core::Timestamp;
use supervise::Clock;
use tokio::time::advance;

/// L4: time passes when the runtime's clock says so, and not otherwise; copies agree.
#[tokio::test(start_paused = true)]
async fn moments_are_of_the_clock_of_the_runtime_and_of_no_other() {
    let clock = Clock::start();
    let copy = clock;
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(clock.now(), Timestamp::START, "real time has passed, and this clock stands");
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(clock.now(), Timestamp::from_start(Duration::from_secs(3_600)));
    assert_eq!(copy.now(), clock.now());
}
