// A server of scripted tokens under the bundled model's name, tokenizer and template.
#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "raw_client.h"
#include "scripted_source.h"
#include "server/server.h"
#include "support/shared_files.h"
#include "text/tokenizer.h"
#include "tokenizer_compile/compile_tokenizer.h"

namespace incipit {

inline const Tokenizer& classics_tokenizer() {
  static const std::vector<std::byte> tables = compile_tokenizer(source_directory() / "models" / "classics-16m");
  static const std::shared_ptr<const Tokenizer> tokenizer = Tokenizer::open(tables);
  return *tokenizer;
}

struct ScriptedServer {
  /// `chat_template`: empty for the bundled model's.
  explicit ScriptedServer(ServerOptions options = {}, bool with_text = true, const std::string& chat_template = {}) {
    const auto model = std::make_shared<ServedModel>();
    model->name = "classics";
    model->source = source;
    model->max_context = 64;
    if (with_text) {
      model->tokenizer = &classics_tokenizer();
      const auto path = source_directory() / "models" / "classics-16m" / "chat_template.jinja";
      model->chat.emplace(chat_template.empty() ? read_text_file(path) : chat_template, "template");
      model->chat_variables = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
    }
    models->set("classics", model);
    options.http.port = options.http.socket.empty() ? 0 : -1;
    server = std::make_unique<Server>(options, models);
  }

  RawClient connect() const { return RawClient(server->port()); }
  /// A request on a connection of its own.
  RawResponse ask(std::string_view method, std::string_view path, std::string_view body = {},
                  std::string_view headers = {}) const {
    RawClient client(server->port());
    client.send(RawClient::request(method, path, body, headers));
    return client.read();
  }

  std::shared_ptr<ScriptedSource> source = std::make_shared<ScriptedSource>();
  const ServedModel& model() const { return *models->find("classics"); }
  std::shared_ptr<ModelTable> models = std::make_shared<ModelTable>();
  std::unique_ptr<Server> server;
};

}  // namespace incipit
