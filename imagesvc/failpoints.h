#pragma once

namespace berth {

// Every failpoint of the image service, in the order in which a pull, a root and a removal meet them
// (base/failpoint.h). Tests of survival iterate over this list; a name that is hit nowhere fails them.
inline constexpr const char* kImageFailpoints[] = {
    "image.pull.resolved",       // the digest of the reference is known
    "image.layer.unpacked",      // a layer is complete in the temporary directory
    "image.layer.published",     // it has its final name, and no row yet
    "image.pull.before_commit",  // all layers are there and synced
    "image.pull.committed",      // the image is visible
    "image.rootfs.leased",       // a container holds the layers
    "image.rootfs.made",         // its writable directories exist
    "image.remove.committed",    // an image has no row any more, its files still exist
};

}  // namespace berth
