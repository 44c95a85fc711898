//! The runtime through its public interface.

mod calls;
mod dials;
mod drops;
mod failures;
mod fair;
mod hangs;
mod life;
mod logged;
mod mailboxes;
mod measured;
mod multi;
mod names;
mod order;
mod out_of_reach;
mod peers;
mod planes;
mod ports;
mod remote;
mod restart_order;
mod restarts;
mod script;
mod senders;
mod together;
mod transport;
mod untold;
mod work;
