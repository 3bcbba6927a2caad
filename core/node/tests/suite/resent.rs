//! A task that is sent again while its secret is away.

use crate::support::start;
use conveyor_node::driver::ActionInfo;
use conveyor_node::session::{Hello, Ready, ToDriver};
use conveyor_node::{Adopt, Config, Node, Secrets};
use conveyor_store::Memory;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const DEPLOY: &str = "
apiVersion: conveyor/v1
kind: Pipeline
metadata: {name: deploy}
spec:
  secrets: [{name: token, from: \"file:token\"}]
  steps:
    - {id: push, driver: outside, secrets: {TOKEN: token}}
";

fn hello() -> Hello {
    let action = ActionInfo {
        name: "run".into(),
        inputs: None,
        outputs: None,
    };
    Hello {
        principal: "tester".into(),
        scope: None,
        driver: "outside".into(),
        version: "1.0.0".into(),
        actions: vec![(action, String::new())],
        capacity: 1,
        labels: Default::default(),
        queues: Vec::new(),
        sdk: String::new(),
        instance: String::new(),
        adopts: Vec::new(),
    }
}

#[tokio::test]
async fn a_task_that_its_driver_may_have_does_not_end_when_it_cannot_be_sent_again() {
    let away = Arc::new(AtomicBool::new(false));
    let vault = Arc::clone(&away);
    let secrets = Secrets::found_by(move |_| match vault.load(Ordering::SeqCst) {
        true => Err("nobody answers".to_owned()),
        false => Ok(b"hunter22".to_vec()),
    });
    let config = Config::new(
        Arc::new(Memory::new()),
        Vec::new(),
        tokio::runtime::Handle::current(),
    );
    let node = Node::open(Config {
        adopt: Adopt::All,
        secrets: Arc::new(secrets),
        ..config
    });
    let node = node.await.expect("a node");
    let (mut link, _) = node.open_session(hello()).await.expect("a session");
    let session = link.session();
    session
        .tell(conveyor_node::owner::SessionEvent::Credits(1))
        .expect("it is told");
    let run = start(&node, DEPLOY).await;
    let Some(ToDriver::Task(mut task)) = link.next().await else {
        panic!("no task came");
    };
    let Ready::Task(sent) = session.task((*task).clone()).await else {
        panic!("the task is not sent");
    };
    let secret = sent.secrets.iter().map(|(_, value)| value.clone()).next();
    assert_eq!(secret.as_deref(), Some(&b"hunter22"[..]));

    away.store(true, Ordering::SeqCst);
    task.again = true;
    let again = session.task((*task).clone()).await;
    assert!(matches!(again, Ready::Later), "{again:?}");
    let folded = node.reader().load(run).await.expect("a run");
    let claimed = folded.nonce(task.claimed.id);
    assert_eq!(claimed, Some(task.claimed.nonce), "the attempt goes on");

    away.store(false, Ordering::SeqCst);
    let again = session.task(*task).await;
    assert!(matches!(again, Ready::Task(_)), "{again:?}");
    node.shutdown().await.expect("it ends");
}
