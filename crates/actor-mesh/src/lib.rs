//! Supervised meshes of actors on processes.
//!
//! **Not written yet: this crate is empty.** It will have an agent in each process that spawns
//! registered actors by name and answers for them, an n-dimensional mesh of actors that can be
//! sliced, cast to, called and supervised, and an in-process home for both.
//!
//! A call to a mesh will never hang on a dead rank, and an actor will never show as healthier than
//! the process it lives in.
#![forbid(unsafe_code)]
