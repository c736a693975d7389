// Creates a policy although the answer to the first call is lost: repeat-with-key ADDRESS
#include <algorithm>
#include <chrono>
#include <exception>
#include <iomanip>
#include <iostream>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>

#include <grpcpp/grpcpp.h>

#include "channel.h"
#include "errors.h"
#include "m365/backupstorage/v1/protection_policy_service.grpc.pb.h"

using namespace m365::backupstorage::v1;

namespace {

// Returns a UUID of random numbers. A program that has a library for it takes version 7, which carries its age.
std::string NewKey() {
  std::random_device random;
  std::ostringstream text;
  text << std::hex << std::setfill('0');
  for (int i = 0; i < 8; i++) {
    unsigned part = random() & 0xffff;
    if (i == 3) part = (part & 0x0fff) | 0x4000;
    if (i == 4) part = (part & 0x3fff) | 0x8000;
    if (i >= 2 && i <= 5) text << '-';
    text << std::setw(4) << part;
  }
  return text.str();
}

// What became of a call.
struct Created {
  std::string id;
  bool repeated = false;  // The call was a repetition of one that was done.
  std::string reason;     // Empty when the call is good, or when the gRPC runtime made the error.
  bool ok = false;
  bool outcome_unknown = false;
  std::optional<std::chrono::milliseconds> retry_delay;
};

Created Create(ProtectionPolicyService::Stub& policies, const CreateSharePointProtectionPolicyRequest& request) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  CreateSharePointProtectionPolicyResponse response;
  const grpc::Status status = policies.CreateSharePointProtectionPolicy(&context, request, &response);
  Created created;
  created.ok = status.ok();
  if (created.ok) {
    created.id = response.protection_policy().id();
    created.repeated = context.GetServerTrailingMetadata().count("x-idempotent-replay") > 0;
    return created;
  }
  const auto whole = WholeStatus(status);
  const auto info = Detail<google::rpc::ErrorInfo>(whole).value_or(google::rpc::ErrorInfo());
  created.reason = info.reason();
  const auto outcome = info.metadata().find("outcome");
  created.outcome_unknown = created.reason.empty() || (outcome != info.metadata().end() && outcome->second == "unknown");
  if (const auto retry = Detail<google::rpc::RetryInfo>(whole)) {
    created.retry_delay = std::chrono::seconds(retry->retry_delay().seconds()) + std::chrono::milliseconds(retry->retry_delay().nanos() / 1000000);
  }
  return created;
}

std::string CreateAtLast(ProtectionPolicyService::Stub& policies, const CreateSharePointProtectionPolicyRequest& request) {
  for (int n = 1;; n++) {
    const Created created = Create(policies, request);
    if (created.ok) {
      std::cout << "call " << n << ": OK, repeated: " << created.repeated << '\n';
      return created.id;
    }
    std::cout << "call " << n << ": " << created.reason << ", outcome unknown: " << created.outcome_unknown << '\n';
    // With a key it is safe to call again when nobody knows what was done. Without one a program looks first.
    if (n == 5 || (!created.outcome_unknown && !created.retry_delay)) throw std::runtime_error(created.reason);
    std::this_thread::sleep_for(std::max(std::chrono::milliseconds(100), created.retry_delay.value_or(std::chrono::milliseconds(0))));
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: repeat-with-key ADDRESS\n";
    return 2;
  }
  std::cout << std::boolalpha;
  ProtectionPolicyService::Stub policies(grpc::CreateChannel(argv[1], CredentialsFromEnvironment()));
  // A key for this write alone. A program that may die before it is done keeps it, with the request.
  CreateSharePointProtectionPolicyRequest request;
  request.set_display_name("Sites");
  request.set_idempotency_key(NewKey());
  const std::string id = CreateAtLast(policies, request);
  const Created again = Create(policies, request);
  std::cout << "the same again: the same policy: " << (again.id == id) << ", repeated: " << again.repeated << '\n';
  // Another request needs a key of its own.
  request.set_display_name("Other sites");
  std::cout << "another request with the key: " << Create(policies, request).reason << '\n';
  grpc::ClientContext context;
  ListProtectionPoliciesResponse list;
  if (!policies.ListProtectionPolicies(&context, ListProtectionPoliciesRequest(), &list).ok()) throw std::runtime_error("no list");
  std::cout << "policies: " << list.protection_policies_size() << '\n';
} catch (const std::exception& e) {
  std::cerr << "repeat-with-key: " << e.what() << '\n';
  return 1;
}
