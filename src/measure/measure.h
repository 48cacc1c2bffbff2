// Times of an engine: what `bench` prints, and `build` and `bench` append to the engine as a baseline.
#pragma once

#include <boost/json/fwd.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "measure/limits.h"
#include "session/gateway.h"

namespace incipit {
class Progress;
}

namespace incipit {

struct MeasureOptions {
  std::vector<int32_t> prompts;  // tokens
  int32_t cached = 0;          // prompts that are longer are timed once more, behind as many tokens in the prefix cache
  int32_t decode = 64;         // tokens after the first; 0: none
  int32_t decode_context = 0;  // tokens before those; 0: 128, or as many as leave room
  int32_t decode_batch = 1;    // sequences that decode at once
  int32_t repeat = 7;
  std::chrono::milliseconds pause{0};  // without work before each prompt, as where it comes alone: a GPU's clocks rise
  double seconds = 30;                 // for one result, at most about; two runs happen always
};

struct Measurement {
  std::string kind;      // "ttft": a prompt's ids on the host → its first id on the host; "decode": a token after it
  int32_t tokens = 0;    // of the prompt; or decoded
  int32_t context = 0;   // decode: tokens before them; ttft: those of the prompt that were cached
  double ms_median = 0;  // ttft: of the whole; decode: of one token, or of one of each sequence
  int32_t runs = 0;      // repetitions behind the median
  PassShape shape;       // what was timed: a step of this shape
};

/// Throws Error for what the engine's context and batch do not hold.
void check_measurable(const Gateway& gateway, const MeasureOptions& options);

/// Waits for the memory that keys and values will take: a server has it by its second prompt or so. Ctrl-C throws.
void wait_for_memory(Gateway& gateway, Progress& progress);

/// Alone at the gateway, greedy, with its memory there, after one run that is not counted. The options must be
/// measurable, and the gateway's session must keep prefixes where some are to be cached. Ctrl-C throws.
std::vector<Measurement> measure(Gateway& gateway, const MeasureOptions& options, Progress& progress);

/// What is timed: a prompt of ids spread over the vocabulary, always the same, greedy, for that many tokens. It has a
/// salt of its own: nothing of it is cached.
Request measured_request(const Gateway& gateway, int32_t prompt, int32_t new_tokens);

/// What its times are of: the processor's or the GPU's fingerprint.
std::string machine_of(const Engine& engine);

/// {kind, tokens, ms_median} a measurement; also its context, and its sequences where they are several.
boost::json::array to_json(const std::vector<Measurement>& results);

/// Appends a baseline record to the trailer of the gateway's engine: version, machine, threads, time, memory, results.
/// Throws Error when it cannot be kept, also because the file holds another engine by now.
void keep_baseline(Gateway& gateway, const std::vector<Measurement>& results);

}  // namespace incipit
