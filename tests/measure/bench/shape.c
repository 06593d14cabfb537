/* shape PORT: a chat of the same shape in C, which stores nothing: what a machine can do at the most.

   One broadcaster, a cursor for each client, one send to each and round. A client's first line that does
   not begin with "/" is its name; every further line is a message. Says "open on port N" when it listens.

   Simplifications: the log is one block of memory that begins anew when everybody has all of it; while it is
   full, nothing is read. Only who joins is told so. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_CLIENTS 20000
#define LOG_BYTES (16 * 1024 * 1024)
#define READ_BYTES (64 * 1024)
#define ROOM_BYTES (4 * 1024 * 1024) /* what the records of one read may take */
#define LINE_BYTES 4608
#define NAME_BYTES 32

struct client {
    int fd;
    size_t cursor; /* the next byte of the log to send */
    bool full;     /* its socket takes nothing at the moment */
    int held;      /* bytes of an unfinished line */
    char name[NAME_BYTES];
    char rest[LINE_BYTES];
};

static struct client *clients[MOST_CLIENTS];
static int client_count, poller;
static char *log_bytes;
static size_t log_end;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void watch(struct client *client, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(poller, operation, client->fd, &event) < 0)
        fail("epoll_ctl");
}

static void write_time(char *to) {
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t length = strftime(to, 32, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(to + length, 8, ".%03ldZ", now.tv_nsec / 1000000 % 1000);
}

static void append(const char *bytes, size_t size) {
    memcpy(log_bytes + log_end, bytes, size);
    log_end += size;
}

static int write_head(char *to, struct client *client, const char *kind, const char *time) {
    return sprintf(to, "%s\t127.0.0.1\t%s\t%s\t", time, client->name, kind);
}

static void join(struct client *client, const char *line, size_t size, const char *time) {
    char record[128];
    snprintf(client->name, sizeof client->name, "%.*s", (int)size, line);
    client->cursor = log_end;
    int length = write_head(record, client, "join", time);
    record[length++] = '\n';
    if (send(client->fd, record, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        perror("join");
}

static void take_line(struct client *client, const char *line, size_t size, const char *time) {
    char head[128];
    if (*client->name) {
        append(head, (size_t)write_head(head, client, "message", time));
        append(line, size);
        append("\n", 1);
    } else if (*line != '/') {
        join(client, line, size, time);
    }
}

static void take(struct client *client) {
    static char buffer[LINE_BYTES + READ_BYTES];
    char time[48];
    memcpy(buffer, client->rest, (size_t)client->held);
    ssize_t got = recv(client->fd, buffer + client->held, READ_BYTES, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            watch(client, EPOLL_CTL_DEL, 0); /* it is sent to until the load ends, which is soon */
        return;
    }
    write_time(time);
    char *here = buffer, *end = buffer + client->held + got, *newline;
    while ((newline = memchr(here, '\n', (size_t)(end - here)))) {
        take_line(client, here, (size_t)(newline - here), time);
        here = newline + 1;
    }
    client->held = (int)(end - here) < LINE_BYTES ? (int)(end - here) : 0;
    memcpy(client->rest, here, (size_t)client->held);
}

static void give(struct client *client) {
    ssize_t went = send(client->fd, log_bytes + client->cursor, log_end - client->cursor,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    if (went < 0)
        went = errno == EAGAIN ? 0 : (ssize_t)(log_end - client->cursor);
    client->cursor += (size_t)went;
    bool full = client->cursor < log_end;
    if (full != client->full)
        watch(client, EPOLL_CTL_MOD, full ? EPOLLIN | EPOLLOUT : EPOLLIN);
    client->full = full;
}

/* Give everybody what there is. Whether somebody could not take it all. */
static bool broadcast(void) {
    bool behind = false;
    for (int i = 0; i < client_count; i++) {
        struct client *client = clients[i];
        if (*client->name && !client->full && client->cursor < log_end)
            give(client);
        behind |= client->full;
    }
    if (!behind) {
        log_end = 0;
        for (int i = 0; i < client_count; i++)
            clients[i]->cursor = 0;
    }
    return behind;
}

static void let_in(int listener) {
    struct client *client = calloc(1, sizeof *client);
    int one = 1;
    client->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (client->fd < 0 || client_count == MOST_CLIENTS)
        fail("accept");
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    client->cursor = log_end;
    clients[client_count++] = client;
    watch(client, EPOLL_CTL_ADD, EPOLLIN);
}

int main(int count, char **arguments) {
    struct sockaddr_in where = {.sin_family = AF_INET};
    static struct epoll_event events[1024];
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct client door = {.fd = listener};
    where.sin_port = htons((uint16_t)atoi(count > 1 ? arguments[1] : "0"));
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    poller = epoll_create1(0);
    log_bytes = malloc(LOG_BYTES);
    if (bind(listener, (struct sockaddr *)&where, sizeof where) < 0 || listen(listener, 4096) < 0)
        fail("listen");
    watch(&door, EPOLL_CTL_ADD, EPOLLIN);
    printf("open on port %s\n", arguments[1]);
    fflush(stdout);
    for (bool behind = false;;) {
        int found = epoll_wait(poller, events, 1024, -1);
        for (int i = 0; i < found; i++) {
            struct client *client = events[i].data.ptr;
            if (client == &door)
                let_in(listener);
            else if (events[i].events & EPOLLOUT)
                give(client);
            else if (log_end + ROOM_BYTES < LOG_BYTES)
                take(client);
        }
        behind = broadcast();
        if (behind && log_end + ROOM_BYTES >= LOG_BYTES)
            usleep(100); /* the slowest catches up */
    }
}
