#include "imagesvc/registry/registry_test_env.h"

#include <fstream>
#include <random>

#include "imagesvc/reference/hasher.h"

namespace berth {

void RegistryTest::WriteConfig(const std::string& path, const std::string& text) {
  std::filesystem::create_directories((certs_ / path).parent_path());
  std::ofstream(certs_ / path) << text;
}

Descriptor RegistryTest::Blob(const std::string& bytes) {
  Descriptor descriptor;
  descriptor.digest = HashBytes(bytes);
  descriptor.size = bytes.size();
  return descriptor;
}

std::string RegistryTest::RandomBytes(size_t size) {
  std::mt19937_64 random(size);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

RegistryAuth RegistryTest::Password(const std::string& password) {
  RegistryAuth auth;
  auth.username = "user";
  auth.password = password;
  return auth;
}

}  // namespace berth
