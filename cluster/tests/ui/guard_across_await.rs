//~ expects: or from an async fn whose future is Send (no std MutexGuard or Rc across an await)
mod common;
use common::*;
use due_cluster::handler::*;
use std::sync::{Arc, Mutex};

async fn h(State(s): State<Arc<Mutex<u32>>>) -> Told {
    let held = s.lock().unwrap();
    std::future::ready(()).await;
    Told(*held)
}

fn main() {
    let _ = Routes::<Arc<Mutex<u32>>>::new().route(ASK, h);
}
