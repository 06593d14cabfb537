/* The load: many listeners and one speaker, in one thread, for the servers that are compared.

   load PROTOCOL PORT, then commands on standard input, each answered by one line of JSON:

       connect N       have N listeners in all, logged in:  how long it took
       flood S         speak for S seconds as fast as the socket takes it, until everybody has everything
       pace R S        speak R times a second for S seconds:  and how long each delivery was on its way

   Every text bears a sequence number and the time it was sent at. A listener counts what comes: each number
   once and in order, or it is lost, duplicated, or out of order. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

#define MOST_CLIENTS 20000
#define READ_BYTES (256 * 1024)
#define LINE_BYTES 4608       /* the longest line that any of the servers sends */
#define SPEAK_BYTES (64 * 1024)
#define UNSENT_BYTES (64 * 1024) /* what the speaker's socket holds: a slow server has no long way to catch up */
#define PATIENCE 10.0         /* seconds without anything new until what is missing counts as lost */
#define MOST_NUMBERS (1u << 27)
#define MOST_DELIVERIES 40000000u /* of one flood, so that a slow server gets to its end */

struct protocol {
    const char *name;
    const char *login, *ready;                 /* %1$s is the client's name; a line that holds `ready` */
    const char *speaker_login, *speaker_ready;
    const char *before, *after;                /* what a speaker sends round a text */
    int tail;                                  /* how many bytes follow a text on its line */
    int connecting;                            /* who may log in at the same time: no accept queue runs over */
};

static const struct protocol protocols[] = {
    {"chat", "/replay 0\n%1$s\n", "\t%1$s\tjoin\t", "/replay 0\n%1$s\n", "\t%1$s\tjoin\t", "", "\n", 1, 256},
    {"nats", "CONNECT {\"verbose\":false}\r\nSUB chat 1\r\nPING\r\n", "PONG",
     "CONNECT {\"verbose\":false}\r\nPING\r\n", "PONG", "PUB chat 32\r\n", "\r\n", 2, 256},
    {"redis", "*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nchat\r\n", ":1",
     "*1\r\n$4\r\nPING\r\n", "+PONG", "*3\r\n$7\r\nPUBLISH\r\n$4\r\nchat\r\n$32\r\n", "\r\n", 2, 256},
    {"irc", "NICK %1$s\r\nUSER %1$s 0 * :%1$s\r\nJOIN #chat\r\n", " 366 %1$s ",
     "NICK %1$s\r\nUSER %1$s 0 * :%1$s\r\nJOIN #chat\r\n", " 366 %1$s ", "PRIVMSG #chat :", "\r\n", 2, 8},
};

struct client {
    int fd;                   /* -1: the server has closed it */
    bool ready;
    uint32_t next;            /* the number that should come next */
    uint8_t *missing;         /* a bit for each number that was jumped over; NULL while none was */
    int held;                 /* bytes of an unfinished line */
    char rest[LINE_BYTES];
};

static const struct protocol *protocol;
static int port, poller;
static struct client *listeners, *speaker;
static int listener_count, ready_count, disconnected;
static bool command_waits;
static char buffer[LINE_BYTES + READ_BYTES];

static uint32_t sent;                           /* numbers given out */
static uint64_t delivered, duplicated, out_of_order;
static double last_delivery;
static int frame;                               /* how far apart texts were last seen: a guess, always checked */

static uint32_t *latencies;                     /* nanoseconds, while pacing */
static uint64_t latency_count, latency_room;

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double seconds(void) { return (double)nanoseconds() / 1e9; }

static double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
         + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

/* ----------------------------------------------------------------------------------------- listening */

/* A number other than the next: something is missing, or comes late, or again. */
static void count_irregular(struct client *client, uint32_t number) {
    if (number >= MOST_NUMBERS)
        return;
    if (!client->missing && !(client->missing = calloc(MOST_NUMBERS / 8, 1)))
        fail("memory");
    if (number >= client->next) {
        for (uint32_t gone = client->next; gone < number; gone++)
            client->missing[gone / 8] |= (uint8_t)(1 << gone % 8);
        client->next = number + 1;
        delivered++;
    } else if (client->missing[number / 8] & 1 << number % 8) {
        client->missing[number / 8] &= (uint8_t)~(1 << number % 8);
        out_of_order++;
        delivered++;
    } else {
        duplicated++;
    }
}

static void count(struct client *client, const char *text, uint64_t now) {
    uint32_t number = read_number(text + 1);
    if (number == client->next) {
        client->next++;
        delivered++;
    } else {
        count_irregular(client, number);
    }
    if (latency_count < latency_room) {
        uint64_t latency = now - read_time(text + 1 + NUMBER_BYTES);
        latencies[latency_count++] = latency < UINT32_MAX ? (uint32_t)latency : UINT32_MAX;
    }
}

static void check_ready(struct client *client, char *line, const char *end) {
    char name[16], wanted[64];
    snprintf(name, sizeof name, client == speaker ? "speaker" : "l%d", (int)(client - listeners));
    snprintf(wanted, sizeof wanted, client == speaker ? protocol->speaker_ready : protocol->ready, name);
    if (memmem(line, (size_t)(end - line), wanted, strlen(wanted))) {
        client->ready = true;
        ready_count += client != speaker;
    }
}

/* One line that was not taken as the next text at first sight. Whether it has a text. */
static bool take_line(struct client *client, char *line, char *end, uint64_t now) {
    char *text = end - protocol->tail - TEXT_BYTES;
    if (text >= line && *text == '@') {
        if (client != speaker)
            count(client, text, now);
        return true;
    }
    if (!memcmp(line, "PING", 4)) {
        line[1] = 'O';
        if (send(client->fd, line, (size_t)(end - line), 0) < 0)
            fail("pong");
    } else if (!client->ready) {
        check_ready(client, line, end);
    }
    return false;
}

static void close_client(struct client *client) {
    if (client == speaker) {
        errno = ECONNRESET;
        fail("the speaker");
    }
    close(client->fd);
    client->fd = -1;
    disconnected++;
}

/* Whether the next text is where it is guessed to be: in a flood nobody looks for the ends of lines. */
static inline bool is_next(const struct client *client, const char *here, const char *end) {
    int back = protocol->tail + TEXT_BYTES;
    return frame && !latency_room && client != speaker && end - here >= frame && here[frame - 1] == '\n'
        && here[frame - back] == '@' && read_number(here + frame - back + 1) == client->next;
}

static void take(struct client *client) {
    if (client->fd < 0)
        return;
    memcpy(buffer, client->rest, (size_t)client->held);
    ssize_t got = recv(client->fd, buffer + client->held, READ_BYTES, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            close_client(client);
        return;
    }
    uint64_t now = nanoseconds(), before = delivered;
    char *here = buffer, *end = buffer + client->held + got, *behind_text = NULL;
    while (here < end) {
        while (is_next(client, here, end)) {
            client->next++;
            delivered++;
            here += frame;
            behind_text = here;
        }
        char *newline = memchr(here, '\n', (size_t)(end - here));
        if (!newline)
            break;
        if (take_line(client, here, newline + 1, now)) {
            if (behind_text)
                frame = (int)(newline + 1 - behind_text);
            behind_text = newline + 1;
        }
        here = newline + 1;
    }
    client->held = (int)(end - here);
    if (client->held > LINE_BYTES) {
        errno = EMSGSIZE;
        fail("a line");
    }
    memcpy(client->rest, here, (size_t)client->held);
    if (delivered != before)
        last_delivery = (double)now / 1e9;
}

/* Wait so long for something to come, and take it. Whether the speaker may send. */
static bool turn(int64_t wait_nanoseconds) {
    static struct epoll_event events[1024];
    struct timespec wait = {wait_nanoseconds / 1000000000, wait_nanoseconds % 1000000000};
    int found = epoll_pwait2(poller, events, 1024, wait_nanoseconds < 0 ? NULL : &wait, NULL);
    bool may_send = false;
    for (int i = 0; i < found; i++) {
        struct client *client = events[i].data.ptr;
        if (client && events[i].events & ~(uint32_t)EPOLLOUT)
            take(client);
        if (client == speaker && events[i].events & EPOLLOUT)
            may_send = true;
        if (!client)
            command_waits = true;
    }
    return may_send;
}

/* ---------------------------------------------------------------------------------------- connecting */

static void watch(struct client *client, int operation, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(poller, operation, client ? client->fd : STDIN_FILENO, &event) < 0)
        fail("epoll_ctl");
}

static void open_client(struct client *client, const char *login, const char *name) {
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    char line[256];
    int length = snprintf(line, sizeof line, login, name), one = 1;
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    client->next = sent;
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&where, sizeof where) < 0)
        fail("connect");
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
    watch(client, EPOLL_CTL_ADD, EPOLLIN);
    if (send(client->fd, line, (size_t)length, 0) != length)
        fail("login");
}

static void open_speaker(void) {
    double begun = seconds();
    int unsent = UNSENT_BYTES;
    open_client(speaker, protocol->speaker_login, "speaker");
    setsockopt(speaker->fd, SOL_SOCKET, SO_SNDBUF, &unsent, sizeof unsent);
    while (!speaker->ready) {
        turn(100000000);
        if (seconds() - begun > PATIENCE)
            fail("the speaker's login");
    }
}

static void connect_listeners(int wanted) {
    double begun = seconds(), progress = begun;
    int most = wanted < MOST_CLIENTS ? wanted : MOST_CLIENTS, before = ready_count;
    while (ready_count + disconnected < most && seconds() - progress < PATIENCE) {
        while (listener_count < most && listener_count - ready_count - disconnected < protocol->connecting) {
            char name[16];
            snprintf(name, sizeof name, "l%d", listener_count);
            open_client(&listeners[listener_count++], protocol->login, name);
        }
        turn(100000000);
        if (ready_count != before)
            progress = seconds();
        before = ready_count;
    }
    printf("{\"clients\": %d, \"seconds\": %.6f, \"disconnected\": %d}\n",
           ready_count - disconnected, seconds() - begun, disconnected);
}

/* ------------------------------------------------------------------------------------------ speaking */

static int write_message(char *to) {
    int before = (int)strlen(protocol->before), after = (int)strlen(protocol->after);
    memcpy(to, protocol->before, (size_t)before);
    char *text = to + before;
    memset(text, '.', TEXT_BYTES);
    *text = '@';
    write_number(text + 1, sent++);
    if (latency_room)
        write_time(text + 1 + NUMBER_BYTES, nanoseconds());
    memcpy(text + TEXT_BYTES, protocol->after, (size_t)after);
    return before + TEXT_BYTES + after;
}

/* Send what is left from `at` to `end`; where nothing of it is left now. */
static char *speak(char *at, const char *end) {
    ssize_t went = send(speaker->fd, at, (size_t)(end - at), 0);
    if (went < 0 && errno != EAGAIN)
        fail("speak");
    return at + (went > 0 ? went : 0);
}

static void speak_flood(double until) {
    uint32_t last = sent + MOST_DELIVERIES / (uint32_t)(ready_count + 1);
    static char lines[SPEAK_BYTES + 256];
    char *at = lines, *end = lines;
    watch(speaker, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    while ((at < end && seconds() < until + PATIENCE) || (sent < last && seconds() < until)) {
        if (!turn(100000000))
            continue;
        if (at == end) {
            at = end = lines;
            while (end < lines + SPEAK_BYTES && sent < last)
                end += write_message(end);
        }
        at = speak(at, end);
    }
    watch(speaker, EPOLL_CTL_MOD, EPOLLIN);
}

static void speak_paced(double rate, double until) {
    char line[256];
    double due = seconds();
    while (due < until) {
        double wait = due - seconds();
        if (wait > 0) {
            turn((int64_t)(wait * 1e9));
            continue;
        }
        char *end = line + write_message(line);
        for (char *at = line; at < end; at = speak(at, end))
            ;
        due += 1 / rate;
    }
}

static uint64_t still_missing(void) {
    uint64_t behind = 0;
    for (int i = 0; i < listener_count; i++)
        if (listeners[i].fd >= 0)
            behind += sent - listeners[i].next;
    return behind;
}

static uint64_t count_missing(struct client *client) {
    uint64_t lost = sent - client->next;
    if (client->missing)
        for (uint32_t i = 0; i < MOST_NUMBERS / 8; i++)
            lost += (uint64_t)__builtin_popcount(client->missing[i]);
    free(client->missing);
    client->missing = NULL;
    client->next = sent;
    return lost;
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The latency that so many of a thousand deliveries did not exceed, in microseconds. */
static double percentile(int of_thousand) {
    if (!latency_count)
        return 0;
    uint64_t at = latency_count * (uint64_t)of_thousand / 1000;
    return latencies[at < latency_count ? at : latency_count - 1] / 1e3;
}

static void run(double rate, double duration) {
    uint32_t sent_before = sent;
    delivered = duplicated = out_of_order = 0;
    latency_count = 0;
    latency_room = (uint64_t)((rate * duration + 1) * listener_count) * (rate > 0);
    if (latency_room && !(latencies = malloc(latency_room * sizeof *latencies)))
        fail("memory");
    double cpu = cpu_seconds(), begun = seconds();
    last_delivery = begun;
    if (rate > 0)
        speak_paced(rate, begun + duration);
    else
        speak_flood(begun + duration);
    while (still_missing() && seconds() - last_delivery < PATIENCE)
        turn(100000000);
    double took = last_delivery - begun, busy = (cpu_seconds() - cpu) / took;
    uint64_t lost = 0;
    for (int i = 0; i < listener_count; i++)
        lost += count_missing(&listeners[i]);
    qsort(latencies, latency_count, sizeof *latencies, compare);
    printf("{\"sent\": %" PRIu32 ", \"deliveries\": %" PRIu64 ", \"seconds\": %.6f, \"busy\": %.3f, ",
           sent - sent_before, delivered, took, busy);
    printf("\"lost\": %" PRIu64 ", \"duplicated\": %" PRIu64 ", \"out_of_order\": %" PRIu64 ", ",
           lost, duplicated, out_of_order);
    printf("\"disconnected\": %d, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f}\n",
           disconnected, percentile(500), percentile(990), percentile(999));
    free(latencies);
    latencies = NULL;
    latency_room = 0;
}

/* ------------------------------------------------------------------------------------------ commands */

static bool obey(void) {
    command_waits = false;
    char line[256];
    double a = 0, b = 0;
    ssize_t got = read(STDIN_FILENO, line, sizeof line - 1);
    if (got <= 0)
        return false;
    line[got] = 0;
    if (sscanf(line, "connect %lf", &a) == 1)
        connect_listeners((int)a);
    else if (sscanf(line, "flood %lf", &a) == 1)
        run(0, a);
    else if (sscanf(line, "pace %lf %lf", &a, &b) == 2)
        run(a, b);
    else
        return false;
    fflush(stdout);
    return true;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "load PROTOCOL PORT\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (!strcmp(protocols[i].name, arguments[1]))
            protocol = &protocols[i];
    port = atoi(arguments[2]);
    listeners = calloc(MOST_CLIENTS + 1, sizeof *listeners);
    speaker = listeners + MOST_CLIENTS;
    poller = epoll_create1(0);
    if (!protocol || !listeners || poller < 0)
        fail("start");
    open_speaker();
    watch(NULL, EPOLL_CTL_ADD, EPOLLIN);
    for (bool going = true; going; going = !command_waits || obey())
        turn(-1); /* between commands what comes is taken all the same: joins go on arriving */
}
