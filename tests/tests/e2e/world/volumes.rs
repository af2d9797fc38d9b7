//! Volumes of the default StorageClass, from the claim to the end of the folder.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use obstack_tests::server::Server;
use obstack_tests::wait::until;
use serde_json::json;

const BOUND: Duration = Duration::from_secs(60);

/// Asks a server with a node.
pub(super) async fn a_claim_is_bound_to_a_volume_that_goes_with_it(server: &Server) {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(server.client(), "default");
    let volumes: Api<PersistentVolume> = Api::all(server.client());
    let claim = json!({ "metadata": { "name": "data" }, "spec": {
        "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } }
    } });
    // The class is there a moment after the node: a claim without one gets it then.
    claims.create(&PostParams::default(), &serde_json::from_value(claim).unwrap()).await.unwrap();
    let volume = until("the claim to be bound", BOUND, || async {
        let claim = claims.get("data").await.map_err(|error| error.to_string())?;
        let bound = claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"));
        let name = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).filter(|_| bound);
        name.ok_or_else(|| serde_json::to_string(&claim).unwrap_or_default())
    })
    .await;
    let spec = volumes.get(&volume).await.unwrap().spec.unwrap();
    let folder = spec.host_path.unwrap().path;
    std::fs::create_dir_all(Path::new(&folder).join("content")).unwrap();

    claims.delete("data", &DeleteParams::default()).await.unwrap();
    until("the volume and its folder to be gone", BOUND, || async {
        let left = volumes.get_opt(&volume).await.map_err(|error| error.to_string())?;
        let there = Path::new(&folder).exists();
        if left.is_none() && !there { Ok(()) } else { Err(format!("folder: {there}; {left:?}")) }
    })
    .await;
}
