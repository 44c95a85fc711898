//! Four processes on each of two hosts; the owner is told of every failure, once.

#![expect(clippy::print_stdout, reason = "it is how an example speaks")]

use meshwarden::prelude::*;

fn main() -> ExitCode {
    meshwarden::main(
        |_| (),
        async |root| {
            let hosts = root.hosts(2).await?;
            let shape = extent!(hosts = 2, procs = 4)?;
            let script = "sleep 0.$RANK; echo rank $RANK is done >&2; exit $((RANK % 3))";
            let mut mesh = root.procs(shape).command("sh", ["-c", script]).spawn(&hosts).await?;

            while let Some(news) = mesh.next().await {
                match news {
                    ProcNews::Failed(failures) => println!("{failures}"),
                    ProcNews::Finished(state) => println!("the mesh has {:?}", state.phase),
                    ProcNews::Unkillable(left) => println!("{left}"),
                    ProcNews::Worker(_) => (),
                }
            }
            hosts.close().await;
            Ok(ExitCode::SUCCESS)
        },
    )
}
