#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "runtime/runtime.h"

namespace berth {

// A Runtime for tests of the edges: answers OK with empty messages, records what it was asked, and holds back the
// answers of methods it was told to hold until Release.
class FakeRuntime : public Runtime {
 public:
  void Hold(const std::string& method) {
    MutexLock lock(mutex_);
    held_methods_[method] = true;
  }
  // Runs the answers held back so far.
  void Release() {
    std::vector<std::function<void()>> answers;
    {
      MutexLock lock(mutex_);
      answers.swap(held_);
      held_methods_.clear();
    }
    for (const auto& answer : answers) answer();
  }
  std::vector<std::string> asked() const {
    MutexLock lock(mutex_);
    return asked_;
  }
  // Of the newest queued call. Waits until there was one.
  Call WaitForCall() {
    MutexLock lock(mutex_);
    while (calls_.empty()) changed_.Wait(mutex_);
    return calls_.back();
  }

  std::vector<std::string> users_of_image;                     // what ContainersUsing says
  ::runtime::v1::ListContainersResponse containers;            // what ListContainers says
  absl::Status pod_status_error = absl::NotFoundError("pod");  // what PodSandboxStatus says

#define BERTH_FAKE_QUEUED(Method)                                                                             \
  void Method(const ::runtime::v1::Method##Request&, Call call, Reply<::runtime::v1::Method##Response> reply) \
      override {                                                                                              \
    Answer(#Method, std::move(call), std::move(reply));                                                       \
  }
  BERTH_FAKE_QUEUED(RunPodSandbox)
  BERTH_FAKE_QUEUED(StopPodSandbox)
  BERTH_FAKE_QUEUED(RemovePodSandbox)
  BERTH_FAKE_QUEUED(CreateContainer)
  BERTH_FAKE_QUEUED(StartContainer)
  BERTH_FAKE_QUEUED(StopContainer)
  BERTH_FAKE_QUEUED(RemoveContainer)
  BERTH_FAKE_QUEUED(ReopenContainerLog)
  BERTH_FAKE_QUEUED(ExecSync)
  BERTH_FAKE_QUEUED(UpdateRuntimeConfig)
  BERTH_FAKE_QUEUED(ContainerStats)
  BERTH_FAKE_QUEUED(ListContainerStats)
  BERTH_FAKE_QUEUED(PodSandboxStats)
  BERTH_FAKE_QUEUED(ListPodSandboxStats)
#undef BERTH_FAKE_QUEUED

  absl::StatusOr<::runtime::v1::PodSandboxStatusResponse> PodSandboxStatus(
      const ::runtime::v1::PodSandboxStatusRequest&) override {
    if (!pod_status_error.ok()) return pod_status_error;
    return ::runtime::v1::PodSandboxStatusResponse();
  }
  ::runtime::v1::ListPodSandboxResponse ListPodSandbox(const ::runtime::v1::ListPodSandboxRequest&) override {
    return {};
  }
  absl::StatusOr<::runtime::v1::ContainerStatusResponse> ContainerStatus(
      const ::runtime::v1::ContainerStatusRequest&) override {
    return ::runtime::v1::ContainerStatusResponse();
  }
  ::runtime::v1::ListContainersResponse ListContainers(const ::runtime::v1::ListContainersRequest&) override {
    return containers;
  }
  ::runtime::v1::StatusResponse Status(const ::runtime::v1::StatusRequest&) override { return {}; }
  ::runtime::v1::RuntimeConfigResponse RuntimeConfig(const ::runtime::v1::RuntimeConfigRequest&) override { return {}; }

  RuntimeCounts Counts() const override { return {}; }
  std::vector<std::string> ContainersUsing(absl::string_view) const override { return users_of_image; }
  void Drain(absl::Time) override {}

 private:
  template <typename Response>
  void Answer(const std::string& method, Call call, Reply<Response> reply) {
    {
      MutexLock lock(mutex_);
      asked_.push_back(method);
      calls_.push_back(std::move(call));
      changed_.NotifyAll();
      if (held_methods_.count(method) != 0) {
        held_.push_back([reply] { reply(Response()); });
        return;
      }
    }
    reply(Response());
  }

  mutable Mutex mutex_;
  CondVar changed_;
  std::map<std::string, bool> held_methods_ GUARDED_BY(mutex_);
  std::vector<std::function<void()>> held_ GUARDED_BY(mutex_);
  std::vector<std::string> asked_ GUARDED_BY(mutex_);
  std::vector<Call> calls_ GUARDED_BY(mutex_);
};

}  // namespace berth
