//! Links of due between servers: link, grpc, tarpc.
