//! Settings of due: live ones from file, etcd and consul, and those a program boots with.
