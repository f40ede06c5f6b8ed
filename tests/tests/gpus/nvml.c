/* A stand-in for libnvidia-ml.so: GPUs that do what a file says, which a test may change while a worker looks.
 *
 * The file is named by FAKE_NVML. Its lines are `KEY GPU VALUE`; the last of a key and a GPU counts:
 *   gpus   0 N      how many there are
 *   memory I BYTES  in use on GPU I
 *   lost   I 1      GPU I does not answer any more
 *   mig    I N      GPU I is partitioned into N instances
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SUCCESS = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, GPU_IS_LOST = 15 };

/* A board is 100, 200, ...; its instances are 101, 102, ... */
typedef struct device *device_t;
static device_t handle(unsigned board, unsigned instance) {
    return (device_t)(size_t)(100 * (board + 1) + instance);
}
static unsigned board_of(device_t device) { return (unsigned)((size_t)device / 100 - 1); }
static unsigned instance_of(device_t device) { return (unsigned)((size_t)device % 100); }

static unsigned long long state(const char *key, unsigned gpu, unsigned long long value) {
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    char found[32];
    unsigned of;
    unsigned long long is;
    while (file && fscanf(file, "%31s %u %llu", found, &of, &is) == 3)
        if (of == gpu && strcmp(found, key) == 0)
            value = is;
    if (file)
        fclose(file);
    return value;
}

#define UNLESS_LOST(device) if (state("lost", board_of(device), 0)) return GPU_IS_LOST

int nvmlInit_v2(void) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }

int nvmlSystemGetDriverVersion(char *text, unsigned length) {
    snprintf(text, length, "550.54.14");
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = (unsigned)state("gpus", 0, 2);
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *device) {
    *device = handle(index, 0);
    return SUCCESS;
}

int nvmlDeviceGetName(device_t device, char *text, unsigned length) {
    snprintf(text, length, instance_of(device) ? "Fake H100 MIG 1g.10gb" : "Fake H100");
    return SUCCESS;
}

int nvmlDeviceGetUUID(device_t device, char *text, unsigned length) {
    UNLESS_LOST(device);
    if (instance_of(device))
        snprintf(text, length, "MIG-%u-%u", board_of(device), instance_of(device));
    else
        snprintf(text, length, "GPU-%u", board_of(device));
    return SUCCESS;
}

int nvmlDeviceGetMigMode(device_t device, unsigned *current, unsigned *pending) {
    *current = *pending = state("mig", board_of(device), 0) > 0;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(device_t device, unsigned *count) {
    (void)device;
    *count = 7;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(device_t device, unsigned index, device_t *instance) {
    /* Their numbers have a gap, as after one was removed. */
    if (index == 0 || index > state("mig", board_of(device), 0))
        return NOT_FOUND;
    *instance = handle(board_of(device), index);
    return SUCCESS;
}

#ifndef NO_MEMORY
struct memory { unsigned version; unsigned long long total, reserved, free, used; };
int nvmlDeviceGetMemoryInfo_v2(device_t device, struct memory *memory) {
    UNLESS_LOST(device);
    memory->total = 80ull << 30;
    memory->used = state("memory", board_of(device), 512ull << 20);
    memory->reserved = 0;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}
#endif

struct utilization { unsigned gpu, memory; };
int nvmlDeviceGetUtilizationRates(device_t device, struct utilization *rates) {
    UNLESS_LOST(device);
    rates->gpu = 75;
    rates->memory = 10;
    return SUCCESS;
}

int nvmlDeviceGetTemperature(device_t device, unsigned sensor, unsigned *degrees) {
    (void)sensor;
    UNLESS_LOST(device);
    *degrees = 61;
    return SUCCESS;
}

#ifndef NO_POWER
int nvmlDeviceGetPowerUsage(device_t device, unsigned *milliwatts) {
    UNLESS_LOST(device);
    *milliwatts = 200000;
    return SUCCESS;
}
#endif

#ifndef NO_ENERGY
/* 10 W, so that it is told from the power above. */
int nvmlDeviceGetTotalEnergyConsumption(device_t device, unsigned long long *millijoules) {
    struct timespec now;
    UNLESS_LOST(device);
    clock_gettime(CLOCK_MONOTONIC, &now);
    *millijoules = 10 * (now.tv_sec * 1000ull + now.tv_nsec / 1000000ull);
    return SUCCESS;
}
#endif
