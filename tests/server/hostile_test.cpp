// What clients do that should not be done, beside good ones: nobody's request is lost, and nothing is kept.
//   INCIPIT_HOSTILE_SECONDS=600 build/release/test_server --gtest_filter='Hostile*'
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "hostile_clients.h"
#include "server/server.h"
#include "session/golden.h"
#include "support/sanitized.h"

namespace incipit {
namespace {

double seconds_of_hostility() {
  const char* const given = std::getenv("INCIPIT_HOSTILE_SECONDS");  // NOLINT(concurrency-mt-unsafe): before threads
  constexpr double usual = 3;
  return given == nullptr ? usual : std::stod(given);
}

/// In MiB.
double resident_memory() {
  int64_t whole = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> whole >> resident;
  return static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

ServerOptions tight_options() {
  ServerOptions options;
  options.http.port = 0;
  options.most_requests = 12;
  options.http.limits.body_bytes = size_t{64} << 10;
  options.http.limits.header_time = std::chrono::milliseconds(500);
  options.http.limits.body_time = std::chrono::milliseconds(800);
  options.http.limits.idle_time = std::chrono::milliseconds(700);
  options.http.limits.write_time = std::chrono::milliseconds(600);
  return options;
}

/// A server a round, which drains in the middle of it all; the engine stays.
TEST(Hostile, ClientsLoseNobodysRequestAndLeaveNothingBehind) {
  constexpr int clients = 16;
  constexpr double longest_round = 20;
  const double seconds = seconds_of_hostility();
  const int rounds = std::max(2, static_cast<int>(std::ceil(seconds / longest_round)));
  GatewayOptions options;
  options.session.threads = 2;
  const auto gateway = std::make_shared<Gateway>(reference_engine("llama-mha"), options);
  const auto models = std::make_shared<ModelTable>();
  models->set("tiny", served_model("tiny", gateway));
  HostileReport all;
  double settled = 0;
  for (int round = 0; round < rounds; ++round) {
    Server server(tight_options(), models);
    HostileClients hostile(server.port(), clients, 1000 * static_cast<uint64_t>(round));
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds / rounds));
    hostile.server_ends();
    server.drain(std::chrono::seconds(1));
    const HostileReport report = hostile.stop();
    for (const std::string& fault : report.faults) ADD_FAILURE() << fault;
    EXPECT_GT(report.whole, 0);
    EXPECT_GT(report.refused, 0);
    EXPECT_GT(report.probes, 0);
    all.whole += report.whole;
    all.refused += report.refused;
    all.broken += report.broken;
    all.closed += report.closed;
    all.left += report.left;
    all.probes += report.probes;
    all.slowest_probe_ms = std::max(all.slowest_probe_ms, report.slowest_probe_ms);
    // What was left is cancelled within a step.
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    const auto is_empty = [&] {
      const SessionLoad load = gateway->load();
      return load.running == 0 && load.waiting == 0 && load.pages_held == 0;
    };
    while (!is_empty() && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_TRUE(is_empty()) << gateway->load().running << " run, " << gateway->load().waiting << " wait, "
                            << gateway->load().pages_held << " of the pages are held";
    if (round == rounds / 2) settled = resident_memory();
  }
  fmt::print(
      "[ hostile  ] {} rounds: {} whole answers, {} refusals, {} broken off with a reason, {} closed by the end, {} "
      "left; {} probes, the slowest {:.1f} ms; {:.1f} MiB, {:.1f} in the middle\n",
      rounds, all.whole, all.refused, all.broken, all.closed, all.left, all.probes, all.slowest_probe_ms,
      resident_memory(), settled);
  constexpr double noise = 8;  // MiB
  constexpr int enough_rounds = 10;
  if (!sanitized && rounds >= enough_rounds) {
    EXPECT_LE(resident_memory(), settled + noise);
  }
}

}  // namespace
}  // namespace incipit
