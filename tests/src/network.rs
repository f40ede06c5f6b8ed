//! Machines that can be cut off from each other: network namespaces of Linux on one bridge.

use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// A bridge, in a namespace of its own. Its hosts and the test itself reach each other over it. All of it is removed
/// when the last one who has it lets go.
#[derive(Debug, Clone)]
pub struct Network(Arc<Bridge>);

#[derive(Debug)]
struct Bridge {
    name: String,
    /// The first three numbers of its addresses.
    net: String,
    hosts: AtomicU8,
}

/// A machine: what is started in it has an address of its own.
#[derive(Debug, Clone)]
pub struct Host {
    network: Network,
    number: u8,
}

/// The address of the test itself.
const TEST: u8 = 1;

impl Network {
    /// Makes one.
    ///
    /// # Errors
    /// Why this machine does not let it: that takes root, or its like, and `ip`.
    pub fn make() -> Result<Self, String> {
        let pid = std::process::id();
        let bridge = Bridge {
            name: format!("ar{pid}"),
            net: format!("10.{}.{}", 64 + pid % 64, pid / 64 % 256),
            hosts: AtomicU8::new(TEST),
        };
        let name = bridge.name.clone();
        let address = format!("{}.{TEST}/24", bridge.net);
        let network = Self(Arc::new(bridge));
        for arguments in [
            format!("netns add {name}"),
            format!("-n {name} link add br0 type bridge"),
            format!("-n {name} link set br0 up"),
            format!("link add {name} type veth peer name p{TEST} netns {name}"),
            format!("-n {name} link set p{TEST} master br0 up"),
            format!("addr add {address} dev {name}"),
            format!("link set {name} up"),
        ] {
            ip(&arguments)?;
        }
        Ok(network)
    }

    /// A new machine on it.
    ///
    /// # Panics
    /// When it cannot be made, though the network could.
    pub fn host(&self) -> Host {
        let number = self.0.hosts.fetch_add(1, Ordering::SeqCst) + 1;
        let host = Host { network: self.clone(), number };
        let (bridge, name, address) = (&self.0.name, host.name(), host.address());
        for arguments in [
            format!("netns add {name}"),
            format!("-n {bridge} link add p{number} type veth peer name eth0 netns {name}"),
            format!("-n {bridge} link set p{number} master br0 up"),
            format!("-n {name} addr add {address}/24 dev eth0"),
            format!("-n {name} link set lo up"),
            format!("-n {name} link set eth0 up"),
        ] {
            must(&arguments);
        }
        host
    }
}

impl Host {
    fn name(&self) -> String {
        format!("{}-{}", self.network.0.name, self.number)
    }

    /// Its address.
    pub fn address(&self) -> String {
        format!("{}.{}", self.network.0.net, self.number)
    }

    /// The same command on this machine: its program, arguments and variables. What it reads and writes is to be set after.
    pub fn on(&self, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.name()]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    /// Nothing comes or goes any more. Nobody is told.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn cut(&self) {
        must(&format!("-n {} link set p{} down", self.network.0.name, self.number));
    }

    /// Ends what [`Host::cut`] began.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn mend(&self) {
        must(&format!("-n {} link set p{} up", self.network.0.name, self.number));
    }

    /// What it sends to these machines goes nowhere; all others hear it.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn cut_from(&self, others: &[Host]) {
        others
            .iter()
            .for_each(|other| must(&format!("-n {} route add blackhole {}", self.name(), other.address())));
    }

    /// Ends what [`Host::cut_from`] began.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn mend_to(&self, others: &[Host]) {
        others
            .iter()
            .for_each(|other| must(&format!("-n {} route del blackhole {}", self.name(), other.address())));
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // What lives in a namespace goes with it; one that was never made cannot be removed.
        let _ = ip(&format!("link del {}", self.name));
        for number in TEST + 1..=self.hosts.load(Ordering::SeqCst) {
            let _ = ip(&format!("netns del {}-{number}", self.name));
        }
        let _ = ip(&format!("netns del {}", self.name));
    }
}

fn must(arguments: &str) {
    ip(arguments).expect("the network is there, and takes what it took before");
}

fn ip(arguments: &str) -> Result<(), String> {
    let Output { status, stderr, .. } =
        Command::new("ip").args(arguments.split(' ')).output().map_err(|error| format!("`ip`: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("`ip {arguments}`: {}", String::from_utf8_lossy(&stderr).trim()))
}
