// From text to token ids and back, over tables that were compiled with the engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace incipit {

struct EncodeOptions {
  /// Put the model's own tokens around the text (the post-processor's: usually a beginning-of-text token).
  bool add_special_tokens = true;
  /// Read special tokens written out in the text ("<|end|>") as those tokens; otherwise they are plain text.
  bool parse_special = true;
  /// What errors call the text.
  std::string_view name = "text";
};

/// How far the beginning of a text that is being decoded has come: some tokenizers leave out spaces there.
struct DecodingStart {
  bool first_token = true;
  uint32_t strippable = 0;  // bytes that may still go
};

/// A byte-pair tokenizer over bytes (GPT-2's kind) or characters (SentencePiece's kind). Everything is const and may be
/// called from many threads.
class Tokenizer {
 public:
  /// Reads `tables` (made by compile_tokenizer, 8-byte aligned) in place: `owner`, if given, keeps them alive. Throws
  /// Error when they are cut short, damaged or of another version.
  static std::shared_ptr<const Tokenizer> open(std::span<const std::byte> tables,
                                               std::shared_ptr<const void> owner = nullptr);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  /// `text` should be UTF-8; broken bytes become tokens of their own. Throws Error naming the text when it has 2 GiB or
  /// more, and one naming the pattern when a hostile one of the model needs too many steps.
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;

  /// The text of `ids`; what is not UTF-8 becomes U+FFFD. Ids that the vocabulary lacks are nothing.
  std::string decode(std::span<const int32_t> ids, bool skip_special = true) const;

  /// What one id adds to a text that has begun: any bytes, often part of a character. Empty for an id the vocabulary
  /// lacks.
  std::string_view token_bytes(int32_t id) const;
  /// Appends what `id` adds to a text that has come as far as `start`, which this moves on.
  void append_token(int32_t id, DecodingStart& start, std::string& bytes) const;
  /// Where the decoding of a text begins.
  DecodingStart decoding_start() const;
  bool is_special(int32_t id) const;
  /// The id of an added token's text, or of a vocabulary entry: by its bytes where those are merged, as the vocabulary
  /// spells it ("▁the") where characters are.
  std::optional<int32_t> id_of(std::string_view token) const;

  /// The highest id + 1. The model's logits may be wider.
  size_t vocab_size() const;
  /// The token a text begins with, as the model's configuration says; nothing when it does not.
  std::optional<int32_t> bos_id() const;
  /// The tokens that end a text, ascending.
  std::span<const int32_t> eos_ids() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<const State> state);
  std::unique_ptr<const State> state_;
};

}  // namespace incipit
