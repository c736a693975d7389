// The credentials of the channel.
#pragma once

#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

#include <grpcpp/grpcpp.h>

inline std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream content;
  if (!(content << file.rdbuf())) throw std::runtime_error(path + " cannot be read");
  return content.str();
}

// Sends the token in a file. Each call reads it, because tokens expire and something else renews them.
class TokenFile final : public grpc::MetadataCredentialsPlugin {
 public:
  explicit TokenFile(std::string path) : path_(std::move(path)) {}

  grpc::Status GetMetadata(grpc::string_ref, grpc::string_ref, const grpc::AuthContext&,
                           std::multimap<grpc::string, grpc::string>* metadata) override {
    std::ifstream file(path_);
    std::string token;
    if (!(file >> token)) return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "the token cannot be read");
    metadata->emplace("authorization", "Bearer " + token);
    return grpc::Status::OK;
  }

 private:
  const std::string path_;
};

// Returns the credentials that the variables CLIENT_… name; ../README.md explains them. Without CLIENT_CA_FILE there is no
// TLS, and no caller.
inline std::shared_ptr<grpc::ChannelCredentials> CredentialsFromEnvironment() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  const std::string ca = variable("CLIENT_CA_FILE"), certificate = variable("CLIENT_CERTIFICATE_FILE");
  const std::string key = variable("CLIENT_KEY_FILE"), token = variable("CLIENT_TOKEN_FILE");
  if (ca.empty()) {
    if (!(certificate + key + token).empty()) throw std::runtime_error("a certificate or a token needs CLIENT_CA_FILE");
    return grpc::InsecureChannelCredentials();
  }
  if (certificate.empty() != key.empty()) {
    throw std::runtime_error("CLIENT_CERTIFICATE_FILE and CLIENT_KEY_FILE need each other");
  }
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ReadFile(ca);
  if (!certificate.empty()) {
    options.pem_cert_chain = ReadFile(certificate);
    options.pem_private_key = ReadFile(key);
  }
  const auto tls = grpc::SslCredentials(options);
  if (token.empty()) return tls;
  return grpc::CompositeChannelCredentials(tls, grpc::MetadataCredentialsFromPlugin(std::make_unique<TokenFile>(token)));
}
