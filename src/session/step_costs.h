// What a step takes, in µs: measured at a few shapes, interpolated between them, corrected by the steps that run. Pure
// integers, as the scheduler, whose sense of time this is.
//
// A step's time is that of its rows (weights are read, products computed), and that of attention, which grows with what
// stands before its tokens. Both are measured by steps of one sequence and of as many as there may be, behind contexts
// of none, 1,024 and the most.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace incipit {

/// What is in a step, as far as its time goes.
struct StepWork {
  int32_t decodes = 0;         // sequences that get one token each
  int64_t decode_context = 0;  // tokens before these, all together
  int32_t prompts = 0;         // sequences that get a chunk
  int32_t prompt_tokens = 0;
  int64_t prompt_context = 0;  // tokens before each token of a chunk's beginning, all together

  int32_t tokens() const { return decodes + prompt_tokens; }
  int32_t sequences() const { return decodes + prompts; }
  void add_decode(int32_t context) {
    ++decodes;
    decode_context += context;
  }
  void add_chunk(int32_t context, int32_t count) {
    ++prompts;
    prompt_tokens += count;
    prompt_context += int64_t{context} * count;
  }
};

class StepCosts {
 public:
  static constexpr int32_t middle_context = 1024;

  /// Of steps of no engine: every prediction is 0 until a step was seen.
  StepCosts() : StepCosts({1}, 1, 1) {}
  /// `tokens`: at which numbers of rows a step is measured, ascending; the last is the most.
  StepCosts(std::vector<int32_t> tokens, int32_t most_sequences, int32_t most_context);

  /// A step to measure: its tokens, spread evenly over its sequences, each behind `context` tokens.
  struct Cell {
    int32_t tokens = 0, sequences = 0, context = 0;
    bool operator==(const Cell&) const = default;
  };
  /// The cheapest first.
  std::vector<Cell> cells() const;
  /// What a cell has been measured to take.
  std::optional<int64_t> measured(const Cell& cell) const;
  /// False when it is none of cells().
  bool set(const Cell& cell, int64_t us);

  /// Whether there is something to predict from: a measurement, or a step that was seen.
  bool known() const { return any_measured_ || unit_ > 0; }
  int64_t predict(const StepWork& work) const;
  /// A prompt of its own, in steps of the most tokens, behind `cached` tokens.
  int64_t predict_prompt(int32_t tokens, int32_t cached = 0) const;
  /// A step took so long. Of what is not measured the first step says how long all take. Then, and of what is, an error
  /// is first the machine's, whose pace all predictions follow: others may use it. A smaller part is that of the cells
  /// that the prediction came from. Both have bounds.
  void correct(const StepWork& work, int64_t us);

 private:
  static constexpr int64_t one = 1024;  // of factors and weights

  struct Node {
    Cell cell;          // tokens 0: there is no such step
    int64_t us = -1;    // measured
    int64_t value = 0;  // its rows' time, or what attention adds: from `us`, or estimated from other nodes
    int64_t factor = one;
  };
  struct Share {
    size_t node = 0;
    int64_t weight = 0;
  };
  size_t index(size_t token, size_t sequence, size_t context) const {
    return (token * 2 + sequence) * contexts_.size() + context;
  }
  int32_t sequences_of(size_t token, size_t sequence) const;
  /// Nodes between which a shape lies: `context` an index, 0 for rows.
  void locate(int32_t tokens, int32_t sequences, size_t context, int64_t weight, std::vector<Share>& shares) const;
  void locate_attention(int32_t tokens, int32_t sequences, int64_t context, std::vector<Share>& shares) const;
  std::vector<Share> shares_of(const StepWork& work) const;
  void estimate();
  void estimate_rows();
  void estimate_attention(size_t token, size_t sequence, size_t context);
  int64_t bound() const;
  int64_t corrected(const Node& node) const;

  std::vector<int32_t> tokens_, contexts_;  // contexts_[0] is 0
  int32_t most_sequences_, most_context_;
  std::vector<Node> nodes_;
  bool any_measured_ = false;
  int64_t unit_ = 0;    // ns a token, where nothing is measured
  int64_t pace_ = one;  // how many times as long all steps take at present
};

}  // namespace incipit
