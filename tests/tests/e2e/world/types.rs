//! The API types on a server, from those of each release to what the operator makes of the present ones. One server is
//! asked for all of it: its start costs more than the questions do.

use obstack_tests::server::Server;

use super::{goldens, refusals, upgrade};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_are_upgraded_and_enforced_and_what_is_made_of_stacks_is_taken() {
    let mut upgraded: Option<Server> = None;
    for release in upgrade::releases() {
        if let Some(before) = upgraded.take() {
            before.stop().await;
        }
        let server = Server::start_without_node().await;
        upgrade::stacks_outlive(&server, &release).await;
        upgraded = Some(server);
    }
    let server = upgraded.expect("a release");
    goldens::what_is_made_of_each_golden_stack_is_taken(&server).await;
    refusals::each_bound_and_rule_is_refused_with_its_message(&server).await;
    server.stop().await;
}
