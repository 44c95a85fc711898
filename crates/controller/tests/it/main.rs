//! controller: what must hold of supervision, one module for each topic.

mod health;
mod r#loop;
mod model;
mod notifications;
mod restarts;
mod silence;
mod stop;
mod support;
