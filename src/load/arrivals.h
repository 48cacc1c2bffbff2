// What a load asks of a server, and when: traces, rates, users.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace incipit {

/// One request of a load.
struct Arrival {
  double due_s = 0;  // after the load's begin; of no meaning where users ask
  int32_t prompt_tokens = 0, new_tokens = 0;
  std::vector<int64_t> blocks;  // of `block_tokens` tokens each: prompts share those that have the same numbers
  int32_t block_tokens = 512;
};

/// Two forms: CSV with TIMESTAMP, ContextTokens and GeneratedTokens (Azure's), and lines of JSON with timestamp (ms),
/// input_length, output_length and perhaps hash_ids (Mooncake's). Sorted by time, which begins at 0. Throws Error
/// naming the line that is neither.
std::vector<Arrival> read_arrivals(const std::filesystem::path& path);
std::vector<Arrival> parse_arrivals(std::string_view text, const std::string& name);

/// `count` requests alike, at random moments, `rate` in a second (a Poisson process), or all due at once (0).
std::vector<Arrival> random_arrivals(int32_t count, double rate, int32_t prompt_tokens, int32_t new_tokens,
                                     uint64_t seed);

/// Cuts prompts, and then answers, to what a context of so many tokens holds; returns how many were cut.
int32_t cut_to_context(std::vector<Arrival>& arrivals, int32_t context);

/// A prompt's ids, of [first, last): the same for the same arrival, number and seed.
std::vector<int32_t> prompt_of(const Arrival& arrival, uint64_t number, uint64_t seed, int32_t first, int32_t last);

}  // namespace incipit
