/* Lends a machine without /dev/dma_heap one of anonymous files, for libcamera's virtual camera.
 *
 * Loaded before other libraries (LD_PRELOAD). A buffer of the heap is a memfd, and what a dma-buf
 * is told besides, its name and when the processor reads it, is taken and passed over. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static const char HEAPS[] = "/dev/dma_heap/";

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                        \
    int name(const char *path, int flags, ...) {                          \
        va_list rest;                                                     \
        va_start(rest, flags);                                            \
        mode_t mode = va_arg(rest, mode_t);                               \
        va_end(rest);                                                     \
        if (strncmp(path, HEAPS, sizeof HEAPS - 1) == 0)                  \
            return memfd_create("heap", MFD_CLOEXEC);                     \
        return REAL(name)(path, flags, mode);                             \
    }

OPEN(open)
OPEN(open64)

static int allocate(struct dma_heap_allocation_data *wanted) {
    int buffer = memfd_create("buffer", MFD_CLOEXEC);
    if (buffer < 0 || ftruncate(buffer, (off_t)wanted->len) < 0)
        return -1;
    wanted->fd = (unsigned)buffer;
    return 0;
}

int ioctl(int file, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    /* The size within a request's number differs: Python passes names as pointers. */
    if (request == DMA_HEAP_IOCTL_ALLOC)
        return allocate(argument);
    if (_IOC_TYPE(request) == DMA_BUF_BASE && _IOC_NR(request) <= 1)
        return 0;
    return REAL(ioctl)(file, request, argument);
}
