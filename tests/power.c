/* What a disk holds for certain: each file that is synced is copied, at that moment, into the folder that $DISK names.
 *
 * Loaded before the C library by LD_PRELOAD. Only a drill's journal is kept: journal.db and its write-ahead log.
 * While the folder holds a file "broken", syncing them fails as on a disk that dies.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

/* Gives the place of a file of the journal on the disk that is kept; nothing for any other file. */
static const char *place(int fd, char *kept, size_t size)
{
    char link[64], path[PATH_MAX];
    const char *disk = getenv("DISK");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (disk == NULL || length < 0)
        return NULL;
    path[length] = '\0';
    const char *name = strrchr(path, '/');
    if (name == NULL || (strcmp(name, "/journal.db") != 0 && strcmp(name, "/journal.db-wal") != 0))
        return NULL;
    snprintf(kept, size, "%s%s", disk, name);
    return kept;
}

/* A test that saw less than the disk has would fail for nothing: what cannot be kept ends the process. */
static void keep(int fd, const char *kept)
{
    char link[64], part[PATH_MAX + 8];
    struct stat is;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    snprintf(part, sizeof part, "%s.part", kept);
    int from = open(link, O_RDONLY), to = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (from < 0 || to < 0 || fstat(from, &is) != 0)
        abort();
    char *bytes = malloc((size_t)is.st_size + 1);
    if (bytes == NULL || pread(from, bytes, (size_t)is.st_size, 0) != is.st_size)
        abort();
    if (write(to, bytes, (size_t)is.st_size) != is.st_size || rename(part, kept) != 0)
        abort();
    free(bytes);
    close(from);
    close(to);
}

static int synced(const char *call, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, call);
    char kept[PATH_MAX], broken[PATH_MAX];
    if (place(fd, kept, sizeof kept) == NULL)
        return real(fd);
    snprintf(broken, sizeof broken, "%s/broken", getenv("DISK"));
    pthread_mutex_lock(&one_at_a_time);
    int result = -1;
    if (access(broken, F_OK) == 0)
        errno = EIO;
    else if ((result = real(fd)) == 0)
        keep(fd, kept);
    pthread_mutex_unlock(&one_at_a_time);
    return result;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }
