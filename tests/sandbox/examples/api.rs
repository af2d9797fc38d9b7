//! The API server alone: writes a kubeconfig to the path given and serves until Ctrl-C.

use obstack_sandbox::api::{ApiServer, Config};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: api KUBECONFIG [STATE-DIR]")?;
    let state_dir = std::env::args().nth(2).map(Into::into);
    let server = ApiServer::start(Config { state_dir, ..Config::default() }).await?;
    std::fs::write(&path, server.admin_kubeconfig())?;
    println!("{}\nexport KUBECONFIG={path}", server.url());
    tokio::signal::ctrl_c().await?;
    server.stop().await;
    Ok(())
}
