// berth-shim: the parent of one pod's processes. Started by berthd (runtime/shim_client), outlives it.

#include <unistd.h>

#include <cstring>
#include <string>
#include <utility>

#include "runtime/handlers/native/parent/parent.h"
#include "runtime/shim/pod.h"
#include "runtime/shim/start_up.h"

namespace {

// berthd sees the exit; a person who starts it by hand sees the words.
int Refuse(const std::string& error) {
  const std::string line = "berth-shim: " + error + "\n";
  return write(2, line.data(), line.size()) < 0 ? 2 : 1;
}

}  // namespace

int main(int argc, char** argv, char** envp) {
  if (argc > 0 && strcmp(argv[0], "pause") == 0) return berth::native::PodInitMain();
  const int image = berth::native::RunFromReadOnlyImage(argv, envp);
  if (image != 0) return Refuse(std::string("running from an image nobody can write: ") + strerror(-image));
  berth::shim::Pod::Options options;
  std::string error;
  if (!berth::shim::StartUp(argc, argv, &options, &error)) return Refuse(error);
  berth::shim::Pod pod(std::move(options));
  const int started = pod.Start();
  if (started != 0) return Refuse(std::string("starting: ") + strerror(-started));
  pod.Run();
  // Not exit(): the log thread may still use what destructors would free.
  _exit(0);
}
