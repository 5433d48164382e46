#pragma once

namespace berth {

// Every failpoint of this folder (base/failpoint.h), for tests that visit each of them.
inline constexpr const char* kNetworkFailpoints[] = {
    "net.netns.created",     // the namespace exists, in a thread only: nothing is left when we die here
    "net.netns.pinned",      // pinned by a mount
    "net.add.before_store",  // nothing has happened
    "net.add.stored",        // the intent is durable, no plugin has run
    "net.add.plugin_done",   // after each plugin's ADD
    "net.add.done",          // all plugins ran, the result is not yet stored
    "net.del.plugin_done",   // after each plugin's DEL
    "net.del.done",
};

}  // namespace berth
