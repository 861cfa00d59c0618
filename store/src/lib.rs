//! Shared state for due: locator, lock and cache on redis, locator on etcd.
