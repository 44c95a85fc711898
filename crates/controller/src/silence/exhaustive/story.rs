//! A way to a broken world, told one line per event.

use super::model::{Grid, Model};
use super::search::Found;
use super::world::{Broken, Event};

/// The way that was found, or nothing if nothing is broken.
///
/// # Panics
///
/// If a renewal is read that was never sent: such a way is none.
pub(super) fn told(found: &Found, model: &Model) -> Vec<String> {
    let Some((broken, way)) = &found.broken else { return Vec::new() };
    let (mut step, mut lines, mut sent) =
        (0, vec!["0.00 T: controller 1 starts".to_owned()], Vec::new());
    for event in way {
        step += u32::from(matches!(event, Event::Pass | Event::Pause));
        match *event {
            Event::Hear { rank, by, age } => sent.push((rank, by, step - u32::from(age))),
            Event::Renew { rank, by, age } => {
                let echo = (rank, by, step - u32::from(age));
                assert!(sent.contains(&echo), "{event:?} at {step} was never sent: {way:?}");
            }
            Event::Start { .. } | Event::Crash | Event::TakeOver => {}
            Event::Pass | Event::Pause => continue,
        }
        lines.push(format!("{}: {}", at(step, &model.grid), said(*event, step, &model.grid)));
    }
    lines.push(format!("{}: {}", at(step, &model.grid), ending(*broken)));
    lines
}

fn said(event: Event, step: u32, grid: &Grid) -> String {
    let sent = |age: u8| at(step - u32::from(age), grid);
    match event {
        Event::Start { rank, by, echoed: None } => {
            format!("rank {rank} is started by controller {}, which had heard nothing", by + 1)
        }
        Event::Start { rank, by, echoed: Some(age) } => {
            let echoed = sent(age);
            format!("rank {rank} is started by controller {}, which had heard {echoed}", by + 1)
        }
        Event::Hear { rank, by, age } => {
            format!("controller {} hears the beat of {} of rank {rank}", by + 1, sent(age))
        }
        Event::Renew { rank, by, age } => {
            format!("rank {rank} reads the echo of {} by controller {}", sent(age), by + 1)
        }
        Event::Crash => "controller 1 dies".to_owned(),
        Event::TakeOver => "controller 2 starts".to_owned(),
        Event::Pass | Event::Pause => String::new(),
    }
}

fn ending(broken: Broken) -> String {
    match broken {
        Broken::TwoLives { rank } => format!("rank {rank} has been given up, but lives"),
        Broken::Harmed { rank } => format!("rank {rank} is harmed, though its echoes came through"),
    }
}

fn at(step: u32, grid: &Grid) -> String {
    format!("{:.2} T", f64::from(step) / f64::from(grid.steps_per_lease))
}
