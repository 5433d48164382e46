#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "imagesvc/reference/digest.h"

namespace berth {

// A full image reference: which registry, which repository, and either a tag or a digest.
// Always canonical: the Docker Hub rules have been applied ("busybox" is docker.io/library/busybox:latest).
struct Reference {
  std::string host;        // as users and the CRI see it: "docker.io", "localhost:5000", "[::1]:5000"
  std::string repository;  // "library/busybox"
  std::string tag;         // empty when there is a digest: the digest wins and no tag is recorded
  Digest digest;

  bool has_digest() const { return !digest.empty(); }

  // "docker.io/library/busybox"
  std::string Name() const;
  // "docker.io/library/busybox:1.36" or "docker.io/library/busybox@sha256:…"
  std::string ToString() const;
  // "docker.io/library/busybox@sha256:…" for a digest it resolved to.
  std::string WithDigest(const Digest& d) const;
  // What a person would type: "busybox", "busybox:1.36", "someone/thing", "quay.io/a/b:c".
  std::string FamiliarName() const;
  std::string FamiliarString() const;

  friend bool operator==(const Reference& a, const Reference& b) {
    return a.host == b.host && a.repository == b.repository && a.tag == b.tag && a.digest == b.digest;
  }
};

// Parses "[host[:port]/]path[:tag][@digest]" (the grammar of the distribution project). The first component is a host
// only if it has a '.', a ':' or an upper-case letter, or is "localhost"; else the host is docker.io, where
// one-component paths get "library/". Without tag and digest the tag is "latest". INVALID_ARGUMENT, quoting the text,
// for all else.
absl::StatusOr<Reference> ParseReference(absl::string_view text);

}  // namespace berth
