// Makes calls with a service config and prints how they ended: retry ADDRESS CONFIG CALLS
//
// CONFIG is a file, or empty for none. CALLS is a list of calls as JSON; the program makes them one after the other on
// one channel. It prints a list as JSON, with an object for each call.
#include <chrono>
#include <exception>
#include <fstream>
#include <future>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>

#include <google/protobuf/util/json_util.h>
#include <google/rpc/code.pb.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include "calls.pb.h"

namespace {

// Makes one call. The elapsed time includes the retries of the runtime.
Result Invoke(grpc::GenericStub& stub, const Call& call) {
  const grpc::Slice message(call.request());  // Without stubs: takes and returns bytes.
  const grpc::ByteBuffer request(&message, 1);
  grpc::ByteBuffer response;
  grpc::ClientContext context;
  const std::chrono::duration<double> deadline(call.deadline());
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::milliseconds>(deadline));
  context.AddMetadata("x-tenant-id", call.tenant());
  context.AddMetadata("x-request-id", call.request_id());
  std::promise<grpc::Status> ended;
  const auto start = std::chrono::steady_clock::now();
  stub.UnaryCall(&context, "/" + call.method(), {}, &request, &response, [&ended](grpc::Status s) { ended.set_value(std::move(s)); });
  const grpc::Status status = ended.get_future().get();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;

  Result result;
  result.set_code(google::rpc::Code_Name(static_cast<int>(status.error_code())));
  result.set_elapsed(elapsed.count());
  google::rpc::Status whole;
  whole.ParseFromString(status.error_details());  // Empty for an error of the runtime itself.
  for (const auto& detail : whole.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::RetryInfo retry;
    if (detail.UnpackTo(&info)) {
      result.set_reason(info.reason());
    } else if (detail.UnpackTo(&retry)) {
      result.set_retry_delay(static_cast<double>(retry.retry_delay().seconds()) + retry.retry_delay().nanos() / 1e9);
    }
  }
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto pushback = trailers.find("grpc-retry-pushback-ms");
  if (pushback != trailers.end()) result.set_pushback(std::string(pushback->second.data(), pushback->second.size()));
  return result;
}

std::string Read(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void Run(const std::string& address, const std::string& config, const std::string& list) {
  Calls calls;
  // The JSON of a message is an object.
  const auto parsed = google::protobuf::util::JsonStringToMessage("{\"calls\":" + list + "}", &calls);
  if (!parsed.ok()) throw std::runtime_error(parsed.ToString());
  grpc::ChannelArguments arguments;
  if (!config.empty()) arguments.SetServiceConfigJSON(Read(config));
  grpc::GenericStub stub(grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
  std::cout << '[';
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  for (int i = 0; i < calls.calls_size(); i++) {
    std::string text;
    const auto printed = google::protobuf::util::MessageToJsonString(Invoke(stub, calls.calls(i)), &text, options);
    if (!printed.ok()) throw std::runtime_error(printed.ToString());
    std::cout << (i == 0 ? "" : ",") << text;
  }
  std::cout << "]\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: retry ADDRESS CONFIG CALLS\n";
    return 2;
  }
  try {
    Run(argv[1], argv[2], argv[3]);
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
