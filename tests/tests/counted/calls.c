/* Counts what a program asks of the system, without rights and without slowing it down: put before the C library by
 * LD_PRELOAD, it adds one to a counter in the file CALLS_FILE and passes the call on. Rust's standard library, mio and tokio
 * call the system through these functions and through nothing else. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { READS, WRITES, WAITS, OTHERS, KINDS };

static uint64_t unseen[KINDS];
static uint64_t *counts = unseen;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CALLS_FILE");
    int file = path ? open(path, O_RDWR) : -1;
    if (file < 0)
        abort();
    void *shared = mmap(NULL, sizeof unseen, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared == MAP_FAILED)
        abort();
    counts = shared;
    close(file);
}

#define PASS(kind, result, name, parameters, arguments)                                                                \
    result name parameters {                                                                                           \
        static result(*real) parameters;                                                                               \
        if (!real)                                                                                                     \
            real = (result(*) parameters)dlsym(RTLD_NEXT, #name);                                                      \
        __atomic_fetch_add(&counts[kind], 1, __ATOMIC_RELAXED);                                                        \
        return real arguments;                                                                                         \
    }

PASS(READS, ssize_t, read, (int s, void *b, size_t n), (s, b, n))
PASS(READS, ssize_t, readv, (int s, const struct iovec *v, int n), (s, v, n))
PASS(READS, ssize_t, recv, (int s, void *b, size_t n, int f), (s, b, n, f))
PASS(READS, ssize_t, recvfrom, (int s, void *b, size_t n, int f, struct sockaddr *a, socklen_t *l), (s, b, n, f, a, l))
PASS(READS, ssize_t, recvmsg, (int s, struct msghdr *m, int f), (s, m, f))
PASS(READS, int, recvmmsg, (int s, struct mmsghdr *m, unsigned n, int f, struct timespec *t), (s, m, n, f, t))

PASS(WRITES, ssize_t, write, (int s, const void *b, size_t n), (s, b, n))
PASS(WRITES, ssize_t, writev, (int s, const struct iovec *v, int n), (s, v, n))
PASS(WRITES, ssize_t, send, (int s, const void *b, size_t n, int f), (s, b, n, f))
PASS(WRITES, ssize_t, sendto, (int s, const void *b, size_t n, int f, const struct sockaddr *a, socklen_t l),
     (s, b, n, f, a, l))
PASS(WRITES, ssize_t, sendmsg, (int s, const struct msghdr *m, int f), (s, m, f))
PASS(WRITES, int, sendmmsg, (int s, struct mmsghdr *m, unsigned n, int f), (s, m, n, f))

/* A wait that the stop of the whole program ends early is no work of the program: its next one takes its place. */
int epoll_wait(int e, struct epoll_event *v, int n, int t) {
    static int (*real)(int, struct epoll_event *, int, int);
    if (!real)
        real = (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
    int count = real(e, v, n, t);
    if (count >= 0 || errno != EINTR)
        __atomic_fetch_add(&counts[WAITS], 1, __ATOMIC_RELAXED);
    return count;
}

PASS(WAITS, int, epoll_ctl, (int e, int o, int s, struct epoll_event *v), (e, o, s, v))
PASS(WAITS, int, poll, (struct pollfd *p, nfds_t n, int t), (p, n, t))
PASS(WAITS, int, clock_nanosleep, (clockid_t c, int f, const struct timespec *t, struct timespec *l), (c, f, t, l))
PASS(WAITS, int, nanosleep, (const struct timespec *t, struct timespec *l), (t, l))

PASS(OTHERS, int, accept4, (int s, struct sockaddr *a, socklen_t *l, int f), (s, a, l, f))
PASS(OTHERS, int, getsockopt, (int s, int l, int o, void *v, socklen_t *n), (s, l, o, v, n))
PASS(OTHERS, int, setsockopt, (int s, int l, int o, const void *v, socklen_t n), (s, l, o, v, n))
PASS(OTHERS, int, sched_yield, (void), ())

/* Locks and parked threads: the standard library calls futex by its number. */
long syscall(long number, ...) {
    static long (*real)(long, ...);
    if (!real)
        real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    long a[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(rest, long);
    va_end(rest);
    __atomic_fetch_add(&counts[OTHERS], 1, __ATOMIC_RELAXED);
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
