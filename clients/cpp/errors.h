// Reads the typed errors of the server.
#pragma once

#include <optional>

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/grpcpp.h>

// Returns the whole Status of a call that failed. One of the gRPC runtime itself has no details.
inline google::rpc::Status WholeStatus(const grpc::Status& status) {
  google::rpc::Status whole;
  if (status.error_details().empty() || !whole.ParseFromString(status.error_details())) {
    whole.set_code(status.error_code());
    whole.set_message(status.error_message());
  }
  return whole;
}

// Returns the detail of a type.
template <typename T>
std::optional<T> Detail(const google::rpc::Status& status) {
  for (const auto& packed : status.details()) {
    T detail;
    if (packed.UnpackTo(&detail)) return detail;
  }
  return std::nullopt;
}
