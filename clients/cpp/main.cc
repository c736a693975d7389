// Reads the typed errors of this server and prints what it would do about each: client ADDRESS REQUEST_ID
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>

#include <google/rpc/code.pb.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/grpcpp.h>

#include "channel.h"
#include "errors.h"
#include "m365/backupstorage/v1/protection_policy_service.grpc.pb.h"
#include "m365/backupstorage/v1/protection_unit_service.grpc.pb.h"
#include "m365/backupstorage/v1/restore_session_service.grpc.pb.h"
#include "m365/backupstorage/v1/service_app_service.grpc.pb.h"

using namespace m365::backupstorage::v1;

namespace {

using Metadata = std::map<std::string, std::string>;

std::optional<std::string> Trailer(const grpc::ClientContext& context, const char* name) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find(name);
  if (found == trailers.end()) return std::nullopt;
  return std::string(found->second.data(), found->second.size());
}

std::string Value(const Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  return found == metadata.end() ? "" : found->second;
}

// Prints the content of an error, and what the program would do next.
void Show(const char* rpc, const google::rpc::Status& status, const grpc::ClientContext& context) {
  const auto info = Detail<google::rpc::ErrorInfo>(status).value_or(google::rpc::ErrorInfo());
  const auto retry = Detail<google::rpc::RetryInfo>(status);
  const auto resource = Detail<google::rpc::ResourceInfo>(status);
  const auto bad_request = Detail<google::rpc::BadRequest>(status).value_or(google::rpc::BadRequest());
  std::string fields;
  for (const auto& violation : bad_request.field_violations()) {
    fields += (fields.empty() ? "" : ",") + violation.field();
  }
  const Metadata metadata(info.metadata().begin(), info.metadata().end());
  // gRPC runtimes obey this trailer when a service config allows retries: milliseconds, negative for never.
  std::string pushback = Trailer(context, "grpc-retry-pushback-ms").value_or("");
  if (!pushback.empty()) {
    const long ms = std::stol(pushback);
    pushback = ms < 0 ? "never" : std::to_string(ms / 1000) + "s";
  }

  // The name of an ErrorReason decides, never a message.
  const std::string& reason = info.reason();
  std::string next = "report";
  if (reason == "POLICY_NOT_FOUND") {
    next = "forget";
  } else if (reason == "INVALID_DISPLAY_NAME") {
    next = "correct:" + fields;
  } else if (reason == "PROTECTION_UNITS_LIMIT_BREACHED") {
    next = "split:" + Value(metadata, "documentedLimit");
  } else if (reason == "FORBIDDEN") {
    next = "ask:" + Value(metadata, "permission");
  } else if (Value(metadata, "outcome") == "unknown") {
    // A write that may have been done: look before calling again.
    next = retry ? "look-then-wait" : "look";
  } else if (retry) {
    next = "wait";
  }

  std::string planted = Value(metadata, "graphRequestId");
  if (planted.empty()) planted = status.message().substr(status.message().find_last_of(' ') + 1);
  std::string listed;
  for (auto [key, value] : metadata) {
    if (key == "graphDate") continue;
    std::replace(value.begin(), value.end(), ' ', '_');
    listed += (listed.empty() ? "" : ",") + key + ":" + value;
  }
  const auto part = [](const char* name, const std::string& value) {
    std::cout << ' ' << name << '=' << (value.empty() ? "-" : value);
  };
  std::cout << rpc;
  part("code", google::rpc::Code_Name(status.code()));
  part("reason", reason);
  part("domain", info.domain());
  part("resource", resource ? resource->resource_type() + "/" + resource->resource_name() : "");
  part("retry", retry ? std::to_string(retry->retry_delay().seconds()) + "s" : "");
  part("pushback", pushback);
  part("field", fields);
  part("metadata", listed);
  part("request", Trailer(context, "x-request-id").value_or(""));
  part("planted", planted);
  part("next", next);
  std::cout << '\n';
}

// Sets up the context of a call. A ClientContext can be used for one call only.
void SetUp(grpc::ClientContext& context, const Metadata& metadata) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  for (const auto& [key, value] : metadata) context.AddMetadata(key, value);
}

// Makes a call that fails, and prints its error.
template <typename Stub, typename Request, typename Response>
void Failed(const char* rpc, Stub& stub, grpc::Status (Stub::*call)(grpc::ClientContext*, const Request&, Response*),
            const Request& request, const Metadata& metadata) {
  grpc::ClientContext context;
  SetUp(context, metadata);
  Response response;
  const grpc::Status status = (stub.*call)(&context, request, &response);
  if (status.ok()) throw std::runtime_error(std::string(rpc) + " did not fail");
  Show(rpc, WholeStatus(status), context);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: client ADDRESS REQUEST_ID\n";
    return 2;
  }
  const auto channel = grpc::CreateChannel(argv[1], CredentialsFromEnvironment());
  const Metadata with_id = {{"x-request-id", argv[2]}};
  // A tenant of the emulator with an active policy for mailboxes.
  const Metadata in_tenant_c = {{"x-request-id", argv[2]}, {"x-tenant-id", "cccccccc-0000-4000-8000-00000000000c"}};
  // On behalf of a user of this tenant, by a token without a signature, which the emulator does not check.
  Metadata for_user_of_c = in_tenant_c;
  for_user_of_c["x-user-assertion"] = "e30.eyJ0aWQiOiJjY2NjY2NjYy0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMGMifQ.";
  using Policies = ProtectionPolicyService::Stub;
  using Sessions = RestoreSessionService::Stub;
  using Apps = ServiceAppService::Stub;
  using Units = ProtectionUnitService::Stub;
  Policies policies(channel);
  Sessions sessions(channel);
  Apps apps(channel);
  Units units(channel);

  const std::string nobody = "00000000-0000-4000-8000-000000000404";
  GetProtectionPolicyRequest unknown_policy;
  unknown_policy.set_protection_policy_id(nobody);
  CreateExchangeProtectionPolicyRequest nameless, mailboxes, too_many;
  mailboxes.set_display_name("Mailboxes");
  too_many.set_display_name("Mailboxes");
  for (int i = 0; i < 51; i++) {
    char id[37];
    std::snprintf(id, sizeof id, "00000000-0000-4000-8000-%012d", i);
    too_many.add_mailbox_protection_units()->set_directory_object_id(id);
  }
  ActivateProtectionPolicyRequest active_policy;
  active_policy.set_protection_policy_id("b71df0ed-09d4-41c7-8a7e-362675b6c0c6");
  ActivateRestoreSessionRequest session;
  session.set_restore_session_id(nobody);
  CreateSharePointProtectionPolicyRequest sites;
  sites.set_display_name("Sites");
  CreateOneDriveForBusinessProtectionPolicyRequest drives;
  drives.set_display_name("Drives");
  OffboardProtectionUnitRequest protected_unit;
  protected_unit.set_protection_unit_id("e0000011-f1af-426c-8b0c-000000000003");

  Failed("GetProtectionPolicy", policies, &Policies::GetProtectionPolicy, unknown_policy, with_id);
  Failed("CreateExchangeProtectionPolicy", policies, &Policies::CreateExchangeProtectionPolicy, nameless, with_id);
  Failed("CreateExchangeProtectionPolicy", policies, &Policies::CreateExchangeProtectionPolicy, too_many, with_id);
  Failed("CreateExchangeProtectionPolicy", policies, &Policies::CreateExchangeProtectionPolicy, mailboxes, in_tenant_c);
  Failed("ActivateProtectionPolicy", policies, &Policies::ActivateProtectionPolicy, active_policy, in_tenant_c);
  Failed("ActivateRestoreSession", sessions, &Sessions::ActivateRestoreSession, session, with_id);
  Failed("CreateSharePointProtectionPolicy", policies, &Policies::CreateSharePointProtectionPolicy, sites, with_id);
  Failed("CreateOneDriveForBusinessProtectionPolicy", policies, &Policies::CreateOneDriveForBusinessProtectionPolicy, drives, with_id);
  Failed("ListServiceApps", apps, &Apps::ListServiceApps, {}, with_id);
  Failed("ListProtectionPolicies", policies, &Policies::ListProtectionPolicies, {}, with_id);
  // Without a user this fails with DELEGATED_TOKEN_REQUIRED.
  Failed("OffboardProtectionUnit", units, &Units::OffboardProtectionUnit, protected_unit, for_user_of_c);

  // This call fails only for callers who may not make it. The unit in its response contains an error, which says why it is
  // not protected.
  grpc::ClientContext context;
  SetUp(context, in_tenant_c);
  GetProtectionUnitRequest request;
  request.set_protection_unit_id("e0000011-f1af-426c-8b0c-000000000003");
  GetProtectionUnitResponse response;
  const grpc::Status status = units.GetProtectionUnit(&context, request, &response);
  Show("GetProtectionUnit", status.ok() ? response.protection_unit().error() : WholeStatus(status), context);
} catch (const std::exception& e) {
  std::cerr << "client: " << e.what() << '\n';
  return 1;
}
