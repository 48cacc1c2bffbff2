#include "load/local_call.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "base/error.h"

namespace incipit {

std::optional<LocalAnswer> call_local(const std::filesystem::path& socket, std::string_view target,
                                      std::string_view json, std::string_view key) {
  namespace http = boost::beast::http;
  using Protocol = boost::asio::local::stream_protocol;
  constexpr int http_1_1 = 11;
  boost::asio::io_context loop;
  Protocol::socket connection(loop);
  boost::system::error_code fault;
  if (socket.string().size() >= sizeof(sockaddr_un::sun_path)) return std::nullopt;  // nobody can listen there
  connection.connect(Protocol::endpoint(socket.string()), fault);
  if (fault == boost::asio::error::connection_refused || fault == boost::system::errc::no_such_file_or_directory) {
    return std::nullopt;
  }
  const auto check = [&] {
    if (fault) throw Error(socket.string(), fault.message(), "see what the server that listens there says");
  };
  check();
  http::request<http::string_body> request(http::verb::post, target, http_1_1);
  request.set(http::field::host, "localhost");
  request.set(http::field::content_type, "application/json");
  if (!key.empty()) request.set(http::field::authorization, "Bearer " + std::string(key));
  request.body() = json;
  request.prepare_payload();
  http::write(connection, request, fault);
  check();
  boost::beast::flat_buffer read;
  http::response<http::string_body> response;
  http::read(connection, read, response, fault);
  check();
  return LocalAnswer{static_cast<int>(response.result_int()), response.body()};
}

}  // namespace incipit
