//! Supervised meshes of processes: launching, guarding, and the truth about every end.
#![forbid(unsafe_code)]
