// What Glibc's Swift module lacks of the Linux kernel's interface, and the few C functions that Swift cannot express.
// Everything is a declaration or `static inline`: the module has no object file.
#ifndef SLUICE_CLINUX_H
#define SLUICE_CLINUX_H

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/rtnetlink.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

/// memmem(3), which is declared only with _GNU_SOURCE too.
extern void *memmem(const void *haystack, size_t haystack_length, const void *needle, size_t needle_length);
/// setns(2); glibc declares it only with _GNU_SOURCE, with which this module would disagree with Glibc's on fd_set.
static inline int sluice_pidfd_open(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }
static inline int sluice_setns(int fd, int type) { return (int)syscall(SYS_setns, fd, type); }

// Opens a path as the root directory would have it: neither ".." nor a symbolic link leads out (openat2(2), Linux 5.6).
static inline int sluice_open_in_root(int root, const char *path, uint64_t flags, uint64_t mode) {
    struct open_how how = {.flags = flags, .mode = mode, .resolve = RESOLVE_IN_ROOT};
    return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/// Starts a program with standard input and output of its own, which is killed when the thread that has started it ends, and
/// is a process group. Returns its pid, or the negative errno. posix_spawn(3) knows no such bond.
static inline int sluice_spawn_bound(
    const char *program, char *const *arguments, char *const *environment, int input, int output) {
    volatile int failure = 0;
    pid_t parent = getpid();
    // The child has its own descriptors and signals, and this memory until it has become the program.
    pid_t child = vfork();
    if (child < 0) return -errno;
    if (child == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || setpgid(0, 0) != 0) failure = errno;
        // What has its place already would be closed there.
        if (input == 0 ? fcntl(0, F_SETFD, 0) < 0 : dup2(input, 0) < 0) failure = errno;
        if (output == 1 ? fcntl(1, F_SETFD, 0) < 0 : dup2(output, 1) < 0) failure = errno;
        // Whoever has ended before that is not told of.
        if (getppid() != parent) failure = ESRCH;
        // What is ignored here is not to be ignored there.
        signal(SIGPIPE, SIG_DFL);
        if (failure == 0) execve(program, arguments, environment);
        if (failure == 0) failure = errno;
        _exit(126);
    }
    if (failure == 0) return child;
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
    return -failure;
}

// MARK: - The writer

/// One write that may block for ever: which file, and what to write with exactly one write(2).
struct sluice_write_request {
    uint64_t id;
    uint32_t value_length;
    char path[512];
    char value[256];
};

/// Sent when a write starts (`started` is 1) and when it has ended (`started` is 0, `error` is 0 or the errno).
/// `thread` is the kernel's id of the thread that does it, so that whoever waits can say where it is stuck.
struct sluice_write_reply {
    uint64_t id;
    int32_t started;
    int32_t thread;
    int32_t error;
};

struct sluice_writer_job {
    int socket;
    struct sluice_write_request request;
};

static inline int sluice_write_once(const char *path, const char *value, uint32_t length) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return errno;
    ssize_t written = write(fd, value, length);
    int error = written < 0 ? errno : (size_t)written == length ? 0 : EIO;
    close(fd);
    return error;
}

static inline void *sluice_writer_job_run(void *argument) {
    struct sluice_writer_job *job = (struct sluice_writer_job *)argument;
    struct sluice_write_reply reply;
    memset(&reply, 0, sizeof reply);
    reply.id = job->request.id;
    reply.started = 1;
    reply.thread = (int32_t)syscall(SYS_gettid);
    (void)send(job->socket, &reply, sizeof reply, MSG_NOSIGNAL);
    reply.error = sluice_write_once(job->request.path, job->request.value, job->request.value_length);
    reply.started = 0;
    (void)send(job->socket, &reply, sizeof reply, MSG_NOSIGNAL);
    free(job);
    return NULL;
}

/// A descriptor that the writer keeps open: a lock on it outlives whoever sent it, until the last write has returned.
struct sluice_kept_descriptor {
    struct sluice_kept_descriptor *next;
    int descriptor;
    char name[512];
};

/// Receives one message, and the descriptor that may come with it; -1 when none does.
static inline ssize_t sluice_writer_receive(int socket, struct sluice_write_request *request, int *descriptor) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {request, sizeof *request};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    *descriptor = -1;
    ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = got < 0 ? NULL : CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int))) {
        memcpy(descriptor, CMSG_DATA(header), sizeof *descriptor);
    }
    return got;
}

/// Keeps a descriptor under a name, or closes those of that name when there is none.
static inline void sluice_writer_remember(struct sluice_kept_descriptor **list, const char *name, int descriptor) {
    if (descriptor >= 0) {
        struct sluice_kept_descriptor *kept = (struct sluice_kept_descriptor *)calloc(1, sizeof *kept);
        if (kept == NULL) return;
        kept->descriptor = descriptor;
        strncpy(kept->name, name, sizeof kept->name - 1);
        kept->next = *list;
        *list = kept;
        return;
    }
    while (*list != NULL) {
        struct sluice_kept_descriptor *kept = *list;
        if (strncmp(kept->name, name, sizeof kept->name) == 0) {
            *list = kept->next;
            close(kept->descriptor);
            free(kept);
        } else {
            list = &kept->next;
        }
    }
}

/// Gives the writer a descriptor to keep open under a name; -1 lets it close what it has under that name.
static inline int sluice_writer_keep(int socket, const char *name, int descriptor) {
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct sluice_write_request request;
    memset(&request, 0, sizeof request);
    strncpy(request.path, name, sizeof request.path - 1);
    memset(&control, 0, sizeof control);
    struct iovec part = {&request, sizeof request};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (descriptor >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &descriptor, sizeof descriptor);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? errno : 0;
}

/// Takes requests from a socket until its other end is closed; each write runs on a thread of its own.
static inline void sluice_writer_loop(int socket) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    struct sluice_kept_descriptor *kept = NULL;
    for (;;) {
        int descriptor;
        struct sluice_writer_job *job = (struct sluice_writer_job *)malloc(sizeof *job);
        if (job == NULL) return;
        job->socket = socket;
        ssize_t got = sluice_writer_receive(socket, &job->request, &descriptor);
        if (got < 0 && errno == EINTR) {
            free(job);
            continue;
        }
        if (got != (ssize_t)sizeof job->request) {
            free(job);
            return;
        }
        // Request 0 brings a descriptor, or ends its keeping.
        if (job->request.id == 0) {
            sluice_writer_remember(&kept, job->request.path, descriptor);
            free(job);
            continue;
        }
        pthread_t thread;
        if (pthread_create(&thread, &attributes, sluice_writer_job_run, job) != 0) sluice_writer_job_run(job);
    }
}

/// Gives up all capabilities but those of a mask (bit 1 << CAP_…), for this process and whatever it starts. To be called
/// while there is one thread: each has its own. Returns -1 with errno.
static inline int sluice_keep_capabilities(uint64_t mask) {
    for (int capability = 0; capability < 64; capability++) {
        int has = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
        if (has < 0) break;
        if (has == 0 || (mask >> capability & 1)) continue;
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return -1;
    }
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) != 0) return -1;
    for (int word = 0; word < 2; word++) {
        uint32_t kept = (uint32_t)(mask >> (32 * word));
        data[word].effective &= kept;
        data[word].permitted &= kept;
        data[word].inheritable = 0;
    }
    return (int)syscall(SYS_capset, &header, data);
}

/// Starts a writer process and returns the socket to it, or -1 with errno.
///
/// A thread that hangs in the kernel keeps its whole process from ending: a program that wrote `sriov_numvfs` itself
/// could print its report, but the shell would wait for it. The writer can be left behind. It is forked while the
/// process has one thread, before Swift or anything else made others, so it may use all of libc.
static inline int sluice_start_writer_process(void) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) return -1;
    pid_t child = fork();
    if (child < 0) {
        int error = errno;
        close(pair[0]);
        close(pair[1]);
        errno = error;
        return -1;
    }
    if (child > 0) {
        // The intermediate child ends at once; the writer belongs to init, so nobody has to wait for it.
        int status;
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
        close(pair[1]);
        return pair[0];
    }
    if (fork() != 0) _exit(0);
    setsid();
    // It ends when its socket is closed. A signal to everything of a service must not take it from the agent.
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    prctl(PR_SET_NAME, "sluice-writer");
    // Whoever reads this program's output must see its end, even while a write hangs.
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    int socket = dup2(pair[1], 3);
    syscall(SYS_close_range, 4u, ~0u, 0u);
    sluice_writer_loop(socket);
    // A thread in the middle of a write ends with the process as soon as the kernel lets go of it.
    _exit(0);
}

#endif
