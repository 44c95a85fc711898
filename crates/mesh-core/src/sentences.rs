//! What the codes in the docs, such as (N1), stand for: what must hold of every mesh, one sentence each.
//!
//! A test that proves one names it, and so does a planted bug that breaks it. `ARCHITECTURE.md` says which hold today. A
//! *rank* is one host, process or actor of a mesh; its *owner* has made the mesh, a *subscriber* watches it, its
//! *controller* supervises it, and an *agent* lives next to the ranks and knows the truth about them.
//!
//! # Status
//!
//! | code | what holds |
//! |---|---|
//! | ST1 | How far a rank is in its life is a matter of its own: who waits for "at least ended" is not satisfied by one that does not exist, or is silent. |
//! | ST2 | Why a rank ended is data, with its last lines on standard error and what caused what; it becomes text when it is shown. |
//! | ST3 | Nothing shows as healthier than what it lives in. |
//! | ST4 | Who is asked to stop and ends well, or by the signal that was sent for it, has stopped; any other end is a failure. |
//!
//! # Health
//!
//! | code | what holds |
//! |---|---|
//! | H1 | What is older than what is known of a rank changes nothing; what says the same is no change. |
//! | H2 | An end is final for its life, whatever arrives later. A restart is a new life. |
//! | H3 | Who is stopping only ends, and a crash meanwhile keeps its cause. |
//! | H4 | A rank that is stalled or silent comes back by any answer, and with no failure told; only evidence makes an end, and only a lease that has run out a timeout. |
//! | H5 | A failure names the rank in the view of whoever is told; what is no rank's failure marks none. |
//! | H6 | All that failed in one step is told together, each with its cause. |
//! | H7 | One failure ends nothing for the others. |
//! | H8 | A mesh in which nothing happens costs next to nothing, however large it is; what happens costs what has changed. |
//! | H9 | A mesh of nobody is legal everywhere. |
//!
//! # Notifications
//!
//! | code | what holds |
//! |---|---|
//! | N1 | The owner is told each failure exactly once, and nothing of a clean stop. |
//! | N2 | A subscriber is told each end exactly once, clean ones too; of one that lags see N7. |
//! | N3 | While anybody lives a subscriber is told something in each period, and be it that nothing happened. |
//! | N4 | With the last end a subscriber is told that all have ended, and then nothing. |
//! | N5 | Who subscribes is first told all that is, with a number from which all that follows is counted. |
//! | N6 | Who subscribes to a part is told what happens there, and what concerns the mesh as one. |
//! | N7 | A subscriber that has gone is let go of; a slow one costs bounded memory, is told that it has lagged and what each rank is by then, and loses no rank's end; of lives that others have followed it sees that they ended. |
//! | N8 | Each failure names its mesh, ranks, coordinates, cause, and who reports it. |
//! | N9 | Nothing invents the failure of a healthy rank: no lost question, no slow link, no step of a clock. |
//! | N10 | Who hears nothing for three periods is told that the controller is lost; no rank is marked, and its next word ends it. |
//!
//! # The controller
//!
//! | code | what holds |
//! |---|---|
//! | L1 | It asks its agents for all that is, and then for each change. |
//! | L2 | At most one check is under way, and it holds up nothing else. |
//! | L3 | A check is one question to all with one deadline; only who was not heard since it was sent is suspect. |
//! | L4 | A check that begins late is counted and logged; the wall clock changes nothing. |
//! | L5 | Checks of many controllers are spread in time. |
//! | L6 | It ends when every rank has ended and none is to be started again, and not before. |
//! | L7 | It says what each rank and the mesh is; waits have deadlines, and agents answer them themselves. |
//! | L8 | All of that can be asked from other processes, too. |
//!
//! # Stop, cleanup, restart
//!
//! | code | what holds |
//! |---|---|
//! | C1 | A stop tells the subscribers, asks the ranks, kills after a grace, and answers with what all are; a second one changes nothing. |
//! | C2 | A controller that ends, however it does, ends what it supervises: no mesh outlives its owner. |
//! | C3 | A mesh can be stopped with dead ranks in it, and others can be spawned where it was. |
//! | C4 | A spawn that fails for some ends the others, names each with its cause, and leaves nothing behind. |
//! | RS1 | A failure that is mended is told once, with the restart that follows; and before it, which ranks that had ended begin again with it. A restart that cannot be after all is taken back, once, and no life is told of that never was. |
//! | RS2 | A mesh that waits for a restart has not ended. |
//! | RS3 | More restarts than are granted are told once, with all that failed. |
//!
//! # Leases
//!
//! | code | what holds |
//! |---|---|
//! | K1 | Each agent has one lease of each mesh, which counts from the newest beat of its own that its controller has heard. |
//! | K2 | All that is spawned has a lease from the start, and is killed when that has run out. |
//! | K3 | What runs in a program's own hosts ends with it; what runs elsewhere ends by its lease, unless a controller with a higher epoch adopts it before. |
//!
//! # Calls
//!
//! | code | what holds |
//! |---|---|
//! | R1 | A call never hangs on a dead rank: each rank is answered for, failures too. |
//! | R2 | A cast reaches each living rank once, in order among those of one sender. |
//! | R3 | What cannot be delivered comes back with the reason, counted and logged; nothing is lost without a word. |
//!
//! # Escalation
//!
//! | code | what holds |
//! |---|---|
//! | E1 | An actor that fails ends its children, and its parent is asked. |
//! | E2 | What nobody handles goes up, from owner to owner; at the root it is told once, and the program ends with exit code 1. |
