// Sampling on the device: per-slot state, the step that turns logits into a token, and the steps that feed and undo it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace incipit {

template <typename Family>
struct Kernel;

/// How a slot draws. Plain data: copied to the device when the slot is configured.
/// Order of work, as in Transformers and vLLM: logit mask, logit bias, repetition penalty (over prompt and
/// generated tokens), frequency and presence penalties (generated tokens), temperature, top-k, top-p, min-p, draw.
/// temperature 0 is greedy: the first of the largest logits after mask, bias and penalties.
///
/// Exactly: a NaN logit counts as −infinity and +infinity as the largest float, before and after the adjustments.
/// Candidates are the allowed tokens above −infinity, ordered by adjusted logit, equal ones by id. Their weights are
/// integers (sampling_weight of sampling_rules.h), so that sums do not depend on their order and every device draws the
/// same token. top-p and min-p look at what top-k left. A row without candidates yields its lowest allowed id, or 0.
struct SamplingParameters {
  static constexpr int32_t max_biases = 300;  // as the OpenAI API allows
  float temperature = 0;
  int32_t top_k = 0;  // 0: all
  float top_p = 1;    // smallest set whose probability reaches top_p; 1: all
  float min_p = 0;    // drops tokens below min_p · the largest probability
  float repetition_penalty = 1;
  float frequency_penalty = 0;
  float presence_penalty = 0;
  uint64_t seed = 0;         // with the position decides every draw, whatever the batch
  int32_t top_logprobs = 0;  // up to max_top_logprobs
  int32_t biases = 0;
  std::array<int32_t, max_biases> bias_ids;
  std::array<float, max_biases> bias_values;
};

constexpr int32_t max_top_logprobs = 20;

/// What a sampled row yields. Log-probabilities are of the model's own distribution (before bias, penalties and
/// temperature), natural logarithm.
struct SampledRow {
  int32_t id = -1;
  float logprob = 0;
  int32_t top_count = 0;
  std::array<int32_t, max_top_logprobs> top_ids;
  std::array<float, max_top_logprobs> top_logprobs;
};

/// A slot's state in device memory. The arrays behind it have a row per slot.
struct SlotState {
  SamplingParameters parameters;
  int32_t last_token = 0;  // the newest sample: the next step's token may be taken from here
  int32_t length = 0;      // tokens in `history`
};

/// Device arrays of all slots.
struct SlotArrays {
  SlotState* slots = nullptr;
  int32_t* history = nullptr;            // [slots][max_context] tokens in order, prompt and generated
  uint16_t* prompt_counts = nullptr;     // [slots][vocabulary] occurrences among prompt tokens (saturating)
  uint16_t* generated_counts = nullptr;  // [slots][vocabulary] occurrences among generated tokens (saturating)
  int32_t* generated_from = nullptr;     // [slots] first history index that was generated
  int32_t max_context = 0;
  int32_t vocabulary = 0;
};

/// Resolves the step's tokens and appends them to their slots' history:
/// ids[t] = source[t] when >= 0, else the last sample of the token's slot. One tile a sequence.
struct ResolveTokens {
  struct Problem {
    static constexpr std::string_view family = "resolve_tokens";
    int32_t vocabulary = 0;
    template <typename V>
    void fields(V& v) {
      v("vocabulary", vocabulary);
    }
  };
  struct Args {
    int32_t sequences;
    const struct SequenceSpan* spans;
    const int32_t* source;  // [tokens]; -1: the slot's last sample
    SlotArrays slots;
    int32_t* ids;  // [tokens]
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<ResolveTokens>> kernels();
};

/// Draws one token a sampled row. A span's last row updates slot.last_token; all rows of a span draw from the
/// distribution at their own position. One tile a row.
struct Sample {
  struct Problem {
    static constexpr std::string_view family = "sample";
    int32_t vocabulary = 0;
    template <typename V>
    void fields(V& v) {
      v("vocabulary", vocabulary);
    }
  };
  struct Args {
    int32_t rows;
    int32_t sequences;
    const struct SequenceSpan* spans;
    const int32_t* row_sequence;   // [rows] index of the span each row belongs to
    const int32_t* row_positions;  // [rows] position of the token that made the row; the draw is for position + 1
    const float* logits;           // [rows, vocabulary]
    int64_t logits_stride;
    const uint32_t* masks;      // [rows][(vocabulary + 31) / 32] allowed tokens as bits, or nullptr
    const uint8_t* row_masked;  // [rows] 1 where the row has a mask
    SlotArrays slots;
    SampledRow* output;  // [rows]
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<Sample>> kernels();
};

/// What is asked of a slot between steps, on its way there in device memory.
struct SlotRequest {
  SamplingParameters parameters;
  int32_t generated_from = 0;  // tokens from this history index on count as generated
  int32_t known = 0;           // so many tokens of the history are there already, and are counted
  int32_t keep = 0;            // so many tokens of the history stay
};

/// Empties a slot for a new sequence: its parameters are the request's, and its history the known tokens.
struct ResetSlot {
  struct Problem {
    static constexpr std::string_view family = "reset_slot";
    int32_t vocabulary = 0;
    template <typename V>
    void fields(V& v) {
      v("vocabulary", vocabulary);
    }
  };
  struct Args {
    SlotArrays slots;
    int32_t slot;
    const SlotRequest* request;
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<ResetSlot>> kernels();
};

/// Takes back the tokens of a slot's history from index `keep` on, and their counts; the newest sample becomes the
/// history's last token (0 when empty). Nothing happens when the history is not longer.
struct TruncateSlot {
  struct Problem {
    static constexpr std::string_view family = "truncate_slot";
    int32_t vocabulary = 0;
    template <typename V>
    void fields(V& v) {
      v("vocabulary", vocabulary);
    }
  };
  struct Args {
    SlotArrays slots;
    int32_t slot;
    const SlotRequest* request;
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<TruncateSlot>> kernels();
};

/// Tells whoever polls `done`, in memory that the host reads, that all work before it is finished: *done = step, after
/// everything that was written.
struct Publish {
  struct Problem {
    static constexpr std::string_view family = "publish";
    template <typename V>
    void fields(V&) {}
  };
  struct Args {
    uint64_t step;
    uint64_t* done;
  };
  static void reference(const Problem&, const Args&);
  static std::span<const Kernel<Publish>> kernels();
};

constexpr uint64_t largest_sampling_weight = uint64_t{1} << 40;  // of the best candidate

}  // namespace incipit
