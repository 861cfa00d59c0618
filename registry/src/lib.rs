//! Who is alive, for due: registries etcd and consul.
