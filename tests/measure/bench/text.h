#include <stdint.h>
#include <string.h>

/* The text of a message: '@', the number, the time in nanoseconds, padding. 32 bytes, about what people type. */
#define NUMBER_BYTES 8
#define TIME_BYTES 16
#define TEXT_BYTES 32

/* 32 bits as eight letters from a to p, the lowest first: written and read without a loop over digits. */
static void write_number(char *to, uint32_t number) {
    uint64_t x = number;
    x = (x | x << 16) & 0x0000FFFF0000FFFFu;
    x = (x | x << 8) & 0x00FF00FF00FF00FFu;
    x = (x | x << 4) & 0x0F0F0F0F0F0F0F0Fu;
    x += 0x6161616161616161u;
    memcpy(to, &x, NUMBER_BYTES);
}

static uint32_t read_number(const char *from) {
    uint64_t x;
    memcpy(&x, from, NUMBER_BYTES);
    x -= 0x6161616161616161u;
    x = (x | x >> 4) & 0x00FF00FF00FF00FFu;
    x = (x | x >> 8) & 0x0000FFFF0000FFFFu;
    return (uint32_t)(x | x >> 16);
}

static void write_time(char *to, uint64_t time) {
    write_number(to, (uint32_t)time);
    write_number(to + NUMBER_BYTES, (uint32_t)(time >> 32));
}

static uint64_t read_time(const char *from) {
    return read_number(from) | (uint64_t)read_number(from + NUMBER_BYTES) << 32;
}
