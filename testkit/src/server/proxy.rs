use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    sync::mpsc as blocking,
    thread,
    time::Duration,
};

use due_servers::Ports;
use tokio::{
    net::TcpStream,
    runtime::Builder,
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    pipe::{Faults, join},
    start::wanted,
};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the one who connected to the address behind the proxy.
    ToServer,
    /// Back.
    ToClient,
}

/// A tcp proxy on loopback: the network between a client and a server, which fails on command.
///
/// It runs on a thread of its own in real time, whatever the runtime of the test does. Each command has happened when
/// its method returns. Dropping it closes all.
pub struct Proxy {
    address: String,
    faults: [watch::Sender<Faults>; 2],
    /// `None` only while it is dropped.
    orders: Option<mpsc::UnboundedSender<(Order, blocking::Sender<()>)>>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Cut,
    Open,
    CloseAll,
}

impl Proxy {
    /// A way to `address`, `host:port`, open and without faults. Nobody needs to listen there yet.
    ///
    /// # Panics
    /// When the machine has no port or thread left.
    pub async fn to(address: impl Into<String>) -> Self {
        let (target, ports) = (address.into(), wanted(Ports::free(1)));
        let listener = wanted(listen(&ports));
        let faults = [const { Faults { silent: false, delay: Duration::ZERO } }; 2].map(watch::Sender::new);
        let (orders, received) = mpsc::unbounded_channel();
        let address = format!("127.0.0.1:{}", ports.first());
        let way = Way { target, ports, faults: faults.each_ref().map(watch::Sender::subscribe), open: JoinSet::new() };
        let runtime = wanted(Builder::new_current_thread().enable_all().build());
        let thread =
            thread::Builder::new().name("proxy".into()).spawn(move || runtime.block_on(way.run(listener, received)));
        Self { address, faults, orders: Some(orders), thread: Some(wanted(thread)) }
    }

    /// Where to connect to: `127.0.0.1:port`, the same for its whole life.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Closes all connections and refuses new ones.
    pub fn cut(&self) {
        self.order(Order::Cut);
    }

    /// Takes back what `cut`, `swallow` and `delay` did. What was held back by `swallow` arrives now.
    ///
    /// # Panics
    /// When another program has taken the port meanwhile.
    pub fn mend(&self) {
        self.faults.iter().for_each(|f| _ = f.send_replace(Faults::default()));
        self.order(Order::Open);
    }

    /// Lets nothing pass in this direction, not even the end of a connection; the other way stays open. Bytes wait, as
    /// they do in a network that sends again what was lost: they arrive after [`Proxy::mend`], or never when the
    /// connection closes first.
    pub fn swallow(&self, direction: Direction) {
        let [to_server, to_client] = &self.faults;
        let faults = if direction == Direction::ToServer { to_server } else { to_client };
        faults.send_modify(|f| f.silent = true);
    }

    /// Lets each byte that is sent from now on travel so long, in both directions. The order stays.
    pub fn delay(&self, time: Duration) {
        self.faults.iter().for_each(|f| f.send_modify(|f| f.delay = time));
    }

    /// Closes all connections; new ones are welcome.
    pub fn close_all(&self) {
        self.order(Order::CloseAll);
    }

    fn order(&self, order: Order) {
        let (done, wait) = blocking::channel();
        let sent = self.orders.as_ref().is_some_and(|orders| orders.send((order, done)).is_ok());
        let done = sent && wait.recv().is_ok();
        wanted(if done { Ok(()) } else { Err(format!("the proxy {} has ended at {order:?}", self.address)) });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

/// The part on the thread.
struct Way {
    target: String,
    ports: Ports,
    faults: [watch::Receiver<Faults>; 2],
    open: JoinSet<()>,
}

impl Way {
    async fn run(mut self, listener: TcpListener, mut orders: mpsc::UnboundedReceiver<(Order, blocking::Sender<()>)>) {
        let mut listener = tokio::net::TcpListener::from_std(listener).ok();
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => {
                    let Some((order, done)) = order else { return };
                    self.obey(order, &mut listener).await;
                    let _ = done.send(());
                }
                Some(client) = accept(listener.as_ref()) => self.carry(client),
                Some(_) = self.open.join_next() => {}
            }
        }
    }

    async fn obey(&mut self, order: Order, listener: &mut Option<tokio::net::TcpListener>) {
        match order {
            Order::Open if listener.is_some() => return,
            Order::Open => *listener = Some(wanted(listen(&self.ports).and_then(tokio::net::TcpListener::from_std))),
            Order::Cut => listener.take().iter().for_each(close),
            Order::CloseAll => {}
        }
        self.open.shutdown().await;
    }

    fn carry(&mut self, client: TcpStream) {
        let (target, faults) = (self.target.clone(), self.faults.clone());
        self.open.spawn(async move {
            if let Ok(server) = TcpStream::connect(target).await {
                join(client, server, faults).await;
            }
        });
    }
}

/// Never, without a listener.
async fn accept(listener: Option<&tokio::net::TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(client, _)| client),
        None => std::future::pending().await,
    }
}

/// At once, also when a process that another test starts right now has a copy of it for a moment.
fn close(listener: &tokio::net::TcpListener) {
    let _ = rustix::net::shutdown(listener, rustix::net::Shutdown::Both);
}

fn listen(ports: &Ports) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, ports.first()))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
