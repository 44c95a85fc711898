//! Broadcast and merged replies over a mesh.
#![forbid(unsafe_code)]
