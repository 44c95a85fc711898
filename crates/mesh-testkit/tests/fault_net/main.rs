//! `fault_net`: it keeps the contract of transports under every fault, and a seed repeats a run.

mod contract;
mod faults;
mod procs;
mod repeats;
mod seeds;
mod support;
