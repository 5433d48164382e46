#pragma once

#include "absl/strings/str_cat.h"
#include "server/cri/stream_call.h"
#include "server/cri/unary_call.h"

// The ways an RPC is answered, a line per RPC in runtime_service.cc and image_service_rpc.cc. They stand inside a
// CallbackService class that has `kService`, `observer_` and the namespace alias `v1` in reach. Macros, because gRPC
// wants an override of each name.

// `Answer(const MethodRequest&, Call, reply)` of the class answers.
#define BERTH_RPC_HERE(Method)                                                                                       \
  grpc::ServerUnaryReactor* Method(grpc::CallbackServerContext* context, const v1::Method##Request* request,         \
                                   v1::Method##Response* response) override {                                        \
    return UnaryCall<v1::Method##Request, v1::Method##Response>::Start(                                              \
        {kService, #Method}, observer_, context, request, response,                                                  \
        [this](const auto& message, Call call, auto reply) { Answer(message, std::move(call), std::move(reply)); }); \
  }

// `target.Method(request, call, reply)` answers.
#define BERTH_RPC_QUEUED(Method, target)                                                                     \
  grpc::ServerUnaryReactor* Method(grpc::CallbackServerContext* context, const v1::Method##Request* request, \
                                   v1::Method##Response* response) override {                                \
    return UnaryCall<v1::Method##Request, v1::Method##Response>::Start(                                      \
        {kService, #Method}, observer_, context, request, response,                                          \
        [this](const auto& message, Call call, auto reply) {                                                 \
          target.Method(message, std::move(call), std::move(reply));                                         \
        });                                                                                                  \
  }

// `target.Method(request)` returns the answer, at once.
#define BERTH_RPC_READ(Method, target)                                                                       \
  grpc::ServerUnaryReactor* Method(grpc::CallbackServerContext* context, const v1::Method##Request* request, \
                                   v1::Method##Response* response) override {                                \
    return UnaryCall<v1::Method##Request, v1::Method##Response>::Start(                                      \
        {kService, #Method}, observer_, context, request, response,                                          \
        [this](const auto& message, Call, auto reply) { reply(target.Method(message)); });                   \
  }

// `Answer(const MethodRequest&, Call, reply)` of the class answers with the stream's messages.
#define BERTH_RPC_STREAM(Method)                                                                                     \
  grpc::ServerWriteReactor<v1::Method##Response>* Method(grpc::CallbackServerContext* context,                       \
                                                         const v1::Method##Request* request) override {              \
    return StreamCall<v1::Method##Request, v1::Method##Response>::Start(                                             \
        {kService, #Method}, observer_, context, request,                                                            \
        [this](const auto& message, Call call, auto reply) { Answer(message, std::move(call), std::move(reply)); }); \
  }

#define BERTH_RPC_NOT_BUILT(Method)                                                                          \
  grpc::ServerUnaryReactor* Method(grpc::CallbackServerContext* context, const v1::Method##Request* request, \
                                   v1::Method##Response* response) override {                                \
    return UnaryCall<v1::Method##Request, v1::Method##Response>::Start(                                      \
        {kService, #Method}, observer_, context, request, response,                                          \
        [](const auto&, Call, auto reply) { reply(NotBuilt(#Method)); });                                    \
  }

#define BERTH_RPC_NOT_BUILT_STREAM(Method, Request, Response)                                                      \
  grpc::ServerWriteReactor<v1::Response>* Method(grpc::CallbackServerContext* context, const v1::Request* request) \
      override {                                                                                                   \
    return StreamCall<v1::Request, v1::Response>::Start(                                                           \
        {kService, #Method}, observer_, context, request,                                                          \
        [](const auto&, Call, auto reply) { reply(NotBuilt(#Method)); });                                          \
  }

namespace berth {

inline absl::Status NotBuilt(absl::string_view method) {
  return absl::UnimplementedError(absl::StrCat("not built yet: ", method));
}

}  // namespace berth
