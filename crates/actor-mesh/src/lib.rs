//! Supervised meshes of actors on processes.
#![forbid(unsafe_code)]
