#include "runtime/handlers/native/child/program.h"

#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

namespace berth::native {
namespace {

bool TryNext(int result) {
  switch (-result) {
    case EACCES:
    case ENOENT:
    case ENOTDIR:
    case ESTALE:
    case ENODEV:
    case ETIMEDOUT:
      return true;
    default:
      return false;
  }
}

// "<directory>/<name>"; an empty element means the working directory.
bool Join(char* out, const char* directory, size_t directory_size, const char* name) {
  const size_t name_size = strlen(name);
  if (directory_size + name_size + 2 > PATH_MAX) return false;
  memcpy(out, directory, directory_size);
  if (directory_size > 0) out[directory_size++] = '/';
  memcpy(out + directory_size, name, name_size + 1);
  return true;
}

}  // namespace

int Execute(const ProcessJob& job) {
  const char* const name = job.argv[0];
  if (strchr(name, '/') != nullptr) {
    execve(name, job.argv, job.envp);
    return -errno;
  }
  int told = -ENOENT;
  char candidate[PATH_MAX];
  for (const char* begin = job.search_path;; ++begin) {
    const char* const end = strchrnul(begin, ':');
    if (Join(candidate, begin, static_cast<size_t>(end - begin), name)) {
      execve(candidate, job.argv, job.envp);
      const int result = -errno;
      if (!TryNext(result)) return result;
      if (result == -EACCES) told = result;
    }
    if (*end == '\0') return told;
    begin = end;
  }
}

}  // namespace berth::native
