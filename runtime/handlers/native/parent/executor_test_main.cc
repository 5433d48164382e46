#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstring>

#include "runtime/handlers/native/parent/parent.h"

namespace {

// own_image_test.cc: 0 when what runs here cannot be written through its /proc/self/exe.
int CheckOwnImage(char** argv, char** envp) {
  const int result = berth::native::RunFromReadOnlyImage(argv, envp);
  if (result < 0) return 10;
  const int image = open("/proc/self/exe", O_RDONLY);
  if ((fcntl(image, F_GET_SEALS) & F_SEAL_WRITE) != 0 && fcntl(image, F_GET_SEALS) > 0) return 0;
  struct statvfs facts = {};
  if (fstatvfs(image, &facts) < 0) return 11;
  return (facts.f_flag & ST_RDONLY) != 0 ? 0 : 12;
}

}  // namespace

// The test plays the shim, so its program is also the pod's init.
int main(int argc, char** argv, char** envp) {
  if (argc > 0 && strcmp(argv[0], "pause") == 0) return berth::native::PodInitMain();
  if (argc > 0 && strcmp(argv[0], "check-own-image") == 0) return CheckOwnImage(argv, envp);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
