//! Redis behind TLS. A server built without it cannot be asked: `make test-valkey` leaves these out, by name.

use super::{makes_all, point, says, world};
use crate::{
    support::{ports, redis_server::RedisServer},
    world::{World, told},
};

fn pem(name: &str) -> String {
    format!("{}/tests/it/topology/pem/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A world whose server also listens with TLS at a port. Its certificate is for 127.0.0.1 alone.
fn guarded(clients: &str) -> (World, u16) {
    let mut world = world(30);
    let port = ports::free();
    let (number, ca, cert, key) = (port.to_string(), pem("ca.pem"), pem("server.pem"), pem("server.key"));
    world.redis = RedisServer::start_with(&[
        "--tls-port",
        &number,
        "--tls-ca-cert-file",
        &ca,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-auth-clients",
        clients,
    ]);
    (world, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_made_over_tls_and_nothing_is_trusted_unseen() {
    let (world, port) = guarded("no");
    let url = format!("rediss://127.0.0.1:{port}/0");
    point(&world, &url, "");
    says(&world, "reach", "failed", &["certificate", "redis.ca_file"]);
    let refused = world.run(&["status"]);
    assert_eq!(refused.status.code(), Some(3), "{}", told(&refused));
    let authority = format!("ca_file = {:?}", pem("ca.pem"));
    // The right authority, and a certificate for somebody else.
    point(&world, &format!("rediss://localhost:{port}"), &authority);
    says(&world, "reach", "failed", &["certificate"]);
    point(&world, &format!("{url}#insecure"), "");
    says(&world, "reach", "failed", &["#insecure is not supported", "redis.ca_file"]);
    point(&world, &format!("redis://127.0.0.1:{port}"), "");
    says(&world, "reach", "failed", &["rediss://"]);
    point(&world, &format!("redis://127.0.0.1:{port}"), &authority);
    says(&world, "reach", "failed", &["begin with rediss://"]);

    point(&world, &url, &authority);
    says(&world, "reach", "ok", &[]);
    makes_all(&world, 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_certificates_gets_one() {
    let (world, port) = guarded("yes");
    let url = format!("rediss://127.0.0.1:{port}");
    let authority = format!("ca_file = {:?}", pem("ca.pem"));
    point(&world, &url, &authority);
    says(&world, "reach", "failed", &["certificate"]);
    let own = format!("{authority}\ncert_file = {:?}\nkey_file = {:?}", pem("server.pem"), pem("server.key"));
    point(&world, &url, &own);
    says(&world, "reach", "ok", &[]);
    makes_all(&world, 4).await;
}
