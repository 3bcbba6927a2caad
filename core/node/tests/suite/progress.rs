//! How far tasks of this process are.

use crate::harness::pipeline;
use crate::support::{Closure, done, finish, start};
use conveyor_engine::run::RunState;
use conveyor_node::{Config, Node, Secrets};
use conveyor_store::Memory;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};

#[tokio::test]
async fn progress_is_without_secrets_within_its_limits_and_gone_with_its_task() {
    let (tellers, mut telling) = mpsc::unbounded_channel();
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let driver = Closure::driver(move |_, context| {
        let (tellers, go) = (tellers.clone(), Arc::clone(&wait));
        async move {
            context.progress.tell(Some(10), "it has begun");
            tellers.send(context.progress).unwrap();
            go.notified().await;
            done()
        }
    });
    let runtime = tokio::runtime::Handle::current();
    let secrets = Secrets::found_by(|_| Ok(b"hunter2-hunter2".to_vec()));
    let config = Config {
        secrets: Arc::new(secrets),
        ..Config::new(Arc::new(Memory::new()), vec![driver], runtime)
    };
    let node = Node::open(config).await.unwrap();
    let yaml = pipeline("    - { id: a, driver: exec, secrets: { TOKEN: token } }\n");
    let yaml = yaml.replace(
        "spec:\n",
        "spec:\n  secrets: [{ name: token, from: \"file:token\" }]\n",
    );
    let run = start(&node, &yaml).await;
    let teller = telling.recv().await.unwrap();
    let told = || {
        let all = node.progress(run).into_iter();
        let all: Vec<_> = all.map(|(_, told)| (told.permille, told.message)).collect();
        all
    };
    assert_eq!(told(), [(Some(10), "it has begun".to_owned())]);
    teller.tell(Some(2000), "with hunter2-hunter2");
    assert_eq!(told(), [(Some(1000), "with ***".to_owned())]);
    teller.tell(None, &"é".repeat(1000));
    assert_eq!(told(), [(None, "é".repeat(512))]);
    teller.tell(None, "");
    assert_eq!(told(), []);
    teller.tell(Some(999), "nearly");
    go.notify_one();
    assert_eq!(finish(&node, run).await.state(), RunState::Succeeded);
    teller.tell(Some(1000), "too late");
    assert_eq!(told(), []);
    node.shutdown().await.unwrap();
}
