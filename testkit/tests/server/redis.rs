use due_testkit::server::{Program, Server};

#[tokio::test]
async fn a_replica_has_what_its_master_had_and_may_replace_it() {
    let Some(master) = Server::start(Program::Redis).await else { return };
    assert_eq!(master.redis("SET a 1").await, "+OK\r\n");
    let replica = Server::replica_of(&master).await.unwrap();
    assert_eq!(replica.redis("GET a").await, "1\r\n");
    assert!(replica.redis("SET a 2").await.starts_with("-READONLY"));
    master.kill();
    replica.promote().await;
    assert_eq!(replica.redis("SET a 2").await, "+OK\r\n");
}
