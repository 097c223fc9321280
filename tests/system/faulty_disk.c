/*
 * A disk that fails, fills up and loses power as a test wants it, and a clock that jumps; see faulty_disk.py.
 *
 * Loaded by LD_PRELOAD into a service, it stands between SQLite (and Python) and the C library. FAULTY_DISK_FOLDER is the
 * folder of the database, FAULTY_DISK_CONTROL one whose files say what is to happen:
 *
 *   full         writes fail: no space left on device      what such a file holds is the end of the names that it is for:
 *   write-fails  writes fail: input/output error           all of the folder's files where it is empty, or for example
 *   sync-fails   syncs fail: input/output error            only those that end in -shm
 *   clock        by how many seconds the clock is wrong
 *   synced/      where there is such a folder, it gets what is on the disk for certain, and nothing else
 *
 * Why 64: SQLite and Python are built for large files, so these are the names they ask for; where the short name is the
 * one that is used, it is here as well.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static const char *folder, *control;

__attribute__((constructor)) static void begin(void) {
    folder = getenv("FAULTY_DISK_FOLDER");
    control = folder ? getenv("FAULTY_DISK_CONTROL") : NULL;
}

/* Reads a file of the control folder; returns whether there is one. Others are not opened: to close a second descriptor
 * of a database's file would take SQLite's locks away. */
static int said(const char *name, char *text, size_t size) {
    char path[PATH_MAX];
    int saved = errno;
    snprintf(path, sizeof path, "%s/%s", control ? control : "/dev/null", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0) close(fd);
    errno = saved;
    if (length < 0) return 0;
    text[length] = '\0';
    return 1;
}

/* Finds the path of a descriptor; returns whether it is the watched folder or a file in it that has not been deleted. */
static int watched(int fd, char path[PATH_MAX]) {
    char link[64];
    struct stat now;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = control ? readlink(link, path, PATH_MAX - 1) : -1;
    if (length < 0) return 0;
    path[length] = '\0';
    size_t start = strlen(folder);
    return !strncmp(path, folder, start) && (path[start] == '\0' || path[start] == '/') && !stat(path, &now);
}

static int concerns(const char *flag, int fd) {
    char end[64], path[PATH_MAX];
    if (!said(flag, end, sizeof end) || !watched(fd, path)) return 0;
    size_t length = strlen(path), tail = strlen(end);
    return tail <= length && !strcmp(path + length - tail, end);
}

/* Returns what is wrong with a write to this descriptor, or 0. */
static int refusal(int fd) {
    return concerns("full", fd) ? ENOSPC : concerns("write-fails", fd) ? EIO : 0;
}

#define WRITE(name, parameters, ...)            \
    ssize_t name parameters {                   \
        int error = refusal(fd);                \
        if (!error) return REAL(name)(__VA_ARGS__); \
        errno = error;                          \
        return -1;                              \
    }

WRITE(write, (int fd, const void *data, size_t size), fd, data, size)
WRITE(pwrite, (int fd, const void *data, size_t size, off_t at), fd, data, size, at)
WRITE(pwrite64, (int fd, const void *data, size_t size, off64_t at), fd, data, size, at)

/* A disk that is full still makes files shorter, and longer where nothing is written, so ftruncate is left alone. */

static void must(int done, const char *what) {
    if (done) return;
    perror(what);
    abort();
}

/* What a file holds is certain once it has been synced: until it is synced again that, and only that, survives. */
static void keep_file(int fd, const char *name, const char *synced) {
    char to[PATH_MAX], part[PATH_MAX];
    struct stat file;
    off_t at = 0;
    must(snprintf(to, sizeof to, "%s/%s", synced, name) < PATH_MAX, to);
    must(snprintf(part, sizeof part, "%s.part", synced) < PATH_MAX, part);
    int out = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(out >= 0 && !fstat(fd, &file), part);
    while (at < file.st_size) must(sendfile(out, fd, &at, file.st_size - at) > 0, part);
    must(!close(out) && !rename(part, to), to);
}

/* What is in the folder is certain once it has been synced: what was made since is lost, and what was deleted since is
 * back. (Neither SQLite nor a service renames anything.) */
static void keep_names(const char *synced) {
    char part[PATH_MAX], to[PATH_MAX];
    must(snprintf(part, sizeof part, "%s.part", synced) < PATH_MAX, part);
    must(snprintf(to, sizeof to, "%s.names", synced) < PATH_MAX, to);
    FILE *out = fopen(part, "we");
    DIR *names = opendir(folder);
    must(out && names, part);
    for (struct dirent *entry; (entry = readdir(names));) {
        if (entry->d_name[0] != '.') fprintf(out, "%s\n", entry->d_name);
    }
    closedir(names);
    must(!fclose(out) && !rename(part, to), to);
}

static int synced(int fd, int (*sync)(int)) {
    char path[PATH_MAX], kept[PATH_MAX];
    struct stat found;
    if (concerns("sync-fails", fd)) {
        errno = EIO;
        return -1;
    }
    if (sync(fd)) return -1;
    if (!watched(fd, path)) return 0;
    must(snprintf(kept, sizeof kept, "%s/synced", control) < PATH_MAX, kept);
    if (stat(kept, &found)) return 0;
    const char *name = path + strlen(folder);
    if (!*name) {
        keep_names(kept);
    } else if (!strchr(++name, '/') && !stat(path, &found) && S_ISREG(found.st_mode)) {
        keep_file(fd, name, kept);
    }
    return 0;
}

int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

static time_t jump(void) {
    char seconds[32];
    return said("clock", seconds, sizeof seconds) ? atol(seconds) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = REAL(clock_gettime)(clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += jump();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    int failed = REAL(gettimeofday)(now, zone);
    if (!failed) now->tv_sec += jump();
    return failed;
}

time_t time(time_t *now) {
    time_t wrong = REAL(time)(NULL) + jump();
    if (now) *now = wrong;
    return wrong;
}
