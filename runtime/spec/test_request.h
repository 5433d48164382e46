#pragma once

#include <string>

#include "runtime/spec/build_spec.h"

namespace berth {

// A complete, ordinary request as the kubelet sends it; tests change one thing and look at one chapter.
struct TestRequest {
  runtime::v1::PodSandboxConfig pod;
  runtime::v1::ContainerConfig container;
  ImageFacts image;
  HostFacts host;
  RuntimeDefaults defaults;
  SpecRequest request;

  TestRequest() {
    pod.mutable_metadata()->set_name("web");
    pod.set_hostname("web-0");
    pod.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(runtime::v1::CONTAINER);
    container.mutable_metadata()->set_name("app");
    container.mutable_linux()->mutable_security_context()->mutable_namespace_options()->set_pid(runtime::v1::CONTAINER);
    image.config.entrypoint = {"/bin/server"};
    image.config.cmd = {"--port", "80"};
    image.config.env = {"PATH=/usr/bin:/bin", "LANG=C"};
    image.passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\n";
    image.group = "root:x:0:\nstaff:x:50:app,root\naudio:x:63:app\n";
    host.bounding_capabilities = AllCapabilities();
    host.cgroup_v1_hierarchies = {"cpu", "memory"};
    host.seccomp_arch = "SCMP_ARCH_X86_64";
  }

  runtime::v1::LinuxContainerSecurityContext& security() {
    return *container.mutable_linux()->mutable_security_context();
  }
  runtime::v1::LinuxContainerResources& resources() { return *container.mutable_linux()->mutable_resources(); }
  void MakePrivileged() {
    pod.mutable_linux()->mutable_security_context()->set_privileged(true);
    security().set_privileged(true);
  }

  absl::StatusOr<SpecResult> Build() {
    request.pod = &pod;
    request.container = &container;
    request.container_id = "c0ffee";
    request.hostname = "web-0";
    request.net_ns_path = "/run/netns/berth-1";
    request.hosts_path = "/var/lib/berth/pods/1/hosts";
    request.hostname_path = "/var/lib/berth/pods/1/hostname";
    request.resolv_conf_path = "/var/lib/berth/pods/1/resolv.conf";
    request.cgroups_path = "/kubepods/pod1/berth-c0ffee";
    request.image = &image;
    request.host = &host;
    request.defaults = &defaults;
    return BuildSpec(request);
  }
};

}  // namespace berth
