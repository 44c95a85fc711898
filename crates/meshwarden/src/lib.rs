//! Supervised n-dimensional meshes of processes and actors.
#![forbid(unsafe_code)]
