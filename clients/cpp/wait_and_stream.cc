// Waits for a policy, and reads a long list of mailboxes by a stream that is cut: wait-and-stream ADDRESS
#include <chrono>
#include <exception>
#include <iostream>
#include <limits>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "channel.h"
#include "errors.h"
#include "m365/backupstorage/v1/protection_policy_service.grpc.pb.h"
#include "m365/backupstorage/v1/protection_unit_service.grpc.pb.h"
#include "m365/backupstorage/v1/protection_unit_stream_service.grpc.pb.h"

using namespace m365::backupstorage::v1;

namespace {

constexpr int kAll = std::numeric_limits<int>::max();

void Check(const grpc::Status& status) {
  if (status.ok()) return;
  throw std::runtime_error(Detail<google::rpc::ErrorInfo>(WholeStatus(status)).value_or(google::rpc::ErrorInfo()).reason());
}

// Makes a call. Its deadline is longer than a wait, which lasts at most 45 s.
template <typename Response, typename Stub, typename Request>
Response Call(Stub& stub, grpc::Status (Stub::*call)(grpc::ClientContext*, const Request&, Response*), const Request& request) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  Response response;
  Check((stub.*call)(&context, request, &response));
  return response;
}

// Creates and activates a policy, waits for a second, and then until it is active.
void WaitForPolicy(const std::shared_ptr<grpc::Channel>& channel) {
  using Policies = ProtectionPolicyService::Stub;
  Policies policies(channel);
  CreateSharePointProtectionPolicyRequest sites;
  sites.set_display_name("Sites");
  const std::string id = Call(policies, &Policies::CreateSharePointProtectionPolicy, sites).protection_policy().id();
  ActivateProtectionPolicyRequest activation;
  activation.set_protection_policy_id(id);
  Call(policies, &Policies::ActivateProtectionPolicy, activation);
  const auto show = [](const char* what, const WaitProtectionPolicyResponse& response) {
    const std::string prefix = "WAIT_RESULT_";
    std::cout << what << ": " << WaitResult_Name(response.result()).substr(prefix.size()) << ", "
              << ProtectionPolicyStatus_Name(response.protection_policy().status()) << '\n';
  };

  // With nothing seen the wait ends at once. Then a change ends it: another content than the one with this revision.
  WaitProtectionPolicyRequest wait;
  wait.set_protection_policy_id(id);
  WaitProtectionPolicyResponse response = Call(policies, &Policies::WaitProtectionPolicy, wait);
  show("wait with nothing seen", response);
  wait.set_seen(response.revision());
  wait.mutable_max_wait()->set_seconds(1);
  show("wait for a change", Call(policies, &Policies::WaitProtectionPolicy, wait));

  wait.clear_max_wait();
  wait.add_until(PROTECTION_POLICY_STATUS_ACTIVE);
  do {
    response = Call(policies, &Policies::WaitProtectionPolicy, wait);
  } while (response.result() == WAIT_RESULT_TIMED_OUT);
  show("wait until ACTIVE", response);
}

// What was read of a list. With its page token the request goes on, whether it is of a stream or of the list.
struct Reading {
  int pages = 0;
  std::vector<ProtectionUnit> units;
  ListMailboxProtectionUnitsRequest request;

  Reading() { request.set_page_size(500); }

  void Add(const ListMailboxProtectionUnitsResponse& page) {
    pages++;
    units.insert(units.end(), page.protection_units().begin(), page.protection_units().end());
    request.set_page_token(page.next_page_token());
  }

  // Reads from a stream, up to page most. OK says that the list is complete, or that it was cut there.
  grpc::Status Stream(ProtectionUnitStreamService::Stub& streams, int most) {
    grpc::ClientContext context;  // No deadline, or one of minutes.
    const auto stream = streams.StreamMailboxProtectionUnits(&context, request);
    ListMailboxProtectionUnitsResponse page;
    while (stream->Read(&page)) {
      Add(page);
      if (pages == most) {
        context.TryCancel();
        stream->Finish();
        return grpc::Status::OK;
      }
    }
    return stream->Finish();
  }

  void Show(const std::string& what) const {
    std::set<std::string> ids;
    for (const auto& unit : units) ids.insert(unit.id());
    std::cout << what << ": " << pages << " pages, " << units.size() << " units, " << ids.size() << " ids\n";
  }
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: wait-and-stream ADDRESS\n";
    return 2;
  }
  const auto channel = grpc::CreateChannel(argv[1], CredentialsFromEnvironment());
  WaitForPolicy(channel);
  ProtectionUnitService::Stub lists(channel);
  ProtectionUnitStreamService::Stub streams(channel);
  // The server can end a stream before the list ends: when it stops, and after ten minutes. Another one goes on.
  Reading whole;
  for (grpc::Status status; !(status = whole.Stream(streams, kAll)).ok();) {
    const auto error = WholeStatus(status);
    if (Detail<google::rpc::ErrorInfo>(error).value_or(google::rpc::ErrorInfo()).reason() != "STREAM_RESUME") Check(status);
    std::cout << "the stream is to be resumed\n";
    const auto delay = Detail<google::rpc::RetryInfo>(error).value_or(google::rpc::RetryInfo()).retry_delay();
    std::this_thread::sleep_for(std::chrono::seconds(delay.seconds()) + std::chrono::nanoseconds(delay.nanos()));
  }
  whole.Show("stream");

  for (const std::string way : {"stream", "list"}) {
    Reading cut;
    Check(cut.Stream(streams, 2));
    if (way == "stream") Check(cut.Stream(streams, kAll));
    while (!cut.request.page_token().empty()) {  // Empty after the last page.
      cut.Add(Call(lists, &ProtectionUnitService::Stub::ListMailboxProtectionUnits, cut.request));
    }
    cut.Show("cut after 2 pages, resumed with the " + way);
  }

  // The second page of this list fails. The first one is valid.
  ListExchangeProtectionPolicyUnitsRequest request;
  request.set_protection_policy_id(whole.units[0].policy_id());
  request.set_page_size(500);
  grpc::ClientContext context;
  const auto stream = streams.StreamExchangeProtectionPolicyUnits(&context, request);
  ListExchangeProtectionPolicyUnitsResponse page;
  int pages = 0;
  while (stream->Read(&page)) pages++;
  const auto error = Detail<google::rpc::ErrorInfo>(WholeStatus(stream->Finish()));
  std::cout << "error after " << pages << " page: " << error.value_or(google::rpc::ErrorInfo()).reason() << '\n';
} catch (const std::exception& e) {
  std::cerr << "wait-and-stream: " << e.what() << '\n';
  return 1;
}
